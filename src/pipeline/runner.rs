//! The loop of one pipeline: receive, work out, deliver, commit, settle.
//!
//! While the sink is busy the next batch grows; when it is idle the batch leaves at once. Several batches may be with the
//! sink at a time; they are committed in order, and only then do their positions count.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, MissedTickBehavior};

use crate::clock::Clock;
use crate::config::BatchSettings;
use crate::error::Failure;
use crate::event::Lane;
use crate::limits;
use crate::pipeline::batch::{Backlog, Item, What};
use crate::pipeline::deliver::{Answer, Deliverer};
use crate::pipeline::document;
use crate::pipeline::metrics::PipelineMetrics;
use crate::pipeline::process::{Processor, Work, positions};
use crate::pipeline::progress::Progress;
use crate::pipeline::status::RunState;
use crate::pipeline::truncate::Truncate;
use crate::source::decode::{Decoded, Decoder, LaneMemory};
use crate::source::{Arrival, Source, StoredPositions};
use crate::state::{LaneRecord, RowKey};

/// What a pipeline is told to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Read no further.
    pub is_paused: bool,
    /// Finish what is at work and end.
    pub is_draining: bool,
    /// Raised to have the pipeline started anew.
    pub restarts: u64,
}

/// How a run of the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything that was there at the start, or all of a source that has an end, is durable.
    CaughtUp,
    /// It was told to end.
    Drained,
    /// It is to be started anew.
    Restart,
}

/// Committed positions, shared with the source: where a lane starts when it starts again.
#[derive(Debug, Default)]
pub struct Positions(Mutex<HashMap<Lane, LaneRecord>>);

impl Positions {
    /// Positions as the state has them.
    pub fn new(lanes: Vec<(Lane, LaneRecord)>) -> Self {
        Self(Mutex::new(lanes.into_iter().collect()))
    }

    fn get(&self, lane: &str) -> Option<LaneRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(lane).cloned()
    }

    fn set(&self, lane: Lane, record: LaneRecord) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(lane, record);
    }

    fn all(&self) -> Vec<(Lane, u64)> {
        let lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.iter().map(|(lane, record)| (lane.clone(), record.position)).collect()
    }
}

impl StoredPositions for Positions {
    fn position(&self, lane: &str) -> Option<u64> {
        self.get(lane).map(|record| record.position)
    }
}

/// All that one run of the loop holds.
pub struct Runner {
    pub source: Box<dyn Source>,
    pub decoder: Decoder,
    pub processor: Processor,
    pub deliverer: Deliverer,
    pub positions: Arc<Positions>,
    pub batch: BatchSettings,
    pub batches_in_flight: usize,
    pub clock: Clock,
    pub metrics: PipelineMetrics,
    pub progress: Arc<Progress>,
    pub control: watch::Receiver<Control>,
    /// Where to stop, for `--until-caught-up`.
    pub ends: Option<Vec<(Lane, u64)>>,
}

/// What changes while the loop runs.
#[derive(Default)]
struct Flow {
    backlog: Backlog,
    /// When the first item of the backlog came.
    waiting_since: Option<Instant>,
    memories: HashMap<Lane, (u64, LaneMemory)>,
    at_work: VecDeque<Work>,
    with_sink: FuturesOrdered<Delivery>,
    is_finished: bool,
    is_unsettled: bool,
}

