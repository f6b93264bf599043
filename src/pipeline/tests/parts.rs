//! A loop put together for a test, from what one test has otherwise than another.

use std::sync::Arc;

use tokio::sync::watch;

use crate::aggregate::settings::AggregateSettings;
use crate::clock::Clock;
use crate::config::BatchSettings;
use crate::metrics::Metrics;
use crate::pipeline::control::Control;
use crate::pipeline::deliver::Deliverer;
use crate::pipeline::document::IndexNames;
use crate::pipeline::guest_store::GuestStore;
use crate::pipeline::metrics::PipelineMetrics;
use crate::pipeline::positions::Positions;
use crate::pipeline::process::Processor;
use crate::pipeline::progress::Progress;
use crate::pipeline::runner::Runner;
use crate::pipeline::windows::{WindowMetrics, Windows};
use crate::sink::Sink;
use crate::source::Source;
use crate::source::decode::Decoder;
use crate::source::decode::settings::{DecodeSettings, Format, VersionFrom};
use crate::state::PipelineState;
use crate::state::settings::Keep;
use crate::transform::Transformer;

/// What tests choose; the rest is the same for all.
pub struct Parts {
    pub source: Box<dyn Source>,
    pub sink: Arc<dyn Sink>,
    pub state: PipelineState,
    pub positions: Arc<Positions>,
    pub transformer: Transformer,
    /// What is counted; none: rows become documents.
    pub windows: Option<Arc<AggregateSettings>>,
    pub index: &'static str,
    pub keep: Keep,
    pub batch: BatchSettings,
    pub batches_in_flight: usize,
    pub clock: Clock,
    pub control: watch::Receiver<Control>,
}

impl Parts {
    /// The loop, ready to run.
    pub fn runner(self) -> Runner {
        let Self { source, sink, state, positions, transformer, windows, index, keep, batch, batches_in_flight, clock, control } = self;
        let metrics = PipelineMetrics::declare(&Metrics::detached());
        let progress = Arc::new(Progress::new(clock.clone()));
        let window_metrics = WindowMetrics::declare(&Metrics::detached());
        let windows = windows.map(|settings| Windows::open(&settings, index, window_metrics, &state).unwrap());
        let processor = Processor {
            windows,
            store: Arc::new(GuestStore { values: state.values().clone(), bytes_max: 1 << 20 }),
            state,
            transformer,
            recent: Arc::default(),
            shadow: Arc::default(),
            indexes: IndexNames::new(Some(index)),
            keep,
            is_log: false,
            wants_before: false,
            clock: clock.clone(),
            metrics: metrics.clone(),
            next_batch: 1,
        };
        Runner {
            source,
            decoder: Decoder::new(DecodeSettings { format: Format::Debezium, version: VersionFrom::Auto }),
            processor,
            deliverer: Deliverer::new(sink, batch.clone(), clock.clone(), metrics.clone(), progress.clone()),
            courier: None,
            positions,
            batch,
            batches_in_flight,
            clock,
            metrics,
            progress,
            control,
            swaps: tokio::sync::mpsc::channel(1).1,
            restarts: 0,
            ends: None,
        }
    }
}
