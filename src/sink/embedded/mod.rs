//! The embedded sink: a full-text index in a folder, so that nothing else need run.
//!
//! - Enters: [`Write`]s; [`SearchRequest`]s.
//! - Leaves: one [`Verdict`] for each write, after the commit that made it durable; pages of documents as they were written.
//! - Keeps true: a document is replaced or deleted only by a higher version, and a delete leaves a tombstone that says so;
//!   documents and the mapping learnt from them are one commit; a search after `write` finds what was written.
//! - Never: a document lost for the types in it (unless `strict` asks for that); a query that fails for its words.
//!
//! ```text
//! value      what a JSON value can be searched as: text, number, date, boolean
//! mapping    the paths seen and the kinds of their values       schema     the fixed fields all of that is laid out in
//! words      text → words                                       document   JSON text → an indexed document, learning
//! versions   ids → versions stored                              directory  files made durable together
//! index      one folder: apply, commit, open again              query      a search request → a query and an order
//! search     query → a page                                     order      sorting by a column
//! verdict    what went wrong, and what to do
//! ```

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::clock::Clock;
use crate::error::Failure;
use crate::event::Write;
use crate::sink::search::{Search, SearchError, SearchRequest, SearchResponse};
use crate::sink::{Sink, Verdict, WriteError};
use index::{EmbeddedIndex, IndexOptions};
use verdict::IndexError;

mod directory;
mod document;
mod index;
mod mapping;
mod order;
mod query;
mod schema;
mod search;
/// What a user may set.
pub mod settings;
mod value;
mod verdict;
mod versions;
mod words;

#[cfg(test)]
mod tests;

/// Indexes held open: each has two threads and, while it is written, its memory. With more, idle ones are closed and opened
/// again when they are needed.
const INDEXES_OPEN_MAX: usize = 64;

/// All indexes of one pipeline: a folder each.
#[derive(Clone)]
struct EmbeddedSink {
    dir: PathBuf,
    options: IndexOptions,
    clock: Clock,
    indexes: Arc<Mutex<HashMap<String, Arc<EmbeddedIndex>>>>,
}

impl EmbeddedSink {
    fn new(dir: PathBuf, options: IndexOptions, clock: Clock) -> Self {
        Self { dir, options, clock, indexes: Arc::default() }
    }

    /// The index of that name, which may not be open or even exist; none for a name that no folder can have.
    fn index(&self, name: &str) -> Option<Arc<EmbeddedIndex>> {
        let folder = index::folder(name)?;
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        if indexes.len() >= INDEXES_OPEN_MAX && !indexes.contains_key(name) {
            // Nobody else can get hold of it meanwhile, so that its folder is unlocked when it is opened again.
            let idle = indexes.iter().find(|(_, index)| Arc::strong_count(index) == 1).map(|(name, _)| name.clone());
            idle.map(|idle| indexes.remove(&idle));
        }
        let make = || Arc::new(EmbeddedIndex::new(self.dir.join(folder), self.options.clone()));
        Some(indexes.entry(name.to_owned()).or_insert_with(make).clone())
    }

    /// Applies the writes of one index.
    async fn apply(&self, name: &str, writes: Vec<Write>) -> Result<Vec<Verdict>, IndexError> {
        let Some(index) = self.index(name) else {
            let reason = format!("\"{name}\" cannot be the name of an index: use 1 to {} bytes", index::NAME_BYTES_MAX);
            return Ok(vec![Verdict::Refused(reason); writes.len()]);
        };
        let now_ms = self.clock.now_ms();
        blocking(move || index.apply(&writes, now_ms)).await
    }
}

#[async_trait]
impl Sink for EmbeddedSink {
    async fn prepare(&self, indexes: &[Arc<str>]) -> Result<(), Failure> {
        for name in indexes {
            let index = self.index(name).ok_or_else(|| Failure::misconfigured(format!("\"{name}\" cannot be the name of an index")))?;
            blocking(move || index.open()).await?;
        }
        Ok(())
    }

    async fn write(&self, writes: &[Write]) -> Result<Vec<Verdict>, WriteError> {
        let mut by_index: Vec<(Arc<str>, Vec<usize>)> = Vec::new();
        for (place, write) in writes.iter().enumerate() {
            match by_index.iter_mut().find(|(name, _)| *name == write.index) {
                Some((_, places)) => places.push(place),
                None => by_index.push((write.index.clone(), vec![place])),
            }
        }
        let mut verdicts: Vec<(usize, Verdict)> = Vec::with_capacity(writes.len());
        for (name, places) in by_index {
            let part = places.iter().filter_map(|place| writes.get(*place)).cloned().collect();
            verdicts.extend(places.into_iter().zip(self.apply(&name, part).await?));
        }
        verdicts.sort_unstable_by_key(|(place, _)| *place);
        Ok(verdicts.into_iter().map(|(_, verdict)| verdict).collect())
    }

    fn requests_in_flight(&self) -> usize {
        1
    }

    fn search(&self) -> Option<Arc<dyn Search>> {
        Some(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Search for EmbeddedSink {
    fn holds(&self, collection: &str) -> bool {
        // Only asked for by name: a question about any name must not leave an entry behind.
        let known = self.indexes.lock().unwrap_or_else(PoisonError::into_inner).contains_key(collection);
        known || index::folder(collection).is_some_and(|folder| index::exists(&self.dir.join(folder)))
    }

    fn collections(&self) -> Vec<String> {
        self.indexes.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    async fn search(&self, collection: &str, request: &SearchRequest) -> Result<SearchResponse, SearchError> {
        let index = if self.holds(collection) { self.index(collection) } else { None };
        let index = index.ok_or_else(|| SearchError::NotFound(collection.to_owned()))?;
        let (request, started) = (request.clone(), self.clock.instant());
        let found = blocking(move || Ok(search::page(&*index.view()?, &request))).await;
        let mut response = found.map_err(|error| SearchError::Unavailable(error.to_string()))??;
        response.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(response)
    }
}

/// Runs work for the disk and the processor beside the runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, IndexError> + Send + 'static) -> Result<T, IndexError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(IndexError::Stopped { reason: error.to_string() }))
}
