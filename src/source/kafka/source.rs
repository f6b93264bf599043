//! The source as its pipeline sees it: a client, and two threads that serve it.

use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(test)]
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};

use crate::error::Failure;
use crate::event::Lane;
use crate::limits::KAFKA_LEAVE_TIMEOUT;
use crate::source::kafka::context::{Context, KafkaConsumer, Shared};
use crate::source::kafka::lanes::{Lanes, lane_name, partition_of};
use crate::source::kafka::offsets;
use crate::source::kafka::reader::Reader;
use crate::source::kafka::settings::{KafkaSourceSettings, Topics};
use crate::source::kafka::watcher::Watcher;
use crate::source::{Arrival, Source, SourceContext};

/// Between two tries to learn where the topics end.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// A member of a consumer group.
pub(super) struct KafkaSource {
    shared: Arc<Shared>,
    /// None only while it is dropped.
    consumer: Option<Arc<KafkaConsumer>>,
    /// Ends when both threads have ended.
    threads: Mutex<Receiver<()>>,
}

impl KafkaSource {
    /// Makes the client and starts its threads; waits for no broker.
    pub(super) fn start(settings: &KafkaSourceSettings, context: SourceContext) -> Result<Self, Failure> {
        let config = settings.client_config(&context.pipeline);
        let SourceContext { pipeline, positions, clock } = context;
        let shared = Shared::new(pipeline, settings.connection.brokers.clone(), settings.topics.clone(), settings.start, positions);
        let shared = Arc::new(shared);
        let consumer: KafkaConsumer =
            config.create_with_context(Context { shared: Arc::clone(&shared) }).map_err(|error| refused(&error))?;
        if let Topics::Named(topics) = &settings.topics {
            let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
            consumer.subscribe(&topics).map_err(|error| refused(&error))?;
        }
        let consumer = Arc::new(consumer);
        let (running, threads) = channel();
        let reader = Reader::new(Arc::clone(&consumer), Arc::clone(&shared), clock.clone());
        let watcher = Watcher::new(Arc::clone(&consumer), Arc::clone(&shared), clock);
        let source = Self { shared, consumer: Some(consumer), threads: Mutex::new(threads) };
        source.spawn("reads", running.clone(), move || reader.run())?;
        source.spawn("watches", running, move || watcher.run())?;
        Ok(source)
    }

    fn spawn(&self, what: &str, running: Sender<()>, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let shared = Arc::clone(&self.shared);
        let work = move || {
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                shared.handover.fail(Failure::bug("the thread of the Kafka consumer broke off: see the log, and report it"));
            }
            // Only now is the consumer let go of, and the group left.
            drop(running);
        };
        let name = format!("{} {what}", self.shared.pipeline);
        let spawned = std::thread::Builder::new().name(name).spawn(work);
        spawned.map(drop).map_err(|error| Failure::unavailable(format!("cannot start a thread for the Kafka consumer: {error}")))
    }
}

#[async_trait]
impl Source for KafkaSource {
    async fn next(&mut self) -> Result<Arrival, Failure> {
        self.shared.handover.take().await
    }

    fn settle(&self, positions: &[(Lane, u64)]) {
        let Some(consumer) = &self.consumer else { return };
        // Held until the commit is under way: a partition that is taken from us goes after it.
        let ours = self.shared.lanes();
        let committed = offsets_to_commit(positions, &ours)
            .and_then(|list| if list.count() == 0 { Ok(()) } else { consumer.commit(&list, CommitMode::Async) });
        drop(ours);
        if let Err(error) = committed {
            tracing::debug!(pipeline = self.shared.pipeline.as_str(), %error, "the group's offsets were not committed");
        }
    }

