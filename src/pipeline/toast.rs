//! Out-of-line values that Postgres did not send, filled in from the row as it was. Plain functions on JSON text.
//!
//! An update that leaves a TOASTed column alone carries a placeholder in its place; the value is in the row we keep.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::event::JsonText;

/// What stands for a value that was not sent, by Debezium's default.
const PLACEHOLDER: &str = "__debezium_unavailable_value";
/// The same in a `bytea` column (base64).
const PLACEHOLDER_BASE64: &str = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";

/// Whether a row may hold a placeholder: a quick look before a careful one.
pub fn may_lack_values(row: &str) -> bool {
    memmem::find(row.as_bytes(), PLACEHOLDER.as_bytes()).is_some()
        || memmem::find(row.as_bytes(), PLACEHOLDER_BASE64.as_bytes()).is_some()
        || memmem::find(row.as_bytes(), b"[95,95,100,101,98,101,122,105,117,109").is_some()
}

/// A row with its missing values filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The row; every other value's text is as it was.
    pub row: JsonText,
    /// The columns that were filled.
    pub columns: Vec<String>,
    /// The columns that still lack their value: the old row has none either.
    pub lacking: Vec<String>,
}

/// Fills placeholders of `row` from `old`.
pub fn fill(row: &JsonText, old: Option<&str>) -> Option<Filled> {
    let columns = Columns::parse(row)?;
    let old = old.and_then(Columns::parse);
    let value_of = |name: &str| old.as_ref().and_then(|old| old.get(name)).filter(|value| !is_placeholder(value));
    let mut filled = Filled { row: row.clone(), columns: Vec::new(), lacking: Vec::new() };
    let mut values: Vec<(&str, &str)> = Vec::new();
    for (name, value) in &columns.0 {
        let value = value.get();
        if !is_placeholder(value) {
            values.push((name, value));
            continue;
        }
        let known = value_of(name);
        if known.is_some() { &mut filled.columns } else { &mut filled.lacking }.push(name.to_string());
        values.push((name, known.unwrap_or(value)));
    }
    if !filled.columns.is_empty() {
        filled.row = object(&values);
    }
    Some(filled)
}

/// `row` with these columns taken from `old`, where it has them.
pub fn replace(row: &str, columns: &[String], old: &str) -> Option<JsonText> {
    let (row, old) = (Columns::parse(row)?, Columns::parse(old)?);
    let value_of = |name: &str| columns.iter().any(|column| column == name).then(|| old.get(name)).flatten();
    let values: Vec<(&str, &str)> = row.0.iter().map(|(name, value)| (&**name, value_of(name).unwrap_or(value.get()))).collect();
    Some(object(&values))
}

/// Which of `columns` hold no placeholder in `row`: it has set them itself.
pub fn set_by(row: &str, columns: &[String]) -> Vec<String> {
    let Some(row) = Columns::parse(row) else { return Vec::new() };
    let is_set = |column: &&String| row.get(column).is_some_and(|value| !is_placeholder(value));
    columns.iter().filter(is_set).cloned().collect()
}

fn is_placeholder(value: &str) -> bool {
    let quoted = |value: &str| value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).map(str::to_owned);
    if let Some(text) = quoted(value) {
        return text == PLACEHOLDER || text == PLACEHOLDER_BASE64;
    }
    // Arrays hold the placeholder as their one element; arrays of numbers hold its characters; hstore maps it to itself.
    let inner: String = value.chars().filter(|character| !character.is_whitespace()).collect();
    if let Some(elements) = inner.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        return quoted(elements).is_some_and(|text| text == PLACEHOLDER)
            || elements == PLACEHOLDER.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(",");
    }
    inner == format!("{{\"{PLACEHOLDER}\":\"{PLACEHOLDER}\"}}")
}

fn object(values: &[(&str, &str)]) -> JsonText {
    let size: usize = values.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut text = String::with_capacity(size + 2);
    for (name, value) in values {
        text.push(if text.is_empty() { '{' } else { ',' });
        // A name is a JSON string like any other.
        text.push_str(&serde_json::Value::from(*name).to_string());
        text.push(':');
        text.push_str(value);
    }
    text.push_str(if text.is_empty() { "{}" } else { "}" });
    JsonText::from(text)
}

/// The columns of a row in their order, each value as its text.
struct Columns<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Columns<'a> {
    fn parse(row: &'a str) -> Option<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(row);
        deserializer.deserialize_map(ColumnsVisitor).ok()
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(column, _)| column == name).map(|(_, value)| value.get())
    }
}

struct ColumnsVisitor;

impl<'de> Visitor<'de> for ColumnsVisitor {
    type Value = Columns<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row as a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut columns = Vec::new();
        while let Some(entry) = map.next_entry::<BorrowedName<'de>, &'de RawValue>()? {
            columns.push((entry.0.0, entry.1));
        }
        Ok(Columns(columns))
    }
}

/// A field name, borrowed where it holds no escapes.
#[derive(serde::Deserialize)]
struct BorrowedName<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::{fill, may_lack_values, replace, set_by};
    use crate::event::JsonText;

    #[test]
    fn missing_values_are_filled_from_the_old_row() {
        for (what, row, old, expected) in [
            ("text", r#"{"id":1,"d":"__debezium_unavailable_value"}"#, r#"{"id":1,"d":"long"}"#, r#"{"id":1,"d":"long"}"#),
            (
                "digits stay",
                r#"{"n":1.10,"d":"__debezium_unavailable_value"}"#,
                r#"{"d":9007199254740993.0}"#,
                r#"{"n":1.10,"d":9007199254740993.0}"#,
            ),
            ("bytes", r#"{"b":"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="}"#, r#"{"b":"AAA="}"#, r#"{"b":"AAA="}"#),
            ("a list", r#"{"t":["__debezium_unavailable_value"]}"#, r#"{"t":["a",null]}"#, r#"{"t":["a",null]}"#),
            ("a name with quotes", r#"{"a\"b":"__debezium_unavailable_value"}"#, r#"{"a\"b":1}"#, r#"{"a\"b":1}"#),
            ("not known", r#"{"d":"__debezium_unavailable_value"}"#, r#"{"e":1}"#, r#"{"d":"__debezium_unavailable_value"}"#),
        ] {
            assert!(may_lack_values(row), "{what}");
            assert_eq!(fill(&JsonText::from(row), Some(old)).unwrap().row.as_str(), expected, "{what}");
        }
        assert!(!may_lack_values(r#"{"d":"x"}"#));
    }

    #[test]
    fn numbers_that_spell_the_placeholder_are_one() {
        let spelled: Vec<String> = "__debezium_unavailable_value".bytes().map(|byte| byte.to_string()).collect();
        let row = format!(r#"{{"sizes":[{}]}}"#, spelled.join(","));
        assert!(may_lack_values(&row));
        assert_eq!(fill(&JsonText::from(row), Some(r#"{"sizes":[1,2]}"#)).unwrap().row.as_str(), r#"{"sizes":[1,2]}"#);
    }

    #[test]
    fn a_provisional_value_is_replaced_and_one_set_since_is_known() {
        let columns = vec!["d".to_owned()];
        assert_eq!(replace(r#"{"id":2,"d":"old"}"#, &columns, r#"{"id":1,"d":"new"}"#).unwrap().as_str(), r#"{"id":2,"d":"new"}"#);
        assert_eq!(set_by(r#"{"d":"mine"}"#, &columns), columns);
        assert!(set_by(r#"{"d":"__debezium_unavailable_value"}"#, &columns).is_empty());
    }
}
