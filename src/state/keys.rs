//! What rows, lanes and dead letters are filed under.

use std::borrow::Borrow;
use std::sync::Arc;

use crate::event::Version;

/// Between the table and the key: no database allows it in a table's name.
const SEPARATOR: u8 = 0;

/// Which half of a move a note is about: see [`crate::state::MovedRow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The old row has been read.
    Left,
    /// The new row has been read.
    Awaited,
}

/// What a row is filed under: pipeline, table and key id, in the order of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey(Arc<[u8]>);

impl RowKey {
    /// The key of one row.
    pub(super) fn new(pipeline: u32, table: &str, id: &str) -> Self {
        let mut bytes = Vec::with_capacity(5 + table.len() + id.len());
        bytes.extend_from_slice(&table_prefix(pipeline, table));
        bytes.extend_from_slice(id.as_bytes());
        Self(bytes.into())
    }

    /// What a note about this row's move is filed under; `at` tells it from other moves that the row may be on at once.
    pub fn moving(&self, at: Version, half: Half) -> RowKey {
        let half = match half {
            Half::Left => 0,
            Half::Awaited => 1,
        };
        let (first, second) = (at.first.to_be_bytes(), at.second.to_be_bytes());
        RowKey([&*self.0, &first, &second, &[half]].concat().into())
    }

    /// A key as it was read from the database.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key's id: what stands behind the table.
    pub fn id(&self) -> &str {
        let id = self.0.iter().skip(4).position(|byte| *byte == SEPARATOR).and_then(|place| self.0.get(place + 5..));
        id.and_then(|id| std::str::from_utf8(id).ok()).unwrap_or_default()
    }
}

impl Borrow<[u8]> for RowKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for RowKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// What all keys of a table start with.
pub(super) fn table_prefix(pipeline: u32, table: &str) -> Vec<u8> {
    let mut bytes = pipeline.to_be_bytes().to_vec();
    bytes.extend_from_slice(table.as_bytes());
    bytes.push(SEPARATOR);
    bytes
}

/// The key of something a pipeline has by name: a lane, a table's floor.
pub(super) fn named(pipeline: u32, name: &str) -> Vec<u8> {
    let mut bytes = pipeline.to_be_bytes().to_vec();
    bytes.extend_from_slice(name.as_bytes());
    bytes
}

/// The key of something a pipeline has by number: a dead letter.
pub(super) fn numbered(pipeline: u32, number: u64) -> Vec<u8> {
    let mut bytes = pipeline.to_be_bytes().to_vec();
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes
}

/// The number of such a key.
pub(super) fn number_of(key: &[u8]) -> Option<u64> {
    key.get(4..).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::RowKey;

    proptest::proptest! {
        #[test]
        fn keys_keep_tables_apart_and_give_the_id_back(pipeline: u32, a in "[a-z.]{1,6}", b in "[a-z.]{1,6}", id in ".{0,8}", other in ".{0,8}") {
            let key = RowKey::new(pipeline, &a, &id);
            proptest::prop_assert_eq!(key.id(), id.as_str());
            let second = RowKey::new(pipeline, &b, &other);
            proptest::prop_assert_eq!(key == second, a == b && id == other);
            if a == b {
                proptest::prop_assert_eq!(key.cmp(&second), id.as_bytes().cmp(other.as_bytes()));
            }
        }
    }
}