    async fn ends(&self) -> Result<Vec<(Lane, u64)>, Failure> {
        let Some(consumer) = &self.consumer else { return Ok(Vec::new()) };
        loop {
            let (consumer, shared) = (Arc::clone(consumer), Arc::clone(&self.shared));
            let asked = tokio::task::spawn_blocking(move || ends_now(&consumer, &shared)).await;
            match asked.map_err(|error| Failure::bug(format!("asking for the ends of topics broke off: {error}")))? {
                Ok(ends) => return Ok(ends),
                Err(error) => {
                    tracing::debug!(pipeline = self.shared.pipeline.as_str(), %error, "waiting to learn where the topics end");
                    let brokers = &self.shared.brokers;
                    self.shared.troubles.set_brokers_unless_known(format!("waiting for Kafka at {brokers}: {error}"));
                }
            }
            if let Some(failure) = self.shared.handover.failure() {
                return Err(failure);
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    fn newest(&self) -> Vec<(Lane, u64)> {
        let newest = self.shared.newest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ours = self.shared.lanes();
        // Partitions of other members are nothing that this one is behind with.
        let is_ours = |lane: &Lane| partition_of(lane).is_some_and(|(topic, partition)| ours.holds(topic, partition));
        newest.into_iter().filter(|(lane, _)| is_ours(lane)).collect()
    }

    fn lanes(&self) -> Option<Vec<(Lane, u64)>> {
        Some(self.shared.lanes().all().map(|reading| (Arc::clone(&reading.lane), reading.tenure)).collect())
    }

    fn trouble(&self) -> Option<String> {
        self.shared.troubles.sentence()
    }
}

impl Drop for KafkaSource {
    /// Leaves the group, so that another member or the next start need not wait for this one to time out.
    fn drop(&mut self) {
        self.shared.stop();
        self.consumer = None;
        // Nothing is ever sent: the wait ends when both threads have let go of their ends, or after the time.
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        if threads.recv_timeout(KAFKA_LEAVE_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(pipeline = self.shared.pipeline.as_str(), "the Kafka consumer is slow to leave its group: left to itself");
        }
    }
}

#[cfg(test)]
impl KafkaSource {
    /// Waits until the reader has paused.
    pub(super) async fn paused(&self) {
        while !self.shared.paused.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
    }

    /// Messages and bytes that wait for the pipeline.
    pub(super) fn waiting(&self) -> (usize, usize) {
        self.shared.handover.waiting()
    }

    /// Waits until this member holds so many partitions.
    pub(super) async fn holding(&self, partitions: usize) {
        while self.lane_names().len() != partitions {
            tokio::task::yield_now().await;
        }
    }

    /// The partitions this member holds.
    pub(super) fn lane_names(&self) -> Vec<String> {
        self.shared.lanes().all().map(|reading| reading.lane.to_string()).collect()
    }
}

fn ends_now(consumer: &KafkaConsumer, shared: &Shared) -> KafkaResult<Vec<(Lane, u64)>> {
    let found = offsets::find(consumer, &shared.topics)?;
    for topic in &found.missing {
        tracing::warn!(pipeline = shared.pipeline.as_str(), topic, "the topic does not exist: it counts as empty");
    }
    let ends = offsets::query(consumer, &found.partitions, Offset::End)?;
    let mut ends: Vec<(Lane, u64)> = ends.into_iter().map(|((topic, partition), end)| (lane_name(&topic, partition), end)).collect();
    ends.sort();
    Ok(ends)
}

/// Without those of partitions that went to another member: what it commits is further on.
fn offsets_to_commit(positions: &[(Lane, u64)], ours: &Lanes) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for (lane, position) in positions {
        if let (Some((topic, partition)), Ok(offset)) = (partition_of(lane), i64::try_from(*position))
            && ours.holds(topic, partition)
        {
            list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        }
    }
    Ok(list)
}

/// What librdkafka says of its properties, as one sentence. The value is left out: it may be a secret.
pub(super) fn refused(error: &KafkaError) -> Failure {
    let sentence = match error {
        KafkaError::ClientConfig(_, description, name, _) => format!("Kafka property {name} cannot be used: {description}"),
        KafkaError::ClientCreation(reason) => format!("the Kafka client cannot be made, change `properties`: {reason}"),
        other => format!("the Kafka client cannot be made: {other}"),
    };
    Failure::misconfigured(sentence)
}
