//! Damage to messages that knows how they are built: JSON stays JSON and says something else, or the bytes break.

use bytes::Bytes;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};

use crate::event::fields::{Fields, is_object};

/// What stands in a value's place: what converters, other sources and careless producers write, and the edges of what is read.
pub(super) const SWAPS: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "-0",
    "1.5",
    "1e999",
    "1E+2",
    "18446744073709551615",
    "18446744073709551616",
    "36028797018963967",
    "36028797018963968",
    "123456789012345678901234567890.12345678901234567890",
    r#""""#,
    r#""7""#,
    r#""+7""#,
    r#""\u0037""#,
    r#""\ud800""#,
    r#""\udc00\ud800""#,
    r#""\u0000""#,
    r#""a\nb\\|\"""#,
    r#""é☃😀""#,
    r#""c""#,
    r#""u""#,
    r#""d""#,
    r#""r""#,
    r#""t""#,
    r#""m""#,
    r#""false""#,
    r#""incremental""#,
    r#""mysql""#,
    r#""postgresql""#,
    r#""binlog.000003""#,
    r#""1969-12-31T23:59:59Z""#,
    r#""9999-12-31T23:59:60.999999999999+14:00""#,
    r#""__debezium_unavailable_value""#,
    r#""[null,\"26511232\"]""#,
    r#""[\"1\",\"18446744073709551615\"]""#,
    r#""[,]""#,
    r#""[\"\",\"\"]""#,
    r#""{\"_id\":1}""#,
    "{}",
    "[]",
    r#"{"":{"":[{}]}}"#,
    r#"{"id":1,"id":2}"#,
    r#"{"schema":{"type":"struct"},"payload":null}"#,
    // Not JSON:
    "",
    "NaN",
    "'a'",
    "01",
    "\"\n\"",
    r#""\u12""#,
    r#""\x""#,
    "\u{feff}1",
    "{\"a\"}",
    "[1,]",
    "}",
];

