//! Where documents leave: one folder for each sink, one floor plan.
//!
//! - Enters: [`Write`]s, each with the version that makes a repeat harmless.
//! - Leaves: one [`Verdict`] for each, in order.
//! - Keeps true: a sink applies `(id, version)` only when it is newer than what it has; an older or equal one is `stale`, which is success.
//! - Never: retries, waiting, state of ours. The pipeline decides what happens next.
//!
//! A folder holds `mod` (joins), `settings` (data), `request` (pure), `client` (the one network call), `verdict` (pure)
//! and its tests. To add one: the folder, one line in [`KINDS`], one Cargo feature.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::clock::Clock;
use crate::error::Failure;
use crate::event::Write;
use crate::settings::Section;

#[cfg(feature = "elasticsearch")]
pub mod elasticsearch;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod file;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod search;

/// Every kind of sink: the name of its table in the configuration, and how that table is read.
pub const KINDS: &[(&str, fn(&Section<'_>) -> Box<dyn SinkSettings>)] = &[
    #[cfg(feature = "elasticsearch")]
    ("elasticsearch", elasticsearch::settings::read),
    #[cfg(feature = "elasticsearch")]
    ("opensearch", elasticsearch::settings::read),
    #[cfg(feature = "embedded")]
    ("embedded", embedded::settings::read),
    ("file", file::settings::read),
    #[cfg(feature = "kafka")]
    ("kafka", kafka::settings::read),
];

/// The checked settings of one sink: what makes the sink.
#[async_trait]
pub trait SinkSettings: std::fmt::Debug + Send + Sync {
    /// The index documents go to when neither the transform nor anything else names one. May hold `{topic}`, `{schema}`
    /// and `{table}`.
    fn index(&self) -> Option<&str>;

    /// What no other pipeline of this process may use at the same time, as a phrase: `file out.jsonl`.
    fn claims(&self) -> Option<String> {
        None
    }

    /// What it means for what was written so far that the value of `key` in its table has become another: a sentence for the
    /// plan of a reload, where there is something to say.
    fn on_change(&self, _key: &str) -> Option<String> {
        None
    }

    /// Makes the sink. Must not wait for a server: what is down is found by the first [`Sink::prepare`].
    async fn open(&self, context: &SinkContext) -> Result<Arc<dyn Sink>, Failure>;
}

/// Said where documents go to another place from now on.
pub const STAYS_WHERE_IT_IS: &str = "what was written so far stays where it is, and is not written to the new place until it changes: \
     to fill that whole, give the pipeline another name";

/// What a sink is given when it is made.
#[derive(Clone, Debug)]
pub struct SinkContext {
    /// The pipeline it serves.
    pub pipeline: String,
    /// Time and chance.
    pub clock: Clock,
    /// A folder of its own, beside the state.
    pub dir: std::path::PathBuf,
}

/// A place documents are written to.
///
/// The contract:
/// - `write` is called with one or more writes and answers one verdict for each, in their order. The same document may
///   stand in it more than once, in rising versions.
/// - The same write may come again, after anything: a time-out, a crash, a restart. Versions make it harmless.
/// - `write` may be called again while earlier calls run, up to [`Sink::requests_in_flight`] at a time.
/// - A verdict of `Stored` or `Stale` means durable: nothing the sink has in memory only may be answered so.
/// - Dropping the future of a call may leave it applied or not: the caller writes again.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Reaches out once: is the server there, are the credentials good, does the index exist or may it be created?
    /// Called before the first write, and again after [`WriteError::IndexMissing`].
    async fn prepare(&self, indexes: &[Arc<str>]) -> Result<(), Failure>;

    /// Writes; see the contract above.
    async fn write(&self, writes: &[Write]) -> Result<Vec<Verdict>, WriteError>;

    /// How many calls of `write` may run at a time. 1 where order matters.
    fn requests_in_flight(&self) -> usize;

    /// Reading back, where the sink can.
    fn search(&self) -> Option<Arc<dyn search::Search>> {
        None
    }
}

/// What became of one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is there, durably.
    Stored,
    /// Something as new or newer was there already: success.
    Stale,
    /// The sink will never take it; the reason, for the dead letter.
    Refused(String),
    /// Not now: write this one again later; the reason, as a short word for metrics (`429`).
    Retry(&'static str),
}

/// Why a whole call of `write` gave no verdicts. Nothing is known about any of its writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Unreachable, timed out, 5xx, blocked: the same again after a while. `reason` is a short word for metrics.
    #[error("{message}")]
    Unavailable {
        /// A short word for metrics: `unreachable`, `timeout`, `503`.
        reason: &'static str,
        /// One sentence for people.
        message: String,
        /// How long the server asked us to wait.
        after: Option<Duration>,
    },
    /// The server has too much to do (429): as above, and with fewer requests at a time.
    #[error("{message}")]
    Overloaded {
        /// One sentence for people.
        message: String,
        /// How long the server asked us to wait.
        after: Option<Duration>,
    },
    /// Refused as a whole (413, or 400 for one bad line): write it in parts, until the bad one stands alone.
    #[error("{message}")]
    Split {
        /// The server's reason: the dead letter's, when a single write is refused so.
        message: String,
    },
    /// An index is not there: prepare again.
    #[error("index {index} does not exist")]
    IndexMissing {
        /// Its name.
        index: String,
    },
    /// A person must change something.
    #[error("{remedy}")]
    Misconfigured {
        /// One sentence that says what to do.
        remedy: String,
    },
}

/// Sums of verdicts, for logs and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Written.
    pub stored: u64,
    /// Already there.
    pub stale: u64,
    /// Never to be taken.
    pub refused: u64,
}
