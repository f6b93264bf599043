//! What a pipeline tells of itself, and what it can be told: all that the HTTP API knows of pipelines.
//!
//! Nothing here may hold a secret: these shapes are shown as they are.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use crate::config::Changes;
use crate::error::Failure;
use crate::event::{Message, Version};
pub use crate::pipeline::compare::Comparison;
pub use crate::pipeline::shadow::ShadowReport;
pub use crate::pipeline::shelf::ServedModule;
use crate::sink::search::Search;
use crate::state::{DeadCause, StateError};
pub use crate::state::{DeadLetter, LetterFilter};

/// The pipelines of this process, as seen from outside. Reading never waits for a pipeline's work.
#[async_trait]
pub trait Pipelines: Send + Sync {
    /// Every pipeline, in the order of the configuration.
    fn list(&self) -> Vec<PipelineStatus>;

    /// One pipeline.
    fn get(&self, name: &str) -> Option<PipelineStatus> {
        self.list().into_iter().find(|pipeline| pipeline.name == name)
    }

    /// Tells a pipeline what to do. A pause is answered when no batch is at work any more, or the pipeline waits anyway; the
    /// others at once.
    async fn command(&self, name: &str, command: Command) -> Result<(), CommandError>;

    /// Up to `limit` of the dead letters that are meant, newest first.
    async fn dead_letters(&self, name: &str, filter: &LetterFilter, limit: usize) -> Result<Vec<DeadLetter>, CommandError>;

    /// Has the dead letters that are meant played again; answers when that is done, or after 10 s.
    async fn replay(&self, name: &str, filter: &LetterFilter) -> Result<Replayed, CommandError>;

    /// Drops the dead letters that are meant, and says how many they were.
    async fn drop_dead_letters(&self, name: &str, filter: &LetterFilter) -> Result<u64, CommandError>;

    /// Has another module serve: once it does, the module; refused where it does not compile, lacks the world, fails its
    /// `init` or fails on recent changes.
    async fn replace_module(&self, name: &str, module: Vec<u8>) -> Result<Replaced, CommandError>;

    /// Runs a module beside the one that serves, without writing, in place of the shadow before; refused as above.
    async fn start_shadow(&self, name: &str, module: Vec<u8>) -> Result<ShadowReport, CommandError>;

    /// What the shadow has seen so far.
    async fn shadow(&self, name: &str) -> Result<ShadowReport, CommandError>;

    /// Ends the shadow.
    async fn end_shadow(&self, name: &str) -> Result<ShadowReport, CommandError>;

    /// Has the shadow's module serve.
    async fn serve_shadow(&self, name: &str) -> Result<Replaced, CommandError>;

    /// Up to `limit` of the last events that reached the transform, oldest first.
    async fn sample(&self, name: &str, limit: usize) -> Result<Vec<Message>, CommandError>;

    /// Modules that served, the present one first.
    async fn modules(&self, name: &str) -> Result<Vec<ServedModule>, CommandError>;

    /// Goes back to the module that served before.
    async fn roll_back(&self, name: &str) -> Result<Replaced, CommandError>;

    /// Reads the configuration file again and has it serve as a whole, or, for a dry run, says what that would change.
    async fn reload(&self, is_dry_run: bool) -> Result<Reload, NotReloaded>;

    /// The sinks that can be searched.
    fn searches(&self) -> Vec<Arc<dyn Search>>;

    /// Names of the collections that are known to hold documents, sorted. More may be searched: an index that another
    /// process filled is held by its sink all the same.
    fn collections(&self) -> Vec<String>;
}

/// What a pipeline can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Finish the batches at work and read no further. Pausing what is paused is no error.
    Pause,
    /// Go on after a pause. Resuming what is not paused is no error.
    Resume,
    /// Stop when the batches at work are done and start again from the stored positions, with module and source made anew.
    /// The sink stays: the search API holds on to it.
    Restart,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such pipeline. HTTP 404.
    #[error("pipeline {0} does not exist")]
    NotFound(String),
    /// It makes no sense as things stand (the process is draining). HTTP 409.
    #[error("{0}")]
    Conflict(String),
    /// What was brought cannot be used. HTTP 422.
    #[error("{0}")]
    Refused(String),
    /// It was tried and failed. HTTP 503.
    #[error("{0}")]
    Failed(Failure),
}

