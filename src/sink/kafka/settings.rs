//! The table `kafka` of a sink, and what librdkafka is told of it.

use std::sync::Arc;

use async_trait::async_trait;

use crate::connect::kafka::KafkaConnection;
use crate::error::Failure;
use crate::settings::Section;
use crate::sink::kafka::KafkaSink;
use crate::sink::kafka::client::Producer;
use crate::sink::{STAYS_WHERE_IT_IS, Sink, SinkContext, SinkSettings};

/// Properties that are ours, and what to do instead.
const OWNED: &[(&str, &str)] = &[
    ("enable.idempotence", "remove it: it is always on, so that a retry inside the client writes nothing twice"),
    ("acks", "remove it: all in-sync replicas must have a record before it counts as stored"),
    ("request.required.acks", "remove it: all in-sync replicas must have a record before it counts as stored"),
];

/// What the user may change by `properties`. Each with its reason.
pub(super) const DEFAULTS: &[(&str, &str)] = &[
    // Longer than a broker takes to restart; then the pipeline waits by itself, and says so.
    ("message.timeout.ms", "30000"),
    // A batch comes as a whole: there is nothing to linger for but the rest of it.
    ("linger.ms", "5"),
    ("compression.type", "lz4"),
    ("socket.keepalive.enable", "true"),
];

/// Settings of the Kafka sink.
#[derive(Clone, Debug)]
pub struct KafkaSinkSettings {
    connection: KafkaConnection,
    topic: String,
}

/// Reads `[pipelines.….sink.kafka]`.
pub fn read(section: &Section<'_>) -> Box<dyn SinkSettings> {
    Box::new(KafkaSinkSettings { connection: KafkaConnection::read(section, OWNED), topic: section.required_string("topic") })
}

#[async_trait]
impl SinkSettings for KafkaSinkSettings {
    fn index(&self) -> Option<&str> {
        Some(&self.topic)
    }

    fn on_change(&self, key: &str) -> Option<String> {
        matches!(key, "brokers" | "topic").then(|| STAYS_WHERE_IT_IS.to_owned())
    }

    async fn open(&self, context: &SinkContext) -> Result<Arc<dyn Sink>, Failure> {
        let mut config = self.connection.client_config(&context.pipeline, DEFAULTS);
        config.set("enable.idempotence", "true");
        let producer = Producer::new(&config, &self.connection.brokers)?;
        Ok(Arc::new(KafkaSink { producer }))
    }
}
