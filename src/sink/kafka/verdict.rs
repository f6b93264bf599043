//! What librdkafka's errors mean for a write, for a topic and for the pipeline.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::Delivery;
use crate::error::Failure;
use crate::sink::{Verdict, WriteError};

/// What the deliveries of a batch say of its writes.
pub(super) fn of_deliveries(deliveries: Vec<Delivery>) -> Result<Vec<Verdict>, WriteError> {
    deliveries.into_iter().map(of_delivery).collect()
}

fn of_delivery(delivery: Delivery) -> Result<Verdict, WriteError> {
    let Err(error) = delivery else { return Ok(Verdict::Stored) };
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
            Ok(Verdict::Refused(format!("the record is too large ({error}): raise message.max.bytes, here and at the broker")))
        }
        Some(RDKafkaErrorCode::InvalidMessage | RDKafkaErrorCode::InvalidRecord) => {
            Ok(Verdict::Refused(format!("Kafka refuses the record: {error}")))
        }
        Some(RDKafkaErrorCode::InvalidTopic) => {
            Err(WriteError::Misconfigured { remedy: format!("Kafka takes no topic of that name ({error}): change `topic`") })
        }
        Some(code) => match remedy(code) {
            Some(remedy) => Err(WriteError::Misconfigured { remedy: format!("{remedy} ({error})") }),
            None => Ok(Verdict::Retry(word(code))),
        },
        None => Ok(Verdict::Retry("kafka")),
    }
}

/// No answer from the brokers.
pub(super) fn unreachable(brokers: &str, error: &KafkaError) -> Failure {
    match error.rdkafka_error_code().and_then(remedy) {
        Some(remedy) => Failure::misconfigured(format!("{remedy} ({error})")),
        None => Failure::unavailable(format!("Kafka cannot be reached at {brokers}: {error}")),
    }
}

/// What is wrong with a topic.
pub(super) fn of_topic(topic: &str, code: RDKafkaErrorCode) -> Failure {
    match (code, remedy(code)) {
        (RDKafkaErrorCode::InvalidTopic, _) => Failure::misconfigured(format!("Kafka takes no topic named {topic}: change `topic`")),
        (_, Some(remedy)) => Failure::misconfigured(remedy),
        (_, None) => missing(topic),
    }
}

/// It may come: brokers take a moment to make a topic.
pub(super) fn missing(topic: &str) -> Failure {
    Failure::unavailable(format!("the topic {topic} is not there: make it, or let the brokers make topics by themselves"))
}

fn remedy(code: RDKafkaErrorCode) -> Option<&'static str> {
    match code {
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
            Some("Kafka refused the credentials: check `sasl.*` and `security.protocol` in `properties`")
        }
        RDKafkaErrorCode::TopicAuthorizationFailed => Some("the user may not write a topic: grant it Write and Describe on the topic"),
        RDKafkaErrorCode::ClusterAuthorizationFailed => Some("the user may not use the Kafka cluster: grant it what it lacks"),
        _ => None,
    }
}

/// A transient error as a label of a metric.
fn word(code: RDKafkaErrorCode) -> &'static str {
    match code {
        RDKafkaErrorCode::MessageTimedOut | RDKafkaErrorCode::RequestTimedOut | RDKafkaErrorCode::OperationTimedOut => "timeout",
        RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve => "unreachable",
        RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownPartition => "no topic",
        _ => "kafka",
    }
}
