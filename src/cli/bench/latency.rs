//! How long a document takes from the producer to the answer of the bulk server, while events come at a steady rate.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::broker::{Broker, Producer};
use super::child::Child;
use super::events::Writer;
use super::null_bulk::NullBulk;
use super::plan::{Plan, kafka_source};
use super::{BenchOptions, INDEX};

/// Events of the first seconds are not counted: caches fill, and a peer's compiler is at work.
const WARM_UP: Duration = Duration::from_secs(3);

/// How long the first event may take: the measured process has to start and join its group.
const FIRST_ANSWER: Duration = Duration::from_secs(120);

/// How long the last events may take to be answered.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// Milliseconds from handing an event to the producer until the bulk answer is written, and the CPU time meanwhile.
pub async fn latency(options: &BenchOptions, dir: &Path, broker: &Broker, rate: u64) -> Result<Value, String> {
    let topic = format!("rowmill-bench-latency-{}-{rate}", std::process::id());
    broker.create(&topic).await?;
    let measured = measure(options, dir, broker, &topic, rate).await;
    broker.delete(&topic).await?;
    measured
}

async fn measure(options: &BenchOptions, dir: &Path, broker: &Broker, topic: &str, rate: u64) -> Result<Value, String> {
    let sink = NullBulk::start(true).await?;
    let mut child = match &options.kafka.peer {
        Some(peer) => Child::start_peer(peer, &[&broker.address, topic, &sink.url(), INDEX], options)?,
        None => {
            let state = format!("state-{topic}");
            let source = kafka_source(&broker.address, &[topic]);
            let plan =
                Plan { pipelines: 1, source, module: options.module.as_deref(), keep: &options.keep, sink_url: &sink.url(), state: &state };
            Child::start(&plan.write(dir)?, false)?
        }
    };
    let mut producer = broker.producer(topic, "0")?;
    let mut writer = Writer::new(options.schema, options.document_bytes);
    let (key, value) = writer.create(0, 0);
    producer.send(key, Some(value))?;
    producer.flush()?;
    if !await_documents(&sink, 1, FIRST_ANSWER).await {
        return Err(format!("the first event was not answered within {FIRST_ANSWER:?}: run with RUST_LOG=info to see why"));
    }
    let total = rate * (WARM_UP.as_secs() + options.kafka.seconds);
    let began = Instant::now();
    let burst = options.kafka.burst;
    let producing = std::thread::spawn(move || produce_steadily(producer, writer, rate, burst, total));
    tokio::time::sleep_until(began + WARM_UP).await;
    let (from, cpu_before) = (Instant::now(), child.cpu_seconds());
    while !producing.is_finished() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let cores = (child.cpu_seconds() - cpu_before) / from.elapsed().as_secs_f64();
    let sent = producing.join().map_err(|_| "the producer died".to_owned())??;
    await_documents(&sink, total + 1, LAST_ANSWERS).await;
    child.stop().await.or_else(|problem| if options.kafka.peer.is_some() { Ok(()) } else { Err(problem) })?;
    let warm: Vec<(u64, Instant)> = sent.into_iter().filter(|(_, at)| *at >= from).collect();
    told(rate, burst, &warm, sink.waits(&warm), cores)
}

fn told(rate: u64, burst: u64, sent: &[(u64, Instant)], mut waits: Vec<f64>, cores: f64) -> Result<Value, String> {
    if waits.len() < sent.len() {
        return Err(format!("only {} of {} events were answered", waits.len(), sent.len()));
    }
    let seconds = sent.first().zip(sent.last()).map_or(0.0, |(first, last)| last.1.duration_since(first.1).as_secs_f64());
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits.get(((waits.len() as f64 - 1.0) * share) as usize).map(|wait| (wait * 1000.0).round() / 1000.0);
    Ok(json!({
        "events_per_second": rate,
        "events_at_once": burst,
        // Below it, the producer did not keep up.
        "events_per_second_sent": (sent.len() as f64 / seconds.max(f64::MIN_POSITIVE)).round(),
        "events": sent.len(),
        "p50_ms": at(0.50),
        "p90_ms": at(0.90),
        "p99_ms": at(0.99),
        "p999_ms": at(0.999),
        "max_ms": at(1.0),
        "cores": (cores * 1000.0).round() / 1000.0,
    }))
}

/// Sends creates of the keys from 1 on, each burst when its last is due, and notes when.
fn produce_steadily(mut producer: Producer, mut writer: Writer, rate: u64, burst: u64, total: u64) -> Result<Vec<(u64, Instant)>, String> {
    let began = Instant::now();
    let mut sent = Vec::with_capacity(total as usize);
    for number in 1..=total {
        let due = began + Duration::from_secs_f64((number.div_ceil(burst) * burst) as f64 / rate as f64);
        loop {
            let ahead = due.saturating_duration_since(Instant::now());
            if ahead.is_zero() {
                break;
            }
            // Sees deliveries, and wakes up when the next event is due.
            producer.poll(Duration::ZERO);
            std::thread::park_timeout(ahead);
        }
        let (key, value) = writer.create(number, number);
        sent.push((number, Instant::now()));
        producer.send(key, Some(value))?;
    }
    producer.flush()?;
    Ok(sent)
}

/// Whether that many documents have come before `longest` is over.
pub async fn await_documents(sink: &NullBulk, documents: u64, longest: Duration) -> bool {
    let until = Instant::now() + longest;
    while sink.documents() < documents && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sink.documents() >= documents
}
