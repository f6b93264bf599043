//! The registry, and short ways to declare what is counted.
//!
//! A room declares its own metrics, with the pipeline as a constant label; the registry is passed down, there is no global.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Buckets for stages: 0.1 ms to 13 s, each twice the one before.
const STAGE_BUCKETS: (f64, f64, usize) = (0.000_1, 2.0, 18);
/// Buckets for end to end: 1 ms to 131 s.
const END_TO_END_BUCKETS: (f64, f64, usize) = (0.001, 2.0, 18);

/// Where the metrics of one pipeline are declared.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    pipeline: String,
    declared: Arc<Mutex<Vec<Box<dyn Collector>>>>,
}

impl Metrics {
    /// Metrics labelled with `pipeline`.
    pub fn new(registry: Registry, pipeline: impl Into<String>) -> Self {
        Self { registry, pipeline: pipeline.into(), declared: Arc::default() }
    }

    /// For tests and tools that count but do not serve.
    pub fn detached() -> Self {
        Self::detached_as("detached")
    }

    /// The same, under a name that shows in logs.
    pub fn detached_as(pipeline: &str) -> Self {
        Self::new(Registry::new(), pipeline)
    }

    /// The pipeline these are labelled with.
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// Takes all of them out of the registry: the pipeline is gone.
    pub fn withdraw(&self) {
        for metric in self.declared.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It fails where there is none.
            let _ = self.registry.unregister(metric);
        }
    }

    /// A counter without further labels.
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.kept(IntCounter::with_opts(self.options(name, help)))
    }

    /// A counter with labels.
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.kept(IntCounterVec::new(self.options(name, help), labels))
    }

    /// A gauge of whole numbers.
    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.kept(IntGauge::with_opts(self.options(name, help)))
    }

    /// A gauge of seconds, ratios and the like.
    pub fn gauge_f64(&self, name: &str, help: &str) -> Gauge {
        self.kept(Gauge::with_opts(self.options(name, help)))
    }

    /// Gauges with labels.
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.kept(IntGaugeVec::new(self.options(name, help), labels))
    }

    /// Gauges of seconds, ratios and the like, with labels.
    pub fn gauges_f64(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.kept(GaugeVec::new(self.options(name, help), labels))
    }

    /// Seconds of a stage, by label.
    pub fn stage_seconds(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        let (start, factor, count) = STAGE_BUCKETS;
        let buckets = prometheus::exponential_buckets(start, factor, count).unwrap_or_default();
        self.kept(HistogramVec::new(self.histogram_options(name, help, buckets), labels))
    }

    /// Seconds from end to end.
    pub fn end_to_end_seconds(&self, name: &str, help: &str) -> Histogram {
        let (start, factor, count) = END_TO_END_BUCKETS;
        let buckets = prometheus::exponential_buckets(start, factor, count).unwrap_or_default();
        self.kept(Histogram::with_opts(self.histogram_options(name, help, buckets)))
    }

    /// A gauge of the whole process, without a pipeline.
    pub fn process_gauge(&self, name: &str, help: &str) -> IntGauge {
        self.kept(IntGauge::with_opts(Opts::new(name, help)))
    }

    /// Counters of the whole process, without a pipeline.
    pub fn process_counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.kept(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn options(&self, name: &str, help: &str) -> Opts {
        Opts::new(name, help).const_label("pipeline", &self.pipeline)
    }

    fn histogram_options(&self, name: &str, help: &str, buckets: Vec<f64>) -> HistogramOpts {
        let labels = HashMap::from([("pipeline".to_owned(), self.pipeline.clone())]);
        HistogramOpts::new(name, help).const_labels(labels).buckets(buckets)
    }

    /// Registers, in the place of an earlier one: whoever starts pipelines again on one registry counts anew. The names are
    /// ours, so what is left to go wrong is a mistake of ours that the `/metrics` inventory test finds.
    #[expect(clippy::expect_used, reason = "names and labels are constants; the inventory test makes every one of them")]
    fn kept<M: Collector + Clone + 'static>(&self, made: prometheus::Result<M>) -> M {
        let metric = made.expect("a metric's name and labels are valid");
        // It fails where there is none.
        let _ = self.registry.unregister(Box::new(metric.clone()));
        self.registry.register(Box::new(metric.clone())).expect("a metric's labels are the same for all pipelines");
        self.declared.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(metric.clone()));
        metric
    }
}
