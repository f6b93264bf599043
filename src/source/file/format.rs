//! From a line to a message.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::{Lane, Message, Origin};
use crate::source::file::lines::Line;
use crate::source::file::settings::LineFormat;

/// The lines of one lane, read in the format that was chosen.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) format: LineFormat,
    pub(super) lane: Lane,
    /// The topic of lines that name none.
    pub(super) topic: Arc<str>,
    /// The last topic that a line named: most name the same.
    last_topic: Arc<str>,
}

/// A line of `kcat -J`. That key and payload are given is what tells it from other JSON.
#[derive(Deserialize)]
struct Kcat<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    partition: i32,
    offset: u64,
    #[serde(default)]
    ts: Option<i64>,
    #[serde(default, borrow)]
    headers: Vec<Option<Cow<'a, str>>>,
    #[serde(borrow)]
    key: &'a RawValue,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// A line with a key and a value. With any other field it is a value itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair<'a> {
    #[serde(default, borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(default, borrow)]
    topic: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    headers: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

impl Reading {
    pub(super) fn new(format: LineFormat, lane: Lane, topic: Arc<str>) -> Self {
        Self { format, lane, last_topic: Arc::clone(&topic), topic }
    }

    /// The message of a line. One that is not what the format says is a value as it stands: decoding refuses it, with
    /// the reason.
    pub(super) fn message(&mut self, line: &Line) -> Message {
        let text = std::str::from_utf8(&line.text).ok();
        let message = text.and_then(|text| match self.format {
            LineFormat::Kcat => self.kcat(line, text),
            LineFormat::Debezium => self.pair(line, text),
        });
        message.unwrap_or_else(|| self.plain(line))
    }

    fn kcat(&mut self, line: &Line, text: &str) -> Option<Message> {
        let kcat: Kcat<'_> = serde_json::from_str(text).ok()?;
        let origin = Origin { topic: self.named(&kcat.topic), partition: kcat.partition, offset: kcat.offset };
        let mut headers = Vec::new();
        for pair in kcat.headers.chunks(2) {
            let name = pair.first()?.as_deref()?;
            let value = pair.get(1).and_then(Option::as_deref);
            headers.push((name.into(), value.map(|value| Bytes::copy_from_slice(value.as_bytes()))));
        }
        Some(Message {
            origin,
            timestamp_ms: kcat.ts.and_then(|ts| u64::try_from(ts).ok()).unwrap_or_default(),
            key: content(line, kcat.key)?,
            value: content(line, kcat.payload)?,
            headers,
            ..self.plain(line)
        })
    }

    fn pair(&mut self, line: &Line, text: &str) -> Option<Message> {
        let pair: Pair<'_> = serde_json::from_str(text).ok()?;
        let mut message = self.plain(line);
        message.key = pair.key.and_then(|key| content(line, key)).flatten();
        message.value = content(line, pair.value)?;
        if let Some(topic) = &pair.topic {
            message.origin.topic = self.named(topic);
        }
        for (name, value) in &pair.headers {
            message.headers.push((name.as_ref().into(), content(line, value)?));
        }
        Some(message)
    }

    fn plain(&self, line: &Line) -> Message {
        Message {
            lane: Arc::clone(&self.lane),
            position: line.end,
            origin: Origin { topic: Arc::clone(&self.topic), partition: 0, offset: line.number },
            timestamp_ms: 0,
            key: None,
            value: Some(line.text.clone()),
            headers: Vec::new(),
        }
    }

    fn named(&mut self, topic: &str) -> Arc<str> {
        if *self.last_topic != *topic {
            self.last_topic = topic.into();
        }
        Arc::clone(&self.last_topic)
    }
}

/// Whether this is a line of `kcat -J`.
pub(super) fn is_kcat(line: &[u8]) -> bool {
    serde_json::from_slice::<Kcat<'_>>(line).is_ok()
}

/// What stood in Kafka: the text in a string, nothing for null, and other JSON as it is written.
fn content(line: &Line, json: &RawValue) -> Option<Option<Bytes>> {
    match json.get().as_bytes().first() {
        Some(b'n') => Some(None),
        Some(b'"') => serde_json::from_str::<String>(json.get()).ok().map(|text| Some(text.into())),
        _ => Some(Some(line.text.slice_ref(json.get().as_bytes()))),
    }
}
