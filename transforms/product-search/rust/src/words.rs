//! The one field that holds every word.

use crate::row::Product;
use rowmill_transform::Result;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Name, description, category, tags and the texts within `attrs`, one after the other.
pub fn text(row: &Product) -> Result<String> {
    let mut words = Words(String::with_capacity(256));
    for column in [&row.name, &row.description, &row.category].into_iter().flatten() {
        words.add(column);
    }
    for tag in row.tags.iter().flatten().flatten() {
        words.add(tag);
    }
    if let Some(attrs) = &row.attrs {
        let mut json = serde_json::Deserializer::from_str(attrs.as_str());
        words.deserialize(&mut json).map_err(|error| rowmill_transform::Error::from(error).at("column `attrs`"))?;
        json.end()?;
    }
    Ok(words.0)
}

/// Reads any JSON and keeps its texts, not its names and numbers; builds no tree.
struct Words(String);

impl Words {
    fn add(&mut self, word: &str) {
        if !word.is_empty() {
            if !self.0.is_empty() {
                self.0.push(' ');
            }
            self.0.push_str(word);
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Words {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Words {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON")
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<(), E> {
        self.add(text);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        while items.next_element_seed(&mut *self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> std::result::Result<(), A::Error> {
        while fields.next_key::<IgnoredAny>()?.is_some() {
            fields.next_value_seed(&mut *self)?;
        }
        Ok(())
    }
}
