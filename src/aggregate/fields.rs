//! What a change counts for, by the fields of its row: an aggregate without code.

use bytestring::ByteString;
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

use crate::aggregate::settings::AggregateSettings;
use crate::event::fields::{Fields, plain};
use crate::event::{Change, Key, Measure, time};
use crate::limits::{AGGREGATE_KEY_BYTES_MAX, WEIGHT_MAX};
use crate::settings::Section;

/// Decimal places of a weight; what is beyond them is rounded.
const PLACES: u32 = super::counted::WEIGHT_PLACES;

/// Which fields say what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMeasure {
    /// The group: several are joined as the columns of a key are.
    pub key: Vec<String>,
    weight: Weight,
    time: Option<String>,
    time_unit: TimeUnit,
    /// What is told apart.
    pub distinct: Option<String>,
    lower_case: bool,
    trim: bool,
    append_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Weight {
    Fixed(Decimal),
    Field(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimeUnit {
    Auto,
    Seconds,
    Millis,
    Micros,
    Nanos,
}

impl FieldMeasure {
    /// Reads its part of `[pipelines.….aggregate]`; none without a `key`.
    pub(super) fn read(section: &Section<'_>, append_only: bool) -> Option<Self> {
        let key = section.strings("key");
        if key.as_ref().is_some_and(|key| key.is_empty() || key.iter().any(String::is_empty)) {
            section.problem("key", "must name a field, or several");
        }
        let units = [
            ("auto", TimeUnit::Auto),
            ("s", TimeUnit::Seconds),
            ("ms", TimeUnit::Millis),
            ("us", TimeUnit::Micros),
            ("ns", TimeUnit::Nanos),
        ];
        let measure = Self {
            key: key.clone().unwrap_or_default(),
            weight: weight_setting(section),
            time: section.string("time"),
            time_unit: section.choice("time_unit", TimeUnit::Auto, &units),
            distinct: section.string("distinct"),
            // What people type is the same search in any case; the column of a table is what it is.
            lower_case: section.boolean("lower_case", append_only),
            trim: section.boolean("trim", append_only),
            append_only,
        };
        key.map(|_| measure)
    }

    /// Whether every change weighs 1.
    pub fn counts_one(&self) -> bool {
        self.weight == Weight::Fixed(Decimal::ONE)
    }

    /// What a change counts for; none where the key is null, missing or empty. The error says why it cannot be used.
    pub fn measure(&self, change: &Change) -> Result<Option<Measure>, String> {
        // What a deleted row had added is known.
        let Some(row) = change.after.as_deref().filter(|_| !change.is_delete()) else { return Ok(None) };
        let mut found: Vec<Option<&str>> = vec![None; self.key.len()];
        let (mut weight, mut time, mut distinct) = (None, None, None);
        for field in Fields::of(row) {
            for (name, found) in self.key.iter().zip(&mut found) {
                if name == field.name {
                    *found = Some(field.value);
                }
            }
            let is = |name: &Option<String>| name.as_deref() == Some(field.name);
            if matches!(&self.weight, Weight::Field(name) if name == field.name) {
                weight = Some(field.value);
            }
            if is(&self.time) {
                time = Some(field.value);
            }
            if is(&self.distinct) {
                distinct = Some(field.value);
            }
        }
        let Some(key) = self.key_of(&found)? else { return Ok(None) };
        let time_ms = match &self.time {
            None => None,
            Some(name) => Some(self.time_of(name, time)?),
        };
        let weight = match &self.weight {
            Weight::Fixed(weight) => *weight,
            Weight::Field(name) => match weight {
                // As SUM passes over NULL.
                None | Some("null") => return Ok(None),
                Some(text) => weight_of(&plain(text)).ok_or_else(|| format!("the field {name} is no number that can be a weight"))?,
            },
        };
        let distinct = distinct.filter(|value| *value != "null").map(|value| Measure::hash_of(&plain(value)));
        Ok(Some(Measure { key, time_ms, weight, distinct }))
    }

    fn key_of(&self, found: &[Option<&str>]) -> Result<Option<ByteString>, String> {
        let mut parts = Vec::with_capacity(found.len());
        for value in found {
            let Some(value) = value.filter(|value| *value != "null") else { return Ok(None) };
            let text = plain(value);
            let text = if self.trim { text.trim() } else { &text };
            if text.is_empty() {
                return Ok(None);
            }
            parts.push(if self.lower_case { text.to_lowercase() } else { text.to_owned() });
        }
        let key = match parts.as_mut_slice() {
            [one] => std::mem::take(one),
            several => Key::id_of(several.iter().map(String::as_str)),
        };
        check_key(&key)?;
        Ok(Some(key.into()))
    }

    fn time_of(&self, name: &str, value: Option<&str>) -> Result<u64, String> {
        let value = value.filter(|value| *value != "null").ok_or_else(|| format!("it has no time: the field {name} is missing"))?;
        let text = plain(value);
        let parsed = match text.parse::<Decimal>() {
            Ok(number) => self.time_unit.millis(number),
            Err(_) => time::parse(&text).map(|(ms, _)| ms),
        };
        parsed.ok_or_else(|| format!("the field {name} is no time: ISO 8601, or a number of aggregate.time_unit since 1970"))
    }

    /// The fields of the key by name, from its text.
    pub fn columns(&self, key: &str) -> Vec<(String, String)> {
        match self.key.as_slice() {
            [name] => vec![(name.clone(), key.to_owned())],
            names => names.iter().cloned().zip(parted(key)).collect(),
        }
    }

    /// Whether changes are events of a log.
    pub fn is_append_only(&self) -> bool {
        self.append_only
    }
}

impl TimeUnit {
    fn millis(self, number: Decimal) -> Option<u64> {
        let unit = match self {
            // By size: in each of the others these are times before 1970-02 or after 5000. Small numbers stand in tests.
            TimeUnit::Auto => {
                let at = |power: u32| number >= Decimal::from(10_u64.pow(power));
                if at(17) {
                    TimeUnit::Nanos
                } else if at(14) {
                    TimeUnit::Micros
                } else if at(9) && !at(11) {
                    TimeUnit::Seconds
                } else {
                    TimeUnit::Millis
                }
            }
            unit => unit,
        };
        let ms = match unit {
            TimeUnit::Seconds => number.checked_mul(Decimal::ONE_THOUSAND)?,
            TimeUnit::Micros => number.checked_div(Decimal::ONE_THOUSAND)?,
            TimeUnit::Nanos => number.checked_div(Decimal::from(1_000_000))?,
            TimeUnit::Auto | TimeUnit::Millis => number,
        };
        u64::try_from(ms.floor()).ok()
    }
}

/// A weight from its digits, rounded to the places that are kept; none for what is no number, or out of bounds.
fn weight_of(text: &str) -> Option<Decimal> {
    let weight = text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(text)).ok()?;
    within(weight)
}

/// The same from a guest's number: the shortest decimal that stands for it, so 0.1 is 0.1.
pub fn weight_of_float(weight: f64) -> Option<Decimal> {
    within(Decimal::from_f64(weight)?)
}

fn within(weight: Decimal) -> Option<Decimal> {
    (weight.abs() <= Decimal::from(WEIGHT_MAX)).then(|| weight.round_dp(PLACES).normalize())
}

fn weight_setting(section: &Section<'_>) -> Weight {
    let weight = match section.json("weight") {
        None => Some(Weight::Fixed(Decimal::ONE)),
        Some(serde_json::Value::String(name)) if !name.is_empty() => Some(Weight::Field(name)),
        Some(serde_json::Value::Number(number)) => weight_of(&number.to_string()).map(Weight::Fixed),
        Some(_) => None,
    };
    weight.unwrap_or_else(|| {
        section.problem("weight", format!("must be a number up to {WEIGHT_MAX}, or name the field that holds one"));
        Weight::Fixed(Decimal::ONE)
    })
}

/// Whether a key can be one. The error says why not.
pub fn check_key(key: &str) -> Result<(), String> {
    match key.len() {
        0 => Err("its key is empty".to_owned()),
        bytes if bytes > AGGREGATE_KEY_BYTES_MAX => Err(format!("its key has {bytes} bytes, and {AGGREGATE_KEY_BYTES_MAX} are allowed")),
        _ if key.contains('\0') => Err("its key holds a NUL character".to_owned()),
        _ => Ok(()),
    }
}

/// The parts of a joined key: the reverse of [`Key::id_of`].
fn parted(key: &str) -> Vec<String> {
    let (mut parts, mut escaped) = (vec![String::new()], false);
    for character in key.chars() {
        match character {
            '\\' if !escaped => escaped = true,
            '|' if !escaped => parts.push(String::new()),
            _ => {
                escaped = false;
                if let Some(part) = parts.last_mut() {
                    part.push(character);
                }
            }
        }
    }
    parts
}

/// The event time of a measure: its own, else when its change was committed. The error says why there is none.
pub fn time_of(measure: &Measure, change: &Change) -> Result<u64, String> {
    match measure.time_ms.unwrap_or(change.ts_ms) {
        0 if measure.time_ms.is_none() => Err("it has no time: name the field that holds one in aggregate.time".to_owned()),
        time_ms => Ok(time_ms),
    }
}

/// Whether windows need times at all.
pub fn needs_time(settings: &AggregateSettings) -> bool {
    settings.shape != super::Shape::All || settings.half_life_ms.is_some()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::{TimeUnit, Weight, parted, weight_of, weight_of_float};
    use crate::aggregate::fields::FieldMeasure;
    use crate::event::{Change, Key, Operation};

    fn fields(key: &[&str]) -> FieldMeasure {
        FieldMeasure {
            key: key.iter().map(|name| (*name).to_owned()).collect(),
            weight: Weight::Field("n".into()),
            time: Some("at".into()),
            time_unit: TimeUnit::Auto,
            distinct: None,
            lower_case: true,
            trim: true,
            append_only: true,
        }
    }

    fn check(measure: &FieldMeasure, row: &str, expected: Expect) {
        let told = match measure.measure(&Change::inserted(row)) {
            Ok(Some(measure)) => format!("{} at {} weighs {}", measure.key, measure.time_ms.unwrap(), measure.weight),
            Ok(None) => "nothing".to_owned(),
            Err(reason) => reason,
        };
        expected.assert_eq(&told);
    }

    #[test]
    fn a_row_counts_by_its_fields() {
        let one = fields(&["query"]);
        check(&one, r#"{"query":" LAPTOP  Bag ","at":"2026-11-21T00:00:01Z","n":2}"#, expect!["laptop  bag at 1795219201000 weighs 2"]);
        check(&one, r#"{"n":"0.10","at":1795219201,"query":7}"#, expect!["7 at 1795219201000 weighs 0.1"]);
        check(&one, r#"{"n":1e2,"at":1795219201000123,"query":"É"}"#, expect!["é at 1795219201000 weighs 100"]);
        check(&one, r#"{"query":"  ","at":1,"n":1}"#, expect!["nothing"]);
        check(&one, r#"{"query":null,"at":1,"n":1}"#, expect!["nothing"]);
        check(&one, r#"{"query":"a","at":1,"n":null}"#, expect!["nothing"]);
        check(&one, r#"{"at":1}"#, expect!["nothing"]);
        check(&one, r#"{"query":"a","n":1}"#, expect!["it has no time: the field at is missing"]);
        check(
            &one,
            r#"{"query":"a","n":1,"at":"soon"}"#,
            expect!["the field at is no time: ISO 8601, or a number of aggregate.time_unit since 1970"],
        );
        check(&one, r#"{"query":"a","n":"many","at":1}"#, expect!["the field n is no number that can be a weight"]);
        check(&one, r#"{"query":"a","n":1e40,"at":1}"#, expect!["the field n is no number that can be a weight"]);
        check(&fields(&["shop", "query"]), r#"{"query":"a|b","shop":"x","n":1,"at":1}"#, expect![[r#"x|a\|b at 1 weighs 1"#]]);
        let long = format!(r#"{{"query":"{}","n":1,"at":1}}"#, "x".repeat(500));
        check(&one, &long, expect!["its key has 500 bytes, and 480 are allowed"]);
    }

    #[test]
    fn a_deleted_row_counts_for_nothing() {
        let change = Change { operation: Operation::Delete, ..Change::inserted(r#"{"query":"a","n":1,"at":1}"#) };
        assert_eq!(fields(&["query"]).measure(&change), Ok(None));
    }

    #[test]
    fn numbers_of_guests_are_the_decimals_they_stand_for() {
        for (weight, expected) in [(0.1, "0.1"), (1.0, "1"), (-2.5, "-2.5"), (0.1 + 0.2, "0.3"), (1e12, "1000000000000")] {
            assert_eq!(weight_of_float(weight), weight_of(expected), "{weight}");
        }
        for weight in [f64::NAN, f64::INFINITY, 1e13, -1e300] {
            assert_eq!(weight_of_float(weight), None, "{weight}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_joined_key_gives_its_parts_back(parts in proptest::collection::vec("[a|\\\\]{1,4}", 2..4)) {
            proptest::prop_assert_eq!(parted(&Key::id_of(parts.iter().map(String::as_str))), parts);
        }
    }
}
