//! What `[pipelines.….source.kafka]` may say, and what librdkafka is told of it.

use async_trait::async_trait;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaResult;
use rdkafka::{ClientConfig, Offset};
use regex::Regex;

use crate::connect::kafka::KafkaConnection;
use crate::error::Failure;
use crate::settings::{Secret, Section};
use crate::source::kafka::source::{KafkaSource, refused};
use crate::source::{Source, SourceContext, SourceSettings};

/// Properties that are ours, and what to do instead.
const OWNED: &[(&str, &str)] = &[
    ("group.id", "use `group`"),
    ("auto.offset.reset", "use `start`"),
    ("enable.auto.commit", "remove it: the position is kept with the state, and committed for monitoring only"),
    ("auto.commit.enable", "remove it: the position is kept with the state, and committed for monitoring only"),
    ("enable.auto.offset.store", "remove it: the position is kept with the state, and committed for monitoring only"),
    ("enable.partition.eof", "remove it: it is always on, to know when a partition has been read to its end"),
];

/// What the user may change by `properties`. Each with its reason.
const DEFAULTS: &[(&str, &str)] = &[
    // Records of aborted transactions are no changes.
    ("isolation.level", "read_committed"),
    // Idle partitions answer soon, so that the first change after a quiet time is not late.
    ("fetch.wait.max.ms", "100"),
    // What librdkafka holds ahead of us at most, beside our own queue, where `queued.min.messages` is raised.
    ("queued.max.messages.kbytes", "8192"),
    // Where more than a few messages came at once (its queue is one for all partitions), more are coming: they are fetched together, a
    // millisecond later. With a request for each, the broker and we are so busy that they queue up. Our own queue is ahead enough.
    ("queued.min.messages", "3"),
    ("fetch.queue.backoff.ms", "1"),
    ("fetch.max.bytes", "8388608"),
    // How soon new partitions are found.
    ("topic.metadata.refresh.interval.ms", "10000"),
    ("socket.keepalive.enable", "true"),
];

/// Defaults that Kafka's newer group protocol refuses, because there the broker decides.
const CLASSIC_DEFAULTS: &[(&str, &str)] = &[
    // Partitions that stay with their member are read on during a rebalance.
    ("partition.assignment.strategy", "cooperative-sticky"),
    // After a kill -9 the next start waits this long for the group to forget the old member; the default is 45 s.
    ("session.timeout.ms", "10000"),
    ("heartbeat.interval.ms", "3000"),
];

/// Settings of the Kafka source.
#[derive(Clone, Debug)]
pub struct KafkaSourceSettings {
    /// Where the brokers are.
    pub connection: KafkaConnection,
    /// What is read.
    pub topics: Topics,
    /// Consumer group; `rowmill-<pipeline>` when not given.
    pub group: Option<String>,
    /// Where a partition without a stored position is read from.
    pub start: Start,
}

/// Which topics are read.
#[derive(Clone, Debug)]
pub enum Topics {
    /// These.
    Named(Vec<String>),
    /// All whose name matches, also those made later.
    Matching(Regex),
}

/// Where a partition without a stored position is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The oldest record there is.
    Earliest,
    /// Only what comes from now on.
    Latest,
}

/// Reads `[pipelines.….source.kafka]`.
pub fn read(section: &Section<'_>) -> Box<dyn SourceSettings> {
    Box::new(read_settings(section))
}

pub(super) fn read_settings(section: &Section<'_>) -> KafkaSourceSettings {
    KafkaSourceSettings {
        connection: KafkaConnection::read(section, OWNED),
        topics: read_topics(section),
        group: section.string("group"),
        start: section.choice("start", Start::Earliest, &[("earliest", Start::Earliest), ("latest", Start::Latest)]),
    }
}

fn read_topics(section: &Section<'_>) -> Topics {
    match (section.strings("topics"), section.string("topics_pattern")) {
        (Some(topics), None) => {
            if topics.is_empty() {
                section.problem("topics", "is empty: name at least one topic");
            }
            Topics::Named(topics)
        }
        (None, Some(pattern)) => read_pattern(section, &pattern),
        (Some(_), Some(_)) => {
            section.problem("topics_pattern", "stands beside `topics`: keep one of the two");
            Topics::Named(Vec::new())
        }
        (None, None) => {
            section.problem("topics", "is missing: name the topics, or give a `topics_pattern`");
            Topics::Named(Vec::new())
        }
    }
}

fn read_pattern(section: &Section<'_>, pattern: &str) -> Topics {
    if !pattern.starts_with('^') {
        section.problem("topics_pattern", "must start with ^, to show that it is a pattern");
    }
    match Regex::new(pattern) {
        Ok(regex) => Topics::Matching(regex),
        Err(error) => {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default();
            section.problem("topics_pattern", format!("is not a regular expression: {}", reason.trim_start_matches("error: ")));
            Topics::Named(Vec::new())
        }
    }
}

impl KafkaSourceSettings {
    /// What librdkafka is told for the pipeline of that name.
    pub(super) fn client_config(&self, pipeline: &str) -> ClientConfig {
        let is_newer = |(name, value): &(String, Secret)| name == "group.protocol" && value.reveal() == "consumer";
        let classic = if self.connection.properties.iter().any(is_newer) { &[] } else { CLASSIC_DEFAULTS };
        let mut config = self.connection.client_config(pipeline, &[DEFAULTS, classic].concat());
        config.set("group.id", self.group.clone().unwrap_or_else(|| format!("rowmill-{pipeline}")));
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config.set("enable.partition.eof", "true");
        // A position that is no longer there is ours to judge; librdkafka must not jump.
        config.set("auto.offset.reset", "error");
        config
    }
}

impl Start {
    /// The start, as librdkafka calls it.
    pub(super) fn offset(self) -> Offset {
        match self {
            Start::Earliest => Offset::Beginning,
            Start::Latest => Offset::End,
        }
    }
}

impl Topics {
    /// Whether a topic of that name is read.
    pub(super) fn matches(&self, topic: &str) -> bool {
        match self {
            Topics::Named(topics) => topics.iter().any(|name| name == topic),
            Topics::Matching(regex) => regex.is_match(topic),
        }
    }
}

#[async_trait]
impl SourceSettings for KafkaSourceSettings {
    /// Members of one group share the partitions: each of two pipelines would get only some of them.
    fn claims(&self) -> Option<String> {
        self.group.as_ref().map(|group| format!("consumer group {group} at {}", self.connection.brokers))
    }

    fn on_change(&self, key: &str) -> Option<String> {
        let start = match self.start {
            Start::Earliest => "from their start",
            Start::Latest => "from their end (start = \"latest\")",
        };
        Some(match key {
            "topics" | "topics_pattern" => format!(
                "positions are kept by topic and partition: topics that this pipeline has read go on where they stand, others are read \
                 {start}; documents of topics left out stay"
            ),
            "brokers" => {
                "positions are kept by topic and partition, whatever the brokers: topics of another cluster would be read on at the \
                 positions of the old one, so give the pipeline another name where it is one"
                    .to_owned()
            }
            "group" => "reading goes on at the positions of the state; what the old group has committed is left behind".to_owned(),
            "start" => format!("concerns only topics that were never read: they are read {start}"),
            _ => return None,
        })
    }

    /// A client that joins no group.
    fn check(&self, pipeline: &str) -> Result<(), Failure> {
        let client: KafkaResult<BaseConsumer> = self.client_config(pipeline).create();
        client.map(drop).map_err(|error| refused(&error))
    }

    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>, Failure> {
        Ok(Box::new(KafkaSource::start(self, context)?))
    }
}