/// Names that mean something, and some that look as if they did.
const NAMES: &[&str] = &[
    "op",
    "source",
    "before",
    "after",
    "ts_ms",
    "message",
    "schema",
    "payload",
    "id",
    "type",
    "connector",
    "lsn",
    "sequence",
    "snapshot",
    "__op",
    "__deleted",
    "__lsn",
    "__source_sequence",
    "__table",
    "__",
    "",
    "\\u006fp",
    "\\ud800",
    "status",
    "ddl",
];

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub(super) enum Damage {
    /// A byte becomes another.
    Set(Index, u8),
    /// A byte more.
    Insert(Index, u8),
    /// A run of up to 8 bytes is gone.
    Remove(Index, usize),
    /// A run of up to 64 bytes stands twice.
    Repeat(Index, usize),
    /// The end is missing.
    Cut(Index),
    /// A value becomes another text.
    Swap(Index, &'static str),
    /// A value lies as deep as that in lists.
    Bury(Index, usize),
    /// A field or item stands twice, the second time with another value.
    Double(Index, &'static str),
    /// A field or item is gone.
    Drop(Index),
    /// A field has another name.
    Rename(Index, &'static str),
    /// Two values have changed places.
    Exchange(Index, Index),
}

pub(super) fn any_damage() -> impl Strategy<Value = Damage> {
    // Brackets, quotes and the like do more harm than other bytes; half of UTF-8 breaks it.
    let byte = prop_oneof![any::<u8>(), select(&b"{}[]\",:\\ \n\x00\x1f\x7f\x80\xc3\xed\xf0\xff0-"[..])];
    let at = any::<Index>;
    let of_bytes = prop_oneof![
        (at(), byte.clone()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (at(), byte).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        (at(), 1..9_usize).prop_map(|(at, run)| Damage::Remove(at, run)),
        (at(), 1..65_usize).prop_map(|(at, run)| Damage::Repeat(at, run)),
        at().prop_map(Damage::Cut),
    ];
    let of_json = prop_oneof![
        6 => (at(), select(SWAPS)).prop_map(|(at, text)| Damage::Swap(at, text)),
        1 => (at(), prop_oneof![Just(1_usize), 100..140_usize, Just(5_000)]).prop_map(|(at, depth)| Damage::Bury(at, depth)),
        2 => (at(), select(SWAPS)).prop_map(|(at, text)| Damage::Double(at, text)),
        1 => at().prop_map(Damage::Drop),
        2 => (at(), select(NAMES)).prop_map(|(at, name)| Damage::Rename(at, name)),
        1 => (at(), at()).prop_map(|(a, b)| Damage::Exchange(a, b)),
    ];
    prop_oneof![1 => of_bytes, 2 => of_json]
}

impl Damage {
    /// The bytes with this done to them. What needs JSON and meets none does nothing.
    pub fn to(&self, bytes: &Bytes) -> Bytes {
        self.to_bytes(bytes)
            .or_else(|| self.to_json(std::str::from_utf8(bytes).ok()?).map(String::into_bytes))
            .map_or(bytes.clone(), Bytes::from)
    }

    fn to_bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = bytes.to_vec();
        let place = |at: &Index, len: usize| at.index(len + 1);
        match self {
            Damage::Set(at, byte) if !bytes.is_empty() => {
                let place = at.index(bytes.len());
                bytes[place] = *byte;
            }
            Damage::Insert(at, byte) => bytes.insert(place(at, bytes.len()), *byte),
            Damage::Remove(at, run) => {
                let start = place(at, bytes.len());
                bytes.drain(start..(start + run).min(bytes.len()));
            }
            Damage::Repeat(at, run) => {
                let start = place(at, bytes.len());
                let run = bytes[start..(start + run).min(bytes.len())].to_vec();
                bytes.splice(start..start, run);
            }
            Damage::Cut(at) => bytes.truncate(place(at, bytes.len())),
            _ => return None,
        }
        Some(bytes)
    }

    fn to_json(&self, text: &str) -> Option<String> {
        let nodes = nodes(text);
        let node = |at: &Index| nodes.get(at.index(nodes.len()));
        if nodes.is_empty() {
            return None;
        }
        let inside = |place: &Index| Some(&nodes[1 + place.index(nodes.len().checked_sub(1).filter(|inner| *inner > 0)?)]);
        Some(match self {
            Damage::Swap(at, new) => with(text, &[(node(at)?.value, new)]),
            Damage::Bury(at, depth) => {
                let value = node(at)?.value;
                with(text, &[(value, &format!("{}{value}{}", "[".repeat(*depth), "]".repeat(*depth)))])
            }
            Damage::Double(at, new) => {
                let node = inside(at)?;
                let name = node.name.map(|name| format!("\"{name}\":")).unwrap_or_default();
                with(text, &[(node.value, &format!("{},{name}{new}", node.value))])
            }
            Damage::Drop(at) => {
                let node = inside(at)?;
                let whole = node.name.map_or(node.value, |name| between(text, name, node.value));
                let (start, end) = (offset(text, whole), offset(text, whole) + whole.len());
                // With the quote before the name, and one comma.
                let start = start - usize::from(node.name.is_some());
                let (before, after) = (&text[..start], &text[end..]);
                match (before.strip_suffix(','), after.strip_prefix(',')) {
                    (_, Some(after)) => format!("{before}{after}"),
                    (Some(before), None) => format!("{before}{after}"),
                    _ => format!("{before}{after}"),
                }
            }
            Damage::Rename(at, new) => with(text, &[(inside(at)?.name?, new)]),
            Damage::Exchange(a, b) => {
                let (a, b) = (inside(a)?.value, inside(b)?.value);
                let apart = offset(text, a) + a.len() <= offset(text, b) || offset(text, b) + b.len() <= offset(text, a);
                if !apart {
                    return None;
                }
                with(text, &[(a, b), (b, a)])
            }
            _ => return None,
        })
    }
}

/// A value in a text of JSON: where it stands, and its name in the object that it stands in.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    /// Names from the top; items of lists have their place.
    pub path: String,
    pub name: Option<&'a str>,
    pub value: &'a str,
}

/// All values of the text, the whole of it first. Empty for what starts as no JSON.
pub(super) fn nodes(text: &str) -> Vec<Node<'_>> {
    let mut nodes = vec![Node { path: String::new(), name: None, value: text.trim() }];
    let mut next = 0;
    while let Some(Node { path, value, .. }) = nodes.get(next).cloned() {
        next += 1;
        // No recorded event is deeper; what was buried before is one value.
        if path.matches('/').count() >= 20 {
            continue;
        }
        if is_object(value) {
            nodes.extend(Fields::of(value).map(|field| Node {
                path: format!("{path}/{}", field.name),
                name: Some(field.name),
                value: field.value,
            }));
        } else if let Ok(items) = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(value) {
            let items = items.into_iter().enumerate();
            nodes.extend(items.map(|(place, item)| Node { path: format!("{path}/{place}"), name: None, value: item.get() }));
        }
    }
    nodes
}

/// The text with parts of it replaced.
pub(super) fn with(text: &str, parts: &[(&str, &str)]) -> String {
    let mut parts: Vec<(usize, usize, &str)> = parts.iter().map(|(old, new)| (offset(text, old), old.len(), *new)).collect();
    parts.sort_unstable();
    let (mut changed, mut at) = (String::with_capacity(text.len() + 64), 0);
    for (start, len, new) in parts {
        changed.push_str(&text[at..start]);
        changed.push_str(new);
        at = start + len;
    }
    changed + &text[at..]
}

/// Where `part`, a slice of `text`, stands in it.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

/// From the start of one part to the end of a later one.
fn between<'a>(text: &'a str, first: &str, last: &str) -> &'a str {
    &text[offset(text, first)..offset(text, last) + last.len()]
}
