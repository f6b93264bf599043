//! Text.

use crate::debezium;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// A text, borrowed unless it holds escapes: `&str` would fail on `"a\nb"`, `String` always copies, and serde borrows
/// no `Cow` inside an `Option` or a `Vec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// Whether the database did not send this value, because it is long and did not change (TOAST).
    ///
    /// Writing a document without it would lose what the index has: reject the change, or let Rowmill fill the value in with
    /// `state.keep = "rows"`.
    pub fn is_unavailable(&self) -> bool {
        self.0 == debezium::UNAVAILABLE
    }

    /// The text itself.
    pub fn into_cow(self) -> Cow<'a, str> {
        self.0
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borrows_where_it_can() {
        let texts: Vec<Option<Text>> = serde_json::from_str(r#"["plain", null, "a\nb", "\ud83d\ude00"]"#).unwrap();
        assert!(matches!(&texts[0], Some(Text(Cow::Borrowed("plain")))));
        assert_eq!(texts[1], None);
        assert_eq!(texts[2].as_deref(), Some("a\nb"));
        assert_eq!(texts[3].as_deref(), Some("😀"));
        assert_eq!(serde_json::to_string(&texts).unwrap(), r#"["plain",null,"a\nb","😀"]"#);
        assert!(Text::from("__debezium_unavailable_value").is_unavailable());
    }
}
