//! From polled records to messages handed over, and no further ahead than there is room.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rdkafka::consumer::{Consumer, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::error::Failure;
use crate::event::{Lane, Message, Origin};
use crate::limits::{KAFKA_BEYOND_END_CHECKS, KAFKA_POLL_WAIT, SOURCE_PAUSE_AFTER};
use crate::source::kafka::context::{KafkaConsumer, Shared};
use crate::source::kafka::lanes::Reading;
use crate::source::kafka::offsets;

/// Messages handed over together: taking the queue's lock for each would cost more than the rest.
const BATCH_MESSAGES: usize = 500;
/// Bytes of the same.
const BATCH_BYTES: usize = 1 << 20;
/// Bytes allocated at a time; they are held as long as one message of them is.
const CHUNK_BYTES: usize = 128 << 10;
/// Between two looks at positions that are not there.
const CHECK_AGAIN: Duration = Duration::from_secs(1);

/// The thread that polls: it must go on whatever the pipeline does, or the group takes our partitions away.
pub(super) struct Reader {
    consumer: Arc<KafkaConsumer>,
    shared: Arc<Shared>,
    clock: Clock,
    batch: Vec<Message>,
    batch_bytes: usize,
    /// Where keys and values are copied to, one behind the other: one allocation for many messages.
    chunk: BytesMut,
    /// The lengths of key and value of the last messages of the batch, which lie in the chunk and are yet to be told where.
    in_chunk: Vec<[Option<usize>; 2]>,
    /// The partition of the last message: most come in runs.
    current: Option<Reading>,
    /// Where librdkafka keeps that topic, which is told from others so at less cost than by its name.
    current_topic: usize,
    paused: bool,
    check_at: Option<Instant>,
}

impl Reader {
    pub(super) fn new(consumer: Arc<KafkaConsumer>, shared: Arc<Shared>, clock: Clock) -> Self {
        Self {
            consumer,
            shared,
            clock,
            batch: Vec::new(),
            batch_bytes: 0,
            chunk: BytesMut::new(),
            in_chunk: Vec::new(),
            current: None,
            current_topic: 0,
            paused: false,
            check_at: None,
        }
    }

    /// Reads until the source is stopped.
    pub(super) fn run(mut self) {
        while !self.shared.stopped_within(Duration::ZERO) {
            self.turn();
        }
    }

    fn turn(&mut self) {
        self.keep_room();
        if self.check_at.is_some_and(|at| self.clock.instant() >= at) {
            self.check_positions();
        }
        let consumer = Arc::clone(&self.consumer);
        loop {
            let wait = if self.batch.is_empty() { KAFKA_POLL_WAIT } else { Duration::ZERO };
            let polled = consumer.poll(wait);
            if self.shared.rebalanced.swap(false, Ordering::Relaxed) {
                self.after_rebalance();
            }
            match polled {
                Some(Ok(message)) => self.take(&message),
                Some(Err(error)) => break self.heed(&error),
                None => break,
            }
            if self.batch.len() >= BATCH_MESSAGES || self.batch_bytes >= BATCH_BYTES {
                break;
            }
        }
        self.hand_over();
    }

    /// Waits a little for room in the queue; then pauses, and goes on polling only to stay a member.
    fn keep_room(&mut self) {
        let patience = if self.paused { Duration::ZERO } else { SOURCE_PAUSE_AFTER };
        let has_room = self.shared.handover.room_within(patience);
        if has_room == self.paused {
            self.paused = !has_room;
            self.shared.paused.store(self.paused, Ordering::Relaxed);
            self.apply_pause();
        }
    }

    fn apply_pause(&self) {
        let assigned = self.consumer.assignment();
        let done = assigned.and_then(|all| if self.paused { self.consumer.pause(&all) } else { self.consumer.resume(&all) });
        tracing::debug!(pipeline = self.shared.pipeline.as_str(), paused = self.paused, ?done, "the queue to the pipeline");
    }

    /// Partitions came or went: what is remembered of the last one may be wrong, and new ones know nothing of the pause.
    fn after_rebalance(&mut self) {
        self.keep_position();
        self.share_chunk();
        self.current = None;
        let ours: HashSet<Lane> = self.shared.lanes().all().map(|reading| Arc::clone(&reading.lane)).collect();
        self.batch.retain(|message| ours.contains(&message.lane));
        if self.paused {
            self.apply_pause();
        }
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let (topic, partition) = (message.topic_ptr().addr(), message.partition());
        if !self.current.as_ref().is_some_and(|current| current.partition == partition && self.current_topic == topic) {
            self.keep_position();
            self.current = self.shared.lanes().get_mut(message.topic(), partition).cloned();
            self.current_topic = topic;
        }
        // A record of a partition that is not ours any more: its new owner reads it.
        let Some(current) = &mut self.current else { return };
        let offset = u64::try_from(message.offset()).unwrap_or_default();
        current.position = Some(offset + 1);
        current.beyond = 0;
        let owned = owned(message, current, offset);
        let parts = [message.key(), message.payload()];
        let bytes: usize = parts.iter().flatten().map(|part| part.len()).sum();
        if self.chunk.capacity() - self.chunk.len() < bytes {
            self.share_chunk();
            self.chunk = BytesMut::with_capacity(CHUNK_BYTES.max(bytes));
        }
        parts.iter().flatten().for_each(|part| self.chunk.extend_from_slice(part));
        self.in_chunk.push(parts.map(|part| part.map(<[u8]>::len)));
        self.batch_bytes += owned.size_bytes() + bytes;
        self.batch.push(owned);
    }

