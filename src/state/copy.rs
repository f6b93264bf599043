//! A pipeline's part of the state, taken out and put back: what a simulation needs of crashes, backups and losses.
//!
//! A store is slow to open, so simulated lives share one: each gets a part of its own, with what it is to find there.

use rocksdb::{IteratorMode, ReadOptions, WriteBatch};

use super::PipelineState;
use super::store::family;

/// All that one pipeline has in the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied(Vec<(&'static str, Box<[u8]>, Box<[u8]>)>);

impl PipelineState {
    /// What is committed.
    pub fn copy(&self) -> Copied {
        let mut copied = Vec::new();
        for name in family::ALL.into_iter().filter(|name| *name != family::META) {
            let mut options = ReadOptions::default();
            options.set_iterate_range(rocksdb::PrefixRange(self.number().to_be_bytes()));
            for entry in self.store().db.iterator_cf_opt(self.store().family(name).unwrap(), options, IteratorMode::Start) {
                let (key, value) = entry.unwrap();
                copied.push((name, key[4..].into(), value));
            }
        }
        Copied(copied)
    }

    /// Fills a part that is new.
    pub fn put_back(&self, copied: &Copied) {
        let mut writes = WriteBatch::default();
        for (name, key, value) in &copied.0 {
            writes.put_cf(self.store().family(name).unwrap(), [&self.number().to_be_bytes(), &**key].concat(), value);
        }
        self.store().db.write(writes).unwrap();
    }
}
