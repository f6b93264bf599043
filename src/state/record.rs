//! What is stored, as types and as bytes.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::event::{DocumentVersion, Measure, Version};
use crate::state::StateError;

/// What is remembered of a row.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRecord {
    /// The newest change applied. Nothing at or below it is applied again.
    pub version: Version,
    /// When the row was deleted (milliseconds since 1970); none while it is there.
    pub deleted_ms: Option<u64>,
    /// The documents it produced, and those deleted since that a tie could still bring back.
    pub documents: DocumentRecords,
    /// Values that are not the last word yet, taken from the row under its former key.
    pub provisional: Option<Box<Provisional>>,
    /// What the row counts for at present, with the times it was counted at: to be taken back when it changes.
    pub measured: Vec<Measure>,
}

impl Clone for RowRecord {
    fn clone(&self) -> Self {
        let documents = match self.documents.as_slice() {
            // As nearly all have; smallvec's own way is made for many.
            [only] => DocumentRecords::from_buf([only.clone()]),
            documents => documents.iter().cloned().collect(),
        };
        Self {
            version: self.version,
            deleted_ms: self.deleted_ms,
            documents,
            provisional: self.provisional.clone(),
            measured: self.measured.clone(),
        }
    }
}

/// When the row was deleted of which these are the bytes, if so. Every row is asked in every compaction: only what stands before it is read.
pub(super) fn deleted_ms(record: &[u8]) -> Option<u64> {
    let (_, rest) = postcard::take_from_bytes::<Version>(record).ok()?;
    postcard::take_from_bytes::<Option<u64>>(rest).ok()?.0
}

/// Columns whose out-of-line values were taken from a row before that row's last change was read. They are taken again
/// when its delete is: that is the other half of the move.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisional {
    /// The id of the former key.
    pub from: String,
    /// What both halves of the move are known by.
    pub at: Version,
    /// The columns.
    pub columns: Vec<String>,
}

/// Nearly every row produces one document: that one costs no allocation.
pub type DocumentRecords = SmallVec<[DocumentRecord; 1]>;

/// A document that a row produced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRecord {
    /// Where it is; none: it has the row's key for its id, in the pipeline's index, without routing, as nearly all have.
    pub names: Option<Box<DocumentNames>>,
    /// The version it was last written with; where `is_lowered`, its place: it was written a little below.
    pub version: DocumentVersion,
    /// Whether it was written below its place, for values that may not be the last word.
    pub is_lowered: bool,
    /// Hash of its body; none when it is not known to be stored.
    pub body_hash: Option<u64>,
    /// Whether it is there; a deleted one is remembered for its version.
    pub is_live: bool,
}

/// Where a document is, as far as the transform said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentNames {
    /// Its index; none: the pipeline's.
    pub index: Option<Box<str>>,
    /// Its id; none: the row's key.
    pub id: Option<Box<str>>,
    /// Its routing.
    pub routing: Option<Box<str>>,
}

impl DocumentRecord {
    /// Its index; none: the pipeline's.
    pub fn index(&self) -> Option<&str> {
        self.names.as_ref()?.index.as_deref()
    }

    /// Its id; none: the row's key.
    pub fn id(&self) -> Option<&str> {
        self.names.as_ref()?.id.as_deref()
    }

    /// Its routing.
    pub fn routing(&self) -> Option<&str> {
        self.names.as_ref()?.routing.as_deref()
    }
}

/// Where the reading of a lane stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneRecord {
    /// Read on from here.
    pub position: u64,
    /// What decoding must remember; its bytes are the pipeline's affair.
    pub memory: Vec<u8>,
}

/// A note about a row on its way to another key, kept until the other half of the move is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MovedRow {
    /// Filed under the new key: the delete of the old one was read first, and this was the row.
    Left {
        /// The row as JSON text.
        row: String,
        /// What of it is not the last word yet.
        provisional: Option<Box<Provisional>>,
        /// When, for the end of its keeping.
        at_ms: u64,
    },
    /// Filed under the old key: someone waits for the old row's last values.
    Awaited {
        /// The id of the row that waits.
        id: String,
        /// Its key as JSON text.
        key: String,
        /// That row has not been read yet either: what waits is the [`MovedRow::Left`] under its key and this.
        left: Option<Version>,
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
    postcard::to_stdvec(record).map_err(|error| unencodable(&error))
}

