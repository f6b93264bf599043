//! Exact numbers.

use crate::debezium;
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer, ser};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A `numeric` with all its digits. Reads what Debezium sends as a text (`"12.50"`, `decimal.handling.mode = string`), as a
/// number (`12.5`, `double`) and as `{"scale":2,"value":"BOI="}` (a column without declared scale, `precise`); writes a JSON
/// number with the same digits. A base64 text (`precise`, declared scale) does not carry its scale: use
/// [`debezium::decimal`] for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal<'a>(Cow<'a, str>);

impl<'a> Decimal<'a> {
    /// Takes digits in the grammar of a JSON number.
    ///
    /// # Errors
    /// When the text is no number, `NaN` and `Infinity` of Postgres among them.
    pub fn new(digits: impl Into<Cow<'a, str>>) -> crate::Result<Self> {
        let digits = digits.into();
        if is_number(&digits) { Ok(Decimal(digits)) } else { Err(crate::reject(format!("`{digits}` is not a decimal number"))) }
    }

    /// What the host calls a number: only writing it looks at it.
    pub(crate) fn of_host(digits: String) -> Decimal<'static> {
        Decimal(Cow::Owned(digits))
    }

    /// The digits, with sign and point.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is below zero; `-0.00` is not.
    pub fn is_negative(&self) -> bool {
        self.0.starts_with('-') && !self.is_zero()
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        let mantissa = self.0.split(['e', 'E']).next().unwrap_or_default();
        mantissa.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-'))
    }

    /// The nearest float: for sorting and scoring, not for money.
    pub fn to_f64(&self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Decimal<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for Decimal<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Decimal<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&'de RawValue>::deserialize(deserializer)?.get();
        let digits = if text.starts_with('{') {
            Cow::Owned(variable(text).map_err(de::Error::custom)?)
        } else {
            Cow::Borrowed(text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text))
        };
        Decimal::new(digits).map_err(de::Error::custom)
    }
}

/// Debezium's `VariableScaleDecimal`.
fn variable(text: &str) -> crate::Result<String> {
    #[derive(serde::Deserialize)]
    struct Variable<'a> {
        scale: i32,
        value: &'a str,
    }
    let variable: Variable = crate::json::parse(text, "field")?;
    debezium::decimal(variable.value, variable.scale)
}

/// The grammar of a JSON number.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_and_keeps_the_digits() {
        let cases = [
            (r#""12.50""#, "12.50"),
            ("12.50", "12.50"),
            ("-0", "-0"),
            (r#""1E+3""#, "1E+3"),
            (r#"{"scale":2,"value":"fQ=="}"#, "1.25"),
            (r#" { "value" : "fQ==", "scale" : 0 }"#, "125"),
            (r#""123456789012345678901234567890.12345678901234567890""#, "123456789012345678901234567890.12345678901234567890"),
        ];
        for (text, digits) in cases {
            let decimal: Decimal = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&decimal).unwrap(), digits);
        }
        let none: Option<Decimal> = serde_json::from_str("null").unwrap();
        assert_eq!(none, None);
    }

    #[test]
    fn refuses_what_is_no_number() {
        for text in [r#""NaN""#, r#""""#, r#""1.""#, r#"".5""#, r#""01""#, r#""BNM=""#, "true", r#""1,5""#, r#""1e""#, "[1]", r#""\u0031""#]
        {
            assert!(serde_json::from_str::<Decimal>(text).is_err(), "{text}");
        }
        let reason = serde_json::from_str::<Decimal>(r#""NaN""#).unwrap_err().to_string();
        assert_eq!(reason, "`NaN` is not a decimal number");
    }

    #[test]
    fn knows_its_sign() {
        let signs = ["-3.00", "-0.00", "0", "0.01", "-1e-9"].map(|text| Decimal::new(text).unwrap().is_negative());
        assert_eq!(signs, [true, false, false, false, true]);
        assert!((Decimal::new("12.50").unwrap().to_f64() - 12.5).abs() < f64::EPSILON);
    }
}
