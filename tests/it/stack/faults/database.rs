//! A table that changes by chance, its change events in a topic as Debezium tells them, and the documents that must come of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use serde_json::{Value, json};

use crate::support::now_ms;

/// What Debezium puts in the place of a long value that an update left alone.
const MISSING: &str = "__debezium_unavailable_value";
/// The longest wait for a broker, which may be starting.
const PATIENCE: Duration = Duration::from_secs(120);

/// Documents by id: version and body.
pub type Documents = BTreeMap<String, (u64, Value)>;

/// How a table behaves.
#[derive(Clone, Copy)]
pub struct Habits {
    /// How many rows there are at most.
    pub keys: u64,
    /// Bytes of the long value.
    pub long: usize,
    /// Whether stretches of the log come again, as from a connector that was started again.
    pub repeats: bool,
}

/// One row as it is, and what its documents must be.
#[derive(Clone)]
struct Row {
    now: Value,
    /// What a pipeline that keeps rows makes of it, and the version of the change that made it so.
    whole: (u64, Value),
    /// What one that keeps versions makes of it: the row as it was sent.
    sent: (u64, Value),
}

/// Key and value of an event.
type Event = (String, Option<String>);

/// The table and its topic.
pub struct Database {
    brokers: String,
    topic: String,
    habits: Habits,
    chance: StdRng,
    lsn: u64,
    rows: BTreeMap<u64, Row>,
    /// What stands in each partition, where it may come again.
    log: Vec<Vec<Event>>,
    producer: ThreadedProducer<Delivered>,
    pub events: u64,
    /// Events that are changes: all but tombstones.
    pub changes: u64,
}

/// Counts the events that did not reach the broker.
#[derive(Default)]
pub struct Delivered(pub AtomicU64);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.fetch_add(u64::from(result.is_err()), Ordering::Relaxed);
    }
}

