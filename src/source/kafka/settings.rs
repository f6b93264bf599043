//! What `[pipelines.….source.kafka]` may say, and what librdkafka is told of it.

use async_trait::async_trait;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::{ClientConfig, Offset};
use regex::Regex;

use crate::error::Failure;
use crate::settings::{Secret, Section};
use crate::source::kafka::source::KafkaSource;
use crate::source::{Source, SourceContext, SourceSettings};

/// Properties whose values may only stand as a reference to where they are kept.
const SECRETS: &[&str] = &["sasl.password", "sasl.oauthbearer.client.secret", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password"];

/// Properties that are ours, and what to do instead.
const OWNED: &[(&str, &str)] = &[
    ("bootstrap.servers", "use `brokers`"),
    ("metadata.broker.list", "use `brokers`"),
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
    // What librdkafka holds ahead of us, beside our own queue.
    ("queued.max.messages.kbytes", "32768"),
    // How soon fetching goes on after that was full; the default of a second would leave the reader idle.
    ("fetch.queue.backoff.ms", "20"),
    ("fetch.max.bytes", "33554432"),
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
    /// `host:port`, several with commas.
    pub brokers: String,
    /// What is read.
    pub topics: Topics,
    /// Consumer group; `rowmill-<pipeline>` when not given.
    pub group: Option<String>,
    /// Where a partition without a stored position is read from.
    pub start: Start,
    /// What librdkafka is told beside, by its names. All are redacted, since some are secrets.
    pub properties: Vec<(String, Secret)>,
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
        brokers: section.required_string("brokers"),
        topics: read_topics(section),
        group: section.string("group"),
        start: section.choice("start", Start::Earliest, &[("earliest", Start::Earliest), ("latest", Start::Latest)]),
        properties: read_properties(section),
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

fn read_properties(section: &Section<'_>) -> Vec<(String, Secret)> {
    let table = section.section("properties");
    for name in table.names() {
        if let Some((_, remedy)) = OWNED.iter().find(|(owned, _)| *owned == name) {
            table.problem(&name, format!("cannot be set: {remedy}"));
        }
    }
    let mut properties: Vec<(String, Secret)> =
        SECRETS.iter().filter_map(|name| table.secret(name).map(|secret| ((*name).to_owned(), secret))).collect();
    let plain = section.string_map("properties").into_iter().filter(|(name, _)| !SECRETS.contains(&name.as_str()));
    properties.extend(plain.map(|(name, value)| (name, Secret::new(value))));
    properties
}

impl KafkaSourceSettings {
    /// What librdkafka is told for the pipeline of that name.
    pub(super) fn client_config(&self, pipeline: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Info);
        config.set("client.id", format!("rowmill-{pipeline}"));
        for (name, value) in DEFAULTS {
            config.set(*name, *value);
        }
        if !self.properties.iter().any(|(name, value)| name == "group.protocol" && value.reveal() == "consumer") {
            for (name, value) in CLASSIC_DEFAULTS {
                config.set(*name, *value);
            }
        }
        for (name, value) in &self.properties {
            config.set(name, value.reveal());
        }
        config.set("bootstrap.servers", &self.brokers);
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
        self.group.as_ref().map(|group| format!("consumer group {group} at {}", self.brokers))
    }

    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>, Failure> {
        Ok(Box::new(KafkaSource::start(self, context)?))
    }
}
