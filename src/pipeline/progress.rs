//! What a pipeline is doing, written by its loop and read by the HTTP API and the metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::clock::Clock;
use crate::error::{Failure, Kind};
use crate::event::Lane;
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
    stopped: Option<Failure>,
    source_trouble: Option<(Instant, String)>,
    sink_trouble: Option<(Instant, String)>,
    last_error: Option<LastError>,
    rates: Rates,
    sample: Option<(Instant, u64, u64)>,
}

impl Progress {
    /// A pipeline that is about to start.
    pub fn new(clock: Clock) -> Self {
        let inner = Inner {
            phase: RunState::Running,
            lanes: BTreeMap::new(),
            applied_ts_ms: 0,
            stopped: None,
            source_trouble: None,
            sink_trouble: None,
            last_error: None,
            rates: Rates::default(),
            sample: None,
        };
        Self { clock, is_looping: AtomicBool::new(false), inner: Mutex::new(inner) }
    }

    /// The loop runs, is paused, or has finished.
    pub fn set_phase(&self, phase: RunState) {
        let mut inner = self.lock();
        inner.phase = phase;
        if phase != RunState::Stopped {
            inner.stopped = None;
        }
    }

    /// The loop ended with a failure; it is tried again when that may help.
    pub fn failed(&self, failure: &Failure) {
        let at_ms = self.clock.now_ms();
        let mut inner = self.lock();
        inner.last_error = Some(LastError { message: failure.message.clone(), kind: failure.kind.as_str(), at_ms });
        inner.phase = if failure.kind == Kind::Unavailable { RunState::Waiting } else { RunState::Stopped };
        inner.stopped = Some(failure.clone());
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

    /// Where the source ends.
    pub fn newest(&self, lanes: &[(Lane, u64)]) {
        self.each(lanes, |status, position| status.newest = Some(position));
    }

    /// Up to where was read.
    pub fn received(&self, lane: &Lane, position: u64) {
        self.each(&[(lane.clone(), position)], |status, position| status.received = Some(position));
    }

    /// Up to where is committed, and when the last event of it was committed at the source.
    pub fn applied(&self, lanes: &[(Lane, u64)], ts_ms: u64) {
        self.each(lanes, |status, position| status.applied = Some(position));
        let mut inner = self.lock();
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
        let known = lanes.iter().any(|lane| lane.newest.is_some());
        let behind = |lane: &LaneStatus| lane.newest.unwrap_or(0).saturating_sub(lane.applied.unwrap_or(0));
        let lag_events = known.then(|| lanes.iter().map(behind).sum());
        let lag_seconds = match (lag_events, inner.applied_ts_ms) {
            (Some(0), _) => Some(0.0),
            (Some(_), ts_ms) if ts_ms > 0 => Some(now_ms.saturating_sub(ts_ms) as f64 / 1000.0),
            _ => None,
        };
        let lasting = |trouble: &Option<(Instant, String)>| {
            trouble.as_ref().filter(|(since, _)| now.duration_since(*since) >= TROUBLE_GRACE).map(|(_, message)| message.clone())
        };
        let trouble = lasting(&inner.sink_trouble).or_else(|| lasting(&inner.source_trouble));
        let stopped = inner.stopped.as_ref().map(|failure| failure.message.clone());
        let state = match inner.phase {
            RunState::Running if trouble.is_some() => RunState::Waiting,
            phase => phase,
        };
        Snapshot { state, reason: stopped.or(trouble), lanes, lag_events, lag_seconds, rates: inner.rates, last_error: inner.last_error.clone() }
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
