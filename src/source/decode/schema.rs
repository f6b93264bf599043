//! The schema part, which Kafka's JsonConverter puts before every key and value when `schemas.enable` is on.

use crate::event::fields::{Fields, find, is_object};

/// Starts of messages remembered: more than the tables a pipeline reads at a time; each takes some kilobytes.
const STARTS_MAX: usize = 16;

/// The starts of messages with schema that were met last, up to where the payload begins.
///
/// The schema part is several times longer than the rest, and all messages of a table have the same. A start that was
/// checked once need not be checked again: comparing it takes a fiftieth of the time.
#[derive(Clone, Debug, Default)]
pub(super) struct Schemas {
    starts: Vec<Box<str>>,
}

impl Schemas {
    /// The payload's text, still to be checked, when `text` starts as a message that was met before. Is that text one JSON
    /// value, then so is the whole.
    pub fn payload<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let place = self.starts.iter().position(|start| text.starts_with(&**start))?;
        let payload = text.get(self.starts.get(place)?.len()..)?.strip_suffix('}')?;
        if let Some(recent) = self.starts.get_mut(..=place) {
            recent.rotate_right(1);
        }
        Some(payload)
    }

    /// Remembers how a checked message with schema starts; one whose payload does not come last is not remembered.
    pub fn remember(&mut self, text: &str, payload: &str) {
        let start = text.strip_suffix('}').and_then(|text| text.strip_suffix(payload));
        let Some(start) = start.filter(|start| begins_with_field(start, "schema")) else { return };
        self.starts.truncate(STARTS_MAX - 1);
        self.starts.insert(0, start.into());
    }
}

/// The part below `payload` where the object `value` is what JsonConverter makes; else `value` itself.
///
/// That is an object of exactly `schema` and `payload`, with a Connect schema (an object that names its `type`); a row
/// with two such columns holds something else in `schema`. A schema may be null only over an object.
pub(super) fn without_schema(value: &str) -> &str {
    if !begins_with_field(value, "schema") && !begins_with_field(value, "payload") {
        return value;
    }
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

fn begins_with_field(object: &str, name: &str) -> bool {
    let first = object.strip_prefix('{').and_then(|fields| fields.trim_start().strip_prefix('"'));
    first.and_then(|first| first.strip_prefix(name)).is_some_and(|rest| rest.starts_with('"'))
}
