//! `rowmill:transform/metrics`: counters and gauges of the guest's own.

use std::collections::BTreeMap;

use prometheus::{Gauge, IntCounter};

use crate::transform::host::Guest;
use crate::transform::metrics::TransformMetrics;
use crate::transform::world::rowmill::transform::metrics::Host;

/// What the present call counted. It counts once the call went well: a failed one is made again, change by change.
pub struct Tallies {
    metrics: TransformMetrics,
    counts: BTreeMap<String, (IntCounter, u64)>,
    gauges: BTreeMap<String, (Gauge, Option<f64>)>,
}

impl Tallies {
    /// Nothing counted.
    pub fn new(metrics: TransformMetrics) -> Self {
        Self { metrics, counts: BTreeMap::new(), gauges: BTreeMap::new() }
    }

    /// Makes what was counted known.
    pub fn settle(&mut self) {
        for (counter, delta) in self.counts.values_mut() {
            counter.inc_by(std::mem::take(delta));
        }
        for (gauge, value) in self.gauges.values_mut() {
            if let Some(value) = value.take() {
                gauge.set(value);
            }
        }
    }

    /// Forgets it.
    pub fn forget(&mut self) {
        self.counts.values_mut().for_each(|(_, delta)| *delta = 0);
        self.gauges.values_mut().for_each(|(_, value)| *value = None);
    }

    fn count(&mut self, name: String, delta: u64) {
        if let Some((_, sum)) = self.counts.get_mut(&name) {
            *sum = sum.saturating_add(delta);
        } else if let Some(counter) = self.metrics.guest_counter(&name) {
            self.counts.insert(name, (counter, delta));
        }
    }

    fn gauge(&mut self, name: String, value: f64) {
        if let Some((_, last)) = self.gauges.get_mut(&name) {
            *last = Some(value);
        } else if let Some(gauge) = self.metrics.guest_gauge(&name) {
            self.gauges.insert(name, (gauge, Some(value)));
        }
    }
}

impl Host for Guest {
    fn count(&mut self, name: String, delta: u64) {
        self.tallies.count(name, delta);
    }

    fn gauge(&mut self, name: String, value: f64) {
        self.tallies.gauge(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::Tallies;
    use crate::metrics::Metrics;
    use crate::transform::metrics::TransformMetrics;

    #[test]
    fn only_calls_that_went_well_count() {
        let metrics = TransformMetrics::declare(&Metrics::detached());
        let mut tallies = Tallies::new(metrics.clone());
        tallies.count("rows".into(), 2);
        tallies.gauge("depth".into(), 1.5);
        tallies.forget();
        tallies.count("rows".into(), 3);
        tallies.count("rows".into(), 4);
        tallies.settle();
        tallies.settle();
        assert_eq!(metrics.guest_counter("rows").unwrap().get(), 7);
        assert_eq!(metrics.guest_gauge("depth").unwrap().get(), 0.0);
    }
}
