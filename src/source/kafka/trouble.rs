//! Why nothing arrives, as one sentence for the health page.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::error::RDKafkaErrorCode;

use crate::error::Failure;

/// What the source waits for, by what would end the wait.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<Waits>);

#[derive(Debug, Default)]
struct Waits {
    brokers: Option<String>,
    positions: Option<String>,
    topics: Option<String>,
}

impl Troubles {
    /// The brokers cannot be reached: why, or none once they can.
    pub(super) fn set_brokers(&self, trouble: Option<String>) {
        self.lock().brokers = trouble;
    }

    /// The brokers cannot be reached, and nobody has said why yet.
    pub(super) fn set_brokers_unless_known(&self, trouble: String) {
        self.lock().brokers.get_or_insert(trouble);
    }

    /// A stored position is not there.
    pub(super) fn set_positions(&self, trouble: Option<String>) {
        self.lock().positions = trouble;
    }

    /// Topics do not exist.
    pub(super) fn set_topics(&self, trouble: Option<String>) {
        self.lock().topics = trouble;
    }

    /// One sentence for the health page.
    pub(super) fn sentence(&self) -> Option<String> {
        let waits = self.lock();
        waits.brokers.clone().or_else(|| waits.positions.clone()).or_else(|| waits.topics.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an error of the client means for the pipeline: final, when a person must change something.
pub(super) fn final_failure(code: RDKafkaErrorCode, reason: &str) -> Option<Failure> {
    let remedy = match code {
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
            "Kafka refused the credentials: check `sasl.*` and `security.protocol` in `properties`"
        }
        RDKafkaErrorCode::TopicAuthorizationFailed => "the user may not read a topic: grant it Read and Describe on the topics",
        RDKafkaErrorCode::GroupAuthorizationFailed => "the user may not join the consumer group: grant it Read on the group",
        RDKafkaErrorCode::ClusterAuthorizationFailed => "the user may not use the Kafka cluster: grant it what it lacks",
        RDKafkaErrorCode::Fatal | RDKafkaErrorCode::FencedInstanceId => {
            "Kafka shut this member out of its group: give every instance its own `group.instance.id`, or none"
        }
        RDKafkaErrorCode::InconsistentGroupProtocol => {
            "other members of the consumer group divide partitions in another way: set the same `partition.assignment.strategy` in \
             `properties`, or use a `group` of its own"
        }
        _ => return None,
    };
    Some(Failure::misconfigured(format!("{remedy} ({reason})")))
}

/// Whether an error of the client says that brokers cannot be reached.
pub(super) fn is_unreachable(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::Resolve | RDKafkaErrorCode::SSL | RDKafkaErrorCode::BrokerTransportFailure
    )
}
