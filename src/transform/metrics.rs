//! What is counted about the guest, and what the guest counts.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGaugeVec};

use crate::limits::GUEST_METRIC_NAMES_MAX;
use crate::metrics::Metrics;
use crate::transform::fault::Reason;

/// The metrics of one pipeline's transform. Declared once for each pipeline; clones are shared by all modules it serves.
#[derive(Clone, Debug)]
pub struct TransformMetrics {
    pipeline: Arc<str>,
    traps: IntCounterVec,
    module_info: IntGaugeVec,
    reloads: IntCounterVec,
    log_lines_dropped: IntCounter,
    guest_counters: IntCounterVec,
    guest_gauges: GaugeVec,
    guest_names: Arc<Mutex<BTreeSet<String>>>,
}

impl TransformMetrics {
    /// Declares them. Twice in one registry is a mistake of ours, as for all metrics.
    pub fn declare(metrics: &Metrics) -> Self {
        let declared = Self {
            pipeline: metrics.pipeline().into(),
            traps: metrics.counters("rowmill_guest_traps_total", "Calls of the guest that gave nothing usable.", &["reason"]),
            module_info: metrics.gauges("rowmill_module_info", "1 for the module that is served.", &["hash", "version"]),
            reloads: metrics.counters("rowmill_module_reloads_total", "Attempts to replace the module while it runs.", &["result"]),
            log_lines_dropped: metrics.counter("rowmill_guest_log_lines_dropped_total", "Log lines of the guest past its bound."),
            guest_counters: metrics.counters("rowmill_guest_counter_total", "Counters of the guest's own.", &["name"]),
            guest_gauges: metrics.gauges_f64("rowmill_guest_gauge", "Gauges of the guest's own.", &["name"]),
            guest_names: Arc::default(),
        };
        for reason in Reason::ALL {
            declared.traps.with_label_values(&[reason.as_str()]);
        }
        for result in ["replaced", "refused"] {
            declared.reloads.with_label_values(&[result]);
        }
        declared
    }

    /// The pipeline these belong to.
    pub fn pipeline(&self) -> &Arc<str> {
        &self.pipeline
    }

    /// One call gave nothing, or one change an output that cannot be used.
    pub(super) fn count_fault(&self, reason: Reason) {
        self.traps.with_label_values(&[reason.as_str()]).inc();
    }

    /// This module is served from now on, and none other.
    pub(super) fn serving(&self, hash: &str, version: &str) {
        self.module_info.reset();
        self.module_info.with_label_values(&[hash, version]).set(1);
    }

    /// The module was to be replaced: `replaced` or `refused`.
    pub fn count_reload(&self, result: &str) {
        self.reloads.with_label_values(&[result]).inc();
    }

    /// One log line was not passed on.
    pub(super) fn count_dropped_line(&self) {
        self.log_lines_dropped.inc();
    }

    /// The guest's counter of that name; none when the name is not allowed, or one too many.
    pub(super) fn guest_counter(&self, name: &str) -> Option<IntCounter> {
        self.admits(name).then(|| self.guest_counters.with_label_values(&[name]))
    }

    /// The guest's gauge of that name; none when the name is not allowed, or one too many.
    pub(super) fn guest_gauge(&self, name: &str) -> Option<prometheus::Gauge> {
        self.admits(name).then(|| self.guest_gauges.with_label_values(&[name]))
    }

    /// The bound holds for the pipeline, not for a module: time series stay when a module goes.
    fn admits(&self, name: &str) -> bool {
        if !is_metric_name(name) {
            return false;
        }
        let mut names = self.guest_names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.contains(name) {
            return true;
        }
        names.len() < GUEST_METRIC_NAMES_MAX && names.insert(name.to_owned())
    }
}

/// At most 64 characters of `a-z0-9_`.
fn is_metric_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::TransformMetrics;
    use crate::limits::GUEST_METRIC_NAMES_MAX;
    use crate::metrics::Metrics;

    #[test]
    fn names_of_guests_are_checked_and_bounded() {
        let metrics = TransformMetrics::declare(&Metrics::detached());
        for (name, admitted) in [("rows_seen_2", true), ("", false), ("Rows", false), ("a-b", false), (&"x".repeat(65), false)] {
            assert_eq!(metrics.guest_counter(name).is_some(), admitted, "{name}");
        }
        let made = (0..2 * GUEST_METRIC_NAMES_MAX).filter(|n| metrics.guest_gauge(&format!("g{n}")).is_some()).count();
        assert_eq!(made, GUEST_METRIC_NAMES_MAX - 1);
        assert!(metrics.clone().guest_gauge("rows_seen_2").is_some());
    }

    #[test]
    fn only_one_module_is_served() {
        use prometheus::core::Collector;
        let metrics = TransformMetrics::declare(&Metrics::detached());
        metrics.serving("aaaa", "1");
        metrics.serving("bbbb", "");
        assert_eq!(metrics.module_info.collect()[0].get_metric().len(), 1);
    }
}
