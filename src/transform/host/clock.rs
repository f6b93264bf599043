//! `wasi:clocks/monotonic-clock`, in place of wasmtime's: a guest that sleeps is woken at its deadline.
//!
//! The epoch stops a guest that computes, not one that waits inside the host, and a sleep of a year would hold its thread
//! for a year. Here every wait ends with the call, and a call with a wait cut short has failed, whatever it returns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::HostMonotonicClock;
use wasmtime_wasi::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock as wasi;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use crate::transform::host::Guest;

/// A guest's monotonic time, in nanoseconds since it was made.
pub struct Clock {
    time: Box<dyn HostMonotonicClock + Send>,
    call_ends: u64,
    overslept: Arc<AtomicBool>,
}

impl Clock {
    /// Starts at 0.
    pub fn new() -> Self {
        Self { time: monotonic_clock(), call_ends: 0, overslept: Arc::default() }
    }

    /// Whether a wait of this call was cut short.
    pub fn overslept(&self) -> bool {
        self.overslept.load(Ordering::Relaxed)
    }

    /// A call begins, and no wait is longer than until then.
    pub fn call_ends_in(&mut self, timeout: Duration) {
        self.overslept.store(false, Ordering::Relaxed);
        self.call_ends = self.time.now().saturating_add(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// Puts this clock where another one was.
pub fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasi::add_to_linker::<Guest, ClockOfGuest>(linker, |guest| ClockView { clock: &guest.clock, resources: &mut guest.resources })
}

/// Names [`ClockView`] for the linker.
struct ClockOfGuest;

impl HasData for ClockOfGuest {
    type Data<'a> = ClockView<'a>;
}

/// The part of a guest that its clock needs.
struct ClockView<'a> {
    clock: &'a Clock,
    resources: &'a mut ResourceTable,
}

impl wasi::Host for ClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.time.now())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.time.resolution())
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let call_ends = self.clock.call_ends;
        let nap = Nap {
            time: monotonic_clock(),
            nanoseconds: when.min(call_ends).saturating_sub(self.clock.time.now()),
            cut_short: (when > call_ends).then(|| self.clock.overslept.clone()),
        };
        let nap = self.resources.push(nap)?;
        subscribe(self.resources, nap)
    }

    fn subscribe_duration(&mut self, nanoseconds: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_instant(self.clock.time.now().saturating_add(nanoseconds))
    }
}

/// A wait: over when its own clock, which started at 0, shows `nanoseconds`.
struct Nap {
    time: Box<dyn HostMonotonicClock + Send>,
    nanoseconds: u64,
    /// Where to say that the guest had wanted to wait for longer.
    cut_short: Option<Arc<AtomicBool>>,
}

#[async_trait]
impl Pollable for Nap {
    /// Holds the thread, which is this guest's for as long as the call lasts. Not tokio's timer: under a paused one, as in
    /// a simulation, it would never wake.
    async fn ready(&mut self) {
        while let Some(left) = self.nanoseconds.checked_sub(self.time.now()).filter(|left| *left > 0) {
            thread::park_timeout(Duration::from_nanos(left));
        }
        if let Some(overslept) = &self.cut_short {
            overslept.store(true, Ordering::Relaxed);
        }
    }
}
