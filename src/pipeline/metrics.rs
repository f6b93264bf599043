//! What a pipeline counts.

use prometheus::{Histogram, HistogramTimer, HistogramVec, IntCounterVec, IntGauge};

use crate::event::{QuickMap, Write};
use crate::metrics::Metrics;
use crate::pipeline::deliver::Answer;
use crate::pipeline::progress::Snapshot;
use crate::pipeline::status::{LaneStatus, Totals};
use crate::pipeline::work::Tally;

/// The counters, gauges and histograms of one pipeline.
#[derive(Clone, Debug)]
pub struct PipelineMetrics {
    pipeline: String,
    events: IntCounterVec,
    documents: IntCounterVec,
    retries: IntCounterVec,
    stages: HistogramVec,
    end_to_end: Histogram,
    /// Requests the sink is given at a time.
    pub sink_concurrency: prometheus::Gauge,
    /// Dead letters kept.
    pub dead_letters: IntGauge,
    /// What all entries of the guest's store count.
    pub guest_store_bytes: IntGauge,
    /// Events at the source that are not applied yet.
    pub lag_events: IntGauge,
    /// Age of the last event applied while there are newer ones.
    pub lag_seconds: prometheus::Gauge,
    /// The ladder of all lanes together.
    pub positions: prometheus::IntGaugeVec,
}

impl PipelineMetrics {
    /// Declares them.
    pub fn declare(metrics: &Metrics) -> Self {
        Self {
            pipeline: metrics.pipeline().to_owned(),
            events: metrics.counters("rowmill_events_total", "Events by what became of them.", &["outcome"]),
            documents: metrics.counters("rowmill_documents_total", "Documents by action and the sink's verdict.", &["action", "verdict"]),
            retries: metrics.counters("rowmill_sink_retries_total", "Requests to the sink that were put off, by reason.", &["reason"]),
            stages: metrics.stage_seconds("rowmill_stage_seconds", "Seconds a batch spends in each stage.", &["stage"]),
            end_to_end: metrics
                .end_to_end_seconds("rowmill_end_to_end_seconds", "Seconds from the commit at the source to the sink's answer."),
            sink_concurrency: metrics.gauge_f64("rowmill_sink_concurrency", "Most requests the sink is given at a time at present."),
            dead_letters: metrics.gauge("rowmill_dead_letters", "Dead letters kept."),
            guest_store_bytes: metrics.gauge("rowmill_guest_store_bytes", "Bytes that the guest keeps in its store."),
            lag_events: metrics.gauge("rowmill_lag_events", "Events (file: bytes) at the source that are not yet applied."),
            lag_seconds: metrics.gauge_f64("rowmill_lag_seconds", "Age of the last event applied, while there are newer ones."),
            positions: metrics.gauges(
                "rowmill_position",
                "The lag ladder, summed over the lanes: newest, received, applied, durable.",
                &["step"],
            ),
        }
    }

    /// The same for a second sink: the bounds of its requests are not shown.
    pub fn beside(&self) -> Self {
        Self { sink_concurrency: Metrics::detached().gauge_f64("unseen", "Not shown."), ..self.clone() }
    }

    /// The pipeline's name.
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// Times one stage of a batch until it is observed.
    pub fn stage(&self, stage: &str) -> HistogramTimer {
        self.stages.with_label_values(&[stage]).start_timer()
    }

    /// Counts events before the sink.
    pub fn count(&self, tally: &Tally) {
        let Tally { applied, stale, dead, ignored, late, .. } = *tally;
        for (outcome, count) in [("applied", applied), ("stale", stale), ("dead", dead), ("ignored", ignored), ("late", late)] {
            self.events.with_label_values(&[outcome]).inc_by(count);
        }
        self.documents.with_label_values(&["index", "unchanged"]).inc_by(tally.unchanged);
    }

    /// Counts the answers of the sink to a batch.
    pub fn answered(&self, writes: &[Write], answers: &[Answer]) {
        let mut counts: QuickMap<[&str; 2], u64> = QuickMap::default();
        let labels = |(write, answer): (&Write, &Answer)| {
            let verdict = match answer {
                Answer::Stored => "stored",
                Answer::Stale => "stale",
                Answer::Refused(_) => "refused",
            };
            [write.action.as_str(), verdict]
        };
        let mut labels = writes.iter().zip(answers).map(labels).peekable();
        // Nearly all are alike, and come one after the other.
        while let Some(first) = labels.next() {
            let mut count = 1;
            while labels.next_if_eq(&first).is_some() {
                count += 1;
            }
            *counts.entry(first).or_default() += count;
        }
        for (labels, count) in counts {
            self.documents.with_label_values(&labels).inc_by(count);
        }
    }

    /// Counts a request that was put off.
    pub fn sink_retry(&self, reason: &str) {
        self.retries.with_label_values(&[reason]).inc();
    }

    /// Notes how long events took from the source's commit to the sink's answer, each in seconds.
    pub fn end_to_end(&self, seconds: impl Iterator<Item = f64>) {
        // Told to the others once for all.
        let local = self.end_to_end.local();
        seconds.for_each(|seconds| local.observe(seconds));
    }

    /// Sets the gauges by what the pipeline is doing.
    pub fn show(&self, snapshot: &Snapshot) {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.lag_events.set(whole(snapshot.lag_events.unwrap_or(0)));
        self.lag_seconds.set(snapshot.lag_seconds.unwrap_or(0.0));
        let steps: [(&str, fn(&LaneStatus) -> Option<u64>); 4] = [
            ("newest", |lane| lane.newest),
            ("received", |lane| lane.received),
            ("applied", |lane| lane.applied),
            ("durable", |lane| lane.durable),
        ];
        for (step, position) in steps {
            let sum = snapshot.lanes.iter().filter_map(position).sum();
            self.positions.with_label_values(&[step]).set(whole(sum));
        }
    }

    /// The sums, as the status shows them.
    pub fn totals(&self) -> Totals {
        let event = |outcome: &str| self.events.with_label_values(&[outcome]).get();
        let document = |action: &str, verdict: &str| self.documents.with_label_values(&[action, verdict]).get();
        Totals {
            events_applied: event("applied"),
            events_stale: event("stale"),
            events_dead: event("dead"),
            events_ignored: event("ignored"),
            events_late: event("late"),
            documents_indexed: document("index", "stored"),
            documents_deleted: document("delete", "stored"),
            documents_unchanged: document("index", "unchanged"),
            documents_refused: document("index", "refused") + document("delete", "refused"),
        }
    }
}
