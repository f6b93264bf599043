//! A configuration as data, once it is checked.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;

use crate::aggregate::settings::AggregateSettings;
use crate::settings::{Secret, Settings};
use crate::sink::SinkSettings;
use crate::source::SourceSettings;
use crate::source::decode::settings::DecodeSettings;
use crate::state::settings::{DeadLetterBounds, Keep, StateSettings};
use crate::transform::settings::TransformSettings;

/// What is to be run: the whole file, checked.
///
/// It is shown by [`Plan::summary`], also where someone asks for its `Debug`: connectors hold passwords in properties
/// that only they know to be passwords, so nothing of a connector is shown but its kind and index.
pub struct Plan {
    /// Where it was read; none for a text that came from elsewhere.
    pub file: Option<PathBuf>,
    /// The HTTP side.
    pub server: ServerSettings,
    /// What is remembered, and where.
    pub state: StateSettings,
    /// The pipelines, in the order of the file.
    pub pipelines: Vec<Arc<PipelinePlan>>,
    /// What was read of the process (`server.listen`), to be compared.
    pub settings: Settings,
}

/// The HTTP side.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Where to listen; none: nowhere.
    pub listen: Option<SocketAddr>,
    /// What every call of the admin API must bring.
    pub token: Option<Secret>,
    /// Names besides its own addresses under which the server may be called.
    pub hosts: Vec<String>,
    /// How long a drain may take before what is at work is left unsettled.
    pub drain_timeout: Duration,
}

/// One pipeline.
pub struct PipelinePlan {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// Which of [`crate::source::KINDS`] its source is.
    pub source_kind: &'static str,
    /// What makes the source.
    pub source: Box<dyn SourceSettings>,
    /// How messages are read.
    pub decode: DecodeSettings,
    /// The user's code; none: the row is the document.
    pub transform: Option<TransformSettings>,
    /// What is counted, and over which windows; none: rows become documents.
    pub aggregate: Option<Arc<AggregateSettings>>,
    /// What is remembered of a row.
    pub keep: Keep,
    /// How many dead letters are kept.
    pub dead_letters: DeadLetterBounds,
    /// What makes the sink that dead letters are sent to as well; none: they are only kept.
    pub dead_letters_sink: Option<Box<dyn SinkSettings>>,
    /// How much goes at a time.
    pub batch: BatchSettings,
    /// Which of [`crate::sink::KINDS`] its sink is.
    pub sink_kind: &'static str,
    /// What makes the sink.
    pub sink: Box<dyn SinkSettings>,
    /// All of this as it was read (`batch.max_wait`), to be compared.
    pub settings: Settings,
}

/// How much goes at a time. A lane that is idle sends what it has at once; these bound what gathers while it is busy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSettings {
    /// Documents.
    pub max_documents: usize,
    /// Bytes of them.
    pub max_bytes: usize,
    /// How long to wait for more while the sink is idle.
    pub max_wait: Duration,
}

impl Plan {
    /// The plan for people, one line for each part, without any secret.
    pub fn summary(&self) -> String {
        let StateSettings { dir, tombstone_retention, cache_bytes } = &self.state;
        let (cache, retention) = (ByteSize(*cache_bytes), humantime::format_duration(*tombstone_retention));
        let state = format!("state: {}, cache {cache}, deletes remembered {retention}", dir.display());
        let mut lines = vec![self.server.to_string(), state];
        lines.extend(self.pipelines.iter().map(ToString::to_string));
        lines.join("\n")
    }
}

impl PipelinePlan {
    /// Where rows of windows go that name no index: they are of no table.
    pub fn index_of_windows(&self) -> String {
        self.sink.index().map_or_else(|| self.name.to_lowercase(), str::to_owned)
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())
    }
}

impl fmt::Display for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.listen {
            Some(address) => write!(f, "server: http://{address}, {} token", if self.token.is_some() { "with" } else { "without" }),
            None => f.write_str("server: off"),
        }
    }
}

impl fmt::Display for PipelinePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pipeline {}: {} → ", self.name, self.source_kind)?;
        if let Some(transform) = &self.transform {
            write!(f, "{} → ", transform.module.display())?;
        }
        if let Some(aggregate) = &self.aggregate {
            write!(f, "windows ({}) → ", aggregate.unit())?;
        }
        f.write_str(self.sink_kind)?;
        if let Some(index) = self.sink.index() {
            write!(f, " ({index})")?;
        }
        let kept = match self.keep {
            Keep::Versions => "versions",
            Keep::Rows => "rows",
        };
        let BatchSettings { max_documents, max_bytes, max_wait } = &self.batch;
        let (bytes, wait) = (ByteSize(u64::try_from(*max_bytes).unwrap_or(u64::MAX)), humantime::format_duration(*max_wait));
        write!(f, ", keeps {kept}, batches of {max_documents} documents or {bytes} or {wait}")
    }
}

impl fmt::Debug for PipelinePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
