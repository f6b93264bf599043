//! Outputs as JSON lines, for tests to look at.

use crate::aggregate::{Measured, Measurement};
use crate::json;
use crate::output::{Action, Output};
use serde::Serialize;
use serde_json::value::RawValue;

/// The outputs as JSON lines: `{"change":0,"action":"index","id":…,"index":…,"routing":…,"body":{…}}`; measurements likewise:
/// `{"change":0,"action":"measure","key":…,"time_ms":…,"weight":1.0,"distinct":…}`.
///
/// # Panics
/// When a body is no JSON.
pub fn lines<T: Line>(outputs: &[T]) -> String {
    outputs.iter().map(|output| output.line() + "\n").collect()
}

/// What can be shown as a line.
pub trait Line {
    /// Its JSON, without the end of the line.
    fn line(&self) -> String;
}

impl Line for Output {
    fn line(&self) -> String {
        fields(self).line()
    }
}

impl Line for Measurement {
    fn line(&self) -> String {
        let change = self.change;
        match &self.measured {
            Measured::Counts(measure) => Fields {
                change,
                action: "measure",
                key: Some(&measure.key),
                time_ms: measure.time_ms,
                weight: Some(measure.weight),
                distinct: measure.distinct.as_deref(),
                ..Fields::default()
            },
            Measured::Reject(reason) => Fields { change, action: "reject", reason: Some(reason), ..Fields::default() },
        }
        .line()
    }
}

#[derive(Default, Serialize)]
struct Fields<'a> {
    change: u32,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    distinct: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routing: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a RawValue>,
}

impl Fields<'_> {
    fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[expect(clippy::panic, reason = "a test wants to fail here")]
fn fields(output: &Output) -> Fields<'_> {
    let body = |text| match json::parse(text, "field") {
        Ok(body) => Some(body),
        Err(error) => panic!("the body of an output is no JSON: {error}"),
    };
    let change = output.change;
    match &output.action {
        Action::Index(document) => Fields {
            change,
            action: "index",
            id: document.id.as_deref(),
            index: document.index.as_deref(),
            routing: document.routing.as_deref(),
            body: body(&document.body),
            ..Fields::default()
        },
        Action::Delete(document) => Fields {
            change,
            action: "delete",
            id: document.id.as_deref(),
            index: document.index.as_deref(),
            routing: document.routing.as_deref(),
            ..Fields::default()
        },
        Action::Emit(message) => Fields {
            change,
            action: "emit",
            topic: Some(&message.topic),
            key: message.key.as_deref(),
            body: body(&message.body),
            ..Fields::default()
        },
        Action::Reject(reason) => Fields { change, action: "reject", reason: Some(reason), ..Fields::default() },
    }
}
