//! What windows count about themselves, and how late events are told of.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{Gauge, IntCounterVec, IntGauge};

use crate::event::Origin;
use crate::metrics::Metrics;

/// The counters and gauges of one pipeline's windows.
#[derive(Clone, Debug)]
pub struct WindowMetrics {
    pipeline: String,
    watermark: Gauge,
    late: IntCounterVec,
    open: IntGauge,
    /// Late events that were not told of yet: how many, and one of them.
    untold: Arc<Mutex<Option<(u64, Origin, String)>>>,
}

impl WindowMetrics {
    /// Declares them.
    pub fn declare(metrics: &Metrics) -> Self {
        Self {
            pipeline: metrics.pipeline().to_owned(),
            watermark: metrics.gauge_f64(
                "rowmill_watermark_timestamp_seconds",
                "Event time before which everything has been told, in seconds since 1970.",
            ),
            late: metrics.counters(
                "rowmill_late_events_total",
                "Events that came after their window's end: counted within the grace, or dropped.",
                &["verdict"],
            ),
            open: metrics.gauge("rowmill_windows_open", "Windows that are not closed, or not yet shown since (sessions: 1 for all)."),
            untold: Arc::default(),
        }
    }

    /// Sets the gauges.
    pub fn show(&self, watermark_ms: u64, open: usize) {
        self.watermark.set(watermark_ms as f64 / 1_000.0);
        self.open.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// The watermark as it was shown last, in milliseconds since 1970; none where nothing is known.
    pub fn watermark_ms(&self) -> Option<u64> {
        Some((self.watermark.get() * 1_000.0) as u64).filter(|watermark_ms| *watermark_ms > 0)
    }

    /// An event was late, and still counted.
    pub fn late_counted(&self) {
        self.late.with_label_values(&["counted"]).inc();
    }

    /// An event was too late for a window.
    pub fn late_dropped(&self, origin: &Origin, reason: &str) {
        self.late.with_label_values(&["dropped"]).inc();
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        match untold.as_mut() {
            Some((count, ..)) => *count += 1,
            None => *untold = Some((1, origin.clone(), reason.to_owned())),
        }
    }

    /// Logs how many were dropped since this was asked last.
    pub fn tell_of_late(&self) {
        let told = self.untold.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((count, origin, reason)) = told else { return };
        let pipeline = self.pipeline.as_str();
        tracing::warn!(
            pipeline,
            count,
            "late events were not counted, such as {origin}: {reason}; raise window.grace to count such events"
        );
    }
}
