//! Records sent, and waited for until they are acknowledged.

use std::sync::Arc;

use futures::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::util::Timeout;

use super::verdict;
use crate::error::Failure;
use crate::event::{Action, Write};
use crate::limits;

/// What became of one record.
pub(super) type Delivery = Result<(), KafkaError>;

/// The one client.
pub(super) struct Producer {
    producer: FutureProducer,
    brokers: String,
}

impl Producer {
    /// Fails on properties that librdkafka does not know.
    pub(super) fn new(config: &ClientConfig, brokers: &str) -> Result<Self, Failure> {
        let producer =
            config.create().map_err(|error| Failure::misconfigured(format!("the Kafka sink cannot start: {error}: check `properties`")))?;
        Ok(Self { producer, brokers: brokers.to_owned() })
    }

    /// Whether the brokers answer and have these topics; a broker may make them at the first question.
    pub(super) async fn find(&self, topics: &[Arc<str>]) -> Result<(), Failure> {
        for topic in topics {
            let (producer, asked) = (self.producer.clone(), topic.clone());
            let asking = move || producer.client().fetch_metadata(Some(&asked), limits::KAFKA_QUERY_TIMEOUT);
            let metadata =
                tokio::task::spawn_blocking(asking).await.map_err(|error| Failure::bug(format!("asking Kafka ended: {error}")))?;
            let metadata = metadata.map_err(|error| verdict::unreachable(&self.brokers, &error))?;
            let known = metadata.topics().iter().find(|known| known.name() == &**topic);
            match known.and_then(|known| known.error()).map(RDKafkaErrorCode::from) {
                None if known.is_some_and(|known| !known.partitions().is_empty()) => {}
                None => return Err(verdict::missing(topic)),
                Some(code) => return Err(verdict::of_topic(topic, code)),
            }
        }
        Ok(())
    }

    /// Sends all, and waits until each is acknowledged or given up.
    pub(super) async fn send(&self, writes: &[Write]) -> Vec<Delivery> {
        let sent = writes.iter().map(async |write| {
            let version = write.version.to_string();
            let headers = OwnedHeaders::new().insert(Header { key: "rowmill.version", value: Some(&version) });
            let record = FutureRecord::to(&write.index).key(&*write.id).headers(headers);
            let record = match &write.action {
                Action::Index(body) | Action::Emit(body) => record.payload(body.as_bytes()),
                Action::Delete => record,
            };
            // The client's own queue may be full of this very batch.
            self.producer.send(record, Timeout::Never).await.map(drop).map_err(|(error, _)| error)
        });
        join_all(sent).await
    }
}
