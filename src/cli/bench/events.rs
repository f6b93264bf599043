//! Events to measure with: orders as Debezium tells them, the same for every run.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Of a row that is there; Debezium follows a delete with a tombstone.
const DELETES: f64 = 0.02;

/// Where the log of the measured database begins, and what one change takes of it.
const FIRST_LSN: u64 = 24_000_000;
const LSN_STEP: u64 = 136;

/// When it began, in milliseconds.
const FIRST_MS: u64 = 1_790_000_000_000;

/// What is told of the table's columns where events carry their schema, as `JsonConverter` writes it.
const COLUMNS: &str = r#"{"type":"int64","optional":false,"field":"id"},{"type":"int64","optional":true,"field":"product_id"},{"type":"string","optional":true,"field":"customer"},{"type":"int32","optional":true,"field":"quantity"},{"type":"string","optional":true,"field":"total"},{"type":"string","optional":true,"field":"status"},{"type":"string","optional":true,"name":"io.debezium.time.ZonedTimestamp","version":1,"field":"placed_at"},{"type":"string","optional":true,"field":"email"},{"type":"string","optional":true,"field":"street"},{"type":"string","optional":true,"field":"notes"}"#;
const TEXT_COLUMN: &str = r#",{"type":"string","optional":true,"field":"description"}"#;
/// The rest of a Postgres envelope's schema, from a recording of Debezium 3.7 (`tests/events/envelope_schemas.jsonl`).
const ENVELOPE: &str = r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"version"},{"type":"string","optional":false,"field":"connector"},{"type":"string","optional":false,"field":"name"},{"type":"int64","optional":false,"field":"ts_ms"},{"type":"string","optional":true,"name":"io.debezium.data.Enum","version":1,"parameters":{"allowed":"true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},"default":"false","field":"snapshot"},{"type":"string","optional":false,"field":"db"},{"type":"string","optional":true,"field":"sequence"},{"type":"int64","optional":true,"field":"ts_us"},{"type":"int64","optional":true,"field":"ts_ns"},{"type":"string","optional":false,"field":"schema"},{"type":"string","optional":false,"field":"table"},{"type":"int64","optional":true,"field":"txId"},{"type":"int64","optional":true,"field":"lsn"},{"type":"int64","optional":true,"field":"xmin"},{"type":"string","optional":true,"field":"origin"},{"type":"int64","optional":true,"field":"origin_lsn"}],"optional":false,"name":"io.debezium.connector.postgresql.Source","version":1,"field":"source"},{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"},{"type":"int64","optional":false,"field":"total_order"},{"type":"int64","optional":false,"field":"data_collection_order"}],"optional":true,"name":"event.block","version":1,"field":"transaction"},{"type":"string","optional":false,"field":"op"},{"type":"int64","optional":true,"field":"ts_ms"},{"type":"int64","optional":true,"field":"ts_us"},{"type":"int64","optional":true,"field":"ts_ns"}"#;

/// What the events are.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Changes; each delete among them is followed by a tombstone.
    pub events: u64,
    /// Keys they are spread over.
    pub keys: u64,
    /// What happens to the rows.
    pub story: Story,
    /// Whether key and value carry their schema.
    pub schema: bool,
    /// About how long a row is as JSON; without it some 230 bytes.
    pub document_bytes: Option<u64>,
}

/// What happens to the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// Creates, updates and a few deletes at random: the life of a table.
    Life,
    /// Each key is created once, in order.
    Creates,
    /// Rows that are all there change at random, after [`Story::Creates`].
    Updates,
}

#[derive(Clone, Copy)]
struct Step {
    number: u64,
    key: u64,
    revision: u64,
    operation: char,
}

impl Shape {
    /// A name that no other shape has.
    pub fn name(&self) -> String {
        let story = match self.story {
            Story::Life => "life",
            Story::Creates => "creates",
            Story::Updates => "updates",
        };
        let document = self.document_bytes.map(|bytes| format!("-document-{bytes}")).unwrap_or_default();
        format!("{story}-{}-keys-{}{document}{}", self.events, self.keys, if self.schema { "-schema" } else { "" })
    }

