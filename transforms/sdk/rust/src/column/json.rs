//! `json` and `jsonb`.

use crate::column::Text;
use crate::error::Result;
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer, ser};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A `json` or `jsonb` column. Debezium sends it as a text that holds JSON (`"{\"color\":\"red\"}"`); JSON that is not wrapped
/// in a text is read too. Written, it is the JSON itself, as it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json<'a>(Cow<'a, str>);

impl<'a> Json<'a> {
    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is an object: search engines take no field that is now an object and now a number.
    pub fn is_object(&self) -> bool {
        self.0.starts_with('{')
    }

    /// Whether the database did not send this value: see [`Text::is_unavailable`].
    pub fn is_unavailable(&self) -> bool {
        self.0 == crate::debezium::UNAVAILABLE
    }

    /// Reads it as a type.
    ///
    /// # Errors
    /// When it does not fit the type: the reason names the field.
    pub fn parse<'b, T: Deserialize<'b>>(&'b self) -> Result<T> {
        crate::json::parse(&self.0, "field")
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?.get();
        if !raw.starts_with('"') {
            return Ok(Json(Cow::Borrowed(raw)));
        }
        let text: Text<'de> = serde_json::from_str(raw).map_err(de::Error::custom)?;
        // Trimmed, so that the first character tells what it is; checked when it is written or parsed.
        Ok(Json(match text.into_cow() {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) if text.starts_with('{') => Cow::Owned(text),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Json<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_text_becomes_what_it_holds() {
        let json = read(r#""{\"b\": 1,  \"a\": [1.50, 1e3]}""#);
        assert!(json.is_object());
        assert_eq!(serde_json::to_string(&json).unwrap(), r#"{"b": 1,  "a": [1.50, 1e3]}"#);
        assert_eq!(serde_json::to_string(&read(r#"{"a":1.50}"#)).unwrap(), r#"{"a":1.50}"#);
        assert!(read(r#"" \n{\"a\": 1}""#).is_object());
        assert!(!read(r#""7""#).is_object());
    }

    #[test]
    fn broken_json_is_an_error_when_used() {
        let json = read(r#""{\"b\": ""#);
        assert!(serde_json::to_string(&json).is_err());
        assert!(json.parse::<Vec<u8>>().is_err());
        assert!(read(r#""__debezium_unavailable_value""#).is_unavailable());
    }
}
