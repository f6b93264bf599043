//! The schema part, which Kafka's JsonConverter puts before every key and value when `schemas.enable` is on.

use crate::event::fields::{Fields, find, is_object};

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
