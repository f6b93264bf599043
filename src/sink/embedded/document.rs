//! From the text of a document to what is put into the index.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use tantivy::TantivyDocument;
use tantivy::schema::{Field, OwnedValue};

use crate::event::DocumentVersion;
use crate::sink::embedded::mapping::{Kinds, Mapping};
use crate::sink::embedded::schema::Fields;
use crate::sink::embedded::value::{self, Leaf, Span, StrictKind};

/// Objects in objects that are looked into; what lies deeper is kept, only not found.
const DEPTH_MAX: usize = 32;

/// The document as it is put into the index; the mapping learns from it. The error is a dead letter's reason.
pub fn indexed(
    fields: &Fields,
    (id, version): (&str, DocumentVersion),
    body: &str,
    mapping: &mut Mapping,
    strict: &BTreeMap<String, StrictKind>,
) -> Result<TantivyDocument, String> {
    let mut leaves = Leaves { strict, found: Vec::new() };
    leaves.object(body, "", 0)?;
    let mut document = base(fields, id, version);
    document.add_bytes(fields.source, body.as_bytes());
    let mut filed = Filed::default();
    for (path, leaf) in leaves.found {
        filed.add(&path, leaf, mapping);
    }
    for text in filed.all {
        document.add_text(fields.all, text);
    }
    for (field, values) in
        [(fields.words, filed.words), (fields.exact, filed.exact), (fields.number, filed.number), (fields.time, filed.time)]
    {
        add(&mut document, field, values);
    }
    Ok(document)
}

/// What is left of a deleted document, so that an older write cannot bring it back.
pub fn tombstone(fields: &Fields, (id, version): (&str, DocumentVersion), now_ms: u64) -> TantivyDocument {
    let mut document = base(fields, id, version);
    document.add_bool(fields.gone, true);
    document.add_u64(fields.gone_at, now_ms);
    document
}

fn base(fields: &Fields, id: &str, version: DocumentVersion) -> TantivyDocument {
    let mut document = TantivyDocument::new();
    document.add_text(fields.id, id);
    document.add_u64(fields.version, version.0);
    document
}

fn add(document: &mut TantivyDocument, field: Field, values: Vec<(String, OwnedValue)>) {
    if !values.is_empty() {
        document.add_field_value(field, &OwnedValue::Object(values));
    }
}

/// The values of a document, by what they are used for.
#[derive(Default)]
struct Filed<'a> {
    all: Vec<Cow<'a, str>>,
    words: Vec<(String, OwnedValue)>,
    exact: Vec<(String, OwnedValue)>,
    number: Vec<(String, OwnedValue)>,
    time: Vec<(String, OwnedValue)>,
}

impl<'a> Filed<'a> {
    fn add(&mut self, path: &str, leaf: Leaf<'a>, mapping: &mut Mapping) {
        match leaf {
            Leaf::Text(text) => self.add_text(path, text, mapping),
            Leaf::Number(text) => {
                let kind = if text.contains(['.', 'e', 'E']) { Kinds::FLOAT } else { Kinds::INTEGER };
                let Some(field) = mapping.learn(path, kind) else { return };
                let key = field.number.to_string();
                self.exact.extend(value::long_number(text).map(|long| (key.clone(), OwnedValue::Str(long))));
                self.number.extend(value::decimal(text).map(|number| (key, OwnedValue::F64(number))));
            }
            Leaf::Boolean(truth) => {
                let Some(field) = mapping.learn(path, Kinds::BOOLEAN) else { return };
                self.exact.push((field.number.to_string(), OwnedValue::Str(truth.to_string())));
            }
        }
    }

    fn add_text(&mut self, path: &str, text: Cow<'a, str>, mapping: &mut Mapping) {
        let (number, time) = (value::decimal(&text), Span::of(&text));
        let kind = match (number, time) {
            (Some(_), _) => Kinds::DIGITS,
            (None, Some(_)) => Kinds::DATE,
            (None, None) => Kinds::TEXT,
        };
        let field = mapping.learn(path, kind);
        // The parts of a time stamp are no words, unless it stands where text stands.
        let has_words = field.map_or(kind, |field| field.kinds).has_words();
        if let Some(field) = field {
            let key = || field.number.to_string();
            self.exact.push((key(), OwnedValue::Str(value::exact(&text).into_owned())));
            self.number.extend(number.map(|number| (key(), OwnedValue::F64(number))));
            self.time.extend(time.map(|time| (key(), OwnedValue::I64(time.from))));
            if has_words {
                self.words.push((key(), OwnedValue::Str(text.clone().into_owned())));
            }
        }
        if has_words {
            self.all.push(text);
        }
    }
}

/// Walks through JSON text and gathers its values by path. The text is cut up, not parsed, so that numbers keep their
/// digits and none is out of range.
struct Leaves<'a, 's> {
    strict: &'s BTreeMap<String, StrictKind>,
    found: Vec<(String, Leaf<'a>)>,
}

impl<'a> Leaves<'a, '_> {
    fn object(&mut self, text: &'a str, path: &str, depth: usize) -> Result<(), String> {
        let members: Members<'a> = serde_json::from_str(text).map_err(|error| format!("the document is no JSON object: {error}"))?;
        for (name, value) in members.0 {
            let path = if path.is_empty() { name.into_owned() } else { format!("{path}.{name}") };
            self.value(value.get(), &path, depth)?;
        }
        Ok(())
    }

    fn value(&mut self, text: &'a str, path: &str, depth: usize) -> Result<(), String> {
        if depth >= DEPTH_MAX {
            return Ok(());
        }
        let leaf = match text.bytes().next() {
            Some(b'{') => {
                self.refuse_unless(path, "object", text, |_| false)?;
                return self.object(text, path, depth + 1);
            }
            Some(b'[') => {
                let elements: Vec<&'a RawValue> =
                    serde_json::from_str(text).map_err(|error| format!("a list in the document cannot be read: {error}"))?;
                return elements.into_iter().try_for_each(|element| self.value(element.get(), path, depth + 1));
            }
            // Half of a surrogate pair is the one string that is JSON but no text: kept, and not found.
            Some(b'"') => serde_json::from_str::<Text<'a>>(text).ok().map(|text| Leaf::Text(text.0)),
            Some(b't') => Some(Leaf::Boolean(true)),
            Some(b'f') => Some(Leaf::Boolean(false)),
            Some(b'n') | None => None,
            Some(_) => Some(Leaf::Number(text)),
        };
        if let Some(leaf) = leaf {
            self.refuse_unless(path, "value", text, |kind| kind.takes(&leaf))?;
            self.found.push((path.to_owned(), leaf));
        }
        Ok(())
    }

    fn refuse_unless(&self, path: &str, what: &str, text: &str, takes: impl Fn(StrictKind) -> bool) -> Result<(), String> {
        match self.strict.get(path) {
            Some(kind) if !takes(*kind) => {
                let shown: String = text.chars().take(80).collect();
                Err(format!("failed to parse field [{path}] of type [{}]: the {what} is {shown}", kind.as_str()))
            }
            _ => Ok(()),
        }
    }
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of an object in their order, a name as often as it stands there.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Text(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        Ok(Members(members))
    }
}
