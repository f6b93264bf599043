//! What a value is, told by its structure alone.
//!
//! A table may well have columns named `op`, `source`, `before`, `schema` or `status`. So every shape is recognised by all
//! its fields together and by what they hold, and whatever is not exactly one of Debezium's own shapes is a row.

use crate::event::fields::{Fields, bare, find, is_object};
use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::schema::without_schema;
use super::settings::Format;
use super::text;

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

/// What the message's value is; `key` is the message's key as JSON text.
///
/// Checks the text and takes it apart in one pass, so this is where most of the time of decoding goes.
pub(super) fn shape<'a>(text: &'a str, key: Option<&str>, format: Format) -> Result<Shape<'a>, String> {
    let whole = text.trim_matches([' ', '\t', '\n', '\r']);
    let (mut value, mut top) = (whole, Top::checked(whole)?);
    if top.fields == 2 {
        value = without_schema(whole);
        if value.len() < whole.len() {
            top = Top::of(value);
        }
    }
    match value {
        "null" => Ok(Shape::Null),
        _ if !is_object(value) => Err("the message value is JSON but no object: a row has named columns".to_owned()),
        _ if format == Format::Json => Ok(Shape::Row(value)),
        _ => top.shape(value, key),
    }
}

impl<'a> Top<'a> {
    /// The top of a text that is yet to be checked.
    fn checked(text: &'a str) -> Result<Self, String> {
        if !is_object(text) {
            return text::json(text, "value").map(|_| Self::default());
        }
        let top = serde_json::from_str(text).map_err(|error| text::reason(text, "value", &error))?;
        text::check_depth(text, "value").map(|()| top)
    }

    /// The top of a text that is known to be JSON.
    fn of(text: &'a str) -> Self {
        let mut top = Self::default();
        Fields::of(text).for_each(|field| top.note(field.name, field.value));
        top
    }

    fn note(&mut self, name: &str, value: &'a str) {
        self.fields += 1;
        let (slot, name) = match name {
            "before" => (&mut self.before, "before"),
            "after" => (&mut self.after, "after"),
            "source" => (&mut self.source, "source"),
            "op" => (&mut self.op, "op"),
            "ts_ms" => (&mut self.ts_ms, "ts_ms"),
            "message" => (&mut self.message, "message"),
            "ts_us" | "ts_ns" | "transaction" | "updateDescription" => return,
            _ => return self.note_foreign(name, value),
        };
        if slot.replace(value).is_some() {
            self.twice = Some(name);
        }
    }

    /// Notes a field that no envelope has.
    fn note_foreign(&mut self, name: &str, value: &'a str) {
        self.foreign += 1;
        match name {
            "ddl" => self.ddl = Some(value),
            "databaseName" => self.database = Some(value),
            "status" => self.status = Some(value),
            "id" => self.id = Some(value),
            "event_count" => self.event_count = Some(value),
            "data_collections" => self.data_collections = Some(value),
            _ => {}
        }
    }

    fn shape(&self, value: &'a str, key: Option<&str>) -> Result<Shape<'a>, String> {
        match (self.envelope(value), self.twice) {
            (Some(_), Some(name)) => Err(format!("the envelope has the field {name} twice")),
            (Some(envelope), None) => Ok(envelope),
            (None, _) => Ok(self.aside(key).map_or(Shape::Row(value), Shape::Aside)),
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
        Some(Shape::Envelope(Envelope { text, operation, before: row(self.before), after: row(self.after), source, ts_ms: self.ts_ms }))
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

impl<'de> Deserialize<'de> for Top<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TopVisitor)
    }
}

struct TopVisitor;

impl<'de> Visitor<'de> for TopVisitor {
    type Value = Top<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Top<'de>, A::Error> {
        let mut top = Top::default();
        while let Some(Name(name)) = fields.next_key()? {
            let value: &RawValue = fields.next_value()?;
            top.note(&name, value.get());
        }
        Ok(top)
    }
}

/// A field's name, copied only when it is written with escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
