//! From writes to lines of JSON. Plain functions on data.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::event::{Action, Write};

/// The writes as lines of JSON, each ended by a line break.
pub fn lines(writes: &[Write]) -> Vec<u8> {
    let mut text = String::with_capacity(writes.iter().map(Write::size_bytes).sum());
    for write in writes {
        line(write, &mut text);
    }
    text.into_bytes()
}

fn line(write: &Write, text: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{{\"action\":\"{}\",\"index\":{}", write.action.as_str(), quoted(&write.index));
    let _ = write!(text, ",\"id\":{},\"version\":{}", quoted(&write.id), write.version);
    if let Some(routing) = &write.routing {
        let _ = write!(text, ",\"routing\":{}", quoted(routing));
    }
    if let Action::Index(body) | Action::Emit(body) = &write.action {
        text.push_str(",\"body\":");
        text.push_str(&one_line(body));
    }
    text.push_str("}\n");
}

fn quoted(text: &str) -> serde_json::Value {
    text.into()
}

/// JSON without line breaks: as it is where it has none, without any white space between its parts otherwise. Numbers
/// keep their digits, because nothing is parsed.
fn one_line(json: &str) -> Cow<'_, str> {
    if !json.contains(['\n', '\r']) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for character in json.chars() {
        if !in_string && matches!(character, ' ' | '\t' | '\n' | '\r') {
            continue;
        }
        in_string ^= character == '"' && !escaped;
        escaped = in_string && character == '\\' && !escaped;
        text.push(character);
    }
    Cow::Owned(text)
}
