//! From a message to a change. Plain functions on data.
//!
//! - Enters: a [`Message`] of a lane, in the lane's order, and what is remembered of the lane.
//! - Leaves: what it turned out to be, or the reason of its dead letter with as much of key, table and version as was read.
//! - Keeps true: rows are the text they came as, digit for digit; a row is never taken for an envelope, nor the reverse.
//! - Never: I/O, a panic on any bytes, a row's data in a reason (but for the key columns that contradict each other).
//!
//! `reading` joins: `text` and `schema` (from bytes to the parts of checked JSON), `shape` (what is it?), then `metadata`,
//! `key`, `version` and `names`. `form`, `known` and `value` are the short way for messages like one that was read before.

mod form;
mod key;
mod known;
mod metadata;
mod names;
mod reading;
mod schema;
pub mod settings;
mod shape;
#[cfg(test)]
mod tests;
mod text;
mod value;
mod version;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{Change, Key, Message, Version};
use key::Keys;
use known::Values;
use names::Names;
use reading::Reading;
use settings::{DecodeSettings, Format};
use version::Versions;

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
#[serde(default)]
pub struct LaneMemory {
    /// Highest LSN of a snapshot row seen: the first part of the version of a change whose sequence has none.
    pub snapshot_lsn: u64,
    /// Highest end of a commit that a change named as the one before it: snapshots below it are followed already.
    pub last_commit: u64,
    /// Hash of topic and key that the last message deleted: the tombstone that follows says nothing new.
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
    format: Format,
    versions: Versions,
    names: Names,
    keys: Keys,
    values: Values,
}

impl Decoder {
    /// A decoder for one pipeline.
    pub fn new(settings: DecodeSettings) -> Self {
        let versions = Versions::new(&settings);
        Self { format: settings.format, versions, names: Names::default(), keys: Keys::default(), values: Values::default() }
    }

    /// Decodes one message; `lane` is what is remembered of its lane, and is brought up to date.
    pub fn decode(&mut self, message: &Message, lane: &mut LaneMemory) -> Result<Decoded, DecodeError> {
        let deleted_key = lane.deleted_key.take();
        let before = lane.clone();
        let mut reading = Reading {
            message,
            format: self.format,
            versions: &self.versions,
            names: &mut self.names,
            keys: &mut self.keys,
            values: &mut self.values,
            lane: &mut *lane,
            deleted_key,
            key: None,
            table: None,
            source: None,
            has_key: false,
            version: None,
        };
        let decoded = reading.run();
        let (key, table, version) = (reading.key, reading.table, reading.version);
        match &decoded {
            Ok(Decoded::Change(change)) if change.is_delete() => {
                lane.deleted_key = change.key.as_ref().map(|key| key::hash(message, key));
            }
            Ok(Decoded::Tombstone { key, .. }) => lane.deleted_key = Some(key::hash(message, key)),
            // A tombstone may be sent twice, too.
            Ok(Decoded::Ignored("tombstone")) => lane.deleted_key = deleted_key,
            // One row with a nonsense LSN must not lift all that follow above what a version may be.
            Err(_) => *lane = before,
            _ => {}
        }
        decoded.map_err(|reason| DecodeError {
            reason,
            key: key.map(|key| key.id.to_string()),
            table: Some(table.unwrap_or_else(|| self.names.table_of_topic(&message.origin.topic))),
            version,
        })
    }
}
