//! What a server says of an error, made one short line.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::limits;

/// The server's own account of an error.
#[derive(Debug, Default, Deserialize)]
pub struct ServerError<'a> {
    /// Its name: `version_conflict_engine_exception`.
    #[serde(borrow, default, rename = "type")]
    pub kind: Cow<'a, str>,
    /// What happened.
    #[serde(borrow, default)]
    pub reason: Option<Cow<'a, str>>,
    /// The index it happened to.
    #[serde(borrow, default)]
    pub index: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    caused_by: Option<Cause<'a>>,
    #[serde(borrow, default)]
    root_cause: Vec<Cause<'a>>,
}

/// The same, one step deeper.
#[derive(Debug, Default, Deserialize)]
struct Cause<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
}

/// Only the name of an error: what most of them are told apart by.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

/// A whole answer that is an error.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    error: &'a RawValue,
}

impl<'a> ServerError<'a> {
    /// Reads `{"type":…,"reason":…}`, or a plain text in its place.
    pub fn read(json: &'a str) -> Self {
        serde_json::from_str(json).unwrap_or_else(|_| {
            let reason = serde_json::from_str(json).unwrap_or_else(|_| json.to_owned());
            Self { reason: Some(reason.into()), ..Self::default() }
        })
    }

    /// Reads the body of an answer; what is no JSON (a proxy's page) is its own reason.
    pub fn of_body(body: &'a [u8]) -> Self {
        match serde_json::from_slice::<Body<'a>>(body) {
            Ok(body) => Self::read(body.error.get()),
            Err(_) => Self { reason: Some(String::from_utf8_lossy(body)), ..Self::default() },
        }
    }

    /// Name, reason and cause in one line.
    ///
    /// What failed in a search stands in its root cause; around it the server only says "all shards failed".
    pub fn summary(&self) -> String {
        let root = self.root_cause.first().filter(|root| root.kind != self.kind);
        let (kind, reason) = match root {
            Some(root) => (&root.kind, &root.reason),
            None => (&self.kind, &self.reason),
        };
        let mut summary = joined(kind, reason.as_deref());
        if let Some(cause) = &self.caused_by {
            let reason = cause.reason.as_deref().unwrap_or_default();
            if !summary.contains(reason) || reason.is_empty() {
                let cause = joined(&cause.kind, Some(reason));
                summary = format!("{} ({cause})", shortened(&summary));
            }
        }
        shortened(&summary).to_owned()
    }
}

/// The name of an error.
pub fn kind_of(json: &str) -> Cow<'_, str> {
    serde_json::from_str::<Kind<'_>>(json).map(|kind| kind.kind).unwrap_or_default()
}

/// What comes from a server as one short line.
pub fn one_line(text: &str) -> String {
    shortened(&text.split_whitespace().collect::<Vec<_>>().join(" ")).to_owned()
}

fn joined(kind: &str, reason: Option<&str>) -> String {
    let reason = reason.unwrap_or_default();
    // Line breaks and tabs would break a log's line.
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    match (kind.is_empty(), reason.is_empty()) {
        (true, true) => "no reason given".to_owned(),
        (true, false) => reason,
        (false, true) => kind.to_owned(),
        (false, false) => format!("{kind}: {reason}"),
    }
}

fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(limits::SERVER_REASON_BYTES_MAX)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::ServerError;

    #[test]
    fn an_error_is_told_in_one_line() {
        let cases = [
            (r#"{"error":{"type":"a","reason":"b\n c"}}"#, "a: b c"),
            (r#"{"error":{"type":"a","reason":"b","caused_by":{"type":"c","reason":"d"}}}"#, "a: b (c: d)"),
            (r#"{"error":{"type":"a","reason":"b: d","caused_by":{"type":"c","reason":"d"}}}"#, "a: b: d"),
            (r#"{"error":{"type":"x","reason":"all shards failed","root_cause":[{"type":"a","reason":"b"}]}}"#, "a: b"),
            (r#"{"error":"no handler found","status":400}"#, "no handler found"),
            (r#"{"error":{"type":"a","reason":null}}"#, "a"),
            ("<html>Bad\nGateway</html>", "<html>Bad Gateway</html>"),
            ("", "no reason given"),
        ];
        for (body, summary) in cases {
            assert_eq!(ServerError::of_body(body.as_bytes()).summary(), summary, "{body}");
        }
        let long = format!(r#"{{"error":{{"type":"a","reason":"{}"}}}}"#, "ä".repeat(1_000));
        assert!(ServerError::of_body(long.as_bytes()).summary().len() <= 400);
    }
}
