//! What guests keep: the key-value store of a pipeline, with what is staged of it, and how large it is.

use std::collections::BTreeMap;
use std::collections::Bound::{Excluded, Included, Unbounded};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rocksdb::{ReadOptions, WriteBatch};
use sha2::{Digest, Sha256};

use crate::state::dead::lock;
use crate::state::keys::named;
use crate::state::record::{decode, encode};
use crate::state::store::family;
use crate::state::{StateError, Store};

/// Before a key: its pipeline and its place.
const KEY_PREFIX_BYTES: usize = 4 + 8;

/// One pipeline's store, as the next batch sees it. Clones are the same store; whoever opens the pipeline's state again sees
/// what is committed.
#[derive(Clone)]
pub struct Values(Arc<Shared>);

struct Shared {
    store: Store,
    number: u32,
    staged: Mutex<StagedValues>,
}

#[derive(Default)]
struct StagedValues {
    /// By what they are filed under; each with the number of its batch.
    entries: BTreeMap<Vec<u8>, (u64, Option<Bytes>)>,
    /// What all entries count, as the next batch sees them.
    bytes: u64,
    /// The same of what is committed.
    bytes_committed: u64,
}

/// What a batch changes in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueChanges {
    /// Keys, each once; none: it goes.
    pub entries: Vec<(String, Option<Bytes>)>,
    /// By how much what all entries count is more for it.
    pub grown: i64,
}

impl ValueChanges {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Values {
    pub(super) fn open(store: &Store, number: u32) -> Result<Self, StateError> {
        let bytes = store.db.get_pinned_cf(store.family(family::VALUES)?, account(number))?;
        let bytes = bytes.map_or(Ok(0), |bytes| decode("size of a store", &bytes))?;
        let staged = StagedValues { entries: BTreeMap::new(), bytes, bytes_committed: bytes };
        Ok(Self(Arc::new(Shared { store: store.clone(), number, staged: Mutex::new(staged) })))
    }

    /// Where a key stands in the order of all: its hash. So a number is enough to go on from, and keys that come and go meanwhile
    /// move no other. A cryptographic one, or keys could be made to share a place, and a page to have no end.
    pub fn place(key: &str) -> u64 {
        Sha256::digest(key.as_bytes()).first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Result<Option<Bytes>, StateError> {
        let Shared { store, number, staged } = &*self.0;
        let key = filed(*number, key);
        if let Some((_, value)) = lock(staged).entries.get(&key) {
            return Ok(value.clone());
        }
        Ok(store.db.get_cf(store.family(family::VALUES)?, key)?.map(Bytes::from))
    }

    /// At least `limit` keys from a place on, if there are so many, in the order of places: all that share a place, or none.
    pub fn keys(&self, from: u64, limit: usize) -> Result<Vec<(u64, String)>, StateError> {
        let Shared { store, number, staged } = &*self.0;
        let start = [number.to_be_bytes().as_slice(), &from.to_be_bytes()].concat();
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(number.to_be_bytes()));
        // Values may be large, and are not asked for.
        let mut entries = store.db.raw_iterator_cf_opt(store.family(family::VALUES)?, options);
        let staged = lock(staged);
        let (mut found, mut end) = (Vec::new(), None);
        entries.seek(&start);
        while let Some(key) = entries.key() {
            let is_next_place = |last: &Vec<u8>| last.get(..KEY_PREFIX_BYTES) != key.get(..KEY_PREFIX_BYTES);
            if found.len() >= limit && found.last().is_some_and(is_next_place) {
                end = key.get(..KEY_PREFIX_BYTES).map(<[u8]>::to_vec);
                break;
            }
            if !staged.entries.contains_key(key) {
                found.push(key.to_vec());
            }
            entries.next();
        }
        entries.status()?;
        let within = staged.entries.range((Included(start), end.map_or(Unbounded, Excluded)));
        found.extend(within.filter(|(_, (_, value))| value.is_some()).map(|(key, _)| key.clone()));
        found.sort_unstable();
        found.iter().map(|key| place_and_key(key)).collect()
    }

    /// What all entries count, as the next batch sees them.
    pub fn bytes(&self) -> u64 {
        lock(&self.0.staged).bytes
    }

    /// The same of what is committed.
    pub fn bytes_committed(&self) -> u64 {
        lock(&self.0.staged).bytes_committed
    }

    pub(super) fn stage(&self, batch: u64, changes: &ValueChanges) {
        let mut staged = lock(&self.0.staged);
        for (key, value) in &changes.entries {
            staged.entries.insert(filed(self.0.number, key), (batch, value.clone()));
        }
        staged.bytes = staged.bytes.saturating_add_signed(changes.grown);
    }

    /// Adds to `writes` what becomes of the store, and how large it is then.
    pub(super) fn write(&self, writes: &mut WriteBatch, changes: &ValueChanges) -> Result<(), StateError> {
        let Shared { store, number, .. } = &*self.0;
        let family = store.family(family::VALUES)?;
        for (key, value) in &changes.entries {
            match value {
                Some(value) => writes.put_cf(family, filed(*number, key), value),
                None => writes.delete_cf(family, filed(*number, key)),
            }
        }
        let bytes = self.bytes_committed().saturating_add_signed(changes.grown);
        writes.put_cf(family, account(*number), encode(&bytes)?);
        Ok(())
    }

    /// The batch is committed.
    pub(super) fn written(&self, batch: u64, changes: &ValueChanges) {
        let mut staged = lock(&self.0.staged);
        for (key, _) in &changes.entries {
            let key = filed(self.0.number, key);
            if staged.entries.get(&key).is_some_and(|(staged, _)| *staged == batch) {
                staged.entries.remove(&key);
            }
        }
        staged.bytes_committed = staged.bytes_committed.saturating_add_signed(changes.grown);
    }
}

/// What an entry is filed under.
pub(super) fn filed(number: u32, key: &str) -> Vec<u8> {
    [number.to_be_bytes().as_slice(), &Values::place(key).to_be_bytes(), key.as_bytes()].concat()
}

/// What the size of the store is filed under: before all entries.
fn account(number: u32) -> Vec<u8> {
    named(number, "")
}

/// What was filed.
pub(super) fn place_and_key(filed: &[u8]) -> Result<(u64, String), StateError> {
    let corrupt = || StateError::Corrupt("a key of a guest's store cannot be read".to_owned());
    let (prefix, key) = filed.split_at_checked(KEY_PREFIX_BYTES).ok_or_else(corrupt)?;
    let place = prefix.last_chunk().map(|bytes| u64::from_be_bytes(*bytes)).ok_or_else(corrupt)?;
    Ok((place, String::from_utf8(key.to_vec()).map_err(|_| corrupt())?))
}
