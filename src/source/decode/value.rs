//! Where a JSON value ends, in text that nobody has checked yet.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::fields::{depth, digits, plain_letters};
use crate::limits;

/// What lies around a value in an envelope with its schema: the message, the payload, a row.
const LEVELS_AROUND_MAX: usize = 3;

/// The length of the JSON value that `text` starts with; none where serde_json finds no value, or one that may lie too deep.
// Called in one hot loop only, where a call of its own would cost a sixth of the time.
#[inline(always)]
pub(super) fn length(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' => string(text),
        b'1'..=b'9' => number(text),
        b'n' => text.starts_with(b"null").then_some(4),
        b't' => text.starts_with(b"true").then_some(4),
        b'f' => text.starts_with(b"false").then_some(5),
        b'{' | b'[' => nested(text),
        b'-' | b'0' => any_number(text),
        _ => None,
    }
}

#[inline]
fn string(text: &[u8]) -> Option<usize> {
    let inside = text.get(1..)?;
    let plain = plain_letters(inside);
    match inside.get(plain)? {
        b'"' => Some(plain + 2),
        b'\\' => escaped(text, plain + 1),
        _ => None,
    }
}

/// The length of a string with a backslash at `at`.
#[inline(never)]
fn escaped(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => escape(text.get(at + 1..)?)?,
            _ => return None,
        };
        at += plain_letters(text.get(at..)?);
    }
}

/// The length of an escape, from its backslash on.
fn escape(letter: &[u8]) -> Option<usize> {
    match letter.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => letter.get(1..5)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
}

#[inline]
fn number(text: &[u8]) -> Option<usize> {
    let digits = digits(text);
    match text.get(digits) {
        Some(b'.' | b'e' | b'E') => any_number(text),
        _ => Some(digits),
    }
}

#[inline(never)]
fn any_number(text: &[u8]) -> Option<usize> {
    let some_digits = |at: usize| Some(at + digits(text.get(at..)?)).filter(|end| *end > at);
    let mut at = usize::from(text.first() == Some(&b'-'));
    at = match text.get(at)? {
        b'0' => at + 1,
        _ => some_digits(at)?,
    };
    if text.get(at) == Some(&b'.') {
        at = some_digits(at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        at = some_digits(at + 1 + signed)?;
    }
    Some(at)
}

/// Objects and arrays are rare in rows: serde_json itself looks for their end.
#[inline(never)]
fn nested(text: &[u8]) -> Option<usize> {
    let value = <&RawValue>::deserialize(&mut serde_json::Deserializer::from_slice(text)).ok()?.get();
    (depth(value) + LEVELS_AROUND_MAX <= limits::JSON_DEPTH_MAX).then_some(value.len())
}
