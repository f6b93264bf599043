//! Events to measure with: orders as Debezium would tell them, the same for every run.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::Instant;

use super::null_bulk::NullBulk;

/// How long the last events of the latency run may take to be answered.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// How long the first event of the latency run may take: the measured process has to start and join its group.
const FIRST_ANSWER: Duration = Duration::from_secs(60);

/// Writes `{"key":…,"value":…}` lines: creates, updates and 2 % deletes over `keys` keys, some 600 bytes each.
pub fn write_events(path: &Path, events: u64, keys: u64) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut chance = StdRng::seed_from_u64(42);
    let mut live: HashMap<u64, u64> = HashMap::new();
    for number in 0..events {
        let key = chance.random_range(0..keys);
        let (operation, revision) = match live.get(&key) {
            Some(_) if chance.random::<f64>() < 0.02 => ("d", 0),
            Some(revision) => ("u", revision + 1),
            None => ("c", 1),
        };
        if operation == "d" {
            live.remove(&key)
        } else {
            live.insert(key, revision)
        };
        let value = event(key, revision, operation, 24_000_000 + 136 * number, chance.random_range(100..999_999));
        writeln!(file, "{{\"key\":{{\"id\":{key}}},\"value\":{value}}}")?;
    }
    file.flush()
}

/// The configuration of a file source.
pub fn file_source(path: &Path) -> String {
    format!("[pipelines.bench.source.file]\npath = \"{}\"\nformat = \"debezium\"\n", path.display())
}

/// The configuration of a Kafka source.
pub fn kafka_source(brokers: &str, topic: &str) -> String {
    format!("[pipelines.bench.source.kafka]\nbrokers = \"{brokers}\"\ntopics = [\"{topic}\"]\n")
}

/// Puts the events of a file into a topic.
pub async fn produce_all(brokers: &str, topic: &str, events: &Path) -> Result<(), String> {
    // kcat reads key and value from a line, parted by a tab.
    let lines = std::fs::read_to_string(events).map_err(|error| error.to_string())?;
    let mut kcat = Kcat::start(brokers, topic, "100")?;
    for line in lines.lines() {
        let (key, value) = line.strip_prefix("{\"key\":").and_then(|rest| rest.split_once(",\"value\":")).unwrap_or_default();
        kcat.send(key, value.strip_suffix('}').unwrap_or(value)).await?;
    }
    kcat.finish().await
}

/// Makes the topic with one event, so that the consumer finds it.
pub async fn create_topic(brokers: &str, topic: &str) -> Result<(), String> {
    let mut kcat = Kcat::start(brokers, topic, "0")?;
    kcat.send("{\"id\":0}", &event(0, 1, "c", 24_000_000, 1_000)).await?;
    kcat.finish().await
}

/// Sends events of keys from 1 on at a steady rate and notes when; waits for the last to be answered.
pub async fn produce_steadily(
    brokers: &str,
    topic: &str,
    rate: u64,
    time: Duration,
    sink: &NullBulk,
) -> Result<Vec<(String, Instant)>, String> {
    if !has_documents(sink, 1, FIRST_ANSWER).await {
        return Err(format!("the first event was not answered within {FIRST_ANSWER:?}: is the broker {brokers} well?"));
    }
    let mut kcat = Kcat::start(brokers, topic, "0")?;
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate as f64));
    let mut sent = Vec::new();
    let total = rate * time.as_secs();
    for key in 1..=total {
        ticks.tick().await;
        let value = event(key, 1, "c", 25_000_000 + 136 * key, 1_000);
        sent.push((key.to_string(), Instant::now()));
        kcat.send(&json!({"id": key}).to_string(), &value).await?;
        kcat.flush().await?;
    }
    kcat.finish().await?;
    has_documents(sink, total + 1, LAST_ANSWERS).await;
    Ok(sent)
}

/// Whether that many documents have come before `longest` is over.
async fn has_documents(sink: &NullBulk, documents: u64, longest: Duration) -> bool {
    let until = Instant::now() + longest;
    while sink.documents() < documents && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sink.documents() >= documents
}

fn event(key: u64, revision: u64, operation: &str, lsn: u64, cents: u64) -> String {
    let status = ["placed", "paid", "shipped", "done"].get(revision as usize % 4).copied().unwrap_or_default();
    let row = format!(
        "{{\"id\":{key},\"product_id\":{},\"customer\":\"Customer {key}\",\"quantity\":{},\"total\":\"{}.{:02}\",\"status\":\"{status}\",\
         \"placed_at\":\"2026-03-02T09:{:02}:{:02}.000000Z\",\"email\":\"user{key}@example.com\",\"street\":\"{} Main Street\",\"notes\":null}}",
        key % 997,
        1 + revision % 5,
        cents / 100,
        cents % 100,
        key % 60,
        revision % 60,
        key % 97,
    );
    let (before, after) = if operation == "d" { (format!("{{\"id\":{key}}}"), "null".to_owned()) } else { ("null".to_owned(), row) };
    format!(
        "{{\"before\":{before},\"after\":{after},\"source\":{{\"version\":\"3.7.0.Final\",\"connector\":\"postgresql\",\"name\":\"bench\",\
         \"ts_ms\":1790000000000,\"snapshot\":\"false\",\"db\":\"shop\",\"sequence\":\"[\\\"{}\\\",\\\"{lsn}\\\"]\",\"schema\":\"public\",\
         \"table\":\"orders\",\"txId\":700,\"lsn\":{lsn},\"xmin\":null}},\"transaction\":null,\"op\":\"{operation}\",\"ts_ms\":1790000000005}}",
        lsn - 136,
    )
}

/// A kcat that produces what it is given.
pub struct Kcat {
    process: tokio::process::Child,
    input: tokio::io::BufWriter<tokio::process::ChildStdin>,
}

impl Kcat {
    /// Starts it; a message waits at most so long for others to go with.
    pub fn start(brokers: &str, topic: &str, linger_ms: &str) -> Result<Self, String> {
        let mut command = Command::new("kcat");
        command.args(["-P", "-q", "-b", brokers, "-t", topic, "-K", "\t", "-X", &format!("queue.buffering.max.ms={linger_ms}")]);
        command.stdin(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().map_err(|error| format!("kcat cannot be started (apt-get install kcat): {error}"))?;
        let input = process.stdin.take().ok_or("kcat takes no input")?;
        Ok(Self { process, input: tokio::io::BufWriter::with_capacity(1 << 20, input) })
    }

    /// Gives it a message; neither part may hold a tab or a line's end.
    pub async fn send(&mut self, key: &str, value: &str) -> Result<(), String> {
        let line = format!("{key}\t{value}\n");
        self.input.write_all(line.as_bytes()).await.map_err(|error| format!("kcat stopped reading: {error}"))
    }

    async fn flush(&mut self) -> Result<(), String> {
        self.input.flush().await.map_err(|error| format!("kcat stopped reading: {error}"))
    }

    /// Waits until the broker has everything.
    pub async fn finish(mut self) -> Result<(), String> {
        self.flush().await?;
        drop(self.input);
        let status = self.process.wait().await.map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("kcat failed ({status})")) }
    }
}
