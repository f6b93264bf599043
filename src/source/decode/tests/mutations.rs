//! Every recorded event, damaged: what is still told of it is true, or it is an error with a reason.
//!
//! `PROPTEST_CASES=100000 cargo test --lib mutations` looks longer.

use std::sync::OnceLock;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq};
use proptest::sample::{Index, select};
use serde_json::Value;

use super::mutate::{Damage, Node, SWAPS, any_damage, nodes, with};
use super::properties::every_decoder;
use super::{FORMS, recorded};
use crate::event::fields::find;
use crate::event::{Change, Message, Operation, Version};
use crate::source::decode::{DecodeError, Decoded, Decoder, LaneMemory, key};

/// All recorded messages of all forms.
pub(super) fn all() -> &'static [Message] {
    static ALL: OnceLock<Vec<Message>> = OnceLock::new();
    ALL.get_or_init(|| FORMS.into_iter().flat_map(recorded).collect())
}

/// Those of them that are a change of a row in an envelope.
fn envelopes() -> &'static [(Message, Change)] {
    static ENVELOPES: OnceLock<Vec<(Message, Change)>> = OnceLock::new();
    ENVELOPES.get_or_init(|| {
        let changes = FORMS[..2].iter().flat_map(|form| recorded(form)).filter_map(|message| match super::decode(&message) {
            Ok(Decoded::Change(change)) => Some((message, change)),
            _ => None,
        });
        changes.collect()
    })
}

fn text(bytes: &Option<Bytes>) -> &str {
    std::str::from_utf8(bytes.as_ref().unwrap()).unwrap()
}

/// The message with its value, its key or its headers damaged.
pub(super) fn damaged(message: &Message, damages: &[(u8, Damage)]) -> Message {
    let mut message = message.clone();
    for (part, damage) in damages {
        let part = match part {
            0..=5 => &mut message.value,
            6..=7 => &mut message.key,
            place => match message.headers.get_mut(usize::from(*place) % 2) {
                Some((_, value)) => value,
                None => &mut message.key,
            },
        };
        *part = part.as_ref().map(|bytes| damage.to(bytes));
    }
    message
}

pub(super) fn any_damages() -> impl Strategy<Value = Vec<(u8, Damage)>> {
    vec((0..10_u8, any_damage()), 1..4)
}

/// What holds of whatever a message is decoded to.
fn holds(message: &Message, decoder: &Decoder, memory: &LaneMemory) {
    let (mut first, mut second) = ((decoder.clone(), memory.clone()), (decoder.clone(), memory.clone()));
    let decoded = first.0.decode(message, &mut first.1);
    assert_eq!(second.0.decode(message, &mut second.1), decoded, "decoding is a function");
    assert_eq!(first.1, second.1);
    assert!(first.1.snapshot_lsn >= memory.snapshot_lsn);
    match &decoded {
        Ok(Decoded::Change(change)) => is_of_its_message(change, message),
        Ok(Decoded::Tombstone { key, .. }) => {
            assert!(text(&message.key).contains(key.json.as_str()) || !text(&message.key).starts_with('{'))
        }
        Ok(Decoded::Truncate { version, .. }) => assert!(version.first <= Version::FIRST_MAX),
        Ok(Decoded::Ignored(_)) => {}
        Err(DecodeError { reason, table, version, .. }) => {
            assert!(!reason.is_empty() && reason.len() < 1_000 && !reason.contains('\n') && table.is_some());
            assert!(version.is_none_or(|version| version.first <= Version::FIRST_MAX));
            assert_eq!(first.1.snapshot_lsn, memory.snapshot_lsn, "what is refused teaches nothing");
        }
    }
}

fn is_of_its_message(change: &Change, message: &Message) {
    assert!(change.version.first <= Version::FIRST_MAX);
    assert_eq!(change.after.is_none(), change.is_delete());
    assert_eq!(change.origin, message.origin);
    assert!(change.key.is_none() || message.key.is_some());
    for row in [&change.before, &change.after].into_iter().flatten() {
        // A number too large for a float, and half of a surrogate pair, are JSON but not serde_json's values.
        let Ok(row) = serde_json::from_str::<Value>(row) else { continue };
        assert!(row.is_object());
    }
    let row = change.after.as_ref().or(change.before.as_ref().filter(|_| change.is_delete()));
    let (Some(key), Some(row)) = (&change.key, row) else { return };
    for column in nodes(&key.json).iter().skip(1).filter_map(|node| node.name) {
        // Of a column that stands twice the first is compared: no database has such a row.
        let [said, found] = [&*key.json, &**row].map(|json| find(json, column).and_then(|value| serde_json::from_str::<Value>(value).ok()));
        let plain = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
        if let (Some(said), Some(found)) = (said, found) {
            assert_eq!(plain(&said), plain(&found), "key and row of {}: {column}", change.origin);
        }
    }
}

