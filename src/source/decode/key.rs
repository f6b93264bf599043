//! The key of a message, and whether its row says the same.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::form::{Forms, Span};
use super::schema::without_schema;
use super::text;
use crate::event::fields::{Fields, is_object, plain};
use crate::event::{JsonText, Key, Message};

/// Characters of a value shown in a reason: enough to recognise a key, too little to fill a log.
const SHOWN_CHARACTERS_MAX: usize = 64;

/// The forms of keys.
pub(super) type Keys = Forms<KeyParts>;

/// Where the parts of a key with columns are.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyParts {
    json: Span,
    /// The value of its only column.
    only: Option<Span>,
}

/// The key of a message: columns as an object, with or without schema, or a plain value; none for null.
///
/// A key that is no JSON at all comes from Kafka's StringConverter and is the id as it stands. What starts like an object
/// and is none was broken on its way: taking it as a text would make a new row of it.
pub(super) fn read(bytes: &Bytes, topic: &Arc<str>, keys: &mut Keys) -> Result<Option<Key>, String> {
    let text = text::text(bytes, "key")?;
    if let Some((json, only)) =
        keys.find(&text, topic, |parts, marks| Some((marks.part(parts.json)?, parts.only.and_then(|only| marks.part(only)))))
    {
        return match only {
            Some(only) => Ok(Some(Key { id: shared(&text, plain(only)), json: JsonText::new(text.slice_ref(json)) })),
            None => of_json(&text, json),
        };
    }
    match text::json(&text, "key") {
        Ok(json) => {
            let json = without_schema(json);
            learn(keys, &text, topic, json);
            of_json(&text, json)
        }
        Err(reason) if text.trim_start().starts_with('{') => Err(reason),
        Err(_) => {
            let json = JsonText::from(serde_json::Value::from(&*text).to_string());
            Ok(Some(Key { id: text, json }))
        }
    }
}

/// Remembers the form of a key that has columns.
fn learn(keys: &mut Keys, text: &str, topic: &Arc<str>, json: &str) {
    // With another value in a column of the name `payload` it might be the part below a schema.
    if !keys.is_learning() || Fields::of(json).any(|column| column.name == "payload") {
        return;
    }
    let values: Vec<&str> = Fields::of(json).map(|column| column.value).collect();
    keys.learn(text, topic, &values, |marks| {
        let only = match &*values {
            [] => return None,
            [only] => Some(marks.span(only)?),
            _ => None,
        };
        Some(KeyParts { json: marks.span(json)?, only })
    });
}

/// The other key of a row that was moved, from the header Debezium sends it in.
///
/// Connect's header converter writes control characters as they are, which JSON forbids, so they are escaped first. None
/// for what is unreadable even so (NaN in a key): then the two halves of the move are a delete and a create.
pub(super) fn read_header(text: &str) -> Option<Key> {
    let text: ByteString = match text.contains(|character: char| character < ' ') {
        false => text.into(),
        true => with_controls_escaped(text).into(),
    };
    let json = text::json(&text, "header").ok()?;
    of_json(&text, without_schema(json)).ok()?
}

/// A number for this key in its topic, for [`super::LaneMemory::deleted_key`].
///
/// The topic stands for the table because a tombstone does not say its table.
pub(super) fn hash(message: &Message, key: &Key) -> u64 {
    xxh3_64_with_seed(key.id.as_bytes(), xxh3_64(message.origin.topic.as_bytes()))
}

/// Fails when the row has a key column with another value than the key has.
pub(super) fn compare(key: &Key, row: &str) -> Result<(), String> {
    let missing = Fields::of(&key.json).count();
    if missing == 0 || !is_object(row) {
        return Ok(());
    }
    let mut found = 0;
    for column in Fields::of(row) {
        let Some(said) = Fields::of(&key.json).find(|field| field.name == column.name) else { continue };
        // As text, because a header or a converter may turn 1 into "1".
        if said.value != column.value && plain(said.value) != plain(column.value) {
            let (name, key, row) = (shown(column.name), shown(said.value), shown(column.value));
            return Err(format!("the message key says {name}={key}, the row says {name}={row}"));
        }
        found += 1;
        if found == missing {
            break;
        }
    }
    Ok(())
}

fn of_json(text: &ByteString, json: &str) -> Result<Option<Key>, String> {
    if json == "null" {
        return Ok(None);
    }
    let whole = JsonText::new(text.clone());
    if !is_object(json) {
        return Ok(Some(Key { id: shared(text, plain(json)), json: whole.part(json) }));
    }
    let mut columns = Fields::of(json);
    let id = match (columns.next(), columns.next()) {
        (None, _) => return Err("the message key is an object without columns".to_owned()),
        (Some(only), None) => shared(text, plain(only.value)),
        _ => {
            let values: Vec<Cow<'_, str>> = Fields::of(json).map(|column| plain(column.value)).collect();
            Key::id_of(values.iter().map(|value| &**value)).into()
        }
    };
    Ok(Some(Key { id, json: whole.part(json) }))
}

/// The part as a slice of `whole` where it is one.
fn shared(whole: &ByteString, part: Cow<'_, str>) -> ByteString {
    match part {
        Cow::Borrowed(part) => whole.slice_ref(part),
        Cow::Owned(part) => part.into(),
    }
}

fn with_controls_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0'..' ' => escaped.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// On one line, and short.
fn shown(value: &str) -> String {
    let value = plain(value).replace(char::is_control, " ");
    match value.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value,
    }
}
