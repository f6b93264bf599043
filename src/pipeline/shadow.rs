//! New code run beside the present code, without writing: what it would have made of what really flows.
//!
//! A shadow has a thread and a short queue of its own. When it is slower than the pipeline, batches pass it by and are counted; the
//! pipeline never waits for it. What it keeps is in memory, and empty when it starts. It ends with the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::error::Failure;
use crate::event::Change;
use crate::limits;
use crate::pipeline::compare::Comparison;
use crate::transform::{KeyValues, MemoryStore, Outcome, Ran, Transform};

/// What a shadow has seen so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ShadowReport {
    /// SHA-256 of the module, in hexadecimal.
    pub hash: String,
    /// Since when it runs, in milliseconds since 1970.
    pub since_ms: u64,
    /// How its documents differ from those that are written.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// Changes that passed it by because it was still busy.
    pub skipped: u64,
    /// Seconds that the present module took for the changes compared.
    pub present_seconds: f64,
    /// Seconds that this one took.
    pub shadow_seconds: f64,
    /// Why it runs no more; none while it does.
    pub ended: Option<String>,
}

/// A batch that the present module has worked out.
struct Worked {
    changes: Vec<Change>,
    outcomes: Vec<Outcome>,
    took: Duration,
}

/// A module that runs beside the one that serves.
pub struct Shadow {
    report: Arc<Mutex<ShadowReport>>,
    batches: mpsc::Sender<Worked>,
    /// The module, for having it serve.
    pub bytes: Vec<u8>,
}

impl Shadow {
    /// Starts it, with a store of its own. It ends when this is dropped.
    pub fn start(transform: Transform, store: MemoryStore, bytes: Vec<u8>, clock: &Clock) -> Result<Self, Failure> {
        let report = ShadowReport { hash: transform.component().hash().to_owned(), since_ms: clock.now_ms(), ..ShadowReport::default() };
        let report = Arc::new(Mutex::new(report));
        let (batches, received) = mpsc::channel(limits::SHADOW_BATCHES_MAX);
        let (noted, clock) = (report.clone(), clock.clone());
        let thread = std::thread::Builder::new().name("rowmill-shadow".to_owned());
        let started = thread.spawn(move || follow(transform, &store, received, &noted, &clock));
        started.map_err(|error| Failure::unavailable(format!("cannot start a thread for the shadow: {error}")))?;
        Ok(Self { report, batches, bytes })
    }

    /// What it has seen.
    pub fn report(&self) -> ShadowReport {
        locked(&self.report).clone()
    }
}

/// The shadow of a pipeline, if there is one.
#[derive(Default)]
pub struct ShadowPlace(Mutex<Option<Shadow>>);

impl ShadowPlace {
    /// Puts another there, or none; gives the one before.
    pub fn set(&self, shadow: Option<Shadow>) -> Option<Shadow> {
        std::mem::replace(&mut *locked(&self.0), shadow)
    }

    /// What the one there has seen.
    pub fn report(&self) -> Option<ShadowReport> {
        locked(&self.0).as_ref().map(Shadow::report)
    }

    /// The module of the one there.
    pub fn module(&self) -> Option<Vec<u8>> {
        locked(&self.0).as_ref().map(|shadow| shadow.bytes.clone())
    }

    /// Ends the one there if it is of this module: another may have been started since.
    pub fn end_of(&self, hash: &str) {
        let mut place = locked(&self.0);
        if place.as_ref().is_some_and(|shadow| shadow.report().hash == hash) {
            *place = None;
        }
    }

    /// Shows it a batch that was worked out in `took`.
    pub fn show(&self, changes: &[Change], outcomes: &[Outcome], took: Duration) {
        let place = locked(&self.0);
        let Some(shadow) = place.as_ref().filter(|_| !changes.is_empty()) else { return };
        match shadow.batches.try_reserve() {
            Ok(room) => room.send(Worked { changes: changes.to_vec(), outcomes: outcomes.to_vec(), took }),
            Err(_) => locked(&shadow.report).skipped += changes.len() as u64,
        }
    }
}

fn follow(mut transform: Transform, store: &MemoryStore, mut batches: mpsc::Receiver<Worked>, report: &Mutex<ShadowReport>, clock: &Clock) {
    let values: Arc<dyn KeyValues> = Arc::new(store.clone());
    while let Some(Worked { changes, outcomes, took }) = batches.blocking_recv() {
        let started = clock.instant();
        match transform.run(&changes, &values) {
            Ok(Ran { outcomes: new, written }) => {
                store.apply(written);
                let seconds = started.elapsed().as_secs_f64();
                // Compared before the report is locked: the pipeline may have something to note there.
                let compared = Comparison::of(&changes, &outcomes, &new);
                let mut report = locked(report);
                report.present_seconds += took.as_secs_f64();
                report.shadow_seconds += seconds;
                report.comparison.add(compared);
            }
            Err(failure) => {
                locked(report).ended = Some(failure.message);
                return;
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
