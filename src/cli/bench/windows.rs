//! `rowmill bench windows`: what it costs to count searches by query in windows of event time.
//!
//! The events lie in a Kafka topic, so that another engine can be measured on the very same ones (`tests/stack/bench-windows`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::broker::Broker;
use super::child::{Child, Finished};
use super::null_bulk::NullBulk;
use super::plan::{folder_bytes, kafka_source};

/// How often the size of the state is looked at.
const STATE_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A full hour, so that no window begins before the first event.
const FIRST_AT_MS: u64 = 1_699_999_200_000;

/// How far an event may stand behind its place: below the grace of ten seconds, so that none is late.
const DISORDER_MS: u64 = 3_000;

/// What to measure.
#[derive(Clone, Debug, Args)]
pub struct WindowsOptions {
    /// The Kafka broker
    #[arg(long)]
    brokers: String,
    /// A topic that an earlier run has filled; without it a new one is
    #[arg(long)]
    topic: Option<String>,
    /// Partitions of a new topic
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Generated events
    #[arg(long, default_value_t = 2_000_000)]
    events: u64,
    /// Queries they are spread over
    #[arg(long, default_value_t = 100_000)]
    keys: usize,
    /// The query in place n is searched for 1/n^SKEW times as often as the first: 1 is how people search, 0 is evenly
    #[arg(long, default_value_t = 1.0)]
    skew: f64,
    /// Minutes of event time they are spread over
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Windows of five minutes that begin every 30 s, so that an event counts in ten; without it each counts in one
    #[arg(long)]
    hopping: bool,
    /// Documents kept of each window, 0 for every query
    #[arg(long, default_value_t = 0)]
    top: u64,
    /// How long a closed window is kept
    #[arg(long, default_value = "1h")]
    retention: String,
    /// Where the counts go
    #[arg(long, value_enum, default_value_t = Sink::Bulk)]
    sink: Sink,
}

/// Where the counts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sink {
    /// A bulk server in this process that answers at once
    Bulk,
    /// A topic of the same broker
    Kafka,
}

/// Measures, and prints one JSON object with the figures.
pub async fn windows(options: &WindowsOptions) -> u8 {
    let dir = std::env::temp_dir().join(format!("rowmill-bench-windows-{}", std::process::id()));
    let measured = measure(options, &dir).await;
    super::told(measured, &dir)
}

async fn measure(options: &WindowsOptions, dir: &Path) -> Result<Value, String> {
    let broker = Broker { address: options.brokers.clone(), partitions: options.partitions, compression: "none".to_owned() };
    let topic = match &options.topic {
        Some(topic) => topic.clone(),
        None => fill(options, &broker).await?,
    };
    let events = broker.messages(&topic)?.ok_or_else(|| format!("there is no topic {topic}"))?;
    let output = format!("bench-windows-counts-{}", std::process::id());
    let bulk = NullBulk::start(false).await?;
    let sink = match options.sink {
        Sink::Bulk => format!("[pipelines.bench.sink.elasticsearch]\nurl = \"{}\"\nindex = \"bench\"\n", bulk.url()),
        Sink::Kafka => format!("[pipelines.bench.sink.kafka]\nbrokers = \"{}\"\ntopic = \"{output}\"\n", options.brokers),
    };
    let config = configuration(options, dir, &topic, &sink)?;
    let (finished, state_bytes_most) = watched(Child::start(&config, true)?, &dir.join("state")).await?;
    let documents = match options.sink {
        Sink::Bulk => bulk.documents(),
        Sink::Kafka => broker.messages(&output)?.unwrap_or_default(),
    };
    if documents == 0 {
        return Err("no count was written: run with RUST_LOG=info to see why".to_owned());
    }
    let state_bytes = folder_bytes(&dir.join("state"));
    Ok(json!({
        "topic": topic,
        "output": (options.sink == Sink::Kafka).then_some(output),
        "events": events,
        "documents": documents,
        "seconds": finished.seconds,
        "cpu_seconds": finished.cpu_seconds,
        "events_per_second": (events as f64 / finished.seconds).round(),
        "events_per_cpu_second": (events as f64 / finished.cpu_seconds).round(),
        "peak_memory_mib": finished.peak_memory_bytes >> 20,
        "state_bytes": state_bytes,
        "state_bytes_most": state_bytes_most.max(state_bytes),
    }))
}

/// Waits for the child, and gives also the largest size of its state.
async fn watched(child: Child, state: &Path) -> Result<(Finished, u64), String> {
    let mut most = 0;
    let finished = child.finish();
    tokio::pin!(finished);
    loop {
        match tokio::time::timeout(STATE_LOOK_INTERVAL, &mut finished).await {
            Ok(finished) => return Ok((finished?, most)),
            Err(_) => most = most.max(folder_bytes(state)),
        }
    }
}

/// Produces the events, keyed by the query, into a new topic, and gives its name.
async fn fill(options: &WindowsOptions, broker: &Broker) -> Result<String, String> {
    let topic = format!("bench-windows-{}", std::process::id());
    let mut chance = StdRng::seed_from_u64(42);
    let shares = shares(options.keys, options.skew);
    let most = shares.last().copied().unwrap_or_default();
    broker.create(&topic).await?;
    let mut producer = broker.producer(&topic, "100")?;
    for number in 0..options.events {
        let place = chance.random::<f64>() * most;
        let key = format!("query {:05}", shares.partition_point(|share| *share <= place));
        let passed_ms = u128::from(number) * u128::from(options.minutes * 60_000) / u128::from(options.events);
        let at = FIRST_AT_MS + (passed_ms as u64).saturating_sub(chance.random_range(0..=DISORDER_MS));
        let value = format!("{{\"at\":{at},\"query\":\"{key}\",\"user\":{}}}", chance.random_range(0..1_000_000));
        producer.send(key.as_bytes(), Some(value.as_bytes()))?;
    }
    producer.flush()?;
    Ok(topic)
}

/// Where each key's share of all searches ends.
fn shares(keys: usize, skew: f64) -> Vec<f64> {
    let share = |sum: &mut f64, place: usize| {
        *sum += (place as f64).powf(-skew);
        Some(*sum)
    };
    (1..=keys).scan(0.0, share).collect()
}

fn configuration(options: &WindowsOptions, dir: &Path, topic: &str, sink: &str) -> Result<PathBuf, String> {
    let kind = if options.hopping { "kind = \"hopping\"\nhop = \"30s\"" } else { "kind = \"tumbling\"" };
    let text = format!(
        "[server]\nlisten = \"off\"\n[state]\ndir = \"state\"\n{}[pipelines.bench.source.decode]\nformat = \"json\"\n\
         [pipelines.bench.aggregate]\nkey = \"query\"\ntime = \"at\"\n\
         [pipelines.bench.window]\n{kind}\nsize = \"5m\"\ngrace = \"10s\"\nemit = \"changes\"\nemit_every = \"1s\"\ntop = {}\nretention = \"{}\"\n{sink}",
        kafka_source(&options.brokers, &[topic]),
        options.top,
        options.retention,
    );
    let path = dir.join("windows.toml");
    let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&path, text));
    written.map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    Ok(path)
}
