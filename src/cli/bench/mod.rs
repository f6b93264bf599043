//! `rowmill bench`: how fast this machine turns change events into documents.
//!
//! The engine is measured apart from any search server: a child process `rowmill run` reads generated events and writes to
//! a null bulk server in this process, which answers every request at once. CPU time and memory are the child's alone.

mod child;
pub mod guests;
mod load;
mod null_bulk;
pub mod windows;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{DONE, failed, say};
use child::Child;
use null_bulk::NullBulk;

/// What to measure.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchOptions {
    /// Something else than the way of events
    #[command(subcommand)]
    pub what: Option<What>,
    /// Generated events of the throughput run
    #[arg(long, default_value_t = 500_000)]
    pub events: u64,
    /// Keys they are spread over
    #[arg(long, default_value_t = 50_000)]
    pub keys: u64,
    /// The transform; without it the row itself is the document
    #[arg(long)]
    pub module: Option<PathBuf>,
    /// Read through this Kafka broker instead of a file, and measure latency too (needs kcat)
    #[arg(long)]
    pub brokers: Option<String>,
    /// Events per second of the latency run
    #[arg(long, default_value_t = 1_000)]
    pub rate: u64,
    /// Seconds of the latency run
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// What is remembered of each row: versions or rows
    #[arg(long, default_value = "versions")]
    pub keep: String,
}

/// What else can be measured.
#[derive(Clone, Debug, Subcommand)]
pub enum What {
    /// One transform in every language, beside native code
    Guests(guests::GuestsOptions),
    /// Counts by key in windows of event time
    Windows(windows::WindowsOptions),
}

/// Measures, and prints one JSON object with the figures.
pub async fn bench(options: BenchOptions) -> u8 {
    match &options.what {
        Some(What::Guests(options)) => return guests::guests(options),
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
    std::fs::create_dir_all(dir).map_err(|error| format!("the folder {} cannot be made: {error}", dir.display()))?;
    let mut figures = json!({ "throughput": throughput(options, dir).await? });
    if let (Some(brokers), Some(figures)) = (&options.brokers, figures.as_object_mut()) {
        figures.insert("latency".to_owned(), latency(options, dir, brokers).await?);
    }
    Ok(figures)
}

/// Documents per second and per CPU-second, and peak memory, of reading all generated events.
async fn throughput(options: &BenchOptions, dir: &Path) -> Result<Value, String> {
    let events = dir.join("events.jsonl");
    load::write_events(&events, options.events, options.keys).map_err(|error| format!("the events cannot be written: {error}"))?;
    let source = match &options.brokers {
        None => load::file_source(&events),
        Some(brokers) => {
            let topic = format!("bench-{}.public.orders", std::process::id());
            load::produce_all(brokers, &topic, &events).await?;
            load::kafka_source(brokers, &topic)
        }
    };
    let sink = NullBulk::start().await?;
    let config = configuration(options, dir, "throughput", &source, &sink.url())?;
    let finished = Child::start(&config, true)?.finish().await?;
    let documents = sink.documents();
    if documents == 0 {
        return Err("no document reached the null bulk server: run with RUST_LOG=info to see why".to_owned());
    }
    Ok(json!({
        "events": options.events,
        "documents": documents,
        "bulk_requests": sink.requests(),
        "seconds": finished.seconds,
        "cpu_seconds": finished.cpu_seconds,
        "events_per_second": (options.events as f64 / finished.seconds).round(),
        "events_per_cpu_second": (options.events as f64 / finished.cpu_seconds).round(),
        "peak_memory_mib": finished.peak_memory_bytes >> 20,
    }))
}

/// Milliseconds from handing an event to the broker to the bulk answer, at a steady rate.
async fn latency(options: &BenchOptions, dir: &Path, brokers: &str) -> Result<Value, String> {
    let topic = format!("bench-latency-{}.public.orders", std::process::id());
    let sink = NullBulk::start().await?;
    load::create_topic(brokers, &topic).await?;
    let config = configuration(options, dir, "latency", &load::kafka_source(brokers, &topic), &sink.url())?;
    let child = Child::start(&config, false)?;
    let sent = load::produce_steadily(brokers, &topic, options.rate, Duration::from_secs(options.seconds), &sink).await?;
    child.stop().await?;
    let mut waits: Vec<f64> = sink.waits(&sent);
    if waits.len() < sent.len() {
        return Err(format!("only {} of {} events were answered", waits.len(), sent.len()));
    }
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits.get(((waits.len() as f64 - 1.0) * share) as usize).copied();
    Ok(json!({
        "events_per_second": options.rate,
        "events": sent.len(),
        "p50_ms": at(0.50),
        "p90_ms": at(0.90),
        "p99_ms": at(0.99),
        "max_ms": at(1.0),
    }))
}

fn configuration(options: &BenchOptions, dir: &Path, name: &str, source: &str, sink: &str) -> Result<PathBuf, String> {
    let module = options.module.as_ref().map(|module| std::path::absolute(module).unwrap_or_else(|_| module.clone()));
    let transform = module.map_or_else(String::new, |module| format!("[pipelines.bench.transform]\nmodule = \"{}\"\n", module.display()));
    let text = format!(
        "[server]\nlisten = \"off\"\n[state]\ndir = \"state-{name}\"\n{source}\n{transform}\
         [pipelines.bench.state]\nkeep = \"{}\"\n[pipelines.bench.sink.elasticsearch]\nurl = \"{sink}\"\nindex = \"bench\"\n",
        options.keep
    );
    let path = dir.join(format!("{name}.toml"));
    std::fs::write(&path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    Ok(path)
}