impl From<StateError> for CommandError {
    fn from(error: StateError) -> Self {
        CommandError::Failed(error.into())
    }
}

/// What came of reading the configuration again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reload {
    /// What was done.
    pub result: ReloadResult,
    /// The file that was read.
    pub file: String,
    /// Since when the configuration serves that the file was compared with, in milliseconds since 1970.
    pub compared_with_ms: u64,
    /// What is different.
    pub plan: Changes,
    /// The same for people.
    pub text: String,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReloadResult {
    /// It serves.
    Applied,
    /// There is nothing different in it.
    Unchanged,
    /// Nothing: only the plan was asked for.
    Planned,
}

/// Why another configuration does not serve: the old one does, whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReloaded {
    /// It makes no sense as things stand (the process is draining). HTTP 409.
    #[error("{0}")]
    Conflict(String),
    /// The file cannot be used, or not while the process runs, or what is new in it did not start. HTTP 422.
    #[error("{message}")]
    Refused {
        /// One sentence.
        message: String,
        /// The file that was read.
        file: String,
        /// Everything that is wrong, one sentence each.
        problems: Vec<String>,
        /// What would have changed, where the file could be read.
        plan: Option<Box<Changes>>,
    },
}

/// What became of the dead letters that were to be replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// They are gone: applied, or overtaken by something newer.
    pub replayed: u64,
    /// They are dead letters again.
    pub dead_again: u64,
    /// They are replayed as soon as the pipeline gets to it.
    pub waiting: u64,
    /// Their events were too large to be kept.
    pub not_kept: u64,
}

/// A dead letter for people. Bytes that are no UTF-8 are shown as best they can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetterStatus {
    /// Its number in the pipeline, from 1.
    pub id: u64,
    /// When it was set aside, in milliseconds since 1970.
    pub at_ms: u64,
    /// What refused it: `decode`, `transform` or `sink`.
    pub stage: String,
    /// One sentence.
    pub reason: String,
    /// Where it stood.
    pub topic: String,
    /// Where it stood.
    pub partition: i32,
    /// Where it stood.
    pub offset: u64,
    /// `schema.table`, where that is known.
    pub table: Option<String>,
    /// The row's key, where it could be read.
    pub key: Option<String>,
    /// The event's version, where it could be read.
    pub version: Option<Version>,
    /// How often it was replayed, and died again.
    pub replays: u32,
    /// The event's value as it came; none for a tombstone, and where the event was not kept.
    pub value: Option<String>,
    /// Whether `value` is only the beginning.
    pub is_cut: bool,
}

impl DeadLetterStatus {
    /// The letter with at most so many bytes of its value.
    pub fn new(letter: DeadLetter, value_bytes_max: usize) -> Self {
        let value = match letter.cause {
            DeadCause::Event(event) => event.value,
            DeadCause::Row { .. } | DeadCause::Window { .. } | DeadCause::TooLarge => None,
        };
        let (topic, partition, offset) = letter.origin;
        Self {
            id: letter.id,
            at_ms: letter.at_ms,
            stage: letter.stage,
            reason: letter.reason,
            topic,
            partition,
            offset,
            table: letter.table,
            key: letter.key,
            version: letter.version,
            replays: letter.replays,
            is_cut: value.as_ref().is_some_and(|value| value.len() > value_bytes_max),
            value: value.map(|value| String::from_utf8_lossy(value.get(..value_bytes_max).unwrap_or(&value)).into_owned()),
        }
    }
}

