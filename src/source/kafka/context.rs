//! What the threads of a source share, and what librdkafka calls.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, Statistics, TopicPartitionList};

use crate::event::Lane;
use crate::source::StoredPositions;
use crate::source::kafka::handover::Handover;
use crate::source::kafka::lanes::{Lanes, lane_name};
use crate::source::kafka::offsets;
use crate::source::kafka::settings::{Start, Topics};
use crate::source::kafka::trouble::{Troubles, final_failure, is_unreachable};

/// The consumer, with our callbacks.
pub(super) type KafkaConsumer = BaseConsumer<Context>;

/// What the threads of one source, the callbacks of librdkafka and the source itself share.
pub(super) struct Shared {
    pub(super) pipeline: String,
    pub(super) brokers: String,
    pub(super) topics: Topics,
    pub(super) start: Start,
    pub(super) positions: Arc<dyn StoredPositions>,
    pub(super) handover: Handover,
    pub(super) lanes: Mutex<Lanes>,
    pub(super) troubles: Troubles,
    /// The ends of all partitions as last heard.
    pub(super) newest: Mutex<Vec<(Lane, u64)>>,
    /// Partitions came or went since the reader last looked.
    pub(super) rebalanced: AtomicBool,
    /// The pipeline does not keep up, and the reader has paused its partitions.
    pub(super) paused: AtomicBool,
    /// Offset of the last end of a partition that librdkafka told of.
    pub(super) last_end: Mutex<Option<u64>>,
    stopped: Mutex<bool>,
    stopping: Condvar,
}

impl Shared {
    pub(super) fn new(pipeline: String, brokers: String, topics: Topics, start: Start, positions: Arc<dyn StoredPositions>) -> Self {
        Self {
            pipeline,
            brokers,
            topics,
            start,
            positions,
            handover: Handover::default(),
            lanes: Mutex::default(),
            troubles: Troubles::default(),
            newest: Mutex::default(),
            rebalanced: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            last_end: Mutex::default(),
            stopped: Mutex::new(false),
            stopping: Condvar::new(),
        }
    }

    /// The partitions that are ours.
    pub(super) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends both threads.
    pub(super) fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stopping.notify_all();
        self.handover.close();
    }

    /// Waits at most `wait` for the stop; whether it came.
    pub(super) fn stopped_within(&self, wait: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.stopping.wait_timeout_while(stopped, wait, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The callbacks of librdkafka. All run in the reader's thread, from within a poll.
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let pipeline = self.shared.pipeline.as_str();
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::warn!(pipeline, facility, "librdkafka: {message}");
            }
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => tracing::info!(pipeline, facility, "librdkafka: {message}"),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::debug!(pipeline, facility, "librdkafka: {message}"),
        }
    }

    fn stats(&self, _statistics: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        if code == RDKafkaErrorCode::PartitionEOF {
            *self.shared.last_end.lock().unwrap_or_else(PoisonError::into_inner) = end_offset(reason);
            return;
        }
        tracing::debug!(pipeline = self.shared.pipeline.as_str(), %error, "Kafka client: {reason}");
        if let Some(failure) = final_failure(code, reason) {
            self.shared.handover.fail(failure);
        } else if is_unreachable(code) {
            let brokers = &self.shared.brokers;
            self.shared.troubles.set_brokers(Some(format!("waiting for Kafka at {brokers}: {reason}")));
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &KafkaConsumer, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let done = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, partitions),
            _ => self.revoke(consumer, partitions),
        };
        self.shared.rebalanced.store(true, Ordering::Relaxed);
        if let Err(error) = done {
            tracing::warn!(pipeline = self.shared.pipeline.as_str(), %error, "the consumer group could not be followed; it will ask again");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(pipeline = self.shared.pipeline.as_str(), %error, "the group's offsets were not committed");
        }
    }
}

impl Context {
    /// Takes partitions at their stored positions, whatever the group has committed.
    fn assign(&self, consumer: &KafkaConsumer, partitions: &mut TopicPartitionList) -> KafkaResult<()> {
        let first = self.first_offsets(consumer, partitions);
        let mut lanes = self.shared.lanes();
        for mut element in partitions.elements() {
            let (topic, partition) = (element.topic().to_owned(), element.partition());
            let lane = lane_name(&topic, partition);
            let stored = self.shared.positions.position(&lane);
            let position = stored.or_else(|| first.get(&(topic.clone(), partition)).copied());
            let offset = position.and_then(|position| i64::try_from(position).ok()).map_or(self.shared.start.offset(), Offset::Offset);
            element.set_offset(offset)?;
            lanes.insert(&topic, partition, position);
            tracing::info!(pipeline = self.shared.pipeline.as_str(), %lane, ?position, "reading");
            if let (None, Some(position)) = (stored, position) {
                // Remembered even before the first record: with `latest`, what comes while we are away must not be skipped.
                self.shared.handover.pass(lane, position);
            }
        }
        drop(lanes);
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(partitions),
            _ => consumer.assign(partitions),
        }
    }

    fn revoke(&self, consumer: &KafkaConsumer, partitions: &TopicPartitionList) -> KafkaResult<()> {
        let mut gone = Vec::new();
        let mut lanes = self.shared.lanes();
        for element in partitions.elements() {
            lanes.remove(element.topic(), element.partition());
            gone.push(lane_name(element.topic(), element.partition()));
        }
        drop(lanes);
        self.shared.handover.forget(|lane| gone.iter().any(|gone| &**gone == lane));
        tracing::info!(pipeline = self.shared.pipeline.as_str(), lanes = ?gone, "no longer reading");
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
            _ => consumer.unassign(),
        }
    }

    /// Where partitions without a stored position begin, as numbers. Left out where no broker says so in time: these are
    /// read from the logical start, and only their first record tells where that was.
    fn first_offsets(&self, consumer: &KafkaConsumer, partitions: &TopicPartitionList) -> offsets::Offsets {
        let elements = partitions.elements();
        let is_new = |topic: &str, partition| self.shared.positions.position(&lane_name(topic, partition)).is_none();
        let new: Vec<(String, i32)> = elements
            .iter()
            .filter(|element| is_new(element.topic(), element.partition()))
            .map(|element| (element.topic().to_owned(), element.partition()))
            .collect();
        offsets::query(consumer, &new, self.shared.start.offset()).unwrap_or_else(|error| {
            tracing::debug!(pipeline = self.shared.pipeline.as_str(), %error, "the first offsets are not known yet");
            offsets::Offsets::new()
        })
    }
}

/// The offset in librdkafka's "Fetch from broker 1 reached end of partition at offset 42 (HighwaterMark 42)": its event
/// carries the number, but the binding keeps only the text.
pub(super) fn end_offset(reason: &str) -> Option<u64> {
    let (_, rest) = reason.split_once("at offset ")?;
    rest.split(' ').next()?.parse().ok()
}
