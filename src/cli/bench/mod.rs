//! `rowmill bench`: how fast this machine turns change events into documents.
//!
//! The engine is measured apart from any search server: a child process `rowmill run` reads generated events and writes to
//! a null bulk server in this process, which answers every request at once. CPU time and memory are the child's alone.

#[cfg(feature = "kafka")]
mod broker;
mod bulk;
mod child;
pub mod events;
pub mod guests;
#[cfg(feature = "kafka")]
mod latency;
mod null_bulk;
mod plan;
#[cfg(feature = "kafka")]
mod preload;
mod server;
mod taken;
#[cfg(feature = "kafka")]
pub mod windows;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::transform::COMPILED_DIR;

use super::{DONE, failed, say};
use child::{Child, Finished};
use events::{Shape, Story};
use null_bulk::NullBulk;
use plan::Plan;
use server::Server;

/// Where documents go.
const INDEX: &str = "rowmill-bench";

/// What to measure.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchOptions {
    /// Something else than the way of events
    #[command(subcommand)]
    pub what: Option<What>,
    /// Generated changes of the throughput run, 0 for none
    #[arg(long, default_value_t = 500_000)]
    pub events: u64,
    /// Keys they are spread over
    #[arg(long, default_value_t = 50_000)]
    pub keys: u64,
    /// The transform; without it the row itself is the document
    #[arg(long)]
    pub module: Option<PathBuf>,
    /// What is remembered of each row: versions or rows
    #[arg(long, default_value = "versions")]
    pub keep: String,
    /// Events with their schema, as JsonConverter writes them unless told not to: 3.8 KB instead of 0.7
    #[arg(long)]
    pub schema: bool,
    /// About how long a row is as JSON: a column of text is added
    #[arg(long)]
    pub document_bytes: Option<u64>,
    /// Write to this search server, whose index rowmill-bench is made anew, in place of a null bulk server
    #[arg(long)]
    pub url: Option<String>,
    /// So many pipelines in one process, each of which reads all events and writes an index of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "url")]
    pub pipelines: u64,
    /// Measure so many times, and give medians
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub runs: u64,
    /// Through Kafka
    #[cfg(feature = "kafka")]
    #[command(flatten)]
    pub kafka: KafkaOptions,
}

/// What can be measured through a broker.
#[cfg(feature = "kafka")]
#[derive(Clone, Debug, Args)]
pub struct KafkaOptions {
    /// Read through this Kafka broker instead of a file; a topic of the same shape is used again by the next run
    #[arg(long)]
    pub brokers: Option<String>,
    /// Partitions of a new topic
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
    /// Compression of a new topic: none, gzip, snappy, lz4 or zstd
    #[arg(long, default_value = "none")]
    pub compression: String,
    /// Measure latency too, at these rates of events per second (1000,5000,20000)
    #[arg(long, value_delimiter = ',', requires = "brokers", conflicts_with_all = ["url", "pipelines"])]
    pub rate: Vec<u64>,
    /// Of the latency runs: so many events at once, as a transaction of so many rows makes them, and as seldom as the rate asks for
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub burst: u64,
    /// Seconds of a latency run; the first three are not counted and come on top
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// First make so many rows known, then measure changes of them (--events) and a restart
    #[arg(long, value_name = "KEYS", requires = "brokers", conflicts_with_all = ["url", "pipelines"])]
    pub preload: Option<u64>,
    /// Measure this program in place of Rowmill: it is started as PROGRAM BROKERS TOPIC URL INDEX
    #[arg(long, value_name = "PROGRAM", requires = "brokers", conflicts_with_all = ["preload", "url", "pipelines"])]
    pub peer: Option<PathBuf>,
    /// Remove the topics afterwards
    #[arg(long)]
    pub delete_topics: bool,
}

/// What else can be measured.
#[derive(Clone, Debug, Subcommand)]
pub enum What {
    /// Bulk requests with the same documents, and nothing else: what a server takes
    Bulk(bulk::BulkOptions),
    /// One transform in every language, beside native code
    Guests(guests::GuestsOptions),
    /// Counts by key in windows of event time
    #[cfg(feature = "kafka")]
    Windows(windows::WindowsOptions),
}

