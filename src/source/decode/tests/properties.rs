//! Any bytes are a change with sound rows, or are refused with a short reason.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq};
use proptest::sample::Index;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{FORMS, decode_all, message, recorded, settings};
use crate::event::Message;
use crate::event::fields::{Fields, depth};
use crate::source::decode::settings::{Format, VersionFrom};
use crate::source::decode::{Decoded, Decoder, LaneMemory};

type Part = Option<Vec<u8>>;

pub(super) fn every_decoder() -> Vec<Decoder> {
    let named = ["ts_ms", "source.ts_ms", "__op", "id"].map(|name| VersionFrom::Field(name.to_owned()));
    let mut from = vec![VersionFrom::Auto, VersionFrom::Lsn, VersionFrom::Offset, VersionFrom::Header("__op".to_owned())];
    from.extend(named);
    let both = from.into_iter().flat_map(|from| [settings(Format::Debezium, from.clone()), settings(Format::Json, from)]);
    both.map(Decoder::new).collect()
}

/// Rows handed on are always JSON objects, and a reason is never long.
fn holds_for_every_decoder(message: &Message) {
    for mut decoder in every_decoder() {
        match decoder.decode(message, &mut LaneMemory::default()) {
            Ok(Decoded::Change(change)) => {
                for row in [&change.before, &change.after].into_iter().flatten() {
                    serde_json::from_str::<BTreeMap<String, &RawValue>>(row).unwrap();
                }
            }
            Ok(_) => {}
            Err(error) => assert!(error.reason.len() < 1_000 && error.table.is_some()),
        }
    }
}

pub(super) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = proptest::prop_oneof![
        proptest::strategy::Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        "\\PC{0,6}|[\"\\\\{}\\[\\],:\n]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let name = "op|source|before|after|schema|payload|type|connector|__op|__deleted|id|\\PC{0,3}|[\"\\\\:]{0,3}";
        proptest::prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(name, inner, 0..5).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(key: Part, value: Part, name in "__op|__lsn|__source_sequence|__debezium.newkey", header: Part) {
        let mut message = message(None, None, &[]);
        message.key = key.map(Bytes::from);
        message.value = value.map(Bytes::from);
        message.headers = vec![(name.into(), header.map(Bytes::from))];
        holds_for_every_decoder(&message);
    }

    #[test]
    fn no_json_makes_it_panic(key in any_json(), value in any_json(), header in any_json()) {
        let (key, value, header) = (key.to_string(), value.to_string(), header.to_string());
        holds_for_every_decoder(&message(Some(&key), Some(&value), &[("__lsn", &header), ("__debezium.oldkey", &header)]));
    }

    #[test]
    fn fields_are_those_serde_json_sees(value in any_json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        let seen: Vec<(String, Value)> = Fields::of(&text)
            .map(|field| (serde_json::from_str(&format!("\"{}\"", field.name)).unwrap(), serde_json::from_str(field.value).unwrap()))
            .collect();
        let expected: Vec<(String, Value)> = value.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect();
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(depth(&text), depth_of(&value));
    }

    #[test]
    fn fields_of_no_json_end(text in "[{}\\[\\]\",:\\\\a☃ ]{0,40}") {
        let object = format!("{{{text}");
        prop_assert!(Fields::of(&object).count() <= text.len());
    }

    #[test]
    fn no_damage_to_a_recorded_event_makes_it_panic(form in 0..4_usize, event: Index, at: Index, damage in 0..4_u8, byte: u8) {
        let messages = recorded_once(form);
        holds_for_every_decoder(&damaged(&messages[event.index(messages.len())], at, damage, byte));
    }

    /// A start that was met before is not checked again: that must not be seen from outside, whatever follows it.
    #[test]
    fn a_schema_met_before_changes_nothing(event: Index, at: Index, damage in 0..4_u8, byte in proptest::sample::select(&b"{}[]\",: a0\\"[..])) {
        let messages = recorded_once(1);
        let message = &messages[event.index(messages.len())];
        let (damaged, mut decoder) = (damaged(message, at, damage, byte), super::decoder());
        for seen in [message, message] {
            let _ = decoder.decode(seen, &mut LaneMemory::default());
        }
        let warm = decoder.decode(&damaged, &mut LaneMemory::default());
        prop_assert_eq!(warm.ok(), super::decode(&damaged).ok());
    }
}

/// The message with one byte of its value (or key) changed, removed or added, or with its end cut off.
fn damaged(message: &Message, at: Index, damage: u8, byte: u8) -> Message {
    let mut message = message.clone();
    let part = if message.value.is_some() { &mut message.value } else { &mut message.key };
    let mut bytes = part.take().unwrap_or_default().to_vec();
    bytes.push(b' ');
    let at = at.index(bytes.len());
    match damage {
        0 => bytes[at] = byte,
        1 => bytes.truncate(at),
        2 => bytes.insert(at, byte),
        _ => drop(bytes.remove(at)),
    }
    *part = Some(bytes.into());
    message
}

/// Reading on from a stored memory tells the same as reading on without a stop.
#[test]
fn a_memory_that_was_stored_is_as_good_as_new() {
    for form in FORMS {
        let messages = recorded(form);
        let mut lanes: BTreeMap<_, Vec<u8>> = BTreeMap::new();
        for (message, expected) in messages.iter().zip(decode_all(&messages)) {
            let stored = lanes.get(&message.lane).map(|stored| serde_json::from_slice(stored).unwrap());
            let mut lane: LaneMemory = stored.unwrap_or_default();
            assert_eq!(super::decoder().decode(message, &mut lane), expected);
            lanes.insert(message.lane.clone(), serde_json::to_vec(&lane).unwrap());
        }
    }
}

fn recorded_once(form: usize) -> &'static Vec<Message> {
    static ALL: std::sync::OnceLock<Vec<Vec<Message>>> = std::sync::OnceLock::new();
    &ALL.get_or_init(|| FORMS.map(recorded).into())[form]
}

fn depth_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}
