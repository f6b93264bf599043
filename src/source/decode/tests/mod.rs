//! Decoding, shown on what a real Debezium has sent (`tests/events`) and on made cases.

mod forms;
mod kept_apart;
mod keys;
mod known;
mod mutate;
mod mutations;
mod properties;
mod recorded;
mod refused;
mod speed;
mod tombstones;
mod versions;

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::Value;

use super::settings::{DecodeSettings, Format, VersionFrom};
use super::{DecodeError, Decoded, Decoder, LaneMemory};
use crate::event::{Change, Lane, Message, Origin};

/// The four forms that were recorded.
const FORMS: [&str; 4] = ["envelope_plain", "envelope_schemas", "unwrap_rewrite", "unwrap_tombstone"];

/// The messages of a form, in the order of their lanes.
fn recorded(form: &str) -> Vec<Message> {
    let path = format!("{}/tests/events/{form}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let lines = std::fs::read_to_string(path).expect("the recorded events are part of the project");
    let mut messages: Vec<Message> = lines.lines().map(|line| kcat_line(&serde_json::from_str(line).expect("kcat writes JSON"))).collect();
    messages.sort_by(|a, b| (&a.lane, a.position).cmp(&(&b.lane, b.position)));
    messages
}

fn kcat_line(line: &Value) -> Message {
    let bytes = |value: &Value| value.as_str().map(|text| Bytes::from(text.to_owned()));
    let (topic, partition, offset) =
        (line["topic"].as_str().unwrap(), line["partition"].as_i64().unwrap(), line["offset"].as_u64().unwrap());
    let headers = line["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
    Message {
        lane: format!("{topic}/{partition}").into(),
        position: offset + 1,
        origin: Origin { topic: topic.into(), partition: partition as i32, offset },
        timestamp_ms: line["ts"].as_u64().unwrap(),
        key: bytes(&line["key"]),
        value: bytes(&line["payload"]),
        headers: headers.chunks(2).map(|pair| (pair[0].as_str().unwrap().into(), bytes(&pair[1]))).collect(),
    }
}

/// A message of `shop.public.products` with offset 7, as a made case.
fn message(key: Option<&str>, value: Option<&str>, headers: &[(&str, &str)]) -> Message {
    let bytes = |text: &str| Bytes::from(text.to_owned());
    Message {
        lane: "shop.public.products/0".into(),
        position: 8,
        origin: Origin { topic: "shop.public.products".into(), partition: 0, offset: 7 },
        timestamp_ms: 1_000,
        key: key.map(bytes),
        value: value.map(bytes),
        headers: headers.iter().map(|(name, value)| ((*name).into(), Some(bytes(value)))).collect(),
    }
}

fn settings(format: Format, version: VersionFrom) -> DecodeSettings {
    DecodeSettings { format, version }
}

fn decoder() -> Decoder {
    Decoder::new(settings(Format::Debezium, VersionFrom::Auto))
}

/// Decodes one message as the first of its lane.
fn decode(message: &Message) -> Result<Decoded, DecodeError> {
    decoder().decode(message, &mut LaneMemory::default())
}

/// Decodes one message that is a change.
fn change(message: &Message) -> Change {
    match decode(message) {
        Ok(Decoded::Change(change)) => change,
        other => panic!("not a change: {other:?}"),
    }
}

/// Decodes messages with one decoder, each lane with a memory of its own.
fn decode_all(messages: &[Message]) -> Vec<Result<Decoded, DecodeError>> {
    let mut decoder = decoder();
    let mut lanes: HashMap<Lane, LaneMemory> = HashMap::new();
    messages.iter().map(|message| decoder.decode(message, lanes.entry(message.lane.clone()).or_default())).collect()
}

/// An envelope of Postgres; `rest` follows the source.
fn postgres(source: &str, rest: &str) -> String {
    format!(r#"{{"source":{{"connector":"postgresql","name":"shop","schema":"public","table":"products",{source}}},{rest}}}"#)
}