/// The version that the design gives a change of Postgres which is the first of its lane, worked out from the parsed value.
fn version_by_the_book(value: &Value) -> Option<Version> {
    let payload = value.get("payload").filter(|_| value.get("schema").is_some()).unwrap_or(value);
    let source = payload.get("source")?;
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let (lsn, sequence) = (number(&source["lsn"]), source["sequence"].as_str());
    let parts: Option<Vec<Value>> = sequence.and_then(|sequence| serde_json::from_str(sequence).ok());
    let Some(parts) = parts else { return lsn.map(|lsn| Version::new(lsn, lsn)) };
    let last_commit = number(&parts[0]);
    let snapshot = match &source["snapshot"] {
        Value::Null => payload["op"] == "r",
        said => said != "false" && said != &Value::Bool(false),
    };
    match (last_commit, lsn.or(number(&parts[1])).or(last_commit)?) {
        (Some(last_commit), lsn) => Some(Version::new(last_commit.max(lsn), lsn)),
        (None, lsn) if snapshot && source["lsn"] != Value::Null => Some(Version::new(lsn, 0)),
        (None, lsn) => Some(Version::new(lsn, lsn)),
    }
}

/// Whether what stands here decides on operation, key, version, names or rows.
fn is_read(path: &str) -> bool {
    let path = path.strip_prefix("/payload").unwrap_or(path);
    let read = ["connector", "name", "db", "schema", "table", "collection", "snapshot", "lsn", "sequence", "file", "pos", "row"];
    let is_of_source = path.strip_prefix("/source/").is_some_and(|name| read.contains(&name.split('/').next().unwrap_or_default()));
    let is_part = matches!(path, "" | "/op" | "/source" | "/before" | "/after");
    is_part || is_of_source || path.starts_with("/before/") || path.starts_with("/after/") || path.starts_with("/schema")
}

/// The columns of the row after the change that are none of its key.
fn columns_beside_the_key<'a>(value: &'a str, change: &Change) -> Vec<Node<'a>> {
    let key: Vec<Node<'_>> = change.key.as_ref().map(|key| nodes(&key.json)).unwrap_or_default();
    let is_beside = |node: &Node<'_>| {
        let path = node.path.strip_prefix("/payload").unwrap_or(&node.path);
        path.strip_prefix("/after/").is_some_and(|name| !name.contains('/') && key.iter().all(|column| column.name != Some(name)))
    };
    nodes(value).into_iter().filter(is_beside).collect()
}

