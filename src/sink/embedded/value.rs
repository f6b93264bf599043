//! What a JSON value can be searched as.

use std::borrow::Cow;

/// Digits an `f64` always keeps.
const FLOAT_DIGITS: usize = 15;
/// Text above this is filed under its beginning and a hash: it is compared as a whole, and sorted by its beginning.
const EXACT_BYTES_MAX: usize = 256;
/// How much of a longer text is its beginning.
const EXACT_HEAD_BYTES: usize = 128;
const DAY_MICROS: i64 = 86_400_000_000;

/// What `strict` asks of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrictKind {
    /// A number, or text that is one (`"12.50"`).
    Number,
    /// Text that is an ISO date, with or without time.
    Date,
    /// `true` or `false`.
    Boolean,
    /// Text, whatever stands in it.
    Text,
}

impl StrictKind {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            StrictKind::Number => "number",
            StrictKind::Date => "date",
            StrictKind::Boolean => "boolean",
            StrictKind::Text => "text",
        }
    }

    /// Whether the value is of this kind.
    pub fn takes(self, leaf: &Leaf<'_>) -> bool {
        match (self, leaf) {
            (StrictKind::Number, Leaf::Number(_)) | (StrictKind::Boolean, Leaf::Boolean(_)) | (StrictKind::Text, Leaf::Text(_)) => true,
            (StrictKind::Number, Leaf::Text(text)) => decimal(text).is_some(),
            (StrictKind::Date, Leaf::Text(text)) => Span::of(text).is_some(),
            _ => false,
        }
    }
}

/// A JSON value that holds no others. `null` is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf<'a> {
    /// A string.
    Text(Cow<'a, str>),
    /// A number, with its digits.
    Number(&'a str),
    /// A truth value.
    Boolean(bool),
}

/// The number that a text is, by JSON's grammar: no leading zeros (a postcode is no number), no infinity.
pub fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let first = digits.bytes().next().filter(u8::is_ascii_digit)?;
    if first == b'0' && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let known = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+');
    if !digits.bytes().all(known) || digits.ends_with('.') {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The one way to write a number with more digits than a float keeps: it is compared as text. None for shorter ones, and
/// with an exponent.
pub fn long_number(text: &str) -> Option<String> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if digits <= FLOAT_DIGITS || text.contains(['e', 'E']) || decimal(text).is_none() {
        return None;
    }
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    Some(short.to_owned())
}

/// The term a text is filed under for exact comparison.
pub fn exact(text: &str) -> Cow<'_, str> {
    if text.len() <= EXACT_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(EXACT_HEAD_BYTES);
    let head = text.get(..end).unwrap_or_default();
    Cow::Owned(format!("{head}\u{1}{:016x}{:08x}", fnv1a(text), text.len()))
}

/// A stretch of time, both ends included, in microseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first microsecond.
    pub from: i64,
    /// Its last microsecond.
    pub to: i64,
}

impl Span {
    /// The time that an ISO text names: `2026-01-24` (the day), `2026-01-24T10:30:00Z` (the instant), with a blank for the
    /// `T`, without seconds, with a fraction, with an offset, or without one (UTC).
    pub fn of(text: &str) -> Option<Self> {
        // The cheap way out for the text that is none: a digit and a dash where they must be.
        if text.len() < 10 || text.as_bytes().get(4) != Some(&b'-') {
            return None;
        }
        let mut rest = Digits(text.as_bytes());
        let from = rest.day()? * DAY_MICROS;
        if rest.0.is_empty() {
            return Some(Self { from, to: from + DAY_MICROS - 1 });
        }
        if !(rest.takes(b'T') || rest.takes(b' ')) {
            return None;
        }
        let at = from + rest.time_micros()? - rest.offset_micros()?;
        rest.0.is_empty().then_some(Self { from: at, to: at })
    }
}

