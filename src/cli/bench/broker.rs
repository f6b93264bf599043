//! A Kafka broker: topics of generated events, made once for each shape and partitioned as Kafka's own producers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use tokio::time::Instant;

use super::events::Shape;

/// For one answer of the broker.
const PATIENCE: Duration = Duration::from_secs(30);

/// For the broker to have taken what was given to the client.
const LONGEST_FLUSH: Duration = Duration::from_secs(120);

/// Where the topics are, and how new ones are made.
#[derive(Clone, Debug)]
pub struct Broker {
    /// `host:port`, several with commas.
    pub address: String,
    /// Of a new topic.
    pub partitions: i32,
    /// Of the messages in it, by librdkafka's names.
    pub compression: String,
}

impl Broker {
    /// The topic that holds these events; it is filled where it does not yet. Gives how many messages it has too.
    pub async fn filled(&self, shape: &Shape) -> Result<(String, u64), String> {
        let topic = format!("rowmill-bench-{}-{}-{}", shape.name(), self.partitions, self.compression);
        let (expected, _) = shape.counts();
        match self.messages(&topic)? {
            Some(there) if there == expected => return Ok((topic, expected)),
            // Whoever filled it was interrupted.
            Some(_) => self.delete(&topic).await?,
            None => {}
        }
        self.create(&topic).await?;
        let mut producer = self.producer(&topic, "20")?;
        tokio::task::block_in_place(|| {
            shape.each(|key, value| producer.send(key, value))?;
            producer.flush()
        })?;
        match self.messages(&topic)? {
            Some(there) if there == expected => Ok((topic, expected)),
            there => Err(format!("the topic {topic} has {there:?} messages instead of {expected}: does the broker keep all of them?")),
        }
    }

    /// Makes a topic.
    pub async fn create(&self, topic: &str) -> Result<(), String> {
        let new = NewTopic::new(topic, self.partitions, TopicReplication::Fixed(1));
        let made = self.admin()?.create_topics([&new], &AdminOptions::new().operation_timeout(Some(PATIENCE))).await;
        done(topic, "made", made)?;
        self.wait_until(topic, |messages| messages.is_some()).await
    }

    /// Removes a topic.
    pub async fn delete(&self, topic: &str) -> Result<(), String> {
        let gone = self.admin()?.delete_topics(&[topic], &AdminOptions::new().operation_timeout(Some(PATIENCE))).await;
        done(topic, "removed", gone)?;
        self.wait_until(topic, |messages| messages.is_none()).await
    }

    /// How many messages a topic holds, of which none has been removed; none where there is no such topic.
    pub fn messages(&self, topic: &str) -> Result<Option<u64>, String> {
        let unseen = |error: KafkaError| format!("the broker {} does not tell of the topic {topic}: {error}", self.address);
        tokio::task::block_in_place(|| {
            let consumer: BaseConsumer = self.config().create().map_err(unseen)?;
            let metadata = consumer.fetch_metadata(None, PATIENCE).map_err(unseen)?;
            let Some(known) = metadata.topics().iter().find(|known| known.name() == topic) else { return Ok(None) };
            let mut messages = 0;
            for partition in known.partitions() {
                let (_, end) = consumer.fetch_watermarks(topic, partition.id(), PATIENCE).map_err(unseen)?;
                messages += end.max(0) as u64;
            }
            Ok(Some(messages))
        })
    }

    /// A producer into one topic; a message waits so many milliseconds for others to go with.
    pub fn producer(&self, topic: &str, linger_ms: &str) -> Result<Producer, String> {
        let failed = Arc::new(AtomicU64::new(0));
        let mut config = self.config();
        config.set("linger.ms", linger_ms).set("compression.type", &self.compression);
        // As Kafka's own producers place a key, and as Debezium's messages are placed therefore.
        config.set("partitioner", "murmur2_random").set("batch.size", "262144").set("message.max.bytes", "2000000");
        config.set("queue.buffering.max.kbytes", "131072");
        let producer = config.create_with_context(Deliveries { failed: failed.clone() });
        let producer = producer.map_err(|error| format!("no producer for {}: {error}", self.address))?;
        Ok(Producer { producer, topic: topic.to_owned(), failed })
    }

    async fn wait_until(&self, topic: &str, is_so: impl Fn(Option<u64>) -> bool) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            // A topic that was made a moment ago may have no leader yet.
            match self.messages(topic) {
                Ok(messages) if is_so(messages) => return Ok(()),
                Err(message) if Instant::now() > until => return Err(message),
                _ if Instant::now() > until => return Err(format!("the topic {topic} does not come and go as it is told to")),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>, String> {
        self.config().create().map_err(|error| format!("no client for {}: {error}", self.address))
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }
}

fn done(topic: &str, what: &str, results: Result<Vec<TopicResult>, KafkaError>) -> Result<(), String> {
    for result in results.map_err(|error| format!("the topic {topic} cannot be {what}: {error}"))? {
        result.map_err(|(topic, code)| format!("the topic {topic} cannot be {what}: {code}"))?;
    }
    Ok(())
}

/// Puts messages into one topic.
pub struct Producer {
    producer: BaseProducer<Deliveries>,
    topic: String,
    failed: Arc<AtomicU64>,
}

struct Deliveries {
    failed: Arc<AtomicU64>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Producer {
    /// Hands over a message; without a value it is a tombstone. Waits where too many are under way.
    pub fn send(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        loop {
            let record = BaseRecord::to(&self.topic).key(key);
            let record = match value {
                Some(value) => record.payload(value),
                None => record,
            };
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => self.poll(Duration::from_millis(100)),
                Err((error, _)) => return Err(format!("the topic {} takes no message: {error}", self.topic)),
            }
        }
    }

    /// Sees what was delivered; waits at most so long for something to see.
    pub fn poll(&self, longest: Duration) {
        self.producer.poll(longest);
    }

    /// Waits until the broker has everything.
    pub fn flush(&self) -> Result<(), String> {
        self.producer.flush(LONGEST_FLUSH).map_err(|error| format!("the broker did not take everything: {error}"))?;
        match self.failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            failed => Err(format!("the broker did not take {failed} messages of the topic {}", self.topic)),
        }
    }
}