/// Measures, and prints one JSON object with the figures.
pub async fn bench(options: BenchOptions) -> u8 {
    match &options.what {
        Some(What::Bulk(options)) => return bulk::bulk(options).await,
        Some(What::Guests(options)) => return guests::guests(options),
        #[cfg(feature = "kafka")]
        Some(What::Windows(options)) => return windows::windows(options).await,
        None => {}
    }
    let dir = std::env::temp_dir().join(format!("rowmill-bench-{}", std::process::id()));
    let measured = measure(&options, &dir).await;
    told(measured, &dir)
}

/// Prints the figures, and leaves nothing behind.
fn told(measured: Result<Value, String>, dir: &Path) -> u8 {
    let _ = std::fs::remove_dir_all(dir);
    match measured {
        Ok(figures) => {
            say(format_args!("{figures:#}"));
            DONE
        }
        Err(message) => failed(message),
    }
}

async fn measure(options: &BenchOptions, dir: &Path) -> Result<Value, String> {
    let mut runs = Vec::new();
    for _ in 0..options.runs {
        std::fs::create_dir_all(dir).map_err(|error| format!("the folder {} cannot be made: {error}", dir.display()))?;
        runs.push(run(options, dir).await?);
        let _ = std::fs::remove_dir_all(dir);
    }
    Ok(medians(&runs))
}

async fn run(options: &BenchOptions, dir: &Path) -> Result<Value, String> {
    let mut told = Map::new();
    #[cfg(feature = "kafka")]
    if let Some(address) = &options.kafka.brokers {
        let KafkaOptions { partitions, compression, rate, preload, .. } = &options.kafka;
        let broker = broker::Broker { address: address.clone(), partitions: *partitions, compression: compression.clone() };
        if let Some(keys) = preload {
            told.insert("preload".to_owned(), preload::preload(options, dir, &broker, *keys).await?);
        } else if options.events > 0 {
            told.insert("throughput".to_owned(), of_topic(options, dir, &broker).await?);
        }
        let mut latencies = Vec::new();
        for rate in rate {
            latencies.push(latency::latency(options, dir, &broker, *rate).await?);
        }
        if !latencies.is_empty() {
            told.insert("latency".to_owned(), latencies.into());
        }
        return Ok(told.into());
    }
    told.insert("throughput".to_owned(), of_file(options, dir).await?);
    Ok(told.into())
}

fn shape(options: &BenchOptions) -> Shape {
    let BenchOptions { events, keys, schema, document_bytes, .. } = *options;
    Shape { events, keys, story: Story::Life, schema, document_bytes }
}

/// Documents per second and per CPU-second, and peak memory, of reading all generated events from a file.
async fn of_file(options: &BenchOptions, dir: &Path) -> Result<Value, String> {
    let (shape, events) = (shape(options), dir.join("events.jsonl"));
    events::write_events(&events, &shape)?;
    let target = Target::of(options).await?;
    let finished = rowmill(options, dir, plan::file_source(&events), &target).await?;
    target.checked(&shape, shape.counts().0, options.pipelines, &finished).await
}

/// The same from a topic, also by another program than this.
#[cfg(feature = "kafka")]
async fn of_topic(options: &BenchOptions, dir: &Path, broker: &broker::Broker) -> Result<Value, String> {
    let shape = shape(options);
    let (topic, messages) = broker.filled(&shape).await?;
    let target = Target::of(options).await?;
    let finished = match (&options.kafka.peer, &target) {
        (Some(peer), Target::Null(sink)) => {
            let child = Child::start_peer(peer, &[&broker.address, &topic, &sink.url(), INDEX], options)?;
            child.finish_when_quiet(sink, shape.events).await?
        }
        _ => rowmill(options, dir, plan::kafka_source(&broker.address, &[&topic]), &target).await?,
    };
    if options.kafka.delete_topics {
        broker.delete(&topic).await?;
    }
    target.checked(&shape, messages, options.pipelines, &finished).await
}