/// How a pipeline is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PipelineStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Kind of source (`kafka`).
    pub source: String,
    /// Kind of sink (`elasticsearch`).
    pub sink: String,
    /// What it is doing.
    pub state: RunState,
    /// Why it is waiting, paused or stopped: one sentence.
    pub reason: Option<String>,
    /// What a person can do about it: one sentence.
    pub remedy: Option<String>,
    /// The lag ladder, lane by lane, sorted by name.
    pub lanes: Vec<LaneStatus>,
    /// Events at the source that are not yet applied (file: bytes), over all lanes; none while the source has not said where it ends.
    pub lag_events: Option<u64>,
    /// Age of the last event applied, while there are newer ones; 0 when there are none; none when not known.
    pub lag_seconds: Option<f64>,
    /// What is going on now.
    pub rates: Rates,
    /// What was done since the process started.
    pub totals: Totals,
    /// The transform's module; none for a pipeline without one.
    pub module: Option<ModuleStatus>,
    /// Event time before which everything has been told, in milliseconds since 1970; none for a pipeline without windows, and before the first
    /// events.
    pub watermark_ms: Option<u64>,
    /// The last thing that went wrong, even if all is well again.
    pub last_error: Option<LastError>,
    /// Dead letters kept.
    pub dead_letters: u64,
}

/// What a pipeline is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Events are applied as they come, also when none come.
    Running,
    /// Something is down, busy or not yet reached; it is tried again for as long as it takes. One retry is no news: a
    /// pipeline waits once its trouble has lasted for some seconds.
    Waiting,
    /// A person paused it.
    Paused,
    /// It needs a person; the remedy says for what.
    Stopped,
    /// The source has ended and everything is durable.
    Finished,
}

impl RunState {
    /// Whether events that are there are being applied: what readiness asks.
    pub fn is_progressing(self) -> bool {
        matches!(self, RunState::Running | RunState::Finished)
    }

    /// The word used in the HTTP API.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Waiting => "waiting",
            RunState::Paused => "paused",
            RunState::Stopped => "stopped",
            RunState::Finished => "finished",
        }
    }
}

/// The lag ladder of one lane: each step is at or below the one before. Kafka: offsets. File: bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaneStatus {
    /// The lane.
    pub lane: String,
    /// Where the source ends, as last heard; none where another process reads it.
    pub newest: Option<u64>,
    /// Up to where it was read.
    pub received: Option<u64>,
    /// Up to where the sink has answered and the state is committed.
    pub applied: Option<u64>,
    /// Up to where it survives a power cut: what the source was told.
    pub durable: Option<u64>,
}

/// Speeds over the last few seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Events worked on.
    pub events_per_second: f64,
    /// Documents the sink answered.
    pub documents_per_second: f64,
}

/// Sums since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Events that changed something.
    pub events_applied: u64,
    /// Events that were older than what is known.
    pub events_stale: u64,
    /// Events that became dead letters.
    pub events_dead: u64,
    /// Events with nothing to do.
    pub events_ignored: u64,
    /// Events that came too late for every window.
    pub events_late: u64,
    /// Documents written.
    pub documents_indexed: u64,
    /// Documents deleted.
    pub documents_deleted: u64,
    /// Documents not written again, because they had not changed.
    pub documents_unchanged: u64,
    /// Documents the sink will never take.
    pub documents_refused: u64,
}

impl Totals {
    /// Events, whatever became of them.
    pub fn events(&self) -> u64 {
        self.events_applied + self.events_stale + self.events_ignored + self.events_dead + self.events_late
    }
}

/// The code that is serving.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModuleStatus {
    /// SHA-256 of the module's bytes, in hexadecimal.
    pub hash: String,
    /// 1 for the first module since the process started, one more with every replacement.
    pub version: u64,
    /// The file it came from.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it began to serve, in milliseconds since 1970.
    pub loaded_ms: u64,
}

/// The code that serves since it replaced another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replaced {
    /// The code.
    #[serde(flatten)]
    pub module: ModuleStatus,
    /// How its documents of the last changes differ from those of the code before.
    pub trial: Comparison,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastError {
    /// One sentence.
    pub message: String,
    /// What was to be done about it ([`crate::error::Kind::as_str`]).
    pub kind: &'static str,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}