    /// Gives the messages their shares of the chunk. All at once: the pipeline counts the same shares, and each step of either costs the other.
    fn share_chunk(&mut self) {
        let chunk = self.chunk.split().freeze();
        let first = self.batch.len().saturating_sub(self.in_chunk.len());
        let mut end = 0;
        let mut share = |length: usize| {
            let start = end;
            end += length;
            chunk.slice(start..end)
        };
        for (message, [key, value]) in self.batch.iter_mut().skip(first).zip(self.in_chunk.drain(..)) {
            (message.key, message.value) = (key.map(&mut share), value.map(&mut share));
        }
    }

    /// Gives what was read to the pipeline.
    fn hand_over(&mut self) {
        self.keep_position();
        if !self.batch.is_empty() {
            self.share_chunk();
            self.batch_bytes = 0;
            // The next one is likely to be as long.
            let next = Vec::with_capacity(self.batch.len());
            self.shared.handover.give(std::mem::replace(&mut self.batch, next));
            self.shared.troubles.set_brokers(None);
        }
    }

    fn keep_position(&mut self) {
        let Some(current) = &self.current else { return };
        if let Some(reading) = self.shared.lanes().get_mut(&current.topic, current.partition) {
            reading.position = current.position;
            reading.beyond = current.beyond;
        }
    }

