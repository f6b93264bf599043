use serde::{Deserialize, Serialize};

use crate::event::{DocumentVersion, Version};
use crate::state::StateError;

/// What is remembered of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRecord {
    /// The newest change applied. Nothing at or below it is applied again.
    pub version: Version,
    /// When the row was deleted (milliseconds since 1970); none while it is there.
    pub deleted_ms: Option<u64>,
    /// The documents it produced, and those deleted since that a tie could still bring back.
    pub documents: Vec<DocumentRecord>,
    /// Columns whose out-of-line value was taken from the row under its former key before that row's last change was
    /// read; they are taken again when it is.
    pub provisional: Vec<String>,
}

/// A document that a row produced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRecord {
    /// Its index; none: the pipeline's.
    pub index: Option<String>,
    /// Its id; none: the row's key.
    pub id: Option<String>,
    /// Its routing.
    pub routing: Option<String>,
    /// The version it was last written with.
    pub version: DocumentVersion,
    /// Hash of its body; none when it is not known to be stored.
    pub body_hash: Option<u64>,
    /// Whether it is there; a deleted one is remembered for its version.
    pub is_live: bool,
}

/// Where the reading of a lane stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneRecord {
    /// Read on from here.
    pub position: u64,
    /// What decoding must remember; its bytes are the pipeline's affair.
    pub memory: Vec<u8>,
}

/// A row that was moved to another key, kept until the create under the new key is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MovedRow {
    /// Under the new key: the delete of the old one was read first, this was the row.
    Left {
        /// The version both halves of the move have.
        version: Version,
        /// The row as JSON text.
        row: String,
        /// When, for the end of its keeping.
        at_ms: u64,
    },
    /// Under the old key: the create of the new one was read first, and waits for the old row's last values.
    Awaited {
        /// The version both halves of the move have.
        version: Version,
        /// The id of the new key.
        by: String,
        /// When, for the end of its keeping.
        at_ms: u64,
    },
}

impl MovedRow {
    /// When it was noted, in milliseconds since 1970.
    pub(super) fn at_ms(&self) -> u64 {
        match self {
            MovedRow::Left { at_ms, .. } | MovedRow::Awaited { at_ms, .. } => *at_ms,
        }
    }
}

/// The bytes of a record. Postcard: small, and stable by its specification.
pub(super) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, StateError> {
    postcard::to_stdvec(record).map_err(|error| StateError::Corrupt(format!("a record cannot be encoded: {error}")))
}

/// A record from its bytes.
pub(super) fn decode<'a, T: Deserialize<'a>>(what: &str, bytes: &'a [u8]) -> Result<T, StateError> {
    postcard::from_bytes(bytes).map_err(|error| StateError::Corrupt(format!("a {what} in the state cannot be read: {error}")))
}
