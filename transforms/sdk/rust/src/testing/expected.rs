//! Outputs as JSON lines, to be kept beside the events.

use crate::json;
use crate::output::{Action, Output};
use serde::Serialize;
use serde_json::value::RawValue;
use std::path::Path;

/// The outputs as JSON lines: `{"change":0,"action":"index","id":…,"index":…,"routing":…,"body":{…}}`.
///
/// # Panics
/// When a body is no JSON.
pub fn lines(outputs: &[Output]) -> String {
    outputs.iter().map(|output| line(output) + "\n").collect()
}

/// Compares outputs with the lines of a file. With `UPDATE_EXPECT=1` in the environment it writes the file instead.
///
/// # Panics
/// When they differ: the first line that does is shown.
#[expect(clippy::panic, reason = "a test wants to fail here")]
pub fn matches(outputs: &[Output], path: impl AsRef<Path>) {
    let (path, found) = (path.as_ref(), lines(outputs));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        if let Err(error) = std::fs::write(path, &found) {
            panic!("cannot write {}: {error}", path.display());
        }
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    let (mut wanted, mut got) = (expected.lines(), found.lines());
    for number in 1.. {
        match (wanted.next(), got.next()) {
            (None, None) => return,
            (wanted, got) if wanted == got => {}
            (wanted, got) => panic!(
                "line {number} of {} differs (UPDATE_EXPECT=1 accepts what was found)\n expected: {}\n found:    {}",
                path.display(),
                wanted.unwrap_or("nothing"),
                got.unwrap_or("nothing"),
            ),
        }
    }
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
