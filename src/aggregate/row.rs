//! One key of one window, as it is shown; and its document where no module makes one.

use std::fmt::{Display, Write};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytestring::ByteString;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::aggregate::counted::{Counted, Extremes, Values};
use crate::aggregate::settings::{AggregateSettings, RankBy};
use crate::event::JsonText;

/// From `start_ms`, included, to `end_ms`, not included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Milliseconds since 1970.
    pub start_ms: u64,
    /// Milliseconds since 1970.
    pub end_ms: u64,
    /// Both as text: they stand in every document of the window.
    texts: Arc<(String, String)>,
}

impl Span {
    /// By its start and its end.
    pub fn new(start_ms: u64, end_ms: u64) -> Self {
        Self { start_ms, end_ms, texts: Arc::new((instant(start_ms), instant(end_ms))) }
    }
}

/// One key of one window, as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// None: there is no window.
    pub span: Option<Span>,
    /// The group.
    pub key: ByteString,
    /// From 1; none: nothing is ranked.
    pub rank: Option<u32>,
    /// Whether the window is closed.
    pub is_final: bool,
    /// Measures.
    pub count: u64,
    /// Their weights.
    pub sum: Decimal,
    /// The least and the greatest.
    pub extremes: Option<Extremes>,
    /// Their mean.
    pub average: Option<Decimal>,
    /// Different values.
    pub distinct: Option<u64>,
    /// Weights that fade, as of the window's end; without one, as of the watermark.
    pub score: Option<f64>,
}

impl Row {
    /// What was counted, with what was counted value by value elsewhere.
    pub fn of(settings: &AggregateSettings, key: ByteString, span: Option<Span>, counted: &Counted, watermark_ms: u64) -> Self {
        let as_of = span.as_ref().map_or(watermark_ms, |span| span.end_ms);
        let score = counted.score.zip(settings.half_life_ms).map(|(score, half_life_ms)| score.at(as_of, half_life_ms));
        Self {
            span,
            key,
            rank: None,
            is_final: false,
            count: counted.count,
            sum: counted.sum.normalize(),
            extremes: counted.extremes,
            average: counted.average().filter(|_| settings.average),
            distinct: counted.distinct().or(settings.distinct.then_some(0)),
            // Digits beyond these are noise of adding and taking back.
            score: score.map(|score| (score * 1e6).round() / 1e6),
        }
    }

    /// Sets the least and the greatest weight, as they were counted one by one.
    pub fn set_extremes(&mut self, values: Option<([u8; 16], [u8; 16])>) {
        self.extremes = values.map(|(min, max)| Extremes { min: Values::weight(min), max: Values::weight(max) });
    }

    /// Its document's id where none is named: window and key.
    pub fn id(&self) -> String {
        match &self.span {
            None => self.key.to_string(),
            Some(span) => [&span.texts.0, "|", &self.key].concat(),
        }
    }

    /// Its document where no module makes one: window, key (and its columns), rank, and what is computed.
    pub fn document(&self, settings: &AggregateSettings) -> JsonText {
        let mut object = Object::new();
        object.text("key", &self.key);
        for (name, value) in settings.measure.iter().flat_map(|measure| measure.columns(&self.key)) {
            if !NAMES.contains(&name.as_str()) {
                object.text(&name, &value);
            }
        }
        if let Some(span) = &self.span {
            object.text("window_start", &span.texts.0);
            object.text("window_end", &span.texts.1);
        }
        if let Some(rank) = self.rank {
            object.number("rank", rank);
        }
        object.number("count", self.count);
        if settings.shows_sum {
            object.number("sum", self.sum);
        }
        if let Some(Extremes { min, max }) = self.extremes {
            object.number("min", min.normalize());
            object.number("max", max.normalize());
        }
        if let Some(average) = self.average {
            object.number("average", average);
        }
        if let Some(distinct) = self.distinct {
            object.number("distinct", distinct);
        }
        if let Some(score) = self.score.filter(|score| score.is_finite()) {
            object.number("score", score);
        }
        JsonText::from(object.ended())
    }
}

/// Fields of ours, which no column of a key may take.
const NAMES: &[&str] = &["key", "window_start", "window_end", "rank", "count", "sum", "min", "max", "average", "distinct", "score"];

/// A JSON object on the way: a document is made for every row that is shown, and numbers keep their digits.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.quoted(value);
    }

    fn number(&mut self, name: &str, value: impl Display) {
        self.name(name);
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{value}");
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.quoted(name);
        self.0.push(':');
    }

    fn quoted(&mut self, text: &str) {
        let is_plain = text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
        if is_plain {
            self.0.push('"');
            self.0.push_str(text);
            self.0.push('"');
        } else {
            self.0.push_str(&Value::from(text).to_string());
        }
    }

    fn ended(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A time as text, without milliseconds where there are none.
fn instant(ms: u64) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(ms);
    if ms.is_multiple_of(1_000) {
        humantime::format_rfc3339_seconds(at).to_string()
    } else {
        humantime::format_rfc3339_millis(at).to_string()
    }
}

impl Counted {
    /// By what a key is ranked.
    pub fn rank(&self, settings: &AggregateSettings) -> Decimal {
        match settings.rank_by {
            RankBy::Count => Decimal::from(self.count),
            RankBy::Sum => self.sum,
            RankBy::Average => self.average().unwrap_or_default(),
            RankBy::Distinct => Decimal::from(self.distinct().unwrap_or(0)),
            RankBy::Score => {
                let order = self.score.zip(settings.half_life_ms).map(|(score, half_life_ms)| score.order(half_life_ms));
                order.and_then(|order| Decimal::try_from(order).ok()).unwrap_or(Decimal::MIN)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{Row, Span};
    use crate::aggregate::Counted;
    use crate::aggregate::settings::AggregateSettings;
    use crate::event::Measure;

    #[test]
    fn a_row_is_shown_with_what_is_computed() {
        let settings = AggregateSettings {
            append_only: true,
            extremes: true,
            average: true,
            distinct: true,
            half_life_ms: Some(60_000),
            ..AggregateSettings::of_everything()
        };
        let mut counted = Counted::default();
        for weight in ["0.10", "12345678901.123456789"] {
            let measure = Measure { key: "k".into(), time_ms: None, weight: weight.parse().unwrap(), distinct: Some(7) };
            counted.add(&settings, &measure, 1_795_219_200_000);
        }
        let span = Span::new(1_795_219_200_000, 1_795_219_260_500);
        let row = Row { rank: Some(1), ..Row::of(&settings, "la\"ptop".into(), Some(span), &counted, 0) };
        expect![[r#"2026-11-21T00:00:00Z|la"ptop"#]].assert_eq(&row.id());
        expect![[r#"{"key":"la\"ptop","window_start":"2026-11-21T00:00:00Z","window_end":"2026-11-21T00:01:00.500Z","rank":1,"count":2,"sum":12345678901.223456789,"min":0.1,"max":12345678901.123456789,"average":6172839450.611728394,"distinct":1,"score":6137286511.533881}"#]].assert_eq(&row.document(&settings));
        let row = Row::of(&AggregateSettings::of_everything(), "k".into(), None, &Counted::default(), 0);
        assert_eq!(
            (row.id(), row.document(&AggregateSettings::of_everything()).to_string()),
            ("k".into(), r#"{"key":"k","count":0,"sum":0}"#.into())
        );
    }
}