/// What is left of a text being read.
struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    /// Days since 1970-01-01.
    fn day(&mut self) -> Option<i64> {
        let year = self.number(4)?;
        self.takes(b'-').then_some(())?;
        let month = self.number(2)?;
        self.takes(b'-').then_some(())?;
        let day = self.number(2)?;
        ((1..=12).contains(&month) && (1..=month_days(year, month)).contains(&day)).then(|| days(year, month, day))
    }

    fn time_micros(&mut self) -> Option<i64> {
        let hour = self.number(2).filter(|hour| *hour < 24)?;
        self.takes(b':').then_some(())?;
        let minute = self.number(2).filter(|minute| *minute < 60)?;
        // A leap second counts as the first of the next minute.
        let second = if self.takes(b':') { self.number(2).filter(|second| *second <= 60)? } else { 0 };
        let fraction = if self.takes(b'.') { self.fraction_micros()? } else { 0 };
        Some(((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction)
    }

    fn fraction_micros(&mut self) -> Option<i64> {
        let (mut micros, mut unit, mut any) = (0, 100_000, false);
        while let Some(digit) = self.number(1) {
            micros += digit * unit;
            unit /= 10;
            any = true;
        }
        any.then_some(micros)
    }

    fn offset_micros(&mut self) -> Option<i64> {
        if self.0.is_empty() || self.takes(b'Z') || self.takes(b'z') {
            return Some(0);
        }
        let sign = if self.takes(b'+') {
            1
        } else if self.takes(b'-') {
            -1
        } else {
            return None;
        };
        let hours = self.number(2).filter(|hours| *hours < 24)?;
        self.takes(b':');
        let minutes = if self.0.is_empty() { 0 } else { self.number(2).filter(|minutes| *minutes < 60)? };
        Some(sign * (hours * 60 + minutes) * 60_000_000)
    }

    /// A number of exactly that many digits; nothing is taken when there are fewer.
    fn number(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let number = digits.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))?;
        self.0 = rest;
        Some(number)
    }

    fn takes(&mut self, byte: u8) -> bool {
        let rest = self.0.strip_prefix(&[byte]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
}

fn month_days(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar (Howard Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// FNV-1a, 64 bits: stays the same between builds, as what is on the disk must.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::{Span, decimal, exact, long_number};

    #[test]
    fn only_what_json_calls_a_number_is_one() {
        for (text, number) in [
            ("12.50", Some(12.5)),
            ("-0.5", Some(-0.5)),
            ("0", Some(0.0)),
            ("1e3", Some(1000.0)),
            ("9007199254740993", Some(9_007_199_254_740_992.0)),
            ("01234", None),
            ("-01", None),
            ("1.", None),
            (".5", None),
            ("+1", None),
            ("1-2", None),
            ("NaN", None),
            ("Infinity", None),
            ("1e999", None),
            ("12 ", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(decimal(text), number, "{text}");
        }
    }

    #[test]
    fn iso_times_are_read_and_nothing_else() {
        let second = |number: i64| Some(Span { from: number * 1_000_000, to: number * 1_000_000 });
        for (text, span) in [
            ("1970-01-02", Some(Span { from: 86_400_000_000, to: 172_799_999_999 })),
            ("2026-01-24T10:30:00Z", second(1_769_250_600)),
            ("2026-01-24 10:30:00", second(1_769_250_600)),
            ("2026-01-24T10:30", second(1_769_250_600)),
            ("2026-01-24T12:30:00+02:00", second(1_769_250_600)),
            ("2026-01-24T05:00:00-0530", second(1_769_250_600)),
            ("2026-01-24T12:30:00+02", second(1_769_250_600)),
            ("2024-02-29T00:00:00Z", second(1_709_164_800)),
            ("1969-12-31T23:59:59.5Z", Some(Span { from: -500_000, to: -500_000 })),
            ("2026-01-24T10:30:00.123456789Z", Some(Span { from: 1_769_250_600_123_456, to: 1_769_250_600_123_456 })),
            ("9999-12-31T23:59:59Z", second(253_402_300_799)),
            ("2023-02-29", None),
            ("2026-13-01", None),
            ("2026-1-1", None),
            ("2026-01-24T", None),
            ("2026-01-24T25:00:00Z", None),
            ("2026-01-24T10:30:00.Z", None),
            ("2026-01-24T10:30:00Zulu", None),
            ("2026-01-24-1", None),
            ("abcd-ef-gh", None),
        ] {
            assert_eq!(Span::of(text), span, "{text}");
        }
    }

    #[test]
    fn long_numbers_and_long_texts_are_told_apart() {
        assert_eq!(long_number("12.50"), None);
        assert_eq!(long_number("9007199254740993.10"), Some("9007199254740993.1".to_owned()));
        assert_eq!(long_number("9007199254740990"), Some("9007199254740990".to_owned()));
        let (left, right) = ("ä".repeat(300), "ä".repeat(299) + "b");
        assert_ne!(exact(&left), exact(&right));
        assert!(exact(&left).len() < 256);
        assert_eq!(exact("short"), "short");
    }
}
