//! What rows, lanes and dead letters are filed under.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};

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

/// What a row is filed under: pipeline, table and key id, in the order of bytes. Hashed once, for it is looked up many times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowKey {
    hashes: [u64; 2],
    bytes: Arc<[u8]>,
}

/// Keys come from outside: who knew the seed could make many share a hash.
static SEEDS: LazyLock<[foldhash::quality::RandomState; 2]> = LazyLock::new(Default::default);

impl RowKey {
    /// The key of one row.
    pub(super) fn new(pipeline: u32, table: &str, id: &str) -> Self {
        let number = pipeline.to_be_bytes();
        let parts = [&number[..], table.as_bytes(), &[SEPARATOR], id.as_bytes()];
        let mut buffer = [0; 128];
        match joined(&parts, &mut buffer) {
            Some(bytes) => Self::from_bytes(bytes),
            None => Self::from_bytes(&parts.concat()),
        }
    }

    /// What a note about this row's move is filed under; `at` tells it from other moves that the row may be on at once.
    pub fn moving(&self, at: Version, half: Half) -> RowKey {
        let half = match half {
            Half::Left => 0,
            Half::Awaited => 1,
        };
        let (first, second) = (at.first.to_be_bytes(), at.second.to_be_bytes());
        RowKey::from_bytes(&[&*self.bytes, &first, &second, &[half]].concat())
    }

    /// A key as it was read from the database.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self { hashes: Self::hashes_of(bytes), bytes: bytes.into() }
    }

    /// A number for the key, the same in one process, and another, independent of the first.
    pub(super) fn hashes(&self) -> [u64; 2] {
        self.hashes
    }

    /// The same of a key as it was read from the database.
    pub(super) fn hashes_of(bytes: &[u8]) -> [u64; 2] {
        let [first, second] = &*SEEDS;
        [first.hash_one(bytes), second.hash_one(bytes)]
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key's id: what stands behind the table.
    pub fn id(&self) -> &str {
        let id = self.bytes.iter().skip(4).position(|byte| *byte == SEPARATOR).and_then(|place| self.bytes.get(place + 5..));
        id.and_then(|id| std::str::from_utf8(id).ok()).unwrap_or_default()
    }
}

impl Hash for RowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [hash, _] = self.hashes;
        state.write_u64(hash);
    }
}

impl Ord for RowKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl PartialOrd for RowKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl AsRef<[u8]> for RowKey {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The parts one behind the other, where there is room for them.
fn joined<'b>(parts: &[&[u8]], buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut end = 0;
    for part in parts {
        let start = end;
        end += part.len();
        buffer.get_mut(start..end)?.copy_from_slice(part);
    }
    buffer.get(..end)
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
        fn keys_keep_tables_apart_and_give_the_id_back(pipeline: u32, a in "[a-z.]{1,6}", b in "[a-z.]{1,6}", id in ".{0,8}|[a-z]{100,130}", other in ".{0,8}") {
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
