//! One life of a guest: from its instantiation to its first trap.

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
    call_ticks: u64,
    given_before: bool,
}

impl Instance {
    /// Instantiates `component` and calls its `init`.
    pub fn start(component: &Component, given: &Given) -> Result<Self, Fault> {
        let mut store = Store::new(component.ready().engine(), Guest::new(given));
        store.limiter(|guest| &mut guest.bounds);
        store.set_hostcall_fuel(GUEST_OUTPUT_BYTES_MAX);
        let call_ticks = ticks(given);
        begin(&mut store, given, call_ticks);
        let guest = component.ready().instantiate(&mut store).map_err(|error| fault(&mut store, &error))?;
        begin(&mut store, given, call_ticks);
        match guest.call_init(&mut store, &given.config) {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => return Err(Fault::new(Reason::Error, format!("init refused the configuration: {}", one_line(&reason, GUEST_LAST_WORDS_BYTES_MAX)))),
            Err(error) => return Err(fault(&mut store, &error)),
        }
        store.data_mut().succeed();
        Ok(Self { store, guest, call_ticks, given_before: given.before })
    }

    /// Passes `changes` and gives what the guest returned, unchecked. After a fault that does not spare it, this instance
    /// is dead.
    pub fn call(&mut self, changes: &[Change], given: &Given) -> Result<Vec<types::Output>, Fault> {
        let changes: Vec<types::Change<'_>> = changes.iter().map(|change| lowered(change, self.given_before)).collect();
        begin(&mut self.store, given, self.call_ticks);
        match self.guest.call_transform(&mut self.store, &changes) {
            Ok(Ok(outputs)) => {
                self.store.data_mut().succeed();
                Ok(outputs)
            }
            Ok(Err(reason)) => {
                self.store.data_mut().fail();
                Err(Fault::new(Reason::Error, format!("the guest returned an error: {}", one_line(&reason, GUEST_LAST_WORDS_BYTES_MAX))))
            }
            Err(error) => Err(fault(&mut self.store, &error)),
        }
    }
}

/// Ticks until the deadline: one more than it takes, for the present tick has partly passed.
fn ticks(given: &Given) -> u64 {
    let ticks = given.timeout.as_nanos().div_ceil(EPOCH_TICK.as_nanos());
    // Above this, the sum with the present epoch could overflow.
    u64::try_from(ticks).unwrap_or(u64::MAX).clamp(1, u64::from(u32::MAX)) + 1
}

fn begin(store: &mut Store<Guest>, given: &Given, ticks: u64) {
    store.set_epoch_deadline(ticks);
    store.data_mut().begin(given.timeout);
}

fn fault(store: &mut Store<Guest>, error: &wasmtime::Error) -> Fault {
    let guest = store.data_mut();
    let last_words = guest.fail();
    let refused = guest.bounds.take_refused();
    Fault::of_trap(error, refused.then(|| guest.bounds.bytes_max()), &last_words)
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
