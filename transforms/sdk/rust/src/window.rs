//! What a change counts for, and what has been counted.

use crate::column::Decimal;
use crate::debezium;
use crate::document::Document;
use crate::error::Result;
use crate::output::{Answer, Infallible};
use serde::Serialize;

/// What a change counts for: once, now, for this key, unless it says more.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Measure {
    pub(crate) key: String,
    pub(crate) time_ms: Option<u64>,
    pub(crate) weight: f64,
    pub(crate) distinct: Option<String>,
}

impl Measure {
    /// Counts 1 for this key, at the time of the change. A key is not empty and has at most 480 bytes.
    pub fn new(key: impl ToString) -> Self {
        Measure { key: key.to_string(), time_ms: None, weight: 1.0, distinct: None }
    }

    /// Sets when it was, in milliseconds since 1970-01-01 UTC: this decides the window.
    pub fn time_ms(mut self, time_ms: u64) -> Self {
        self.time_ms = Some(time_ms);
        self
    }

    /// Sets how much it counts: an amount, say. Sums are decimal: 0.1 counts as 0.1, in up to 15 digits.
    pub fn weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// Sets what the aggregate `distinct` tells apart: a user, a session.
    pub fn distinct(mut self, value: impl ToString) -> Self {
        self.distinct = Some(value.to_string());
        self
    }
}

impl Answer<Measure> for Measure {
    fn answer(self, put: &mut impl FnMut(Measure)) -> Result<()> {
        put(self);
        Ok(())
    }
}

impl Infallible<Measure> for Measure {}

/// From `start_ms`, included, to `end_ms`, not included; milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first millisecond of the window.
    pub start_ms: u64,
    /// The first after it.
    pub end_ms: u64,
}

impl Span {
    /// When it starts, as RFC 3339 text: `2026-11-21T00:00:00Z`, with milliseconds only where there are some.
    pub fn start(&self) -> String {
        instant(self.start_ms)
    }

    /// When it ends, likewise.
    pub fn end(&self) -> String {
        instant(self.end_ms)
    }
}

fn instant(ms: u64) -> String {
    debezium::timestamp_millis(i64::try_from(ms).unwrap_or(i64::MAX)).replace(".000Z", "Z")
}

/// One key of one window, as it stands now.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowRow {
    /// None: the pipeline has no window, and counts the whole table.
    pub window: Option<Span>,
    /// What was counted: the key of the measures.
    pub key: String,
    /// From 1; none: the pipeline ranks nothing (`window.top` is 0).
    pub rank: Option<u32>,
    /// Whether the window is closed: then this is the last word on it.
    pub is_final: bool,
    /// Measures.
    pub count: u64,
    /// The sum of their weights.
    pub sum: Decimal<'static>,
    /// The least weight; this and what follows where the configuration asks for it.
    pub min: Option<Decimal<'static>>,
    /// The greatest weight.
    pub max: Option<Decimal<'static>>,
    /// The mean of the weights.
    pub average: Option<Decimal<'static>>,
    /// How many different values of `distinct` there were.
    pub distinct: Option<u64>,
    /// The sum of the weights, each halved with every half-life since its time.
    pub score: Option<f64>,
}

#[derive(Serialize)]
struct Body<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_end: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<u32>,
    count: u64,
    sum: &'a Decimal<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<&'a Decimal<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<&'a Decimal<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    average: Option<&'a Decimal<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    distinct: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
}

impl WindowRow {
    /// The document that is made where no function renders one: `key`, `window_start`, `window_end`, `rank`, `count`, `sum` and what else is
    /// given. Its id is the host's: window and key.
    ///
    /// # Errors
    /// When one of the numbers is none, which the host does not let happen.
    pub fn document(&self) -> Result<Document> {
        Document::new(&Body {
            key: &self.key,
            window_start: self.window.map(|window| window.start()),
            window_end: self.window.map(|window| window.end()),
            rank: self.rank,
            count: self.count,
            sum: &self.sum,
            min: self.min.as_ref(),
            max: self.max.as_ref(),
            average: self.average.as_ref(),
            distinct: self.distinct,
            score: self.score,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::window_row;

    #[test]
    fn a_row_makes_a_document_of_itself() {
        let number = |digits: &'static str| Some(Decimal::new(digits).unwrap());
        let row = WindowRow {
            window: Some(Span { start_ms: 1_795_219_200_000, end_ms: 1_795_219_260_500 }),
            rank: Some(1),
            sum: Decimal::new("12345678901.1234567890").unwrap(),
            min: number("-0.10"),
            max: number("12345678901.22"),
            average: number("6172839450.5"),
            distinct: Some(2),
            score: Some(1.5),
            ..window_row("la\"ptop", 2)
        };
        let expected = r#"{"key":"la\"ptop","window_start":"2026-11-21T00:00:00Z","window_end":"2026-11-21T00:01:00.500Z","rank":1,"count":2,"sum":12345678901.1234567890,"min":-0.10,"max":12345678901.22,"average":6172839450.5,"distinct":2,"score":1.5}"#;
        assert_eq!(row.document().unwrap().body(), expected);
        assert_eq!(window_row("k", 0).document().unwrap().body(), r#"{"key":"k","count":0,"sum":0}"#);
    }
}