proptest::proptest! {
    #[test]
    fn no_damage_makes_it_panic_or_say_what_the_message_does_not(
        event in any::<Index>(), damages in any_damages(), by in any::<Index>(), snapshot_lsn in select(&[0, 26_511_232, Version::FIRST_MAX][..])
    ) {
        let decoders = every_decoder();
        let message = damaged(&all()[event.index(all().len())], &damages);
        let memory = LaneMemory { snapshot_lsn, ..LaneMemory::default() };
        // Debezium with `auto` is what nearly everyone has.
        holds(&message, &decoders[0], &memory);
        holds(&message, &decoders[by.index(decoders.len())], &memory);
    }

    #[test]
    fn a_version_is_by_the_book_or_none(event in any::<Index>(), damages in vec(any_damage(), 1..3)) {
        let (message, _) = &envelopes()[event.index(envelopes().len())];
        let damages: Vec<_> = damages.into_iter().map(|damage| (0, damage)).collect();
        let message = damaged(message, &damages);
        let Ok(Decoded::Change(change)) = super::decode(&message) else { return Ok(()) };
        let Ok(value) = serde_json::from_slice::<Value>(message.value.as_ref().unwrap()) else { return Ok(()) };
        let payload = value.get("payload").unwrap_or(&value);
        let connector = &payload["source"]["connector"];
        if !payload["source"].is_object() || !(connector.is_null() || connector == "postgresql") {
            return Ok(());
        }
        prop_assert_eq!(Some(change.version), version_by_the_book(&value));
        let operation = match payload["op"].as_str() {
            Some("c") => Operation::Create,
            Some("u") => Operation::Update,
            Some("d") => Operation::Delete,
            Some("r") => Operation::Read,
            other => panic!("a change of {other:?}"),
        };
        prop_assert_eq!(change.operation, operation);
    }

    /// Debezium adds fields with every version of it, and what is beside the matter may say anything.
    #[test]
    fn what_is_not_read_changes_nothing(event in any::<Index>(), at in any::<Index>(), new in select(SWAPS)) {
        let (message, before) = &envelopes()[event.index(envelopes().len())];
        let value = text(&message.value);
        let unread: Vec<_> = nodes(value).into_iter().filter(|node| !is_read(&node.path)).collect();
        let node = &unread[at.index(unread.len())];
        let message = Message { value: Some(with(value, &[(node.value, new)]).into()), ..message.clone() };
        let is_json = serde_json::from_str::<&serde_json::value::RawValue>(new).is_ok();
        match super::decode(&message) {
            Ok(Decoded::Change(change)) => {
                let ts_ms = if node.path.ends_with("/ts_ms") { change.ts_ms } else { before.ts_ms };
                prop_assert_eq!(&change, &Change { ts_ms, ..before.clone() });
            }
            other => prop_assert!(!is_json && other.is_err(), "{}: {other:?}", node.path),
        }
    }

    /// Whatever a column holds, it is handed on as it stands, and nothing else of the change is another.
    #[test]
    fn a_column_is_handed_on_as_it_stands(event in any::<Index>(), at in any::<Index>(), new in select(SWAPS)) {
        let (message, before) = &envelopes()[event.index(envelopes().len())];
        let value = text(&message.value);
        let columns = columns_beside_the_key(value, before);
        let is_json = serde_json::from_str::<&serde_json::value::RawValue>(new).is_ok();
        if columns.is_empty() || !is_json {
            return Ok(());
        }
        let column = &columns[at.index(columns.len())];
        let message = Message { value: Some(with(value, &[(column.value, new)]).into()), ..message.clone() };
        let Ok(Decoded::Change(change)) = super::decode(&message) else { panic!("{}", column.path) };
        let row = change.after.as_ref().unwrap();
        let name = column.name.unwrap();
        let held = nodes(row).into_iter().find(|node| node.path == format!("/{name}")).map(|node| node.value.to_owned());
        prop_assert_eq!(held.as_deref(), Some(new));
        prop_assert_eq!(&change, &Change { after: change.after.clone(), ..before.clone() });
    }

    /// Debezium itself writes these with control characters: they are read as far as can be, and cost nothing else.
    #[test]
    fn a_damaged_move_header_costs_the_move_at_most(event in any::<Index>(), damage in vec(any_damage(), 1..3), bytes in proptest::option::of(vec(any::<u8>(), 0..40))) {
        let moved: Vec<_> = envelopes().iter().filter(|(_, change)| change.moved.is_some()).collect();
        let (message, before) = moved[event.index(moved.len())];
        let mut message = message.clone();
        for (name, value) in message.headers.iter_mut().filter(|(name, _)| name.starts_with("__debezium.")) {
            let damaged = damage.iter().fold(value.clone().unwrap(), |bytes, damage| damage.to(&bytes));
            *value = Some(bytes.clone().map_or(damaged, Bytes::from));
            if let Ok(text) = std::str::from_utf8(value.as_ref().unwrap()) {
                prop_assert_eq!(key::read_header(text), key::read_header(text), "{}", name);
            }
        }
        let Ok(Decoded::Change(change)) = super::decode(&message) else { panic!("refused for its header") };
        prop_assert_eq!(&change, &Change { moved: change.moved.clone(), ..before.clone() });
    }

    /// One bad event is set aside; what is made of all others of its lane is what would have been made without it.
    #[test]
    fn a_refused_event_changes_no_other(form in select(&FORMS[..]), event in any::<Index>(), damages in any_damages()) {
        let messages = of_form(form);
        let place = event.index(messages.len());
        let mut with_damage = messages.clone();
        with_damage[place] = damaged(&messages[place], &damages);
        let found = super::decode_all(&with_damage);
        if found[place].is_ok() {
            return Ok(());
        }
        let without: Vec<Message> = messages.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, message)| message.clone()).collect();
        let expected = super::decode_all(&without);
        let rest = found.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, decoded)| decoded);
        for ((found, expected), message) in rest.zip(&expected).zip(&without) {
            // A tombstone after a delete that was refused is all there is of it; one after a refused event between them, too.
            if message.value.is_some() {
                prop_assert_eq!(found, expected, "{}", message.origin);
            }
        }
    }
}

fn of_form(form: &str) -> Vec<Message> {
    static FORM: OnceLock<Vec<Vec<Message>>> = OnceLock::new();
    let all = FORM.get_or_init(|| FORMS.map(recorded).into());
    all[FORMS.iter().position(|other| *other == form).unwrap()].clone()
}
