//! The aggregate of one key in one window.

use cardinality_estimator::CardinalityEstimator;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

use crate::aggregate::settings::AggregateSettings;
use crate::event::Measure;
use crate::event::measure::decimal;

/// Decimal places of a weight, and so of sums: what is beyond them is rounded when it comes, so that adding never rounds.
pub const WEIGHT_PLACES: u32 = 9;

/// What has been counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// Measures.
    pub count: u64,
    /// Their weights.
    #[serde(with = "decimal")]
    pub sum: Decimal,
    /// The least and the greatest weight of what is never taken back; see [`Values`] for what may be.
    pub extremes: Option<Extremes>,
    /// How many different values of `distinct` there were.
    pub distinct: Distinct,
    /// Weights that fade.
    pub score: Option<Score>,
}

/// The least and the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extremes {
    #[serde(with = "decimal")]
    pub min: Decimal,
    #[serde(with = "decimal")]
    pub max: Decimal,
}

/// How many different values there were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Distinct {
    /// Nobody asks.
    #[default]
    None,
    /// Counted, value by value (see [`Values`]).
    Exact(u64),
    /// Estimated, of what is never taken back: HyperLogLog, with a standard error of 1.6 % (exact up to a hundred or so).
    Sketch(CardinalityEstimator<u64>),
}

/// A sum of weights that halve with every half-life, as of `at_ms`.
///
/// Exponential decay, because then the order of two keys changes only when one of them is counted again: all fade alike. So a top list needs
/// no work as time goes by, the sum is one number whatever its events, and what was added can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    value: f64,
    at_ms: u64,
}

/// What of a measure must be counted value by value, because it may be taken back: the least of many is not known any more when it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Values {
    /// Weights, in their order.
    Weights,
    /// Hashes of `distinct`.
    Distinct,
}

impl Values {
    /// Both, with the bytes of the measure's value in their order.
    pub fn of(settings: &AggregateSettings, measure: &Measure) -> impl Iterator<Item = (Values, [u8; 16])> {
        let (extremes, distinct) = (settings.counts_weights(), settings.counts_distinct());
        let weights = extremes.then(|| (Values::Weights, ordered(measure.weight)));
        let distinct = measure.distinct.filter(|_| distinct).map(|hash| (Values::Distinct, u128::from(hash).to_be_bytes()));
        weights.into_iter().chain(distinct)
    }

    /// The weight that such bytes stand for.
    pub fn weight(bytes: [u8; 16]) -> Decimal {
        let scaled = i128::from_be_bytes(bytes) ^ i128::MIN;
        Decimal::try_from_i128_with_scale(scaled, WEIGHT_PLACES).unwrap_or_default().normalize()
    }
}

/// Bytes that stand in the order of the numbers.
fn ordered(weight: Decimal) -> [u8; 16] {
    let mut scaled = weight;
    scaled.rescale(WEIGHT_PLACES);
    (scaled.mantissa() ^ i128::MIN).to_be_bytes()
}

impl Counted {
    /// Adds a measure.
    pub fn add(&mut self, settings: &AggregateSettings, measure: &Measure, time_ms: u64) {
        self.count += 1;
        self.sum = self.sum.saturating_add(measure.weight);
        if settings.append_only && settings.extremes {
            let Extremes { min, max } = self.extremes.unwrap_or(Extremes { min: measure.weight, max: measure.weight });
            self.extremes = Some(Extremes { min: min.min(measure.weight), max: max.max(measure.weight) });
        }
        if settings.append_only && settings.distinct {
            if self.distinct == Distinct::None {
                self.distinct = Distinct::Sketch(CardinalityEstimator::new());
            }
            if let (Distinct::Sketch(sketch), Some(hash)) = (&mut self.distinct, measure.distinct) {
                sketch.insert(&hash);
            }
        }
        if let Some(half_life_ms) = settings.half_life_ms {
            let added = Score { value: weight(measure), at_ms: time_ms };
            self.score = Some(self.score.map_or(added, |score| score.plus(added, half_life_ms)));
        }
    }

    /// Takes a measure back.
    pub fn take_back(&mut self, settings: &AggregateSettings, measure: &Measure, time_ms: u64) {
        self.count = self.count.saturating_sub(1);
        self.sum = self.sum.saturating_sub(measure.weight);
        if let (Some(half_life_ms), Some(score)) = (settings.half_life_ms, self.score) {
            self.score = Some(score.plus(Score { value: -weight(measure), at_ms: time_ms }, half_life_ms));
        }
    }

    /// Notes that there is one different value more, or one less.
    pub fn count_distinct(&mut self, is_more: bool) {
        let Distinct::Exact(count) = self.distinct else {
            self.distinct = Distinct::Exact(u64::from(is_more));
            return;
        };
        self.distinct = Distinct::Exact(if is_more { count + 1 } else { count.saturating_sub(1) });
    }

    /// Adds what another has counted; neither may be taken back.
    pub fn merge(&mut self, settings: &AggregateSettings, other: &Counted) {
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.extremes = match (self.extremes, other.extremes) {
            (Some(one), Some(two)) => Some(Extremes { min: one.min.min(two.min), max: one.max.max(two.max) }),
            (one, two) => one.or(two),
        };
        match (&mut self.distinct, &other.distinct) {
            (Distinct::Sketch(one), Distinct::Sketch(two)) => one.merge(two),
            (one @ Distinct::None, two) => *one = two.clone(),
            _ => {}
        }
        if let (Some(half_life_ms), Some(score)) = (settings.half_life_ms, other.score) {
            self.score = Some(self.score.map_or(score, |own| own.plus(score, half_life_ms)));
        }
    }

