//! One life of a guest: from its instantiation to its first trap.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Store;

use crate::event::{Change, Operation};
use crate::limits::{EPOCH_TICK, GUEST_LAST_WORDS_BYTES_MAX, GUEST_OUTPUT_BYTES_MAX};
use crate::transform::component::Component;
use crate::transform::fault::{Fault, Reason};
use crate::transform::host::{Given, Guest};
use crate::transform::words::one_line;
use crate::transform::world::Transform;
use crate::transform::world::rowmill::transform::types;

/// An instance that has been initialised.
pub struct Instance {
    store: Store<Guest>,
    guest: Transform,
    given: Arc<Given>,
}

impl Instance {
    /// Instantiates `component` and calls its `init`.
    pub fn start(component: &Component, given: Arc<Given>) -> Result<Self, Fault> {
        let mut store = Store::new(component.ready().engine(), Guest::new(&given));
        store.limiter(|guest| &mut guest.bounds);
        store.set_hostcall_fuel(GUEST_OUTPUT_BYTES_MAX);
        begin(&mut store, &given);
        let instantiated = component.ready().instantiate(&mut store);
        let guest = finish(&mut store, &given, instantiated)?;
        begin(&mut store, &given);
        let initialised = guest.call_init(&mut store, &given.config);
        finish(&mut store, &given, initialised)?.map_err(|reason| returned("init refused the configuration", &reason))?;
        store.data_mut().succeed();
        Ok(Self { store, guest, given })
    }

    /// Passes `changes` and gives what the guest returned, unchecked; whether what it counted counts is yet to be said. After a fault
    /// that does not spare it, this instance is dead.
    pub fn call(&mut self, changes: &[Change]) -> Result<Vec<types::Output>, Fault> {
        let changes: Vec<types::Change<'_>> = changes.iter().map(|change| lowered(change, self.given.before)).collect();
        begin(&mut self.store, &self.given);
        let called = self.guest.call_transform(&mut self.store, &changes);
        let outputs = finish(&mut self.store, &self.given, called)?;
        outputs.map_err(|reason| returned("the guest returned an error", &reason))
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

fn returned(what: &str, reason: &str) -> Fault {
    Fault::new(Reason::Error, format!("{what}: {}", one_line(reason, GUEST_LAST_WORDS_BYTES_MAX)))
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