impl Runner {
    /// Runs until there is an end, or something that this loop cannot mend.
    pub async fn run(mut self) -> Result<Ended, Failure> {
        let restarts = self.control.borrow().restarts;
        let mut flow = Flow::default();
        let mut tick = tokio::time::interval(limits::SETTLE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stored = self.positions.all();
        self.progress.applied(&stored, 0);
        self.progress.durable(&stored);
        loop {
            let control = *self.control.borrow_and_update();
            let caught_up = self.has_caught_up(&flow);
            let is_ending = control.is_draining || control.restarts != restarts || caught_up;
            if !is_ending && !control.is_paused {
                self.start_batches(&mut flow).await?;
            }
            if is_ending && flow.at_work.is_empty() {
                self.settle(&mut flow)?;
                return Ok(match control {
                    Control { is_draining: true, .. } => Ended::Drained,
                    _ if caught_up => Ended::CaughtUp,
                    _ => Ended::Restart,
                });
            }
            let is_idle = flow.at_work.is_empty();
            self.progress.set_phase(if control.is_paused && is_idle { RunState::Paused } else { RunState::Running });
            let reads = !is_ending && !control.is_paused && !flow.is_finished && !flow.backlog.is_due(&self.batch);
            let wait_until = flow.waiting_since.map(|since| since + self.batch.max_wait);
            tokio::select! {
                biased;
                Some(delivered) = flow.with_sink.next(), if !flow.with_sink.is_empty() => {
                    let answers = delivered.map_err(|error| Failure::bug(format!("a delivery ended: {error}")))??;
                    self.conclude(&mut flow, answers)?;
                }
                _ = tick.tick() => self.look_around(&mut flow)?,
                changed = self.control.changed() => changed.map_err(|_| Failure::bug("nobody holds the pipeline's control"))?,
                arrival = self.source.next(), if reads => self.receive(&mut flow, arrival?),
                () = tokio::time::sleep_until(wait_until.unwrap_or_else(Instant::now)),
                    if !is_ending && !control.is_paused && wait_until.is_some_and(|until| until > Instant::now()) => {}
            }
        }
    }

    /// Decodes what came and puts it into the backlog.
    fn receive(&mut self, flow: &mut Flow, arrival: Arrival) {
        let timer = self.metrics.stage("decode");
        match arrival {
            Arrival::Messages(messages) => {
                for message in messages {
                    let (lane, position) = (message.lane.clone(), message.position);
                    let memory = memory_of(&mut flow.memories, &self.positions, &lane, position);
                    flow.backlog.push(message, &mut self.decoder, memory);
                    self.progress.received(&lane, position);
                }
            }
            Arrival::Passed { lane, position } => {
                let memory = memory_of(&mut flow.memories, &self.positions, &lane, position);
                flow.backlog.pass(lane.clone(), position, memory);
                self.progress.received(&lane, position);
            }
            Arrival::Finished => flow.is_finished = true,
        }
        timer.observe_duration();
        if !flow.backlog.is_empty() {
            flow.waiting_since.get_or_insert_with(Instant::now);
        }
    }

    /// Works out batches while the sink has room for them.
    async fn start_batches(&mut self, flow: &mut Flow) -> Result<(), Failure> {
        while !flow.backlog.is_empty() && flow.at_work.len() < self.batches_in_flight {
            let has_waited = flow.waiting_since.is_none_or(|since| since.elapsed() >= self.batch.max_wait);
            if !has_waited && !flow.backlog.is_due(&self.batch) && !flow.is_finished {
                return Ok(());
            }
            if flow.backlog.starts_with_truncate() {
                if flow.at_work.is_empty() {
                    let items = flow.backlog.take(&self.batch);
                    self.truncate(flow, items).await?;
                    continue;
                }
                return Ok(());
            }
            let items = flow.backlog.take(&self.batch);
            let work = blocking(|| self.processor.work_out(items))?;
            self.dispatch(flow, work);
        }
        if flow.backlog.is_empty() {
            flow.waiting_since = None;
        }
        Ok(())
    }

    /// Hands the writes of a batch to the sink.
    fn dispatch(&mut self, flow: &mut Flow, work: Work) {
        let (deliverer, metrics, writes) = (self.deliverer.clone(), self.metrics.clone(), work.writes.clone());
        flow.at_work.push_back(work);
        flow.with_sink.push_back(Delivery(tokio::spawn(async move {
            if writes.is_empty() {
                return Ok(Vec::new());
            }
            let timer = metrics.stage("sink");
            let answers = deliverer.deliver(&writes).await;
            timer.observe_duration();
            answers
        })));
    }

    /// The sink has answered the oldest batch at work: it is committed.
    fn conclude(&mut self, flow: &mut Flow, answers: Vec<Answer>) -> Result<(), Failure> {
        let Some(mut work) = flow.at_work.pop_front() else { return Err(Failure::bug("an answer without a batch")) };
        let now_ms = self.clock.now_ms();
        for (place, answer) in answers.iter().enumerate() {
            let (Some(write), Some(cause)) = (work.writes.get(place), work.causes.get(place)) else { continue };
            self.metrics.answered(&write.action, answer);
            let Answer::Refused(reason) = answer else { continue };
            let (Some(change), Some(source)) = (work.changes.get(*cause), work.sources.get(*cause)) else { continue };
            self.metrics.refused();
            work.effects.dead.push(self.processor.dead_change("sink", reason, change, source));
            let Some(row) = &source.row else { continue };
            let version = write.version;
            forget_body(&mut work.effects, row, version);
            for later in &mut flow.at_work {
                forget_body(&mut later.effects, row, version);
            }
            self.processor.state.restage(row, |record| document::forget_body(record, version));
        }
        let ts_ms = work.changes.iter().map(|change| change.ts_ms).max().unwrap_or(0);
        for change in work.changes.iter().filter(|change| change.ts_ms > 0) {
            self.metrics.end_to_end(now_ms.saturating_sub(change.ts_ms) as f64 / 1000.0);
        }
        self.metrics.count(&work.tally);
        self.commit(flow, work, ts_ms)
    }

    fn commit(&mut self, flow: &mut Flow, work: Work, ts_ms: u64) -> Result<(), Failure> {
        let timer = self.metrics.stage("commit");
        // A position may go back: a lane that was started again repeats what was applied, and a file may be made anew.
        let positions = work.effects.positions.clone();
        let state = &mut self.processor.state;
        blocking(|| state.commit(work.number, work.effects))?;
        timer.observe_duration();
        let reached: Vec<(Lane, u64)> = positions.iter().map(|(lane, record)| (lane.clone(), record.position)).collect();
        for (lane, record) in positions {
            self.positions.set(lane, record);
        }
        self.progress.applied(&reached, ts_ms);
        flow.is_unsettled = true;
        Ok(())
    }

    /// Empties a table, step by step; nothing else is at work meanwhile.
    async fn truncate(&mut self, flow: &mut Flow, items: Vec<Item>) -> Result<(), Failure> {
        let mut found = None;
        for item in &items {
            let What::Event(event) = &item.what else { continue };
            if let Ok(Decoded::Truncate { table, version }) = &event.decoded {
                found = Some(Truncate { table: table.clone(), version: *version, origin: event.origin.clone() });
            }
        }
        let Some(truncate) = found else { return Err(Failure::bug("a truncate without one")) };
        while let Some(work) = blocking(|| self.processor.truncate_step(&truncate))? {
            let answers = self.deliverer.deliver(&work.writes).await?;
            flow.at_work.push_back(work);
            self.conclude(flow, answers)?;
        }
        let work = self.processor.truncate_end(&truncate, positions(&items)?);
        flow.at_work.push_back(work);
        self.conclude(flow, Vec::new())
    }

    /// Makes what is committed durable, and tells the source.
    fn settle(&mut self, flow: &mut Flow) -> Result<(), Failure> {
        if !flow.is_unsettled {
            return Ok(());
        }
        let store = self.processor.state.store().clone();
        blocking(|| store.sync())?;
        let positions = self.positions.all();
        self.source.settle(&positions);
        self.progress.durable(&positions);
        flow.is_unsettled = false;
        Ok(())
    }

    /// What is done at every tick.
    fn look_around(&mut self, flow: &mut Flow) -> Result<(), Failure> {
        self.settle(flow)?;
        self.progress.newest(&self.source.newest());
        self.progress.source_trouble(self.source.trouble());
        self.metrics.dead_letters.set(i64::try_from(self.processor.state.dead_letters_count()?).unwrap_or(i64::MAX));
        let totals = self.metrics.totals();
        let documents = totals.documents_indexed + totals.documents_deleted;
        self.progress.sample(totals.events_applied + totals.events_stale + totals.events_ignored + totals.events_dead, documents);
        self.metrics.show(&self.progress.snapshot());
        Ok(())
    }

    fn has_caught_up(&self, flow: &Flow) -> bool {
        if flow.is_finished && flow.backlog.is_empty() && flow.at_work.is_empty() {
            return true;
        }
        let reached = |(lane, end): &(Lane, u64)| *end == 0 || self.positions.position(lane).is_some_and(|position| position >= *end);
        self.ends.as_ref().is_some_and(|ends| ends.iter().all(reached))
    }
}

/// What is remembered of a lane before the message that ends at `position`. A lane that goes back was started again at its
/// committed position: what was remembered then holds again.
fn memory_of<'m>(
    memories: &'m mut HashMap<Lane, (u64, LaneMemory)>,
    positions: &Positions,
    lane: &Lane,
    position: u64,
) -> &'m mut LaneMemory {
    let committed = || {
        let record = positions.get(lane);
        record.and_then(|record| serde_json::from_slice(&record.memory).ok()).unwrap_or_default()
    };
    let (last, memory) = memories.entry(lane.clone()).or_insert_with(|| (0, committed()));
    if position <= *last {
        *memory = committed();
    }
    *last = position;
    memory
}

fn forget_body(effects: &mut crate::state::Effects, row: &RowKey, version: crate::event::DocumentVersion) {
    for change in effects.rows.iter_mut().filter(|change| change.key == *row) {
        document::forget_body(Arc::make_mut(&mut change.record), version);
    }
}

/// Runs work that takes milliseconds of a core without holding up the other tasks of this thread.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    // A simulation runs everything on one thread, in one order.
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// A delivery under way; it ends with the loop that started it.
struct Delivery(JoinHandle<Result<Vec<Answer>, Failure>>);

impl Future for Delivery {
    type Output = Result<Result<Vec<Answer>, Failure>, JoinError>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(context)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.0.abort();
    }
}
