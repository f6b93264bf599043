//! Recorded events, one a line.

use crate::change::{Change, Operation, Version};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Reads Debezium change events without schema, one JSON object a line: `{"key":{…},"value":{"op":…,"after":{…},"source":{…}}}`.
/// This is the form that `rowmill test` and a `source.file` read too.
///
/// # Panics
/// When a line is no such event.
#[expect(clippy::panic, reason = "a test wants to fail here")]
pub fn events(text: &str) -> Vec<Change> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines
        .map(|(line, number)| match serde_json::from_str::<Event>(line) {
            Ok(event) => event.into_change(),
            Err(error) => panic!("line {number} of the events: {error}"),
        })
        .collect()
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    key: &'a RawValue,
    #[serde(borrow)]
    value: Envelope<'a>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    op: &'a str,
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    source: Source,
}

#[derive(Deserialize)]
struct Source {
    name: String,
    schema: String,
    table: String,
    #[serde(default)]
    lsn: u64,
    #[serde(default)]
    ts_ms: u64,
}

impl Event<'_> {
    fn into_change(self) -> Change {
        let Envelope { op, before, after, source } = self.value;
        let text = |row: Option<&RawValue>| row.map(|row| row.get().to_owned());
        Change {
            operation: match op {
                "c" => Operation::Create,
                "d" => Operation::Delete,
                "r" => Operation::Read,
                _ => Operation::Update,
            },
            table: format!("{}.{}", source.schema, source.table),
            source: source.name,
            key: self.key.get().to_owned(),
            before: text(before),
            after: text(after),
            version: Version { first: source.lsn, second: source.lsn },
            ts_ms: source.ts_ms,
        }
    }
}
