//! Outputs as JSON lines, for tests to look at.

use crate::json;
use crate::output::{Action, Output};
use serde::Serialize;
use serde_json::value::RawValue;

/// The outputs as JSON lines: `{"change":0,"action":"index","id":…,"index":…,"routing":…,"body":{…}}`.
///
/// # Panics
/// When a body is no JSON.
pub fn lines(outputs: &[Output]) -> String {
    outputs.iter().map(|output| line(output) + "\n").collect()
}

#[derive(Default, Serialize)]
struct Line<'a> {
    change: u32,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
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

#[expect(clippy::panic, reason = "a test wants to fail here")]
fn line(output: &Output) -> String {
    let body = |text| match json::parse(text, "field") {
        Ok(body) => Some(body),
        Err(error) => panic!("the body of an output is no JSON: {error}"),
    };
    let change = output.change;
    let line = match &output.action {
        Action::Index(document) => Line {
            change,
            action: "index",
            id: document.id.as_deref(),
            index: document.index.as_deref(),
            routing: document.routing.as_deref(),
            body: body(&document.body),
            ..Line::default()
        },
        Action::Delete(document) => Line {
            change,
            action: "delete",
            id: document.id.as_deref(),
            index: document.index.as_deref(),
            routing: document.routing.as_deref(),
            ..Line::default()
        },
        Action::Emit(message) => Line {
            change,
            action: "emit",
            topic: Some(&message.topic),
            key: message.key.as_deref(),
            body: body(&message.body),
            ..Line::default()
        },
        Action::Reject(reason) => Line { change, action: "reject", reason: Some(reason), ..Line::default() },
    };
    serde_json::to_string(&line).unwrap_or_default()
}
