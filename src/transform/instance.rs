//! One life of a guest: from its instantiation to its first trap.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Store;

use crate::aggregate::Row;
use crate::event::{Change, Operation};
use crate::limits::{EPOCH_TICK, GUEST_LAST_WORDS_BYTES_MAX, GUEST_OUTPUT_BYTES_MAX};
use crate::transform::batch::Batch;
use crate::transform::component::{Component, Ready};
use crate::transform::fault::{Fault, Reason};
use crate::transform::host::{Given, Guest};
use crate::transform::output::{Gathered, gather, gather_measures};
use crate::transform::words::one_line;
use crate::transform::world::Transform;
use crate::transform::world::aggregate::Aggregate;
use crate::transform::world::aggregate::rowmill::transform::windows;
use crate::transform::world::rowmill::transform::types;

/// An instance that has been initialised.
pub struct Instance {
    store: Store<Guest>,
    guest: Exports,
    given: Arc<Given>,
}

enum Exports {
    Transform(Transform),
    Aggregate(Aggregate),
}

impl Instance {
    /// Instantiates `component` and calls its `init`.
    pub fn start(component: &Component, given: Arc<Given>) -> Result<Self, Fault> {
        let engine = match component.ready() {
            Ready::Transform(ready) => ready.engine(),
            Ready::Aggregate(ready) => ready.engine(),
        };
        let mut store = Store::new(engine, Guest::new(&given));
        store.limiter(|guest| &mut guest.bounds);
        store.set_hostcall_fuel(GUEST_OUTPUT_BYTES_MAX);
        begin(&mut store, &given);
        let instantiated = match component.ready() {
            Ready::Transform(ready) => ready.instantiate(&mut store).map(Exports::Transform),
            Ready::Aggregate(ready) => ready.instantiate(&mut store).map(Exports::Aggregate),
        };
        let guest = finish(&mut store, &given, instantiated)?;
        begin(&mut store, &given);
        let initialised = match &guest {
            Exports::Transform(guest) => guest.call_init(&mut store, &given.config),
            Exports::Aggregate(guest) => guest.call_init(&mut store, &given.config),
        };
        finish(&mut store, &given, initialised)?.map_err(|reason| refused("init refused the configuration", &reason))?;
        store.data_mut().succeed();
        Ok(Self { store, guest, given })
    }

    /// Passes `batch` and gives what the guest returned, sorted; whether what it counted counts is yet to be said. After a fault
    /// that does not spare it, this instance is dead.
    pub fn call(&mut self, batch: Batch<'_>) -> Result<Gathered, Fault> {
        match (&self.guest, batch) {
            (Exports::Transform(guest), Batch::Changes(changes)) => {
                let changes = lowered_all(changes, self.given.before);
                begin(&mut self.store, &self.given);
                let called = guest.call_transform(&mut self.store, &changes);
                gather(batch.len(), returned(finish(&mut self.store, &self.given, called)?)?)
            }
            (Exports::Aggregate(guest), Batch::Changes(changes)) => {
                let changes = lowered_all(changes, self.given.before);
                begin(&mut self.store, &self.given);
                let called = guest.call_measure(&mut self.store, &changes);
                gather_measures(batch.len(), returned(finish(&mut self.store, &self.given, called)?)?)
            }
            (Exports::Aggregate(guest), Batch::Rows(rows)) => {
                let texts: Vec<RowTexts> = rows.iter().map(RowTexts::of).collect();
                let rows: Vec<windows::WindowRow<'_>> = rows.iter().zip(&texts).map(|(row, texts)| lowered_row(row, texts)).collect();
                begin(&mut self.store, &self.given);
                let called = guest.call_render(&mut self.store, &rows);
                gather(batch.len(), returned(finish(&mut self.store, &self.given, called)?)?)
            }
            (Exports::Transform(_), Batch::Rows(_)) => Err(Fault::new(Reason::Output, "the module does not render windows")),
        }
    }

    /// What the last call counted counts.
    pub fn succeed(&mut self) {
        self.store.data_mut().succeed();
    }

    /// It does not: the call is made again.
    pub fn forget(&mut self) {
        self.store.data_mut().forget();
    }
}

fn begin(store: &mut Store<Guest>, given: &Given) {
    store.set_epoch_deadline(ticks(given.timeout));
    store.data_mut().begin(given.timeout);
}

/// Ticks until the deadline: one more than it takes, for the present tick has partly passed.
fn ticks(timeout: Duration) -> u64 {
    let ticks = timeout.as_nanos().div_ceil(EPOCH_TICK.as_nanos());
    // Above this, the sum with the present epoch could overflow.
    u64::try_from(ticks).unwrap_or(u64::MAX).clamp(1, u64::from(u32::MAX)) + 1
}

/// What a call gave, or the fault it ended in.
fn finish<T>(store: &mut Store<Guest>, given: &Given, called: wasmtime::Result<T>) -> Result<T, Fault> {
    let guest = store.data_mut();
    match called {
        Ok(given_back) if !guest.overslept() => Ok(given_back),
        Ok(_) => Err(Fault::timeout(given)),
        Err(error) => {
            let last_words = guest.last_words();
            Err(Fault::of_trap(&error, given, guest.bounds.take_refused(), &last_words))
        }
    }
}

fn returned<T>(result: Result<T, String>) -> Result<T, Fault> {
    result.map_err(|reason| refused("the guest returned an error", &reason))
}

fn refused(what: &str, reason: &str) -> Fault {
    Fault::new(Reason::Error, format!("{what}: {}", one_line(reason, GUEST_LAST_WORDS_BYTES_MAX)))
}

fn lowered_all(changes: &[Change], before: bool) -> Vec<types::Change<'_>> {
    changes.iter().map(|change| lowered(change, before)).collect()
}

fn lowered(change: &Change, before: bool) -> types::Change<'_> {
    types::Change {
        operation: match change.operation {
            Operation::Create => types::Operation::Create,
            Operation::Update => types::Operation::Update,
            Operation::Delete => types::Operation::Delete,
            Operation::Read => types::Operation::Read,
            Operation::Refresh => types::Operation::Refresh,
        },
        source: &change.source,
        table: &change.table,
        key: change.key.as_ref().map_or("null", |key| &key.json),
        before: change.before.as_deref().filter(|_| before),
        after: change.after.as_deref(),
        version: types::Version { first: change.version.first, second: change.version.second },
        ts_ms: change.ts_ms,
    }
}

/// The numbers of a row as text.
struct RowTexts {
    sum: String,
    extremes: Option<(String, String)>,
    average: Option<String>,
}

impl RowTexts {
    fn of(row: &Row) -> Self {
        let extremes = row.extremes.map(|extremes| (extremes.min.normalize().to_string(), extremes.max.normalize().to_string()));
        Self { sum: row.sum.to_string(), extremes, average: row.average.map(|average| average.to_string()) }
    }
}

fn lowered_row<'a>(row: &'a Row, texts: &'a RowTexts) -> windows::WindowRow<'a> {
    windows::WindowRow {
        window: row.span.as_ref().map(|span| windows::Span { start_ms: span.start_ms, end_ms: span.end_ms }),
        key: &row.key,
        rank: row.rank,
        is_final: row.is_final,
        count: row.count,
        sum: &texts.sum,
        min: texts.extremes.as_ref().map(|(min, _)| min.as_str()),
        max: texts.extremes.as_ref().map(|(_, max)| max.as_str()),
        average: texts.average.as_deref(),
        distinct: row.distinct,
        score: row.score,
    }
}