    /// How many messages, and of how many rows the last change is no delete.
    pub fn counts(&self) -> (u64, u64) {
        if self.story != Story::Life {
            return (self.events, self.keys);
        }
        let (mut messages, mut live) = (0, 0);
        self.steps(|step| {
            messages += 1 + u64::from(step.operation == 'd');
            match step.operation {
                'c' => live += 1,
                'd' => live -= 1,
                _ => {}
            }
            Ok(())
        })
        .unwrap_or(());
        (messages, live)
    }

    /// Gives each message to `take`: key and value, which is none in a tombstone.
    pub fn each(&self, mut take: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), String>) -> Result<(), String> {
        let mut writer = Writer::new(self.schema, self.document_bytes);
        self.steps(|step| {
            writer.write(step);
            take(&writer.key, Some(&writer.value))?;
            if step.operation == 'd' { take(&writer.key, None) } else { Ok(()) }
        })
    }

    /// Gives what is to be written of each change: the key, a version that rises, and the row, which is none after a delete.
    pub fn each_row(&self, mut take: impl FnMut(u64, u64, Option<&[u8]>) -> Result<(), String>) -> Result<(), String> {
        let text = Text::of_rows(self.document_bytes);
        let mut row = Vec::new();
        self.steps(|step| {
            row.clear();
            push_row(&mut row, step, text.as_ref());
            take(step.key, FIRST_LSN + LSN_STEP * (step.number + 1), (step.operation != 'd').then_some(&row))
        })
    }

    fn steps(&self, mut take: impl FnMut(Step) -> Result<(), String>) -> Result<(), String> {
        let mut chance = StdRng::seed_from_u64(42);
        let mut live: HashMap<u64, u64> = HashMap::new();
        for number in 0..self.events {
            take(match self.story {
                Story::Creates => Step { number, key: number % self.keys, revision: 1, operation: 'c' },
                Story::Updates => {
                    Step { number: self.keys + number, key: chance.random_range(0..self.keys), revision: 2 + number, operation: 'u' }
                }
                Story::Life => {
                    let key = chance.random_range(0..self.keys);
                    let (operation, revision) = match live.get(&key) {
                        Some(_) if chance.random::<f64>() < DELETES => ('d', 0),
                        Some(revision) => ('u', revision + 1),
                        None => ('c', 1),
                    };
                    if operation == 'd' {
                        live.remove(&key)
                    } else {
                        live.insert(key, revision)
                    };
                    Step { number, key, revision, operation }
                }
            })?;
        }
        Ok(())
    }
}

/// Writes `{"key":…,"value":…}` lines.
pub fn write_events(path: &Path, shape: &Shape) -> Result<(), String> {
    let unwritten = |error: std::io::Error| format!("the events cannot be written to {}: {error}", path.display());
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).map_err(unwritten)?);
    shape.each(|key, value| {
        let mut line = || {
            file.write_all(b"{\"key\":")?;
            file.write_all(key)?;
            file.write_all(b",\"value\":")?;
            file.write_all(value.unwrap_or(b"null"))?;
            file.write_all(b"}\n")
        };
        line().map_err(unwritten)
    })?;
    file.flush().map_err(unwritten)
}

/// One event after the other, in the same buffers.
pub struct Writer {
    key: Vec<u8>,
    value: Vec<u8>,
    /// What stands before and after the payload where there is a schema.
    key_frame: Option<String>,
    value_frame: Option<String>,
    text: Option<Text>,
}

/// What makes a row longer.
struct Text {
    words: String,
    bytes: usize,
}