/// The same into a buffer that is used again.
pub(super) fn encode_into<T: Serialize>(record: &T, buffer: &mut Vec<u8>) -> Result<(), StateError> {
    buffer.clear();
    let written = postcard::to_extend(record, std::mem::take(buffer));
    *buffer = written.map_err(|error| unencodable(&error))?;
    Ok(())
}

/// The bytes of a row's record. Nearly all are of one kind, and are written here without a walk through their types; `encode_into` would write the
/// very same.
pub(super) fn encode_row(record: &RowRecord, buffer: &mut Vec<u8>) -> Result<(), StateError> {
    let RowRecord { version, deleted_ms: None, documents, provisional: None, measured } = record else {
        return encode_into(record, buffer);
    };
    let [DocumentRecord { names: None, version: written, is_lowered: false, body_hash: Some(hash), is_live: true }] = documents.as_slice()
    else {
        return encode_into(record, buffer);
    };
    if !measured.is_empty() {
        return encode_into(record, buffer);
    }
    // Not deleted; one document, without names; not lowered, with a hash; live; nothing provisional, nothing measured.
    let record = (version.first, version.second, [0_u8, 1, 0], written.0, [0_u8, 1], hash, [1_u8, 0, 0]);
    let mut bytes = [0; 48];
    let written = postcard::to_slice(&record, &mut bytes).map_err(|error| unencodable(&error))?;
    buffer.clear();
    buffer.extend_from_slice(written);
    Ok(())
}

fn unencodable(error: &postcard::Error) -> StateError {
    StateError::Corrupt(format!("a record cannot be encoded: {error}"))
}

/// A record from its bytes.
pub(super) fn decode<'a, T: Deserialize<'a>>(what: &str, bytes: &'a [u8]) -> Result<T, StateError> {
    postcard::from_bytes(bytes).map_err(|error| StateError::Corrupt(format!("a {what} in the state cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::{DocumentNames, DocumentRecord, Provisional, RowRecord, deleted_ms, encode, encode_row};
    use crate::event::{DocumentVersion, Version};

    proptest::proptest! {
        #[test]
        fn a_row_is_written_as_postcard_writes_it(
            numbers: [u64; 4], shifts in proptest::array::uniform4(0..64_u32), documents in 0..3_usize, kinds in 0..64_u32,
        ) {
            let [first, second, written, hash] = std::array::from_fn(|place| numbers[place] >> shifts[place]);
            let is = |kind: u32| kinds >> kind & 1 == 1;
            // Now and then one thing is as it seldom is.
            let document = DocumentRecord {
                names: is(0).then(Box::<DocumentNames>::default),
                version: DocumentVersion(written),
                is_lowered: is(1),
                body_hash: (!is(2)).then_some(hash),
                is_live: !is(3),
            };
            let record = RowRecord {
                version: Version::new(first, second),
                deleted_ms: is(4).then_some(second),
                documents: std::iter::repeat_n(document, documents).collect(),
                provisional: is(5).then(Box::<Provisional>::default),
                measured: Vec::new(),
            };
            let mut buffer = b"old".to_vec();
            encode_row(&record, &mut buffer).unwrap();
            proptest::prop_assert_eq!(buffer, encode(&record).unwrap());
        }
    }

    #[test]
    fn when_a_row_was_deleted_is_read_without_the_rest() {
        for deleted in [None, Some(0), Some(1_790_000_000_000)] {
            for version in [Version::new(0, 0), Version::new(u64::MAX, u64::MAX)] {
                let record = RowRecord { version, deleted_ms: deleted, ..RowRecord::default() };
                assert_eq!(deleted_ms(&encode(&record).unwrap()), deleted);
            }
        }
        assert_eq!(deleted_ms(b"\xff"), None, "what cannot be read stays");
    }
}
