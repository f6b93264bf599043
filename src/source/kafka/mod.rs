//! Events from Kafka topics, through librdkafka.
//!
//! - Enters: records of the partitions that the consumer group gives us.
//! - Leaves: [`crate::event::Message`]s, one lane for each partition (`topic/3`).
//! - Keeps true: a partition is read from the position the state holds, whatever offset the group has committed; a member
//!   stays in its group however long the pipeline waits for its sink.
//! - Never: an automatic commit, an automatic offset reset; a record that was fetched and not handed over.
//!
//! Two threads of the operating system serve one source, because librdkafka wants to be polled always: `reader` polls and
//! hands over, `watcher` asks where the partitions end and which topics there are. Without a stored position a partition
//! is read from `start` even when the group has committed an offset: a lost state means that all must be read again.
//! The group's offsets are committed for monitoring only.

mod context;
mod handover;
mod lanes;
mod offsets;
mod reader;
pub mod settings;
mod source;
#[cfg(test)]
mod tests;
mod trouble;
mod watcher;