impl Database {
    /// An empty table whose topic is made at `brokers`.
    pub fn new(brokers: &str, topic: &str, partitions: usize, seed: u64, habits: Habits) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("log_level", "0");
        let made = NewTopic::new(topic, partitions as i32, TopicReplication::Fixed(1));
        administer(&config, async |admin| admin.create_topics([&made], &AdminOptions::new()).await.unwrap());
        // Each event once and in order, however often the broker dies.
        config.set("enable.idempotence", "true").set("message.timeout.ms", "0").set("linger.ms", "2");
        config.set("queue.buffering.max.kbytes", "1048576").set("reconnect.backoff.max.ms", "500");
        let producer = config.create_with_context(Delivered::default()).unwrap();
        let chance = StdRng::seed_from_u64(seed);
        Self {
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
            habits,
            chance,
            lsn: 1_000,
            rows: BTreeMap::new(),
            log: vec![Vec::new(); partitions],
            producer,
            events: 0,
            changes: 0,
        }
    }

    /// So many changes of rows by chance.
    pub fn change(&mut self, times: usize) {
        for _ in 0..times {
            let id = self.chance.random_range(0..self.habits.keys);
            let fate = self.chance.random_range(0..100);
            match self.rows.get(&id).cloned() {
                Some(_) if fate < 15 => self.delete(id),
                Some(row) if fate < 25 => self.put(id, "u", row.now, false),
                Some(_) => self.update(id, fate < 55),
                None => self.create(id),
            }
            if self.habits.repeats && self.chance.random_bool(0.03) {
                self.repeat();
            }
        }
    }

    /// A new row.
    pub fn create(&mut self, id: u64) {
        let row = json!({"id": id, "n": self.lsn, "long": self.long()});
        self.put(id, "c", row, false);
    }

    /// A row changes, and its long value too or not.
    pub fn update(&mut self, id: u64, is_missing: bool) {
        let mut now = self.rows[&id].now.clone();
        now["n"] = json!(self.lsn);
        if !is_missing {
            now["long"] = self.long();
        }
        self.put(id, "u", now, is_missing);
    }

    /// A row goes; a tombstone follows the event.
    pub fn delete(&mut self, id: u64) {
        self.lsn += self.chance.random_range(1..100);
        let envelope = self.envelope("d", &json!({"id": id}));
        self.append(id, Some(envelope));
        self.append(id, None);
        self.rows.remove(&id);
    }

    /// Everything that was ever told of this row but its deletes, again.
    pub fn tell_again(&mut self, id: u64) {
        let key = json!({"id": id}).to_string();
        let is_old = |event: &&Event| event.0 == key && event.1.as_ref().is_some_and(|value| !value.contains("\"op\":\"d\""));
        let partition = self.partition(id);
        let old: Vec<Event> = self.log[partition].iter().filter(is_old).cloned().collect();
        assert!(!old.is_empty(), "nothing was told of row {id}");
        for event in old {
            self.send(partition, event);
        }
    }

    /// Waits until the broker has everything, and gives the ends of the lanes.
    pub fn ends(&self) -> BTreeMap<String, u64> {
        self.producer.flush(PATIENCE).unwrap();
        assert_eq!(self.producer.context().0.load(Ordering::Relaxed), 0, "events did not reach Kafka");
        let end = |partition| self.producer.client().fetch_watermarks(&self.topic, partition as i32, PATIENCE).unwrap().1 as u64;
        (0..self.log.len()).map(|partition| (format!("{}/{partition}", self.topic), end(partition))).collect()
    }

    /// Removes the topic: a shared broker would keep it.
    pub fn forget(self) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        administer(&config, async |admin| admin.delete_topics(&[&self.topic], &AdminOptions::new()).await.unwrap());
    }

    /// The documents of a pipeline that keeps rows (`whole`), or versions.
    pub fn documents(&self, whole: bool) -> Documents {
        let document = |row: &Row| if whole { row.whole.clone() } else { row.sent.clone() };
        self.rows.iter().map(|(id, row)| (id.to_string(), document(row))).collect()
    }

    fn put(&mut self, id: u64, operation: &str, now: Value, is_missing: bool) {
        self.lsn += self.chance.random_range(1..100);
        let mut sent = now.clone();
        if is_missing {
            sent["long"] = json!(MISSING);
        }
        let envelope = self.envelope(operation, &sent);
        self.append(id, Some(envelope));
        // What is the same is not written again: the version stays.
        let version = self.lsn << 8;
        let next = |before: Option<&(u64, Value)>, body: &Value| {
            before.filter(|(_, before)| before == body).cloned().unwrap_or_else(|| (version, body.clone()))
        };
        let before = self.rows.get(&id);
        let (whole, sent) = (next(before.map(|row| &row.whole), &now), next(before.map(|row| &row.sent), &sent));
        self.rows.insert(id, Row { now, whole, sent });
    }

    fn long(&mut self) -> Value {
        let first: u64 = self.chance.random();
        json!(format!("{first:016x}").repeat(self.habits.long.div_ceil(16)))
    }

    /// A stretch from anywhere in the log stands at its end once more.
    fn repeat(&mut self) {
        let partition = self.chance.random_range(0..self.log.len());
        let log = &self.log[partition];
        if log.is_empty() {
            return;
        }
        let start = self.chance.random_range(0..log.len());
        // A delete and its tombstone are one change to a connector: it repeats both.
        let start = if log[start].1.is_none() { start - 1 } else { start };
        let end = (start + self.chance.random_range(1..12)).min(log.len());
        let repeated: Vec<Event> = log[start..end].to_vec();
        for event in repeated {
            self.send(partition, event);
        }
    }

    fn envelope(&self, operation: &str, row: &Value) -> String {
        let (before, after) = if operation == "d" { (row, &Value::Null) } else { (&Value::Null, row) };
        let sequence = json!([(self.lsn - 1).to_string(), self.lsn.to_string()]).to_string();
        let source = json!({"connector": "postgresql", "name": "s", "schema": "public", "table": "t", "lsn": self.lsn, "ts_ms": now_ms(),
            "snapshot": "false", "sequence": sequence});
        json!({"before": before, "after": after, "op": operation, "ts_ms": 1, "source": source}).to_string()
    }

    fn partition(&self, id: u64) -> usize {
        id as usize % self.log.len()
    }

    fn append(&mut self, id: u64, value: Option<String>) {
        self.send(self.partition(id), (json!({"id": id}).to_string(), value));
    }

    fn send(&mut self, partition: usize, event: Event) {
        let mut record = BaseRecord::<str, str>::to(&self.topic).partition(partition as i32).key(&event.0);
        if let Some(value) = &event.1 {
            record = record.payload(value);
        }
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
        self.events += 1;
        self.changes += u64::from(event.1.is_some());
        if self.habits.repeats {
            self.log[partition].push(event);
        }
    }
}

/// Has an administrator of the brokers do something, which must go well.
pub fn administer(config: &ClientConfig, work: impl AsyncFnOnce(AdminClient<DefaultClientContext>) -> Vec<TopicResult>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let results = runtime.block_on(work(config.create().unwrap()));
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}
