//! The guest's store, over the state: what joins the two rooms.

use bytes::Bytes;

use crate::error::Failure;
use crate::state::{ValueChanges, Values};
use crate::transform::{KeyValues, Written};

/// The store of one pipeline, as its next batch finds it.
pub struct GuestStore {
    /// What it holds.
    pub values: Values,
    /// What it may hold: `transform.store`.
    pub bytes_max: u64,
}

impl KeyValues for GuestStore {
    fn place(&self, key: &str) -> u64 {
        Values::place(key)
    }

    fn get(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        Ok(self.values.get(key)?)
    }

    fn keys(&self, from: u64, limit: usize) -> Result<Vec<(u64, String)>, Failure> {
        Ok(self.values.keys(from, limit)?)
    }

    fn bytes(&self) -> u64 {
        self.values.bytes()
    }

    fn bytes_max(&self) -> u64 {
        self.bytes_max
    }
}

/// What a batch has written, as the state takes it.
pub fn changes(written: Written) -> ValueChanges {
    ValueChanges { entries: written.entries, grown: written.grown }
}
