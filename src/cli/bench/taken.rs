//! What a search server would answer to a bulk request, of one that keeps only versions. Plain functions on data.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::Write as _;

use memchr::memchr;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Maps to share the ids: one that doubles takes little for a moment, and at ten million ids each is nearly full.
const SHARDS: u64 = 96;

/// A document that is not there; versions have 63 bits.
const DELETED: u64 = 1 << 63;

/// The version of each document, by a hash of its index and id.
pub struct Known {
    shards: Vec<HashMap<u64, u64, BuildHasherDefault<Same>>>,
}

/// The keys are hashes already.
#[derive(Default)]
pub struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

impl Default for Known {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| HashMap::default()).collect() }
    }
}

impl Known {
    /// Documents that are there.
    pub fn live(&self) -> u64 {
        self.shards.iter().map(|shard| shard.values().filter(|version| **version & DELETED == 0).count() as u64).sum()
    }

    fn version(&mut self, hash: u64) -> Option<&mut u64> {
        // A map looks at the lowest and the highest bits.
        let shard = (((hash >> 16) & 0xffff_ffff) * SHARDS) >> 32;
        self.shards.get_mut(shard as usize).map(|shard| shard.entry(hash).or_insert(DELETED))
    }
}

/// What became of a request.
#[derive(Debug, Default)]
pub struct Taken {
    /// The answer, as JSON.
    pub answer: Vec<u8>,
    /// Writes that were asked for.
    pub documents: u64,
    /// Those refused because of their version.
    pub conflicts: u64,
}

/// Takes the writes of a body. `index` is that of the path; a `brief` answer has statuses and errors only. Each id is shown to `each`.
pub fn take(body: &[u8], index: &str, brief: bool, known: &mut Known, mut each: impl FnMut(&[u8])) -> Taken {
    let mut taken = Taken { answer: Vec::with_capacity(body.len() / 4 + 64), ..Taken::default() };
    let mut items = Vec::with_capacity(body.len() / 8 + 64);
    let mut rest = body;
    while let Some(line) = next_line(&mut rest) {
        if line.is_empty() {
            continue;
        }
        let action = Action::of(line, index);
        if !action.is_delete() {
            next_line(&mut rest);
        }
        taken.documents += 1;
        each(action.id);
        if taken.documents > 1 {
            items.push(b',');
        }
        let outcome = action.apply(known);
        taken.conflicts += u64::from(outcome.status == 409);
        action.push_answer(&mut items, &outcome, brief);
    }
    let errors = taken.conflicts > 0;
    let head = if brief { format!("{{\"errors\":{errors},\"items\":[") } else { format!("{{\"took\":0,\"errors\":{errors},\"items\":[") };
    taken.answer.extend_from_slice(head.as_bytes());
    taken.answer.append(&mut items);
    taken.answer.extend_from_slice(b"]}");
    taken
}

fn next_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    if rest.is_empty() {
        return None;
    }
    let end = memchr(b'\n', rest).unwrap_or(rest.len());
    let (line, after) = rest.split_at_checked(end)?;
    *rest = after.get(1..).unwrap_or_default();
    Some(line)
}

/// The line that says what to do with a document.
struct Action<'a> {
    name: &'a [u8],
    id: &'a [u8],
    index: &'a [u8],
    /// None where the server counts versions itself.
    version: Option<u64>,
    may_be_equal: bool,
}

struct Outcome {
    status: u16,
    result: &'static str,
    version: u64,
}

impl<'a> Action<'a> {
    fn of(line: &'a [u8], index: &'a str) -> Self {
        let mut action = Self { name: b"index", id: b"", index: index.as_bytes(), version: None, may_be_equal: false };
        let (mut version, mut is_external) = (None, false);
        let mut rest = line;
        while let Some(name) = quoted(&mut rest) {
            match trimmed(rest).strip_prefix(b":").map(trimmed) {
                Some(value) if value.starts_with(b"{") => {
                    action.name = name;
                    rest = value;
                }
                Some(value) if value.starts_with(b"\"") => {
                    rest = value;
                    let value = quoted(&mut rest).unwrap_or_default();
                    match name {
                        b"_id" => action.id = value,
                        b"_index" => action.index = value,
                        b"version_type" => {
                            is_external = value.starts_with(b"external");
                            action.may_be_equal = value == b"external_gte";
                        }
                        _ => {}
                    }
                }
                Some(value) => {
                    if name == b"version" {
                        version = number(value);
                    }
                    rest = value;
                }
                None => {}
            }
        }
        action.version = version.filter(|_| is_external);
        action
    }

    fn is_delete(&self) -> bool {
        self.name == b"delete"
    }

    fn apply(&self, known: &mut Known) -> Outcome {
        let hash = xxh3_64_with_seed(self.id, xxh3_64_with_seed(self.index, 0));
        let Some(stored) = known.version(hash) else { return Outcome { status: 500, result: "noop", version: 0 } };
        let (old, is_there) = (*stored & !DELETED, *stored & DELETED == 0);
        let version = self.version.unwrap_or(old + 1);
        let is_late = *stored != DELETED && self.version.is_some() && (version < old || version == old && !self.may_be_equal);
        if is_late || self.name == b"create" && is_there {
            return Outcome { status: 409, result: "conflict", version: old };
        }
        *stored = if self.is_delete() { version | DELETED } else { version };
        let (status, result) = match (self.is_delete(), is_there) {
            (false, false) => (201, "created"),
            (false, true) => (200, "updated"),
            (true, true) => (200, "deleted"),
            (true, false) => (404, "not_found"),
        };
        Outcome { status, result, version }
    }

