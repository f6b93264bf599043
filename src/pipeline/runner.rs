//! The loop of one pipeline: receive, work out, deliver, commit, settle.
//!
//! While the sink is busy the next batch grows; when it is idle the batch leaves at once. Several batches may be with the
//! sink at a time; they are committed in order, and only then do their positions count.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::clock::Clock;
use crate::config::BatchSettings;
use crate::error::Failure;
use crate::event::{Lane, QuickMap};
use crate::limits;
use crate::pipeline::answered::{Answered, Late};
use crate::pipeline::batch::Backlog;
use crate::pipeline::control::{Control, Ended};
use crate::pipeline::courier::Courier;
use crate::pipeline::deliver::{Answer, Deliverer};
use crate::pipeline::delivery::{Delivered, Delivery};
use crate::pipeline::failpoint::Failpoint;
use crate::pipeline::metrics::PipelineMetrics;
use crate::pipeline::positions::{LaneReading, Positions, reading_of};
use crate::pipeline::process::Processor;
use crate::pipeline::progress::Progress;
use crate::pipeline::reload::Swap;
use crate::pipeline::settling::Settling;
use crate::pipeline::status::RunState;
use crate::pipeline::truncate::Truncate;
use crate::pipeline::windows::Windows;
use crate::pipeline::work::{Uncommitted, Work};
use crate::source::decode::Decoder;
use crate::source::{Arrival, Source, StoredPositions};

/// All that one run of the loop holds.
pub struct Runner {
    pub source: Box<dyn Source>,
    pub decoder: Decoder,
    pub processor: Processor,
    pub deliverer: Deliverer,
    /// Where dead letters go besides the state.
    pub courier: Option<Courier>,
    pub positions: Arc<Positions>,
    pub batch: BatchSettings,
    pub batches_in_flight: usize,
    pub clock: Clock,
    pub metrics: PipelineMetrics,
    pub progress: Arc<Progress>,
    pub control: watch::Receiver<Control>,
    /// New code, which serves from the next batch on.
    pub swaps: mpsc::Receiver<Swap>,
    /// [`Control::restarts`] when this run began.
    pub restarts: u64,
    /// Where to stop, for `--until-caught-up`.
    pub ends: Option<Vec<(Lane, u64)>>,
}

/// What changes while the loop runs.
#[derive(Default)]
struct Flow {
    backlog: Backlog,
    /// When the first item of the backlog came.
    waiting_since: Option<Instant>,
    memories: QuickMap<Lane, LaneReading>,
    /// The emptying of a table that is under way.
    truncating: Option<Truncate>,
    at_work: VecDeque<Work>,
    /// What is answered and yet to be committed.
    answers: Option<Uncommitted>,
    with_sink: FuturesOrdered<Delivery>,
    /// The last batch that was answered.
    answered: Answered,
    /// Lanes that stood behind their ends at the start: they were made anew, and are yet to be read.
    beyond: HashMap<Lane, u64>,
    is_finished: bool,
    settling: Settling,
    /// [`Control::replays`] as last seen.
    replays: u64,
    /// Whether dead letters may be there to be replayed.
    has_replays: bool,
    /// Whether everything there is to read has been read.
    is_read: bool,
}

