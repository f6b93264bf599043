//! What a pipeline is doing, written by its loop and read by the HTTP API and the metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::clock::Clock;
use crate::error::{Failure, Kind};
use crate::event::Lane;
use crate::limits::STALL_AFTER;
use crate::pipeline::status::{LaneStatus, LastError, Rates, RunState};

/// How long a sink or source may be in trouble before the pipeline counts as waiting: one retry is no news.
const TROUBLE_GRACE: std::time::Duration = std::time::Duration::from_secs(5);

/// The progress of one pipeline. Survives its restarts.
#[derive(Debug)]
pub struct Progress {
    clock: Clock,
    is_looping: AtomicBool,
    inner: Mutex<Inner>,
}

/// Held while the loop of a pipeline runs.
pub struct Looping<'a>(&'a Progress);

impl Drop for Looping<'_> {
    fn drop(&mut self) {
        self.0.is_looping.store(false, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Inner {
    phase: RunState,
    lanes: BTreeMap<Lane, LaneStatus>,
    applied_ts_ms: u64,
    /// What ended the last run of the loop, until the next one has shown that it does better.
    failure: Option<Failure>,
    started: Instant,
    /// When something was applied last, or there was nothing to apply.
    moved: Instant,
    source_trouble: Option<(Instant, String)>,
    sink_trouble: Option<(Instant, String)>,
    last_error: Option<LastError>,
    rates: Rates,
    sample: Option<(Instant, u64, u64)>,
}

impl Progress {
    /// A pipeline that is about to start.
    pub fn new(clock: Clock) -> Self {
        let now = clock.instant();
        let inner = Inner {
            phase: RunState::Running,
            lanes: BTreeMap::new(),
            applied_ts_ms: 0,
            failure: None,
            started: now,
            moved: now,
            source_trouble: None,
            sink_trouble: None,
            last_error: None,
            rates: Rates::default(),
            sample: None,
        };
        Self { clock, is_looping: AtomicBool::new(false), inner: Mutex::new(inner) }
    }

    /// Everything is opened and the loop is about to run, for the first time or again.
    pub fn starting(&self) {
        let now = self.clock.instant();
        let mut inner = self.lock();
        (inner.phase, inner.started) = (RunState::Running, now);
    }

    /// The loop runs, is paused, or has finished.
    pub fn set_phase(&self, phase: RunState) {
        let now = self.clock.instant();
        let mut inner = self.lock();
        inner.phase = phase;
        if phase == RunState::Paused {
            inner.moved = now;
        }
    }

    /// The loop ended with a failure; it is tried again when that may help.
    pub fn failed(&self, failure: &Failure) {
        let at_ms = self.clock.now_ms();
        let mut inner = self.lock();
        inner.last_error = Some(LastError { message: failure.message.clone(), kind: failure.kind.as_str(), at_ms });
        inner.phase = if failure.kind == Kind::Unavailable { RunState::Waiting } else { RunState::Stopped };
        inner.failure = Some(failure.clone());
    }

    /// The loop runs from now on, until what this gives is dropped.
    pub fn looping(&self) -> Looping<'_> {
        self.is_looping.store(true, Ordering::Relaxed);
        Looping(self)
    }

    /// Whether the loop runs: then it sees for itself that the process ends.
    pub fn is_looping(&self) -> bool {
        self.is_looping.load(Ordering::Relaxed)
    }

    /// Whether nothing is at work: the loop is paused, or has ended, or has not begun.
    pub fn is_at_rest(&self) -> bool {
        !self.is_looping() || self.lock().phase == RunState::Paused
    }

    /// Whether it does nothing until a person says so.
    pub fn is_held(&self) -> bool {
        matches!(self.lock().phase, RunState::Paused | RunState::Stopped)
    }

    /// Whether a pipeline that was started has shown that it can run, or waits for what is down; none while it has not. The error is
    /// what a person must mend.
    pub fn has_begun(&self) -> Result<bool, Failure> {
        let inner = self.lock();
        match &inner.failure {
            Some(failure) if failure.kind != Kind::Unavailable => Err(failure.clone()),
            Some(_) => Ok(true),
            None => Ok(inner.sink_trouble.is_some() || inner.phase == RunState::Finished || self.is_looping()),
        }
    }

    /// Whether the sink is waited for.
    pub fn is_sink_in_trouble(&self) -> bool {
        self.lock().sink_trouble.is_some()
    }

    /// The sink gave an answer.
    pub fn sink_answered(&self) {
        self.lock().sink_trouble = None;
    }

    /// The sink is waited for.
    pub fn sink_trouble(&self, message: &str) {
        let (now, at_ms) = (self.clock.instant(), self.clock.now_ms());
        let mut inner = self.lock();
        inner.sink_trouble.get_or_insert((now, String::new())).1 = message.to_owned();
        inner.last_error = Some(LastError { message: message.to_owned(), kind: Kind::Unavailable.as_str(), at_ms });
    }

    /// What the source is waiting for, if anything.
    pub fn source_trouble(&self, message: Option<String>) {
        let now = self.clock.instant();
        let mut inner = self.lock();
        match message {
            None => inner.source_trouble = None,
            Some(message) => inner.source_trouble.get_or_insert((now, String::new())).1 = message,
        }
    }

    /// Where the source ends, in all lanes that are read here.
    pub fn newest(&self, lanes: &[(Lane, u64)]) {
        self.each(lanes, |status, position| status.newest = Some(position));
        let now = self.clock.instant();
        let mut inner = self.lock();
        // Lanes that went to another process are no lag of this one.
        for (_, status) in inner.lanes.iter_mut().filter(|(lane, _)| !lanes.iter().any(|(own, _)| own == *lane)) {
            status.newest = None;
        }
        if inner.at_work() == 0 {
            inner.moved = now;
        }
    }

    /// Where a run of the loop begins.
    pub fn stands(&self, lanes: &[(Lane, u64)]) {
        self.each(lanes, |status, position| (status.applied, status.durable) = (Some(position), Some(position)));
    }

    /// Up to where was read.
    pub fn received(&self, lane: &Lane, position: u64) {
        self.each(&[(lane.clone(), position)], |status, position| status.received = Some(position));
    }

    /// Up to where is committed, and when the last event of it was committed at the source.
    pub fn applied(&self, lanes: &[(Lane, u64)], ts_ms: u64) {
        self.each(lanes, |status, position| status.applied = Some(position));
        let now = self.clock.instant();
        let mut inner = self.lock();
        (inner.moved, inner.failure) = (now, None);
        inner.applied_ts_ms = inner.applied_ts_ms.max(ts_ms);
    }

    /// Up to where survives a power cut.
    pub fn durable(&self, lanes: &[(Lane, u64)]) {
        self.each(lanes, |status, position| status.durable = Some(position));
    }

    /// Takes a sample of the totals, for the rates.
    pub fn sample(&self, events: u64, documents: u64) {
        let now = self.clock.instant();
        let mut inner = self.lock();
        if let Some((then, events_then, documents_then)) = inner.sample {
            let seconds = now.duration_since(then).as_secs_f64().max(0.001);
            let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
            // Half new, half old: a rate that can be read while it changes.
            inner.rates.events_per_second = (inner.rates.events_per_second + rate(events, events_then)) / 2.0;
            inner.rates.documents_per_second = (inner.rates.documents_per_second + rate(documents, documents_then)) / 2.0;
        }
        inner.sample = Some((now, events, documents));
    }

    /// Everything, at one moment.
    pub fn snapshot(&self) -> Snapshot {
        let (now, now_ms) = (self.clock.instant(), self.clock.now_ms());
        let inner = self.lock();
        let lanes: Vec<LaneStatus> = inner.lanes.values().cloned().collect();
        let lag_events = inner.lag();
        let lag_seconds = match (lag_events, inner.applied_ts_ms) {
            (Some(0), _) => Some(0.0),
            (Some(_), ts_ms) if ts_ms > 0 => Some(now_ms.saturating_sub(ts_ms) as f64 / 1000.0),
            _ => None,
        };
        let lasting = |trouble: &Option<(Instant, String)>| {
            trouble.as_ref().filter(|(since, _)| now.duration_since(*since) >= TROUBLE_GRACE).map(|(_, message)| message.clone())
        };
        // A run that has just begun has not yet shown that what ended the last one is over.
        let is_over = inner.phase == RunState::Running && now.duration_since(inner.started) >= TROUBLE_GRACE;
        let failure = inner.failure.as_ref().filter(|_| !is_over).map(|failure| failure.message.clone());
        let trouble = lasting(&inner.sink_trouble).or_else(|| lasting(&inner.source_trouble));
        let reason = failure.or(trouble).or_else(|| inner.stalled(now));
        let (state, reason) = match inner.phase {
            RunState::Running if reason.is_some() => (RunState::Waiting, reason),
            RunState::Finished => (RunState::Finished, None),
            phase => (phase, reason),
        };
        Snapshot { state, reason, lanes, lag_events, lag_seconds, rates: inner.rates, last_error: inner.last_error.clone() }
    }

    fn each(&self, lanes: &[(Lane, u64)], set: impl Fn(&mut LaneStatus, u64)) {
        let mut inner = self.lock();
        for (lane, position) in lanes {
            let status = inner.lanes.entry(lane.clone()).or_insert_with(|| LaneStatus {
                lane: lane.to_string(),
                newest: None,
                received: None,
                applied: None,
                durable: None,
            });
            set(status, *position);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// What is not applied yet, over all lanes; none while the source has not said where it ends.
    fn lag(&self) -> Option<u64> {
        let known = self.lanes.values().any(|lane| lane.newest.is_some());
        known.then(|| self.lanes.values().map(|lane| between(lane.applied, lane.newest)).sum())
    }

    /// What was read and is not applied yet. What is not read is no measure: another instance may have that lane.
    fn at_work(&self) -> u64 {
        self.lanes.values().map(|lane| between(lane.applied, lane.received)).sum()
    }

    /// Why it counts as standing still, though nothing says that it is in trouble.
    fn stalled(&self, now: Instant) -> Option<String> {
        let since = now.duration_since(self.moved);
        let waiting = self.at_work();
        (self.phase == RunState::Running && since >= STALL_AFTER && waiting > 0)
            .then(|| format!("none of the {waiting} events (file: bytes) that were read was applied for {} s", since.as_secs()))
    }
}

fn between(low: Option<u64>, high: Option<u64>) -> u64 {
    high.unwrap_or(0).saturating_sub(low.unwrap_or(0))
}

/// What a pipeline is doing at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What it is doing.
    pub state: RunState,
    /// Why it does not go on.
    pub reason: Option<String>,
    /// The ladder.
    pub lanes: Vec<LaneStatus>,
    /// Events not applied yet.
    pub lag_events: Option<u64>,
    /// Age of the last event applied while there are newer ones.
    pub lag_seconds: Option<f64>,
    /// Speeds.
    pub rates: Rates,
    /// The last thing that went wrong.
    pub last_error: Option<LastError>,
}

#[cfg(test)]
mod tests {
    use super::Progress;
    use crate::clock::Clock;
    use crate::event::Lane;

    #[test]
    fn what_another_process_reads_is_no_lag_of_this_one() {
        let progress = Progress::new(Clock::system());
        let (ours, others): (Lane, Lane) = ("a".into(), "b".into());
        progress.newest(&[(ours.clone(), 10), (others.clone(), 10)]);
        progress.applied(&[(ours.clone(), 9), (others.clone(), 4)], 1);
        assert_eq!(progress.snapshot().lag_events, Some(7));
        progress.newest(&[(ours, 10)]);
        assert_eq!(progress.snapshot().lag_events, Some(1));
    }
}
