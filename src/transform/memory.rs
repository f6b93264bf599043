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
    held: Arc<Mutex<Held>>,
    bytes_max: u64,
}

#[derive(Debug, Default)]
struct Held {
    entries: BTreeMap<(u64, String), Bytes>,
    bytes: u64,
}

impl MemoryStore {
    /// A store that may hold so much.
    pub fn new(bytes_max: u64) -> Self {
        Self { held: Arc::default(), bytes_max }
    }

    /// Takes what a batch has written.
    pub fn apply(&self, written: Written) {
        let mut held = self.lock();
        for (key, value) in written.entries {
            let bytes = value.as_ref().map_or(0, |value| entry_bytes(&key, value));
            let place = (self.place(&key), key);
            let before = match value {
                Some(value) => held.entries.insert(place.clone(), value),
                None => held.entries.remove(&place),
            };
            held.bytes = held.bytes + bytes - before.map_or(0, |before| entry_bytes(&place.1, &before));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyValues for MemoryStore {
    fn place(&self, key: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        hasher.finish()
    }

    fn get(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        Ok(self.lock().entries.get(&(self.place(key), key.to_owned())).cloned())
    }

    fn keys(&self, from: u64, limit: usize) -> Result<Vec<(u64, String)>, Failure> {
        let held = self.lock();
        let mut places = held.entries.range((from, String::new())..).map(|(place, _)| place);
        let mut keys: Vec<(u64, String)> = places.by_ref().take(limit).cloned().collect();
        let last = keys.last().map(|(place, _)| *place);
        keys.extend(places.take_while(|(place, _)| Some(*place) == last).cloned());
        Ok(keys)
    }

    fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    fn bytes_max(&self) -> u64 {
        self.bytes_max
    }
}
