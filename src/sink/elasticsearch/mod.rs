//! Elasticsearch 8 and 9, OpenSearch 2 and 3: one sink, since we use only what they share.
//!
//! - Enters: [`Write`]s; searches of the indexes they went to.
//! - Leaves: one bulk request for a call of `write`, and a [`Verdict`] for each of its items.
//! - Keeps true: each item has its external version, so the server refuses what is old; an index is written to only once it was seen.
//! - Never: a document looked into; an update in place; a retry.

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Failure;
use crate::event::Write;
use crate::sink::search::Search;
use crate::sink::{Sink, SinkContext, Verdict, WriteError};

mod client;
mod indexes;
mod prepare;
mod query;
mod reason;
pub mod request;
mod search;
pub mod settings;
mod verdict;

#[cfg(test)]
mod stack;
#[cfg(test)]
mod tests;

use client::SearchServer;
use indexes::Indexes;
use settings::ElasticsearchSinkSettings;

/// Writes to, and searches, one server or cluster.
#[derive(Debug)]
pub struct ElasticsearchSink {
    pipeline: String,
    settings: ElasticsearchSinkSettings,
    server: Arc<SearchServer>,
    indexes: Arc<Indexes>,
}

impl ElasticsearchSink {
    /// Makes the sink; reaches for nothing.
    pub fn new(settings: ElasticsearchSinkSettings, context: &SinkContext) -> Result<Self, Failure> {
        let server = SearchServer::new(&settings.http, context.clock.clone())?;
        Ok(Self { pipeline: context.pipeline.clone(), settings, server: Arc::new(server), indexes: Arc::default() })
    }
}

#[async_trait]
impl Sink for ElasticsearchSink {
    async fn prepare(&self, indexes: &[Arc<str>]) -> Result<(), Failure> {
        prepare::server(&self.server, &self.pipeline).await?;
        for index in indexes {
            prepare::index(&self.server, &self.settings, &self.indexes, index).await?;
        }
        Ok(())
    }

    async fn write(&self, writes: &[Write]) -> Result<Vec<Verdict>, WriteError> {
        // A bulk request makes an index that is missing, with a mapping nobody chose, and cannot be told not to.
        if let Some(index) = self.indexes.first_unprepared(writes) {
            return Err(WriteError::IndexMissing { index });
        }
        let bulk = request::bulk(writes);
        let answer = match &bulk.path {
            Some(path) => self.server.bulk(path, bulk.body).await.map_err(verdict::of_silence)?,
            None => return verdict::of_refusals(writes, bulk.refused),
        };
        let verdicts = verdict::of_answer(&answer, writes, bulk.refused);
        if let Err(WriteError::IndexMissing { index }) = &verdicts {
            self.indexes.forget(index);
        }
        verdicts
    }

    fn requests_in_flight(&self) -> usize {
        self.settings.requests_in_flight
    }

    fn search(&self) -> Option<Arc<dyn Search>> {
        Some(Arc::new(search::IndexSearch::new(Arc::clone(&self.server), Arc::clone(&self.indexes), self.settings.index.clone())))
    }
}
