//! A store in memory, for whoever runs a module without a pipeline.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::error::Failure;
use crate::transform::overlay::{KeyValues, Written, entry_bytes};

/// Keys and values by their places. Clones are the same store.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    entries: Arc<Mutex<BTreeMap<(u64, String), Bytes>>>,
    bytes_max: u64,
}

impl MemoryStore {
    /// A store that may hold so much.
    pub fn new(bytes_max: u64) -> Self {
        Self { entries: Arc::default(), bytes_max }
    }

    /// Takes what a batch has written.
    pub fn apply(&self, written: Written) {
        let mut entries = self.lock();
        for (key, value) in written.entries {
            let place = (self.place(&key), key);
            match value {
                Some(value) => _ = entries.insert(place, value),
                None => _ = entries.remove(&place),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(u64, String), Bytes>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyValues for MemoryStore {
    fn place(&self, key: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        hasher.finish()
    }

    fn get(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        Ok(self.lock().get(&(self.place(key), key.to_owned())).cloned())
    }

    fn keys(&self, from: u64, limit: usize) -> Result<Vec<(u64, String)>, Failure> {
        let entries = self.lock();
        let mut places = entries.range((from, String::new())..).map(|(place, _)| place);
        let mut keys: Vec<(u64, String)> = places.by_ref().take(limit).cloned().collect();
        let last = keys.last().map(|(place, _)| *place);
        keys.extend(places.take_while(|(place, _)| Some(*place) == last).cloned());
        Ok(keys)
    }

    fn bytes(&self) -> u64 {
        self.lock().iter().map(|((_, key), value)| entry_bytes(key, value)).sum()
    }

    fn bytes_max(&self) -> u64 {
        self.bytes_max
    }
}
