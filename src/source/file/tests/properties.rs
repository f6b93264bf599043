//! Any line is a message: what it says, or the line as it stands.

use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq};
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::event::Message;
use crate::source::file::format::Reading;
use crate::source::file::lines::Line;
use crate::source::file::settings::LineFormat;

const FORMATS: [LineFormat; 2] = [LineFormat::Kcat, LineFormat::Debezium];

fn read(format: LineFormat, text: &[u8]) -> Message {
    let line = Line { number: 7, end: 99, text: Bytes::copy_from_slice(text) };
    let mut reading = Reading::new(format, Arc::from("lane"), Arc::from("given"));
    let message = reading.message(&line);
    assert_eq!((&*message.lane, message.position), ("lane", 99));
    assert_eq!(reading.message(&line), message);
    // No more is kept of a line than there is of it, but for what escapes hide.
    assert!(message.size_bytes() <= text.len() + size_of::<Message>() + 16);
    message
}

fn any_text() -> impl Strategy<Value = String> {
    "\\PC{0,8}|[\"\\\\{}\\[\\],:\n\u{0}\u{1}\u{fffd}]{0,6}"
}

fn kcat_line() -> impl Strategy<Value = (Value, Message)> {
    let headers = vec((any_text(), option::of(any_text())), 0..3);
    (any_text(), any::<i32>(), any::<u64>(), any::<i64>(), option::of(any_text()), option::of(any_text()), headers).prop_map(
        |(topic, partition, offset, ts, key, payload, headers)| {
            let flat: Vec<Value> = headers.iter().flat_map(|(name, value)| [json!(name), json!(value)]).collect();
            let line = json!({"topic": topic, "partition": partition, "offset": offset, "ts": ts, "key": key, "payload": payload, "headers": flat, "broker": 1});
            let bytes = |text: String| Bytes::from(text);
            let message = Message {
                lane: "lane".into(),
                position: 99,
                origin: crate::event::Origin { topic: topic.into(), partition, offset },
                timestamp_ms: u64::try_from(ts).unwrap_or_default(),
                key: key.map(bytes),
                value: payload.map(bytes),
                headers: headers.into_iter().map(|(name, value)| (name.into(), value.map(bytes))).collect(),
            };
            (line, message)
        },
    )
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_a_message(bytes in vec(any::<u8>(), 0..80)) {
        for format in FORMATS {
            let message = read(format, &bytes);
            prop_assert!(message.value.is_none_or(|value| value == bytes || serde_json::from_slice::<&serde_json::value::RawValue>(&bytes).is_ok()));
        }
    }

    #[test]
    fn a_line_of_kcat_is_its_message((line, message) in kcat_line()) {
        prop_assert_eq!(read(LineFormat::Kcat, line.to_string().as_bytes()), message);
    }

    #[test]
    fn a_damaged_line_is_a_message_or_stands_as_it_is((line, _) in kcat_line(), at in any::<Index>(), kind in 0..4_u8, byte in select(&b"{}[]\",:\\ \x000\xff\xc3n"[..])) {
        let mut bytes = line.to_string().into_bytes();
        let place = at.index(bytes.len());
        match kind {
            0 => bytes[place] = byte,
            1 => bytes.insert(place, byte),
            2 => drop(bytes.remove(place)),
            _ => bytes.truncate(place),
        }
        for format in FORMATS {
            let message = read(format, &bytes);
            let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(&bytes).is_ok();
            prop_assert!(is_json || message.value.as_deref() == Some(&bytes[..]), "what is no JSON stands as it is");
        }
    }
}
