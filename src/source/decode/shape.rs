//! What a value is, told by its structure alone.
//!
//! A table may well have columns named `op`, `source`, `before`, `schema` or `status`. So every shape is recognised by all
//! its fields together and by what they hold, and whatever is not exactly one of Debezium's own shapes is a row.

use super::fields::{Field, Fields, bare, find, is_object};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape<'a> {
    /// JSON's null, which converters write for "no value" where a schema is at hand.
    Null,
    /// Debezium's envelope.
    Envelope(Envelope<'a>),
    /// A row: the unwrapped form, or plain JSON.
    Row(&'a str),
    /// A record of Debezium's own that is about no row: what it is.
    Aside(&'static str),
}

/// The parts of an envelope, each as JSON text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    /// The whole.
    pub text: &'a str,
    /// One letter.
    pub operation: &'a str,
    /// The row before; none for null.
    pub before: Option<&'a str>,
    /// The row after; none for null.
    pub after: Option<&'a str>,
    /// The `source` object.
    pub source: &'a str,
    /// When the connector handled it.
    pub ts_ms: Option<&'a str>,
}

/// The fields that tell shapes apart, gathered in one walk.
#[derive(Default)]
struct Top<'a> {
    fields: usize,
    foreign: usize,
    before: Option<&'a str>,
    after: Option<&'a str>,
    source: Option<&'a str>,
    op: Option<&'a str>,
    ts_ms: Option<&'a str>,
    message: Option<&'a str>,
    ddl: Option<&'a str>,
    database: Option<&'a str>,
    status: Option<&'a str>,
    id: Option<&'a str>,
    event_count: Option<&'a str>,
    data_collections: Option<&'a str>,
    twice: Option<&'static str>,
}

/// The part below `payload` where `value` is what Kafka's JsonConverter makes with `schemas.enable`; else `value` itself.
///
/// That is an object of exactly `schema` and `payload`, with a Connect schema (an object that names its `type`); a row
/// with two such columns holds something else in `schema`. A schema may be null only over an object.
pub(super) fn without_schema(value: &str) -> &str {
    let mut fields = Fields::of(value);
    let (Some(first), Some(second), None) = (fields.next(), fields.next(), fields.next()) else { return value };
    let (schema, payload) = match (first.name, second.name) {
        ("schema", "payload") => (first.value, second.value),
        ("payload", "schema") => (second.value, first.value),
        _ => return value,
    };
    let is_schema = match schema {
        "null" => is_object(payload),
        _ => find(schema, "type").is_some_and(|kind| kind.starts_with('"')),
    };
    if is_schema { payload } else { value }
}

/// What `value` (without schema) is; `key` is the message's key as JSON text.
pub(super) fn shape<'a>(value: &'a str, key: Option<&str>) -> Result<Shape<'a>, String> {
    if value == "null" {
        return Ok(Shape::Null);
    }
    if !is_object(value) {
        return Err("the message value is JSON but no object: a row has named columns".to_owned());
    }
    let top = Top::of(value);
    if let Some(envelope) = top.envelope(value) {
        return match top.twice {
            Some(name) => Err(format!("the envelope has the field {name} twice")),
            None => Ok(envelope),
        };
    }
    Ok(top.aside(key).map_or(Shape::Row(value), Shape::Aside))
}

impl<'a> Top<'a> {
    fn of(value: &'a str) -> Self {
        let mut top = Self::default();
        for field in Fields::of(value) {
            top.fields += 1;
            let (slot, name) = match field.name {
                "before" => (&mut top.before, "before"),
                "after" => (&mut top.after, "after"),
                "source" => (&mut top.source, "source"),
                "op" => (&mut top.op, "op"),
                "ts_ms" => (&mut top.ts_ms, "ts_ms"),
                "message" => (&mut top.message, "message"),
                "ts_us" | "ts_ns" | "transaction" | "updateDescription" => continue,
                _ => {
                    top.note_foreign(field);
                    continue;
                }
            };
            if slot.replace(field.value).is_some() {
                top.twice = Some(name);
            }
        }
        top
    }

    /// Notes a field that no envelope has.
    fn note_foreign(&mut self, field: Field<'a>) {
        self.foreign += 1;
        match field.name {
            "ddl" => self.ddl = Some(field.value),
            "databaseName" => self.database = Some(field.value),
            "status" => self.status = Some(field.value),
            "id" => self.id = Some(field.value),
            "event_count" => self.event_count = Some(field.value),
            "data_collections" => self.data_collections = Some(field.value),
            _ => {}
        }
    }

    /// An envelope has a one-letter `op`, a `source` object and rows that are objects, null, or (MongoDB) text; and either its
    /// source names its connector or it has no field that Debezium does not write.
    fn envelope(&self, text: &'a str) -> Option<Shape<'a>> {
        let operation = bare(self.op?).filter(|letter| letter.len() == 1)?;
        let source = self.source.filter(|source| is_object(source))?;
        let named = find(source, "connector").is_some_and(|connector| connector.starts_with('"'));
        if !named && self.foreign > 0 {
            return None;
        }
        if operation == "m" {
            return self.message.filter(|message| is_object(message)).map(|_| Shape::Aside("logical message"));
        }
        let is_row = |row: Option<&str>| row.is_none_or(|row| row == "null" || row.starts_with(['{', '"']));
        if self.before.or(self.after).is_none() || !is_row(self.before) || !is_row(self.after) {
            return None;
        }
        let row = |row: Option<&'a str>| row.filter(|row| *row != "null");
        Some(Shape::Envelope(Envelope {
            text,
            operation,
            before: row(self.before),
            after: row(self.after),
            source,
            ts_ms: self.ts_ms,
        }))
    }

    fn aside(&self, key: Option<&str>) -> Option<&'static str> {
        if self.fields == 1 && self.ts_ms.is_some() && key.is_some_and(is_heartbeat_key) {
            return Some("heartbeat");
        }
        let is_marker = self.status.is_some_and(|status| matches!(status, "\"BEGIN\"" | "\"END\""));
        let is_marker = is_marker && self.id.is_some() && self.event_count.is_some() && self.data_collections.is_some();
        if is_marker && self.fields == 4 + usize::from(self.ts_ms.is_some()) {
            return Some("transaction");
        }
        let is_schema_change = self.source.is_some_and(is_object) && self.ddl.is_some() && self.database.is_some();
        is_schema_change.then_some("schema change")
    }
}

fn is_heartbeat_key(key: &str) -> bool {
    let mut fields = Fields::of(key);
    matches!((fields.next(), fields.next()), (Some(field), None) if field.name == "serverName")
}