impl Writer {
    /// For events with or without their schema, and rows of about so many bytes.
    pub fn new(schema: bool, document_bytes: Option<u64>) -> Self {
        let key_frame = r#"{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"}],"optional":false,"name":"bench.public.orders.Key"},"payload":"#;
        let value_frame = || {
            let columns = format!("{COLUMNS}{}", if document_bytes.is_some() { TEXT_COLUMN } else { "" });
            let side = |side| {
                format!(r#"{{"type":"struct","fields":[{columns}],"optional":true,"name":"bench.public.orders.Value","field":"{side}"}}"#)
            };
            format!(
                r#"{{"schema":{{"type":"struct","fields":[{},{},{ENVELOPE}],"optional":false,"name":"bench.public.orders.Envelope","version":2}},"payload":"#,
                side("before"),
                side("after")
            )
        };
        Self {
            key: Vec::new(),
            value: Vec::new(),
            key_frame: schema.then(|| key_frame.to_owned()),
            value_frame: schema.then(value_frame),
            text: Text::of_rows(document_bytes),
        }
    }

    /// The message in which the row `key` comes to be, at the given place in the log.
    pub fn create(&mut self, key: u64, number: u64) -> (&[u8], &[u8]) {
        self.write(Step { number, key, revision: 1, operation: 'c' });
        (&self.key, &self.value)
    }

    fn write(&mut self, step: Step) {
        let Self { key, value, key_frame, value_frame, text } = self;
        key.clear();
        value.clear();
        key.extend_from_slice(key_frame.as_deref().unwrap_or_default().as_bytes());
        push(key, format_args!("{{\"id\":{}}}", step.key));
        value.extend_from_slice(value_frame.as_deref().unwrap_or_default().as_bytes());
        push_envelope(value, step, text.as_ref());
        if key_frame.is_some() {
            key.push(b'}');
            value.push(b'}');
        }
    }
}

fn push_envelope(value: &mut Vec<u8>, step: Step, text: Option<&Text>) {
    let Step { number, key, operation, .. } = step;
    if operation == 'd' {
        // With the default replica identity the old row is its key.
        push(
            value,
            format_args!(
                "{{\"before\":{{\"id\":{key},\"product_id\":null,\"customer\":null,\"quantity\":null,\"total\":null,\"status\":null,\"placed_at\":null,\"email\":null,\"street\":null,\"notes\":null"
            ),
        );
        value.extend_from_slice(if text.is_some() { b",\"description\":null},\"after\":null" } else { b"},\"after\":null" });
    } else {
        value.extend_from_slice(b"{\"before\":null,\"after\":");
        push_row(value, step, text);
    }
    let (lsn, at) = (FIRST_LSN + LSN_STEP * (number + 1), FIRST_MS + number / 10);
    push(
        value,
        format_args!(
            ",\"source\":{{\"version\":\"3.7.0.Final\",\"connector\":\"postgresql\",\"name\":\"bench\",\"ts_ms\":{at},\"snapshot\":\"false\",\
             \"db\":\"shop\",\"sequence\":\"[\\\"{}\\\",\\\"{lsn}\\\"]\",\"ts_us\":{at}963,\"ts_ns\":{at}963000,\"schema\":\"public\",\
             \"table\":\"orders\",\"txId\":{},\"lsn\":{lsn},\"xmin\":null,\"origin\":null,\"origin_lsn\":null}},\"transaction\":null,\
             \"op\":\"{operation}\",\"ts_ms\":{},\"ts_us\":{}187,\"ts_ns\":{}187125}}",
            lsn - LSN_STEP,
            700 + number,
            at + 5,
            at + 5,
            at + 5,
        ),
    );
}

fn push_row(value: &mut Vec<u8>, Step { number, key, revision, .. }: Step, text: Option<&Text>) {
    let status = ["placed", "paid", "shipped", "done"].get(revision as usize % 4).copied().unwrap_or_default();
    // Different in every change, and cheap to tell: 7,919 is a prime.
    let cents = 100 + number * 7_919 % 999_900;
    push(
        value,
        format_args!(
            "{{\"id\":{key},\"product_id\":{},\"customer\":\"Customer {key}\",\"quantity\":{},\"total\":\"{}.{:02}\",\"status\":\"{status}\",\
             \"placed_at\":\"2026-03-02T09:{:02}:{:02}.000000Z\",\"email\":\"user{key}@example.com\",\"street\":\"{} Main Street\",\"notes\":null",
            key % 997,
            1 + revision % 5,
            cents / 100,
            cents % 100,
            key % 60,
            revision % 60,
            key % 97,
        ),
    );
    if let Some(text) = text {
        value.extend_from_slice(b",\"description\":\"");
        value.extend_from_slice(text.of(key).as_bytes());
        value.push(b'"');
    }
    value.push(b'}');
}

impl Text {
    /// None where rows are as long as they are.
    fn of_rows(document_bytes: Option<u64>) -> Option<Self> {
        let row_bytes = 232;
        document_bytes.map(|bytes| Self::new((bytes as usize).saturating_sub(row_bytes)))
    }