    fn push_answer(&self, items: &mut Vec<u8>, Outcome { status, result, version }: &Outcome, brief: bool) {
        items.extend_from_slice(b"{\"");
        items.extend_from_slice(self.name);
        items.extend_from_slice(b"\":{");
        if !brief || *status == 409 {
            let (index, id) = (String::from_utf8_lossy(self.index), String::from_utf8_lossy(self.id));
            // Writing to memory cannot fail.
            let _ = match (brief, status) {
                (_, 409) => write!(
                    items,
                    r#"{}"error":{{"type":"version_conflict_engine_exception","reason":"[{id}]: version conflict, current version [{version}] is higher or equal to the one provided [{}]","index":"{index}","shard":"0","index_uuid":"aAsFqTI0Tc2W0LCWgPNrOA"}},"#,
                    if brief { String::new() } else { format!(r#""_index":"{index}","_id":"{id}","#) },
                    self.version.unwrap_or_default(),
                ),
                _ => write!(
                    items,
                    r#""_index":"{index}","_id":"{id}","_version":{version},"result":"{result}","_shards":{{"total":1,"successful":1,"failed":0}},"_seq_no":0,"_primary_term":1,"#
                ),
            };
        }
        items.extend_from_slice(match status {
            200 => b"\"status\":200}}",
            201 => b"\"status\":201}}",
            404 => b"\"status\":404}}",
            409 => b"\"status\":409}}",
            _ => b"\"status\":500}}",
        });
    }
}

/// The inside of the next JSON text, escapes as they stand; moves on behind it.
fn quoted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let inside = rest.get(memchr(b'"', rest)? + 1..)?;
    let mut end = 0;
    loop {
        match inside.get(end)? {
            b'"' => break,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    *rest = inside.get(end + 1..)?;
    inside.get(..end)
}

fn trimmed(text: &[u8]) -> &[u8] {
    text.trim_ascii_start()
}

fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.map(|digit| u64::from(digit - b'0')).reduce(|number, digit| number.wrapping_mul(10).wrapping_add(digit))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Known, take};

    fn answers(known: &mut Known, lines: &str, brief: bool) -> (Value, Vec<String>) {
        let mut ids = Vec::new();
        let taken = take(lines.as_bytes(), "bench", brief, known, |id| ids.push(String::from_utf8_lossy(id).into_owned()));
        (serde_json::from_slice(&taken.answer).unwrap(), ids)
    }

    fn statuses(answer: &Value) -> Vec<u64> {
        let items = answer["items"].as_array().unwrap().iter();
        items.map(|item| item.as_object().unwrap().values().next().unwrap()["status"].as_u64().unwrap()).collect()
    }

    #[test]
    fn versions_are_kept_as_a_search_server_keeps_them() {
        let known = &mut Known::default();
        let write = |id: &str, version: u64| {
            format!("{{\"index\":{{\"_id\":\"{id}\",\"version\":{version},\"version_type\":\"external\"}}}}\n{{\"a\":\"\\n\"}}\n")
        };
        let delete =
            |id: &str, version: u64| format!("{{\"delete\":{{\"_id\":\"{id}\",\"version\":{version},\"version_type\":\"external\"}}}}\n");
        let body = [
            write("1", 5),
            write("1", 5),
            write("1", 6),
            delete("1", 4),
            delete("1", 7),
            delete("1", 8),
            write("1", 8),
            write("1", 9),
            delete("2", 1),
        ];
        let (answer, ids) = answers(known, &body.concat(), true);
        assert_eq!(statuses(&answer), [201, 409, 200, 409, 200, 404, 409, 201, 404]);
        assert_eq!(answer["errors"], true);
        assert_eq!(answer["items"][1]["index"]["error"]["type"], "version_conflict_engine_exception");
        assert_eq!(answer["items"][0].to_string(), r#"{"index":{"status":201}}"#);
        assert_eq!(ids, ["1", "1", "1", "1", "1", "1", "1", "1", "2"]);
        assert_eq!(known.live(), 1);
    }

    #[test]
    fn what_other_clients_write_is_understood() {
        let known = &mut Known::default();
        let body = "{ \"index\": { \"_index\" : \"a\", \"version_type\": \"external_gte\", \"version\": 3, \"_id\": \"x\\\"y\" } }\n{}\n\
                    {\"index\":{\"_index\":\"a\",\"_id\":\"x\\\"y\",\"version\":3,\"version_type\":\"external\"}}\n{}\n\
                    {\"index\":{\"_index\":\"b\",\"_id\":\"x\\\"y\"}}\n{}\n{\"create\":{\"_index\":\"b\",\"_id\":\"x\\\"y\"}}\n{}\n\n";
        let (answer, _) = answers(known, body, false);
        assert_eq!(statuses(&answer), [201, 409, 201, 409]);
        assert_eq!(answer["items"][0]["index"]["_id"], "x\"y");
        assert_eq!(answer["items"][0]["index"]["_version"], 3);
        assert_eq!(answer["items"][2]["index"]["_index"], "b");
        assert_eq!(known.live(), 2);
    }
}
