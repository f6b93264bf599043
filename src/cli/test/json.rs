//! JSON whose numbers keep their digits, for telling what differs.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

/// A value. Two numbers are equal when they are the same number: `49.90` and `49.9`, but not `1e400` and `inf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

/// A number, as it is written.
#[derive(Clone, Debug)]
pub struct Number(String);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.parts() == other.parts()
    }
}

impl Eq for Number {}

impl Number {
    /// Sign, digits without zeros at either end, and the power of ten of the last of them.
    fn parts(&self) -> (bool, String, i64) {
        let (mantissa, exponent) = self.0.split_once(['e', 'E']).unwrap_or((&self.0, "0"));
        let exponent: i64 = exponent.parse().unwrap_or(i64::MAX / 2);
        let (whole, fraction) = mantissa.trim_start_matches('-').split_once('.').unwrap_or((mantissa.trim_start_matches('-'), ""));
        let digits = format!("{whole}{fraction}");
        let short = digits.trim_end_matches('0');
        let zeros = i64::try_from(digits.len() - short.len()).unwrap_or(0);
        let digits = short.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return (false, digits, 0);
        }
        (mantissa.starts_with('-'), digits, exponent - i64::try_from(fraction.len()).unwrap_or(0) + zeros)
    }
}

impl Json {
    /// Reads one value.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let raw: &RawValue = serde_json::from_str(text)?;
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
                Json::Object(fields.into_iter().map(|(name, value)| Ok((name, Json::parse(value.get())?))).collect::<Result<_, _>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                Json::Array(items.into_iter().map(|item| Json::parse(item.get())).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Json::Text(serde_json::from_str(text)?),
            Some(b't' | b'f') => Json::Bool(serde_json::from_str(text)?),
            Some(b'n') => Json::Null,
            _ => Json::Number(Number(text.to_owned())),
        })
    }

    /// The field of an object.
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(fields) => fields.get(name),
            _ => None,
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        match self {
            Json::Null => formatter.write_str("null"),
            Json::Bool(value) => write!(formatter, "{value}"),
            Json::Number(number) => formatter.write_str(&number.0),
            Json::Text(value) => formatter.write_str(&text(value)),
            Json::Array(items) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                write!(formatter, "[{}]", items.join(","))
            }
            Json::Object(fields) => {
                let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}:{value}", text(name))).collect();
                write!(formatter, "{{{}}}", fields.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn numbers_are_compared_digit_by_digit() {
        for (a, b, equal) in [
            ("49.90", "49.9", true),
            ("100", "1e2", true),
            ("-0.00", "0", true),
            ("1.5e-3", "0.0015", true),
            ("-1", "1", false),
            ("10", "1", false),
            ("0.10", "0.01", false),
            ("12345678901234567890.10", "12345678901234567890.1", true),
            ("12345678901234567890.10", "12345678901234567890", false),
            ("9007199254740993", "9007199254740992", false),
            ("1", "\"1\"", false),
        ] {
            assert_eq!(Json::parse(a).unwrap() == Json::parse(b).unwrap(), equal, "{a} {b}");
        }
    }

    #[test]
    fn values_read_as_they_were_written() {
        let text = r#"{"a":[1.50,true,null],"b":{"c":"\"\n"}}"#;
        assert_eq!(Json::parse(text).unwrap().to_string(), text);
        assert!(Json::parse("{\"a\":1} {}").is_err());
    }
}