    /// Words, not one letter over and over, which would compress to nothing.
    fn new(bytes: usize) -> Self {
        let words = "order parcel shelf lamp linen oak kettle green small heavy fragile gift paid late north window repair".split(' ');
        let words: Vec<&str> = words.collect();
        let mut chance = StdRng::seed_from_u64(7);
        let mut text = String::new();
        while text.len() < 2 * bytes + 1_000 {
            text.push_str(words.get(chance.random_range(0..words.len())).copied().unwrap_or_default());
            text.push(' ');
        }
        Self { words: text, bytes }
    }

    fn of(&self, key: u64) -> &str {
        let from = key as usize * 31 % (self.words.len() - self.bytes).max(1);
        self.words.get(from..from + self.bytes).unwrap_or_default()
    }
}

fn push(buffer: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory cannot fail.
    let _ = buffer.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Shape, Story};

    fn values(schema: bool, document_bytes: Option<u64>) -> Vec<(usize, Value)> {
        let shape = Shape { events: 3_000, keys: 500, story: Story::Life, schema, document_bytes };
        let mut values = Vec::new();
        shape
            .each(|key, value| {
                assert!(serde_json::from_slice::<Value>(key).is_ok());
                values.push((
                    key.len() + value.map_or(0, <[u8]>::len),
                    value.map_or(Value::Null, |value| serde_json::from_slice(value).unwrap()),
                ));
                Ok(())
            })
            .unwrap();
        assert_eq!(values.len() as u64, shape.counts().0);
        values
    }

    #[test]
    fn events_are_as_long_as_they_are_said_to_be() {
        let longest = |values: &[(usize, Value)]| values.iter().map(|(bytes, _)| *bytes).max().unwrap();
        assert!((650..720).contains(&longest(&values(false, None))), "{}", longest(&values(false, None)));
        assert!((3_700..3_950).contains(&longest(&values(true, None))), "{}", longest(&values(true, None)));
        for wanted in [512, 4_096, 65_536] {
            let row = values(false, Some(wanted)).iter().map(|(_, value)| value["after"].to_string().len()).max().unwrap() as u64;
            assert!(row.abs_diff(wanted) < 32, "{row} instead of {wanted}");
        }
    }

    #[test]
    fn the_schema_part_is_what_debezium_writes() {
        let recorded = include_str!("../../../tests/events/envelope_schemas.jsonl");
        let mut recorded = recorded.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let recorded = recorded.find(|line| line["topic"] == "envelope_schemas.public.stock" && !line["payload"].is_null()).unwrap();
        let recorded: Value = serde_json::from_str(recorded["payload"].as_str().unwrap()).unwrap();
        let (_, ours) = values(true, None).swap_remove(0);
        let parts = |value: &Value| value["schema"]["fields"].as_array().unwrap()[2..].to_vec();
        assert_eq!(parts(&ours), parts(&recorded));
        let names = |value: &Value| value["payload"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&recorded));
        let names = |value: &Value| value["payload"]["source"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&recorded));
    }
}
