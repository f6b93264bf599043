//! Topics that come, and ends of partitions that move, looked for again and again.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rdkafka::Offset;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::limits::{KAFKA_TOPICS_INTERVAL, KAFKA_WATCH_INTERVAL};
use crate::source::kafka::context::{KafkaConsumer, Shared};
use crate::source::kafka::lanes::lane_name;
use crate::source::kafka::offsets::{self, Found};
use crate::source::kafka::settings::Topics;

/// How soon it looks again while something is missing.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The thread that asks: which topics there are, and where their partitions end.
pub(super) struct Watcher {
    consumer: Arc<KafkaConsumer>,
    shared: Arc<Shared>,
    clock: Clock,
    found: Found,
    found_at: Option<Instant>,
    /// What a pattern has been resolved to; librdkafka would do so too, but with another dialect of patterns.
    subscribed: BTreeSet<String>,
}

impl Watcher {
    pub(super) fn new(consumer: Arc<KafkaConsumer>, shared: Arc<Shared>, clock: Clock) -> Self {
        Self { consumer, shared, clock, found: Found::default(), found_at: None, subscribed: BTreeSet::new() }
    }

    /// Watches until the source is stopped.
    pub(super) fn run(mut self) {
        let mut wait = Duration::ZERO;
        while !self.shared.stopped_within(wait) {
            let looked = self.look();
            let is_waiting = looked.is_err() || self.shared.troubles.sentence().is_some();
            wait = if is_waiting { LOOK_AGAIN } else { KAFKA_WATCH_INTERVAL };
            let brokers = &self.shared.brokers;
            match looked {
                Ok(()) => self.shared.troubles.set_brokers(None),
                Err(error) => {
                    // The callback's reason says more (which host, why), where there is one.
                    self.shared.troubles.set_brokers_unless_known(format!("waiting for Kafka at {brokers}: {error}"));
                }
            }
        }
    }

    fn look(&mut self) -> KafkaResult<()> {
        let interval = if self.found.missing.is_empty() && !self.found.partitions.is_empty() { KAFKA_TOPICS_INTERVAL } else { LOOK_AGAIN };
        if self.found_at.is_none_or(|at| self.clock.instant() >= at + interval) {
            self.found = offsets::find(&self.consumer, &self.shared.topics)?;
            self.found_at = Some(self.clock.instant());
            self.shared.troubles.set_topics(missing(&self.shared.topics, &self.found));
            self.subscribe()?;
        }
        let ends = offsets::query(&self.consumer, &self.found.partitions, Offset::End);
        if ends.is_err() {
            // Perhaps a topic is gone: look for what there is.
            self.found_at = None;
        }
        let newest = ends?.into_iter().map(|((topic, partition), end)| (lane_name(&topic, partition), end)).collect();
        *self.shared.newest.lock().unwrap_or_else(PoisonError::into_inner) = newest;
        Ok(())
    }

    fn subscribe(&mut self) -> KafkaResult<()> {
        if let Topics::Named(_) = &self.shared.topics {
            return Ok(());
        }
        let topics: BTreeSet<String> = self.found.partitions.iter().map(|(topic, _)| topic.clone()).collect();
        if topics != self.subscribed && !topics.is_empty() {
            tracing::info!(pipeline = self.shared.pipeline.as_str(), ?topics, "topics that match the pattern");
            self.consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;
            self.subscribed = topics;
        }
        Ok(())
    }
}

fn missing(topics: &Topics, found: &Found) -> Option<String> {
    match topics {
        Topics::Matching(pattern) if found.partitions.is_empty() => Some(format!("waiting for a topic that matches {pattern}")),
        Topics::Named(_) if !found.missing.is_empty() => {
            Some(format!("waiting for topics that do not exist yet: {}", found.missing.join(", ")))
        }
        _ => None,
    }
}
