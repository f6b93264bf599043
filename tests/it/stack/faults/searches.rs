//! A log of searches in a topic, and what must be counted of it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use serde_json::{Value, json};

use super::database::{Delivered, Documents, administer};
use super::rig::PATIENCE;

const KEYS: f64 = 60.0;

/// How time goes in the log.
#[derive(Clone, Copy)]
pub struct Times {
    /// When the first search happened, in milliseconds since 1970.
    pub begin_ms: u64,
    /// How far the next one lies behind.
    pub step_ms: u64,
    /// By how much a search may come late.
    pub late_ms: u64,
    /// The length of a window.
    pub window_ms: u64,
}

/// The log.
pub struct Searches {
    topic: String,
    partitions: u64,
    times: Times,
    chance: StdRng,
    producer: ThreadedProducer<Delivered>,
    /// How many there are.
    pub sent: u64,
    /// How often, and with which weights, by the begin of the window and the key.
    counted: BTreeMap<(u64, String), (u64, u64)>,
}

impl Searches {
    /// An empty log whose topic is made at `brokers`.
    pub fn new(brokers: &str, topic: &str, partitions: u64, seed: u64, times: Times) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("log_level", "0");
        let made = NewTopic::new(topic, partitions as i32, TopicReplication::Fixed(1));
        administer(&config, async |admin| admin.create_topics([&made], &AdminOptions::new()).await.unwrap());
        config.set("enable.idempotence", "true").set("linger.ms", "2");
        let producer = config.create_with_context(Delivered::default()).unwrap();
        let chance = StdRng::seed_from_u64(seed);
        Self { topic: topic.to_owned(), partitions, times, chance, producer, sent: 0, counted: BTreeMap::new() }
    }

    /// So many searches, some of them late. All for one thing go to one partition.
    pub fn search(&mut self, times: u64) {
        for _ in 0..times {
            let Times { begin_ms, step_ms, late_ms, window_ms } = self.times;
            let time_ms = begin_ms + self.sent * step_ms - self.chance.random_range(0..=late_ms);
            // Some things are searched for much more often than others.
            let thing = (self.chance.random::<f64>().powi(3) * KEYS) as u64;
            let weight = self.chance.random_range(1..10_u64);
            let key = format!("thing {thing}");
            let query = if weight % 3 == 0 { format!(" {} ", key.to_uppercase()) } else { key.clone() };
            let event = json!({"query": query, "at": time_ms, "n": weight}).to_string();
            let record = BaseRecord::<str, str>::to(&self.topic).partition((thing % self.partitions) as i32).key(&key).payload(&event);
            self.producer.send(record).map_err(|(error, _)| error).unwrap();
            self.sent += 1;
            let counted = self.counted.entry((time_ms - time_ms % window_ms, key)).or_default();
            *counted = (counted.0 + 1, counted.1 + weight);
        }
    }

    /// Where the partitions end, by their lanes.
    pub fn ends(&self) -> BTreeMap<String, u64> {
        self.producer.flush(PATIENCE).unwrap();
        assert_eq!(self.producer.context().0.load(Ordering::Relaxed), 0, "searches did not reach Kafka");
        let end = |partition| self.producer.client().fetch_watermarks(&self.topic, partition as i32, PATIENCE).unwrap().1 as u64;
        (0..self.partitions).map(|partition| (format!("{}/{partition}", self.topic), end(partition))).collect()
    }

    /// How many windows hold something.
    pub fn windows(&self) -> usize {
        let mut windows: Vec<u64> = self.counted.keys().map(|(start_ms, _)| *start_ms).collect();
        windows.dedup();
        windows.len()
    }

    /// The documents, each with the version 0: those of the first `top` of each window, by weight; with 0, of all.
    pub fn documents(&self, top: usize) -> Documents {
        let mut windows: BTreeMap<u64, Vec<(&String, u64, u64)>> = BTreeMap::new();
        for ((start_ms, key), (count, sum)) in &self.counted {
            windows.entry(*start_ms).or_default().push((key, *count, *sum));
        }
        let mut documents = Documents::new();
        for (start_ms, mut keys) in windows {
            keys.sort_by(|one, two| two.2.cmp(&one.2).then(one.0.cmp(two.0)));
            let shown = if top == 0 { keys.len() } else { top };
            for (place, (key, count, sum)) in keys.into_iter().enumerate().take(shown) {
                let (start, end) = (instant(start_ms), instant(start_ms + self.times.window_ms));
                let id = format!("{start}|{key}");
                let mut body = json!({"key": key, "query": key, "window_start": start, "window_end": end, "count": count, "sum": sum});
                if top > 0 {
                    body["rank"] = Value::from(place + 1);
                }
                documents.insert(id, (0, body));
            }
        }
        documents
    }
}

fn instant(ms: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}
