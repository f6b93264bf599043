//! Questions to the brokers: which topics there are, and where their partitions begin and end.

use std::collections::HashMap;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use crate::limits::KAFKA_QUERY_TIMEOUT;
use crate::source::kafka::settings::Topics;

/// Offsets by topic and partition.
pub(super) type Offsets = HashMap<(String, i32), u64>;

/// The topics there are, and those that are named but not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Every partition of every topic there is.
    pub(super) partitions: Vec<(String, i32)>,
    /// Topics that do not exist.
    pub(super) missing: Vec<String>,
}

/// Asks the brokers for one end of each partition: [`Offset::Beginning`] or [`Offset::End`]. Blocks.
///
/// This is one request to each broker, however many partitions; the end is the one that the isolation level lets us see.
pub(super) fn query<C: ConsumerContext>(consumer: &BaseConsumer<C>, partitions: &[(String, i32)], which: Offset) -> KafkaResult<Offsets> {
    if partitions.is_empty() {
        return Ok(Offsets::new());
    }
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        // ListOffsets takes the two ends as special times, -2 and -1, which are librdkafka's numbers for them too.
        list.add_partition_offset(topic, *partition, which)?;
    }
    let answer = consumer.offsets_for_times(list, KAFKA_QUERY_TIMEOUT)?;
    let mut offsets = Offsets::new();
    for element in answer.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert((element.topic().to_owned(), element.partition()), u64::try_from(offset).unwrap_or_default());
        }
    }
    Ok(offsets)
}

/// Asks the brokers which of the topics there are, with their partitions. Blocks.
pub(super) fn find<C: ConsumerContext>(consumer: &BaseConsumer<C>, topics: &Topics) -> KafkaResult<Found> {
    let mut found = Found::default();
    match topics {
        Topics::Matching(_) => add(consumer, None, topics, &mut found)?,
        Topics::Named(names) => {
            for name in names {
                add(consumer, Some(name), topics, &mut found)?;
            }
        }
    }
    found.partitions.sort();
    Ok(found)
}

fn add<C: ConsumerContext>(consumer: &BaseConsumer<C>, name: Option<&str>, topics: &Topics, found: &mut Found) -> KafkaResult<()> {
    let metadata = consumer.fetch_metadata(name, KAFKA_QUERY_TIMEOUT)?;
    for topic in metadata.topics().iter().filter(|topic| topics.matches(topic.name())) {
        match topic.error() {
            None => found.partitions.extend(topic.partitions().iter().map(|partition| (topic.name().to_owned(), partition.id()))),
            Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => found.missing.push(topic.name().to_owned()),
            Some(error) => return Err(KafkaError::MetadataFetch(error.into())),
        }
    }
    Ok(())
}