    fn heed(&mut self, error: &KafkaError) {
        self.hand_over();
        self.current = None;
        match error {
            KafkaError::PartitionEOF(partition) => self.at_end(*partition),
            KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset) => {
                self.check_at = Some(self.clock.instant() + CHECK_AGAIN);
            }
            KafkaError::MessageConsumptionFatal(code) => {
                let remedy =
                    "Kafka shut this consumer out: restart the pipeline, and give every instance its own `group.instance.id`, or none";
                self.shared.handover.fail(Failure::misconfigured(format!("{remedy} ({code})")));
            }
            // Told of by the context's callback, with its reason; librdkafka tries again by itself.
            _ => tracing::debug!(pipeline = self.shared.pipeline.as_str(), %error, "reading from Kafka"),
        }
    }

    /// A partition of that number, in one of our topics, has been read to its end.
    ///
    /// Markers of transactions are no messages: the consumer's own position tells that it passed them. Records that were
    /// compacted away at the very end move no position: then the end itself is taken, where it is sure whose end it is.
    fn at_end(&mut self, partition: i32) {
        let end = self.shared.last_end.lock().unwrap_or_else(PoisonError::into_inner).take();
        let is_known = {
            let lanes = self.shared.lanes();
            let mut readings = lanes.all().filter(|reading| reading.partition == partition);
            // The consumer's position is asked of another thread, and we are at the end after every message of a quiet topic.
            end.is_some() && readings.next().is_some_and(|reading| reading.position == end) && readings.next().is_none()
        };
        if is_known {
            return;
        }
        let positions = self.consumer.position().map(|list| list.to_topic_map()).unwrap_or_default();
        for ((topic, _), offset) in positions.iter().filter(|((_, number), _)| *number == partition) {
            if let Offset::Offset(offset) = offset {
                self.pass(topic, partition, u64::try_from(*offset).unwrap_or_default());
            }
        }
        let Some(end) = end else { return };
        let readings: Vec<Reading> = self.shared.lanes().all().filter(|reading| reading.partition == partition).cloned().collect();
        if readings.iter().any(|reading| reading.position == Some(end)) {
            return;
        }
        let mut before: Vec<(String, i32)> = readings
            .iter()
            .filter(|reading| reading.position.is_none_or(|position| position < end))
            .map(|reading| (reading.topic.to_string(), partition))
            .collect();
        if before.len() > 1 {
            // An end that lies below this one was not it.
            let Ok(ends) = offsets::query(&self.consumer, &before, Offset::End) else { return };
            before.retain(|lane| ends.get(lane).is_some_and(|known| *known >= end));
        }
        if let [(topic, _)] = before.as_slice() {
            self.pass(topic, partition, end);
        }
    }

    /// Says that nothing more comes before `position`, where that is news.
    fn pass(&self, topic: &str, partition: i32, position: u64) {
        if let Some(reading) = self.shared.lanes().get_mut(topic, partition)
            && reading.position.is_none_or(|known| known < position)
        {
            reading.position = Some(position);
            self.shared.handover.pass(Arc::clone(&reading.lane), position);
        }
    }

    /// A position that we asked for is not there; librdkafka does not say of which partition. So all are judged, and all
    /// are read on from where they stand.
    fn check_positions(&mut self) {
        self.check_at = None;
        let mut readings: Vec<Reading> = self.shared.lanes().all().cloned().collect();
        let lanes: Vec<(String, i32)> = readings.iter().map(|reading| (reading.topic.to_string(), reading.partition)).collect();
        let bounds = offsets::query(&self.consumer, &lanes, Offset::Beginning)
            .and_then(|lows| Ok((lows, offsets::query(&self.consumer, &lanes, Offset::End)?)));
        let Ok((lows, highs)) = bounds else {
            self.check_at = Some(self.clock.instant() + CHECK_AGAIN);
            return;
        };
        self.shared.troubles.set_positions(None);
        for (reading, lane) in readings.iter_mut().zip(&lanes) {
            if let (Some(position), Some(low), Some(high)) = (reading.position, lows.get(lane), highs.get(lane)) {
                self.check_position(reading, position, *low, *high);
            }
        }
        if let Err(error) = self.restart(&readings) {
            tracing::debug!(pipeline = self.shared.pipeline.as_str(), %error, "cannot read elsewhere yet");
            self.check_at = Some(self.clock.instant() + CHECK_AGAIN);
        }
    }

    fn check_position(&self, reading: &mut Reading, position: u64, low: u64, high: u64) {
        let pipeline = self.shared.pipeline.as_str();
        match judge(&reading.lane, position, low, high) {
            Judgement::There => {}
            Judgement::Gone(sentence) => {
                tracing::error!(pipeline, "{sentence}");
                reading.position = Some(low);
                self.pass(&reading.topic, reading.partition, low);
            }
            Judgement::Beyond(sentence) if reading.beyond + 1 >= KAFKA_BEYOND_END_CHECKS => {
                self.shared.handover.fail(Failure::misconfigured(sentence));
            }
            Judgement::Beyond(sentence) => {
                tracing::warn!(pipeline, "{sentence}");
                self.shared.troubles.set_positions(Some(sentence));
                if let Some(kept) = self.shared.lanes().get_mut(&reading.topic, reading.partition) {
                    kept.beyond += 1;
                }
            }
        }
    }

    /// Reads every partition on from where it stands. librdkafka has let go of one whose position it could not find, and
    /// refuses to seek there: it must be assigned again.
    fn restart(&self, readings: &[Reading]) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(readings.len());
        for reading in readings {
            let offset = reading.position.and_then(|position| i64::try_from(position).ok());
            let offset = offset.map_or(self.shared.start.offset(), Offset::Offset);
            list.add_partition_offset(&reading.topic, reading.partition, offset)?;
        }
        if let RebalanceProtocol::Cooperative = self.consumer.rebalance_protocol() {
            self.consumer.incremental_unassign(&list)?;
            self.consumer.incremental_assign(&list)?;
        } else {
            self.consumer.assign(&list)?;
        }
        if self.paused {
            self.apply_pause();
        }
        Ok(())
    }
}

/// What became of the records at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// They are there, or will be the next.
    There,
    /// They were deleted before they were read.
    Gone(String),
    /// The partition does not reach so far.
    Beyond(String),
}

/// Judges a position by the ends of its partition.
pub(super) fn judge(lane: &str, position: u64, low: u64, high: u64) -> Judgement {
    if position < low {
        let lost = low - position;
        return Judgement::Gone(format!(
            "{lost} records of {lane} were deleted by the topic's retention before they were read (offsets {position} to {}): run a \
             snapshot of its tables again, and keep records longer",
            low - 1
        ));
    }
    if position > high {
        return Judgement::Beyond(format!(
            "{lane} was made anew or has lost records: offset {position} is to be read next, but it ends at {high}: if it was made \
             anew, remove the pipeline's state, so that all is read again"
        ));
    }
    Judgement::There
}

/// The message without its key and value.
fn owned(message: &BorrowedMessage<'_>, reading: &Reading, offset: u64) -> Message {
    Message {
        lane: Arc::clone(&reading.lane),
        position: offset + 1,
        origin: Origin { topic: Arc::clone(&reading.topic), partition: reading.partition, offset },
        timestamp_ms: message.timestamp().to_millis().and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default(),
        key: None,
        value: None,
        headers: owned_headers(message),
    }
}

/// The binding panics on the name of a header that is not UTF-8. Such headers are left out: no event depends on them.
fn owned_headers(message: &BorrowedMessage<'_>) -> Vec<(Box<str>, Option<Bytes>)> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let read = |place| {
        let header = catch_unwind(AssertUnwindSafe(|| headers.try_get(place))).ok().flatten()?;
        Some((header.key.into(), header.value.map(Bytes::copy_from_slice)))
    };
    (0..headers.count()).filter_map(read).collect()
}