impl Runner {
    /// Runs until there is an end, or something that this loop cannot mend.
    pub async fn run(mut self) -> Result<Ended, Failure> {
        let has_replays = self.processor.state.has_replays()?;
        let mut flow = Flow { beyond: self.beyond(), has_replays, ..Flow::default() };
        let mut tick = tokio::time::interval(limits::SETTLE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // One for the life of the loop: a new timer in each turn would wake another thread.
        let mut commits = tokio::time::interval(limits::COMMIT_INTERVAL);
        commits.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stored = self.positions.all();
        // The run before may have ended between a commit and its sync.
        self.sync()?;
        self.progress.stands(&stored);
        self.progress.durable(&stored);
        // Windows want to know which lanes there are before they hear of the first event.
        self.look_around(&mut flow)?;
        loop {
            let control = *self.control.borrow_and_update();
            flow.has_replays |= control.replays != flow.replays;
            flow.replays = control.replays;
            let caught_up = self.has_caught_up(&mut flow);
            let is_restarting = control.restarts != self.restarts;
            let is_ending = control.is_draining || is_restarting || caught_up;
            if !is_ending && !control.is_paused {
                self.start_batches(&mut flow)?;
            }
            // What is down may stay so: then a restart leaves what is at work to be read again.
            let leaves = is_restarting && self.progress.is_sink_in_trouble();
            if is_ending && (flow.at_work.is_empty() || leaves) {
                self.settle(&mut flow).await?;
                return Ok(match control {
                    Control { is_draining: true, .. } => Ended::Drained,
                    _ if caught_up => Ended::CaughtUp,
                    _ => Ended::Restart,
                });
            }
            let is_idle = flow.at_work.is_empty();
            self.progress.set_phase(if control.is_paused && is_idle { RunState::Paused } else { RunState::Running });
            let reads = !is_ending && !control.is_paused && !flow.is_finished && !flow.backlog.is_full(&self.batch);
            let waits = flow.waiting_since.and_then(|since| since.checked_add(self.batch.max_wait));
            let emits = self.processor.windows.as_ref().and_then(Windows::emits_at);
            // What is due already waits for something else.
            let wait_until = [waits, emits].into_iter().flatten().filter(|until| *until > Instant::now()).min();
            tokio::select! {
                biased;
                Some(delivered) = flow.with_sink.next(), if !flow.with_sink.is_empty() => {
                    match delivered.map_err(|error| Failure::bug(format!("a delivery ended: {error}")))?? {
                        Delivered::Answered(answers) => self.conclude(&mut flow, answers)?,
                        Delivered::LettersSent => self.commit(&mut flow)?,
                    }
                }
                Some(Swap { transformer, done }) = self.swaps.recv() => {
                    // What the old code made must not be made again by the new one, at the same version.
                    self.commit_all(&mut flow)?;
                    transformer.announce();
                    self.processor.transformer = transformer;
                    if let Some(windows) = &mut self.processor.windows {
                        windows.show_all();
                    }
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
                positions = flow.settling.durable(), if flow.settling.is_under_way() => self.settled(&positions?),
                _ = tick.tick() => self.look_around(&mut flow)?,
                _ = commits.tick(), if flow.answers.is_some() => self.commit_all(&mut flow)?,
                changed = self.control.changed() => changed.map_err(|_| Failure::bug("nobody holds the pipeline's control"))?,
                arrival = self.source.next(), if reads => self.receive(&mut flow, arrival?),
                () = tokio::time::sleep_until(wait_until.unwrap_or_else(Instant::now)),
                    if !is_ending && !control.is_paused && wait_until.is_some() => {}
            }
        }
    }

    /// Decodes what came and puts it into the backlog.
    fn receive(&mut self, flow: &mut Flow, arrival: Arrival) {
        Failpoint::Received.pass();
        let timer = self.metrics.stage("decode");
        match arrival {
            Arrival::Messages(messages) => {
                flow.backlog.reserve(messages.len());
                let mut messages = messages.into_iter().peekable();
                // Most come in stretches of one lane: what is known of it is looked up once for each.
                while let Some(lane) = messages.peek().map(|message| message.lane.clone()) {
                    let reading = reading_of(&mut flow.memories, &self.positions, &lane);
                    let mut reached = 0;
                    while let Some(message) = messages.next_if(|message| Arc::ptr_eq(&message.lane, &lane)) {
                        reached = message.position;
                        if reading.step(reached) {
                            flow.backlog.push(message, &mut self.decoder, reading.memory());
                        }
                    }
                    self.progress.received(&lane, reached);
                }
            }
            Arrival::Passed { lane, position } => {
                let reading = reading_of(&mut flow.memories, &self.positions, &lane);
                if reading.step(position) {
                    flow.backlog.pass(lane.clone(), position, reading.memory());
                }
                self.progress.received(&lane, position);
            }
            Arrival::Anew { lane } => {
                flow.memories.insert(lane, LaneReading::default());
            }
            Arrival::Finished => flow.is_finished = true,
        }
        timer.observe_duration();
        if !flow.backlog.is_empty() {
            flow.waiting_since.get_or_insert_with(Instant::now);
        }
    }

    /// Works out batches while the sink has room for them.
    fn start_batches(&mut self, flow: &mut Flow) -> Result<(), Failure> {
        while flow.at_work.len() < self.batches_in_flight {
            if flow.has_replays {
                // A batch of their own, with nothing else at work: so none is replayed twice.
                if !flow.at_work.is_empty() {
                    return Ok(());
                }
                self.replay(flow)?;
                continue;
            }
            if self.must_emit(flow) {
                if flow.at_work.is_empty() {
                    // What it shows is committed.
                    self.emit(flow)?;
                    continue;
                }
                // While the sink takes what is shown one batch is counted, so that neither starves the other.
                if flow.at_work.len() > 1 || flow.at_work.iter().any(|work| work.rows_shown.is_empty()) {
                    return Ok(());
                }
            }
            if flow.truncating.is_some() || flow.backlog.starts_with_truncate() {
                // Nothing else is at work meanwhile.
                if !flow.at_work.is_empty() {
                    return Ok(());
                }
                // It deletes what is committed.
                self.commit_all(flow)?;
                self.truncate(flow)?;
                continue;
            }
            if flow.backlog.is_empty() {
                break;
            }
            let has_waited = flow.waiting_since.is_none_or(|since| since.elapsed() >= self.batch.max_wait);
            if !has_waited && !flow.backlog.is_due(&self.batch) && !flow.is_finished {
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
        let (late, answered) = (Late::of(&flow.at_work, &writes), flow.answered.clone());
        flow.at_work.push_back(work);
        flow.with_sink.push_back(Delivery::start(async move {
            if writes.is_empty() {
                return Ok(Delivered::Answered(Vec::new()));
            }
            let timer = metrics.stage("sink");
            let answers = deliverer.deliver_in_parts(&writes, &late.places, answered.wait_for(late.after)).await;
            timer.observe_duration();
            answers.map(Delivered::Answered)
        }));
    }

    /// The sink has answered the oldest batch at work: it is committed, after its dead letters were sent where they are to go.
    fn conclude(&mut self, flow: &mut Flow, answers: Vec<Answer>) -> Result<(), Failure> {
        let Some(mut work) = flow.at_work.pop_front() else { return Err(Failure::bug("an answer without a batch")) };
        flow.answered.set(work.number);
        Failpoint::Answered.pass();
        let now_ms = self.clock.now_ms();
        let writes = work.writes.clone();
        self.metrics.answered(&writes, &answers);
        for (place, (write, answer)) in writes.iter().zip(&answers).enumerate() {
            if let (Answer::Refused(reason), Some(cause)) = (answer, work.causes.get(place).copied()) {
                self.processor.refused(&mut work, &mut flow.at_work, cause, write, reason)?;
            }
        }
        // What is counted is shown by another batch.
        let shown = work.changes.iter().filter(|change| change.ts_ms > 0 && self.processor.windows.is_none());
        self.metrics.end_to_end(shown.map(|change| now_ms.saturating_sub(change.ts_ms) as f64 / 1000.0));
        self.metrics.count(&work.tally);
        let courier = self.courier.clone().filter(|_| !work.effects.dead.is_empty());
        let letters = courier.map(|courier| (courier.writes(&work.effects.dead), courier));
        flow.at_work.push_front(work);
        let Some((writes, courier)) = letters else { return self.commit(flow) };
        flow.with_sink.push_front(Delivery::start(async move {
            courier.deliver(&writes).await?;
            Ok(Delivered::LettersSent)
        }));
        Ok(())
    }

    /// Commits the oldest batch at work; together with those that are answered soon after, if it may wait.
    fn commit(&mut self, flow: &mut Flow) -> Result<(), Failure> {
        let Some(work) = flow.at_work.pop_front() else { return Err(Failure::bug("a commit without a batch")) };
        if !work.effects.may_wait() {
            self.commit_all(flow)?;
        }
        if Uncommitted::add(&mut flow.answers, work) { self.commit_all(flow) } else { Ok(()) }
    }

    fn commit_all(&mut self, flow: &mut Flow) -> Result<(), Failure> {
        let Some(Uncommitted { number, effects, ts_ms }) = flow.answers.take() else { return Ok(()) };
        let timer = self.metrics.stage("commit");
        // A position may go back: a file may be made anew.
        let positions: Vec<_> = effects.iter().flat_map(|effects| effects.positions.iter().cloned()).collect();
        let state = &mut self.processor.state;
        blocking(|| state.commit_together(number, effects))?;
        Failpoint::Committed.pass();
        timer.observe_duration();
        let reached: Vec<(Lane, u64)> = positions.iter().map(|(lane, record)| (lane.clone(), record.position)).collect();
        for (lane, record) in positions {
            self.positions.set(lane, record);
        }
        self.progress.applied(&reached, ts_ms);
        flow.settling.committed();
        Ok(())
    }

    /// Whether windows are to be shown now.
    fn must_emit(&self, flow: &Flow) -> bool {
        let emits_at = self.processor.windows.as_ref().and_then(Windows::emits_at);
        emits_at.is_some_and(|at| flow.is_read || at <= Instant::now())
    }

    /// Shows a step of what has changed in windows.
    fn emit(&mut self, flow: &mut Flow) -> Result<(), Failure> {
        let timer = self.metrics.stage("emit");
        self.hold_lanes();
        let work = blocking(|| self.processor.emission())?;
        Failpoint::Announced.pass();
        timer.observe_duration();
        if let Some(work) = work {
            if !work.writes.is_empty() {
                // The sink must never be ahead of what the state knows.
                self.sync()?;
            }
            self.dispatch(flow, work);
        }
        Ok(())
    }

    /// The next step of emptying a table.
    fn truncate(&mut self, flow: &mut Flow) -> Result<(), Failure> {
        let mut truncate = match flow.truncating.take() {
            Some(truncate) => truncate,
            None => Truncate::begin(&flow.backlog.take(&self.batch))?,
        };
        if let Some(work) = blocking(|| self.processor.truncate_step(&mut truncate))? {
            flow.truncating = Some(truncate);
            Failpoint::TruncateStep.pass();
            self.dispatch(flow, work);
        } else {
            let work = self.processor.truncate_end(truncate)?;
            self.dispatch(flow, work);
        }
        Ok(())
    }

    /// The next dead letters that are to be replayed.
    fn replay(&mut self, flow: &mut Flow) -> Result<(), Failure> {
        let letters = self.processor.state.next_replays(self.batch.max_documents, self.batch.max_bytes)?;
        flow.has_replays = !letters.is_empty();
        if flow.has_replays {
            let work = blocking(|| self.processor.replay(letters, &mut self.decoder))?;
            self.dispatch(flow, work);
        }
        Ok(())
    }

    /// Makes all that is committed durable, and tells the source.
    async fn settle(&mut self, flow: &mut Flow) -> Result<(), Failure> {
        self.commit_all(flow)?;
        if flow.settling.is_under_way() {
            let positions = flow.settling.durable().await?;
            self.settled(&positions);
        }
        self.settle_now(flow)
    }

    fn settle_now(&mut self, flow: &mut Flow) -> Result<(), Failure> {
        if flow.settling.is_due() {
            self.sync()?;
            self.settled(&self.positions.all());
            flow.settling.ended();
        }
        Ok(())
    }

    /// Begins to make durable what is committed, beside the loop.
    fn begin_to_settle(&mut self, flow: &mut Flow) -> Result<(), Failure> {
        if !is_multi_threaded() {
            return self.settle_now(flow);
        }
        if flow.settling.is_due() {
            flow.settling.begin(self.processor.state.store().clone(), self.positions.all());
        }
        Ok(())
    }

    /// All before these positions is durable.
    fn settled(&self, positions: &[(Lane, u64)]) {
        self.source.settle(positions);
        Failpoint::Settled.pass();
        self.progress.durable(positions);
    }

    fn sync(&self) -> Result<(), Failure> {
        Failpoint::BeforeSync.pass();
        let store = self.processor.state.store();
        blocking(|| store.sync())?;
        Failpoint::AfterSync.pass();
        Ok(())
    }

    /// What is done at every tick.
    fn look_around(&mut self, flow: &mut Flow) -> Result<(), Failure> {
        self.commit_all(flow)?;
        self.begin_to_settle(flow)?;
        let newest = self.source.newest();
        self.progress.newest(&newest);
        self.hold_lanes();
        if let Some(windows) = &mut self.processor.windows {
            let lanes: Vec<_> = newest.iter().map(|(lane, end)| (lane.clone(), *end, self.positions.position(lane))).collect();
            windows.look_around(&lanes, Instant::now());
        }
        self.progress.source_trouble(self.source.trouble());
        self.metrics.dead_letters.set(i64::try_from(self.processor.state.dead_letters_count()?).unwrap_or(i64::MAX));
        self.metrics.guest_store_bytes.set(i64::try_from(self.processor.state.values().bytes_committed()).unwrap_or(i64::MAX));
        let totals = self.metrics.totals();
        let documents = totals.documents_indexed + totals.documents_deleted;
        self.progress.sample(totals.events(), documents);
        self.metrics.show(&self.progress.snapshot());
        Ok(())
    }

    /// Tells windows which lanes are ours.
    fn hold_lanes(&mut self) {
        if let Some(windows) = &mut self.processor.windows {
            windows.hold(self.source.lanes(), self.clock.now_ms());
        }
    }

    fn has_caught_up(&mut self, flow: &mut Flow) -> bool {
        flow.is_read = self.has_read_all(flow);
        match &mut self.processor.windows {
            Some(windows) if flow.is_read => {
                windows.all_told();
                if self.ends.is_some() {
                    windows.hold_all();
                }
                !windows.owes() && flow.at_work.is_empty()
            }
            _ => flow.is_read,
        }
    }

    fn has_read_all(&self, flow: &Flow) -> bool {
        if flow.has_replays {
            return false;
        }
        if flow.is_finished && flow.backlog.is_empty() && flow.truncating.is_none() && flow.at_work.is_empty() {
            return true;
        }
        let reached = |(lane, end): &(Lane, u64)| {
            let position = self.positions.position(lane);
            *end == 0 || position.is_some_and(|position| position >= *end && flow.beyond.get(lane) != Some(&position))
        };
        self.ends.as_ref().is_some_and(|ends| ends.iter().all(reached))
    }

    fn beyond(&self) -> HashMap<Lane, u64> {
        let lanes = self.ends.iter().flatten().filter_map(|(lane, end)| {
            let position = self.positions.position(lane).filter(|position| position > end)?;
            Some((lane.clone(), position))
        });
        lanes.collect()
    }
}

/// Runs work that takes milliseconds of a core without holding up the other tasks of this thread.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    if is_multi_threaded() { tokio::task::block_in_place(work) } else { work() }
}

/// A simulation runs everything on one thread, in one order.
fn is_multi_threaded() -> bool {
    tokio::runtime::Handle::current().runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread
}
