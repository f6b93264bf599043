//! JSON that stays the text it came as.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use bytestring::ByteString;

use crate::event::fields::offset;

/// JSON text, shared and never copied: a slice of the message it came in.
///
/// That it *is* valid JSON is promised by whoever makes one (decoding checks rows, the transform checks documents).
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct JsonText(ByteString);

impl JsonText {
    /// Takes `text` as JSON.
    pub fn new(text: impl Into<ByteString>) -> Self {
        Self(text.into())
    }

    /// The part of this text that `part` is; a copy when it lies elsewhere.
    pub fn part(&self, part: &str) -> Self {
        match offset(&self.0, part) {
            Some(_) => Self(self.0.slice_ref(part)),
            None => Self(ByteString::from(part)),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes of the text, shared.
    pub fn into_bytes(self) -> Bytes {
        self.0.into_bytes()
    }
}

impl Deref for JsonText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for JsonText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for JsonText {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}
