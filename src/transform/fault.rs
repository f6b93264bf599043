//! Why a call of a guest gave nothing.

use bytesize::ByteSize;
use rustc_demangle::demangle;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::limits::{
    GUEST_FRAMES_MAX, GUEST_LAST_WORDS_BYTES_MAX, GUEST_OUTPUT_BYTES_MAX, GUEST_STORE_WRITE_BYTES_MAX, GUEST_STORE_WRITES_MAX,
};
use crate::transform::host::Given;
use crate::transform::words::one_line;

/// Functions by which languages panic: what called them is what a reader wants.
const PANICKING: &[&str] = &["std::", "core::", "alloc::", "__rust", "rust_", "abort", "__wasi_", "_start"];

/// What went wrong, as `rowmill_guest_traps_total` counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It stopped itself: a panic, an `unreachable`, an exit, a stack too deep.
    Trap,
    /// It was not done by its deadline.
    Timeout,
    /// It stopped after being refused more memory.
    Memory,
    /// It returned an error for its whole batch.
    Error,
    /// What it returned cannot be used.
    Output,
    /// It wrote too much to its store.
    Store,
}

impl Reason {
    /// Every reason, so that each is counted from 0.
    pub const ALL: [Reason; 6] = [Reason::Trap, Reason::Timeout, Reason::Memory, Reason::Error, Reason::Output, Reason::Store];

    /// The word used in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Trap => "trap",
            Reason::Timeout => "timeout",
            Reason::Memory => "memory",
            Reason::Error => "error",
            Reason::Output => "output",
            Reason::Store => "store",
        }
    }
}

/// A call that failed as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What went wrong.
    pub reason: Reason,
    /// One sentence: the dead letter's reason, when one change stands alone in the call.
    pub message: String,
    /// The functions it was in, the innermost first; empty where the module has no names.
    pub backtrace: Vec<String>,
}

impl Fault {
    /// A fault from its parts.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), backtrace: Vec::new() }
    }

    /// Whether the instance can serve on: an error it *returned* leaves it whole.
    pub fn spares_the_instance(&self) -> bool {
        self.reason == Reason::Error
    }

    /// The call was not done by its deadline.
    pub fn timeout(given: &Given) -> Self {
        let timeout = humantime::format_duration(given.timeout);
        Self::new(Reason::Timeout, format!("the guest was not done in {timeout} (transform.timeout)"))
    }

    /// The call wrote more to the store than a call may.
    pub fn store() -> Self {
        let max = ByteSize::b(GUEST_STORE_WRITE_BYTES_MAX);
        Self::new(Reason::Store, format!("the guest wrote to its store more than {GUEST_STORE_WRITES_MAX} times or {max} in one call"))
    }

    /// Reads wasmtime's error. `refused_memory`: the guest had asked for more than it may have. `last_words`: what it had
    /// said before (a panic's message).
    pub fn of_trap(error: &wasmtime::Error, given: &Given, refused_memory: bool, last_words: &str) -> Self {
        let backtrace = error.downcast_ref().map(backtrace).unwrap_or_default();
        if error.downcast_ref() == Some(&Trap::Interrupt) {
            return Self { backtrace, ..Self::timeout(given) };
        }
        if is_out_of_transfer(error) {
            let max = ByteSize::b(GUEST_OUTPUT_BYTES_MAX as u64);
            return Self::new(Reason::Output, format!("the guest passed more than {max} in one call"));
        }
        let (reason, mut message) = if refused_memory {
            let max = ByteSize::b(given.memory_bytes as u64);
            (Reason::Memory, format!("the guest asked for more memory than {max} (transform.memory)"))
        } else {
            (Reason::Trap, format!("the guest trapped: {}", what(error)))
        };
        if !last_words.is_empty() {
            message.push_str(": ");
            message.push_str(last_words);
        }
        Self { reason, message, backtrace }
    }
}

/// Where the guest's own code was: the functions that have names, without those by which a language panics.
fn backtrace(trace: &WasmBacktrace) -> Vec<String> {
    let mut frames = Vec::new();
    for frame in trace.frames() {
        // With debug information a frame stands for all the calls that were put into one function.
        for symbol in frame.symbols() {
            let place = symbol.file().map(|file| format!("{file}:{}", symbol.line().unwrap_or_default()));
            frames.extend(symbol.name().map(|name| named(name, place)));
        }
        if frame.symbols().is_empty() {
            frames.extend(frame.func_name().map(|name| named(name, None)));
        }
    }
    let own = frames.iter().position(|frame| !PANICKING.iter().any(|start| frame.starts_with(start))).unwrap_or(0);
    frames.drain(..own);
    frames.truncate(GUEST_FRAMES_MAX);
    frames
}

fn named(name: &str, place: Option<String>) -> String {
    let name = one_line(&format!("{:#}", demangle(name)), GUEST_LAST_WORDS_BYTES_MAX);
    place.map_or(name.clone(), |place| format!("{name} ({})", one_line(&place, GUEST_LAST_WORDS_BYTES_MAX)))
}

/// What stopped it, in words, without the backtrace.
fn what(error: &wasmtime::Error) -> String {
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return format!("it called exit({code})");
    }
    let cause = error.root_cause().to_string();
    cause.strip_prefix("wasm trap: ").map_or(cause.clone(), str::to_owned)
}

/// Whether the text copied out of the guest passed the bound set by `Store::set_hostcall_fuel`. Wasmtime's type for it is
/// private; the test with the guest that passes one text a thousand times (`tests/it/guests.rs`) fails when its words change.
fn is_out_of_transfer(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls has been exhausted")
}
