//! One run of a module over recorded events, without gate, state or sink.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::windows;
use crate::aggregate::Row;
use crate::event::Change;
use crate::metrics::Metrics;
use crate::source::decode::settings::{DecodeSettings, Format, VersionFrom};
use crate::source::decode::{Decoded, Decoder, LaneMemory};
use crate::source::file;
use crate::transform::settings::{STORE_BYTES_DEFAULT, TransformSettings, World};
use crate::transform::{Component, Engine, KeyValues, MemoryStore, Outcome, Output, Target, Transform, TransformMetrics};

/// What to run, and how.
pub struct Setup {
    pub module: PathBuf,
    pub config: Value,
    pub format: Format,
    pub before: bool,
    pub window: Option<Duration>,
    pub timeout: Duration,
    pub memory_bytes: usize,
}

/// One output of one event.
#[derive(Default, Serialize)]
struct OutputLine<'a> {
    /// The line of the event, from 1.
    event: u64,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routing: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// The outputs of all events, one JSON object each. What cannot be decoded is told as a reject.
pub fn run(engine: &Engine, setup: &Setup, events: &[u8]) -> Result<Vec<String>, String> {
    let settings = TransformSettings {
        module: setup.module.clone(),
        config: setup.config.clone(),
        timeout: setup.timeout,
        memory_bytes: setup.memory_bytes,
        before: setup.before,
        store_bytes: STORE_BYTES_DEFAULT,
        world: None,
    };
    let component = Component::load(engine, &settings).map_err(|failure| failure.message)?;
    let metrics = TransformMetrics::declare(&Metrics::detached());
    let mut transform = Transform::start(&component, &settings, &metrics).map_err(|failure| failure.message)?;
    let (mut changes, mut places, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for (event, decoded) in decode(setup.format, events) {
        match decoded {
            Ok(change) => {
                changes.push(change);
                places.push(event);
            }
            Err(reason) => {
                lines.push((event, line(&OutputLine { event, action: "reject", reason: Some(&reason), ..OutputLine::default() })?))
            }
        }
    }
    // Empty at the start, gone at the end.
    let store: Arc<dyn KeyValues> = Arc::new(MemoryStore::new(settings.store_bytes));
    let outcomes = transform.run(&changes, &store).map_err(|failure| failure.message)?.outcomes;
    for ((change, outcome), event) in changes.iter().zip(&outcomes).zip(&places) {
        for shown in shown(*event, change.key.as_ref().map(|key| &*key.id), outcome)? {
            lines.push((*event, shown));
        }
    }
    if component.world() == World::Aggregate {
        let (events, rows): (Vec<u64>, Vec<Row>) = windows::rows(&changes, &outcomes, &places, setup.window).into_iter().unzip();
        let rendered = transform.render(&rows).map_err(|failure| failure.message)?;
        for ((row, outcome), event) in rows.iter().zip(&rendered).zip(events) {
            for shown in shown(event, Some(&row.id()), outcome)? {
                lines.push((event, shown));
            }
        }
    }
    lines.sort_by_key(|(event, _)| *event);
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

/// The changes among the events, by line from 1; what is none (a heartbeat, the tombstone after a delete, a truncate) is left out.
fn decode(format: Format, events: &[u8]) -> Vec<(u64, Result<Change, String>)> {
    let mut decoder = Decoder::new(DecodeSettings { format, version: VersionFrom::Auto });
    let mut memory = LaneMemory::default();
    let mut decoded = Vec::new();
    for (number, message) in file::recorded(events) {
        match decoder.decode(&message, &mut memory) {
            Ok(Decoded::Change(change)) => decoded.push((number, Ok(change))),
            Ok(Decoded::Tombstone { .. } | Decoded::Truncate { .. } | Decoded::Ignored(_)) => {}
            Err(error) => decoded.push((number, Err(error.reason))),
        }
    }
    decoded
}

fn shown(event: u64, default_id: Option<&str>, outcome: &Outcome) -> Result<Vec<String>, String> {
    let outputs = match outcome {
        Ok(outputs) => outputs,
        Err(reason) => return Ok(vec![line(&OutputLine { event, action: "reject", reason: Some(reason), ..OutputLine::default() })?]),
    };
    let of = |target: &Target| -> (Option<String>, Option<String>, Option<String>) {
        let id = target.id.as_deref().or(default_id);
        (id.map(ToString::to_string), target.index.as_ref().map(ToString::to_string), target.routing.as_ref().map(ToString::to_string))
    };
    let mut lines = Vec::with_capacity(outputs.len());
    for output in outputs {
        lines.push(match output {
            Output::Index { target, body } => document(event, "index", &of(target), Some(raw(body)?)),
            Output::Delete { target } => document(event, "delete", &of(target), None),
            Output::Measure(measure) => line(&OutputLine {
                event,
                action: "measure",
                key: Some(&measure.key),
                time_ms: measure.time_ms,
                weight: Some(raw(&measure.weight.to_string())?),
                ..OutputLine::default()
            }),
            Output::Emit { topic, key, body } => line(&OutputLine {
                event,
                action: "emit",
                topic: Some(topic),
                key: key.as_deref(),
                body: Some(raw(body)?),
                ..OutputLine::default()
            }),
        }?);
    }
    Ok(lines)
}

type Named = (Option<String>, Option<String>, Option<String>);

fn document(event: u64, action: &'static str, (id, index, routing): &Named, body: Option<&RawValue>) -> Result<String, String> {
    let (id, index, routing) = (id.as_deref(), index.as_deref(), routing.as_deref());
    line(&OutputLine { event, action, id, index, routing, body, ..OutputLine::default() })
}

fn raw(body: &str) -> Result<&RawValue, String> {
    serde_json::from_str(body).map_err(|error| format!("an output is not JSON: {error}"))
}

fn line(output: &OutputLine<'_>) -> Result<String, String> {
    serde_json::to_string(output).map_err(|error| format!("an output cannot be shown: {error}"))
}