async fn rowmill(options: &BenchOptions, dir: &Path, source: String, target: &Target) -> Result<Finished, String> {
    let BenchOptions { pipelines, module, keep, .. } = options;
    let plan = Plan { pipelines: *pipelines, source, module: module.as_deref(), keep, sink_url: &target.url(), state: "state" };
    // As at every start but the first: what is compiled once is in no program's figures.
    if let Some(module) = module {
        guests::compiled(module, &dir.join(plan.state).join(COMPILED_DIR))?;
    }
    Child::start(&plan.write(dir)?, true)?.finish().await
}

/// Where documents go.
enum Target {
    Null(NullBulk),
    Real(String),
}

impl Target {
    async fn of(options: &BenchOptions) -> Result<Self, String> {
        match &options.url {
            None => Ok(Self::Null(NullBulk::start(false).await?)),
            Some(url) => {
                Server::connect(url).await?.renew_index().await?;
                Ok(Self::Real(url.clone()))
            }
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Null(sink) => sink.url(),
            Self::Real(url) => url.clone(),
        }
    }

    /// The figures, if what is there in the end is what the events come to, of which there are `messages` for each of the pipelines.
    async fn checked(&self, shape: &Shape, messages: u64, pipelines: u64, finished: &Finished) -> Result<Value, String> {
        let messages = messages * pipelines;
        let (live, mut figures) = match self {
            Self::Null(sink) => (sink.live(), figures(messages, finished, Some(sink))),
            Self::Real(url) => (Server::connect(url).await?.count().await?, figures(messages, finished, None)),
        };
        let expected = shape.counts().1 * pipelines;
        if live != expected {
            return Err(format!("{live} documents are there in the end instead of {expected}: run with RUST_LOG=info to see why"));
        }
        if let Some(figures) = figures.as_object_mut() {
            // Messages less tombstones: what a loader would send.
            figures.insert("documents_per_second".to_owned(), ((shape.events * pipelines) as f64 / finished.seconds).round().into());
        }
        Ok(figures)
    }
}

/// What a run over so many messages took.
fn figures(messages: u64, finished: &Finished, sink: Option<&NullBulk>) -> Value {
    let hundredths = |number: f64| (number * 100.0).round() / 100.0;
    let mut figures = json!({
        "messages": messages,
        "seconds": hundredths(finished.seconds),
        "cpu_seconds": hundredths(finished.cpu_seconds),
        "events_per_second": (messages as f64 / finished.seconds).round(),
        "events_per_cpu_second": (messages as f64 / finished.cpu_seconds).round(),
        "peak_memory_mib": finished.peak_memory_bytes >> 20,
        "peak_own_memory_mib": finished.peak_own_memory_bytes >> 20,
    });
    if let (Some(sink), Some(figures)) = (sink, figures.as_object_mut()) {
        let counted = [
            ("documents", sink.documents()),
            ("conflicts", sink.conflicts()),
            ("bulk_requests", sink.requests()),
            ("bulk_bytes", sink.bytes()),
        ];
        figures.extend(counted.map(|(name, count)| (name.to_owned(), count.into())));
    }
    figures
}

/// One object of many of the same form: each number the median of all.
fn medians(runs: &[Value]) -> Value {
    match runs {
        [one] => one.clone(),
        [Value::Object(first), ..] => {
            let of = |name: &String| medians(&runs.iter().filter_map(|run| run.get(name)).cloned().collect::<Vec<_>>());
            first.keys().map(|name| (name.clone(), of(name))).collect::<Map<_, _>>().into()
        }
        [Value::Array(first), ..] => {
            let of = |place| medians(&runs.iter().filter_map(|run| run.get(place)).cloned().collect::<Vec<_>>());
            (0..first.len()).map(of).collect::<Vec<_>>().into()
        }
        [Value::Number(_), ..] => {
            let mut numbers: Vec<&Value> = runs.iter().collect();
            numbers.sort_by(|one, other| one.as_f64().unwrap_or_default().total_cmp(&other.as_f64().unwrap_or_default()));
            numbers.get((numbers.len() - 1) / 2).map_or(Value::Null, |median| (*median).clone())
        }
        _ => runs.first().cloned().unwrap_or_default(),
    }
}
