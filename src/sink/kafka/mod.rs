//! Kafka: every document a record, under its id; a delete is a tombstone.
//!
//! - Enters: [`Write`]s of every action; the index is the topic.
//! - Leaves: records with the id as their key and the document's version in the header `rowmill.version`.
//! - Keeps true: what was answered is acknowledged by all in-sync replicas; of one key, the records stand in the order of versions but
//!   for repeats.
//! - Never: comparing versions. A repeat is a second record; who reads keeps the highest version of a key.

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Failure;
use crate::event::Write;
use crate::sink::{Sink, Verdict, WriteError};
use client::Producer;

mod client;
/// What a user may set.
pub mod settings;
#[cfg(test)]
mod tests;
mod verdict;

/// Writes to the topics of one cluster.
struct KafkaSink {
    producer: Producer,
}

#[async_trait]
impl Sink for KafkaSink {
    async fn prepare(&self, indexes: &[Arc<str>]) -> Result<(), Failure> {
        self.producer.find(indexes).await
    }

    async fn write(&self, writes: &[Write]) -> Result<Vec<Verdict>, WriteError> {
        verdict::of_deliveries(self.producer.send(writes).await)
    }

    /// One: records of a key must not overtake each other.
    fn requests_in_flight(&self) -> usize {
        1
    }
}
