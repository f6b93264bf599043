//! From a message to a change. Plain functions on data.

pub mod settings;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{Change, Key, Message, Version};
use settings::DecodeSettings;

/// What a message turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A change of one row.
    Change(Change),
    /// A key without a value and without a version, and no delete of that key just before it: the delete was compacted
    /// away, and this is all that tells of it. It is newer than everything read of that key in its lane.
    Tombstone {
        /// `schema.table`.
        table: Arc<str>,
        /// The row's key.
        key: Key,
    },
    /// The whole table was emptied.
    Truncate {
        /// `schema.table`.
        table: Arc<str>,
        /// Rows at or below this are gone.
        version: Version,
    },
    /// Nothing to do: what it was (`heartbeat`, `transaction`, `logical message`, `tombstone`, `schema change`).
    Ignored(&'static str),
}

/// What must be remembered of a lane to read the next message right; kept with the lane's position.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneMemory {
    /// Highest LSN of a snapshot row seen: the first part of the version of a change whose sequence has none.
    pub snapshot_lsn: u64,
    /// Hash of the key that the last message deleted: the tombstone that follows says nothing new.
    pub deleted_key: Option<u64>,
}

/// Why a message cannot be a change: the reason of its dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DecodeError {
    /// One sentence.
    pub reason: String,
    /// The key's id where it could be read.
    pub key: Option<String>,
    /// The table where it is known.
    pub table: Option<Arc<str>>,
    /// The version where it could be read.
    pub version: Option<Version>,
}

/// Turns messages into changes.
#[derive(Clone, Debug)]
pub struct Decoder {
    settings: DecodeSettings,
}

impl Decoder {
    /// A decoder for one pipeline.
    pub fn new(settings: DecodeSettings) -> Self {
        Self { settings }
    }

    /// Decodes one message; `lane` is what is remembered of its lane, and is brought up to date.
    pub fn decode(&mut self, message: &Message, lane: &mut LaneMemory) -> Result<Decoded, DecodeError> {
        let _ = (message, lane, &self.settings);
        Ok(Decoded::Ignored("heartbeat"))
    }
}