    /// What it takes in memory.
    pub fn size_bytes(&self) -> usize {
        let sketch = if let Distinct::Sketch(sketch) = &self.distinct { sketch.size_of() } else { 0 };
        size_of::<Self>() + sketch
    }

    /// How many different values there were, where somebody asks.
    pub fn distinct(&self) -> Option<u64> {
        match &self.distinct {
            Distinct::None => None,
            Distinct::Exact(count) => Some(*count),
            Distinct::Sketch(sketch) => Some(sketch.estimate() as u64),
        }
    }

    /// The mean of the weights.
    pub fn average(&self) -> Option<Decimal> {
        self.sum.checked_div(Decimal::from(self.count)).map(|average| average.round_dp(WEIGHT_PLACES).normalize())
    }
}

fn weight(measure: &Measure) -> f64 {
    measure.weight.to_f64().unwrap_or_default()
}

impl Score {
    fn plus(self, other: Score, half_life_ms: u64) -> Score {
        let at_ms = self.at_ms.max(other.at_ms);
        Score { value: self.at(at_ms, half_life_ms) + other.at(at_ms, half_life_ms), at_ms }
    }

    /// What it comes to at a time.
    pub fn at(self, time_ms: u64, half_life_ms: u64) -> f64 {
        self.value * ((self.at_ms as f64 - time_ms as f64) / half_life_ms as f64).exp2()
    }

    /// A number that stands in the order of all scores, whatever the time: the logarithm of what it was in 1970.
    pub fn order(self, half_life_ms: u64) -> f64 {
        if self.value <= 0.0 { f64::MIN } else { self.value.log2() + self.at_ms as f64 / half_life_ms as f64 }
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::{Counted, Distinct, Score, Values, ordered};
    use crate::aggregate::settings::AggregateSettings;
    use crate::event::Measure;

    fn settings(append_only: bool) -> AggregateSettings {
        AggregateSettings { append_only, extremes: true, distinct: true, half_life_ms: Some(60_000), ..AggregateSettings::of_everything() }
    }

    fn measure(weight: &str, distinct: &str) -> Measure {
        let weight: Decimal = weight.parse().unwrap();
        Measure { key: "k".into(), time_ms: None, weight, distinct: Some(Measure::hash_of(distinct)) }
    }

    #[test]
    fn sums_have_no_drift_and_what_is_taken_back_leaves_nothing() {
        let settings = settings(false);
        let mut counted = Counted::default();
        for _ in 0..10 {
            counted.add(&settings, &measure("0.1", "a"), 0);
        }
        assert_eq!((counted.sum, counted.average()), ("1.0".parse().unwrap(), Some("0.1".parse().unwrap())));
        counted.add(&settings, &measure("-7.25", "a"), 90_000);
        counted.take_back(&settings, &measure("-7.25", "a"), 90_000);
        for _ in 0..10 {
            counted.take_back(&settings, &measure("0.1", "a"), 0);
        }
        assert_eq!((counted.count, counted.sum), (0, Decimal::ZERO));
        assert!(counted.score.unwrap().value.abs() < 1e-9);
    }

    #[test]
    fn what_is_only_added_needs_no_list_of_values() {
        let settings = settings(true);
        let mut counted = Counted::default();
        for number in 0..1_000 {
            counted.add(&settings, &measure(&format!("{}.5", number % 7), &format!("user {}", number % 400)), 0);
        }
        let extremes = counted.extremes.unwrap();
        assert_eq!((extremes.min, extremes.max), ("0.5".parse().unwrap(), "6.5".parse().unwrap()));
        let distinct = counted.distinct().unwrap();
        assert!((380..=420).contains(&distinct), "{distinct}");
        let mut other = Counted::default();
        other.add(&settings, &measure("100", "user 1"), 0);
        counted.merge(&settings, &other);
        assert_eq!((counted.count, counted.extremes.unwrap().max), (1_001, Decimal::from(100)));
        assert_eq!(counted.distinct(), Some(distinct), "that user was known");
    }

    #[test]
    fn a_score_halves_with_every_half_life_and_keeps_its_order() {
        let settings = settings(false);
        let (mut old, mut new) = (Counted::default(), Counted::default());
        for _ in 0..3 {
            old.add(&settings, &measure("1", "a"), 0);
        }
        new.add(&settings, &measure("1", "a"), 120_000);
        let (old, new) = (old.score.unwrap(), new.score.unwrap());
        assert_eq!((old.at(60_000, 60_000), old.at(120_000, 60_000), new.at(120_000, 60_000)), (1.5, 0.75, 1.0));
        assert!(old.order(60_000) < new.order(60_000));
        assert!(Score { value: 0.0, at_ms: 9 }.order(60_000) < old.order(60_000));
    }

    #[test]
    fn different_values_are_counted_up_and_down() {
        let mut counted = Counted::default();
        counted.count_distinct(true);
        counted.count_distinct(true);
        counted.count_distinct(false);
        assert_eq!(counted.distinct, Distinct::Exact(1));
    }

    proptest::proptest! {
        #[test]
        fn bytes_stand_in_the_order_of_their_numbers(a in -1_000_000_000_i64..1_000_000_000, b in -1_000_000_000_i64..1_000_000_000, scale in 0..9_u32) {
            let (one, two) = (Decimal::new(a, scale), Decimal::new(b, 3));
            proptest::prop_assert_eq!(ordered(one).cmp(&ordered(two)), one.cmp(&two));
            proptest::prop_assert_eq!(Values::weight(ordered(one)), one);
        }
    }
}
