//! Where the rooms meet: what happens to a batch, and when it counts as done.
//!
//! - Enters: messages of a source.
//! - Leaves: writes to a sink; effects to the state; settled positions to the source.
//! - Keeps true: a position is settled only when every effect of all events before it is durable; one bad event never stops
//!   the rest; what is down is waited for by this pipeline alone.
//! - Never: knowledge of a particular source or sink.
//!
//! In reading order: `batch` (what waits), `gate`, `rows`, `toast` and `document` (plain functions on data), `process` (a
//! batch worked out, with the `guest_store`), `truncate` and `replay` (batches of another kind), `deliver` (its writes answered, as many at a time as
//! `pressure` allows), `refusal` (what the sink will never take), `runner` (the loop, with commit and settle), `supervised` (one pipeline,
//! run again and again) and `supervisor` (all of a process), `reload`, `shelf`, `recent`, `compare` and `shadow` (code replaced while it
//! runs), `reconfigure` (another configuration).

mod answered;
mod batch;
mod commands;
mod compare;
mod control;
mod courier;
mod deliver;
mod delivery;
mod document;
mod failpoint;
mod gate;
mod guest_store;
mod loaded;
mod metrics;
mod open_sink;
mod positions;
mod pressure;
mod process;
mod progress;
mod recent;
mod reconfigure;
mod refusal;
mod reload;
mod replay;
mod rows;
mod runner;
mod settling;
mod shadow;
mod shelf;
pub mod status;
mod supervised;
pub mod supervisor;
mod toast;
mod truncate;
mod windows;
mod work;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use supervisor::{Ending, Pipelines};
