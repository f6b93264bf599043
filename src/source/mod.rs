//! Where events enter.
//!
//! - Enters: Kafka records, lines of files.
//! - Leaves: [`Message`]s in the order of their lane, with the position after each; decoded, [`crate::event::Change`]s.
//! - Keeps true: reading starts at the position the state holds, wherever the source believes we are.
//! - Never: a position settled before the pipeline says so; a message dropped, even one that cannot be read.
//!
//! A source gives raw messages; `decode/` turns a message into a change and is pure.

use std::sync::Arc;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::error::Failure;
use crate::event::{Lane, Message};
use crate::settings::Section;

pub mod decode;
pub mod file;
#[cfg(feature = "kafka")]
pub mod kafka;

/// Every kind of source: the name of its table in the configuration, and how that table is read.
pub const KINDS: &[(&str, fn(&Section<'_>) -> Box<dyn SourceSettings>)] = &[
    #[cfg(feature = "kafka")]
    ("kafka", kafka::settings::read),
    ("file", file::settings::read),
];

/// The checked settings of one source: what makes the source.
#[async_trait]
pub trait SourceSettings: std::fmt::Debug + Send + Sync {
    /// What no other pipeline of this process may use at the same time, as a phrase: `consumer group products at localhost:9092`.
    fn claims(&self) -> Option<String> {
        None
    }

    /// What it means for what was read so far that the value of `key` in its table has become another: a sentence for the
    /// plan of a reload, where there is something to say.
    fn on_change(&self, _key: &str) -> Option<String> {
        None
    }

    /// Finds what [`SourceSettings::open`] would refuse, and takes nothing from a source that is open with such settings.
    /// Blocks for milliseconds.
    fn check(&self, _pipeline: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// Makes the source. Must not wait for a server: what is down is waited for inside [`Source::next`].
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>, Failure>;
}

/// What a source is given when it is made.
#[derive(Clone)]
pub struct SourceContext {
    /// The pipeline it serves; the default consumer group is named after it.
    pub pipeline: String,
    /// Where each lane is to be read from.
    pub positions: Arc<dyn StoredPositions>,
    /// Time and chance.
    pub clock: Clock,
}

/// The positions of the state, as a source needs them.
pub trait StoredPositions: Send + Sync {
    /// Where to read on; none for a lane never read.
    fn position(&self, lane: &str) -> Option<u64>;
}

/// A place change events come from.
///
/// The contract:
/// - Messages of one lane come in the order of the source, each once between two (re)starts of the lane; a lane may start
///   again at its stored position at any time (a rebalance), so a message may come again.
/// - `next` is cancel safe: what a dropped call would have given comes with the next one.
/// - What is down is waited for inside `next`, with the reason to be had from [`Source::trouble`]; an error of `next` is final.
/// - While nobody calls `next`, the source holds a bounded amount and stays a member of its group.
#[async_trait]
pub trait Source: Send {
    /// The next messages; waits for at least one thing to say.
    async fn next(&mut self) -> Result<Arrival, Failure>;

    /// Tells the source that everything before these positions is durable. For Kafka that is for monitoring only.
    fn settle(&self, positions: &[(Lane, u64)]);

    /// Where each lane ends now; what `--until-caught-up` waits for. Waits for the source to be reachable.
    async fn ends(&self) -> Result<Vec<(Lane, u64)>, Failure>;

    /// The newest position of each lane that this process reads, as last heard, without waiting: the top of the lag ladder.
    fn newest(&self) -> Vec<(Lane, u64)>;

    /// The lanes that this process has, where several share them: each with a number that is another whenever it comes to it anew. None:
    /// it has them all.
    fn lanes(&self) -> Option<Vec<(Lane, u64)>> {
        None
    }

    /// What the source is waiting for, when it is: one sentence for the health page.
    fn trouble(&self) -> Option<String>;
}

/// What a source has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// One or more messages.
    Messages(Vec<Message>),
    /// Nothing more before this position of the lane: records that only the source understands (transaction markers,
    /// compacted ranges) were passed.
    Passed {
        /// The lane.
        lane: Lane,
        /// Where it stands now.
        position: u64,
    },
    /// The lane was made anew and starts at 0: what comes now is not what stood at these positions before.
    Anew {
        /// The lane.
        lane: Lane,
    },
    /// There is no more and there will be no more: a file that is not followed.
    Finished,
}
