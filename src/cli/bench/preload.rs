//! Many keys: what it costs to know them, to change them, and to begin again with what is known.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::broker::Broker;
use super::child::{Child, Finished};
use super::events::{Shape, Story, Writer};
use super::latency::await_documents;
use super::null_bulk::NullBulk;
use super::plan::{Plan, folder_bytes, kafka_source};
use super::{BenchOptions, figures};

/// How long the first document after a restart may take.
const FIRST_ANSWER: Duration = Duration::from_secs(300);

/// One state, first filled with `keys` rows, then changed at random, then opened again.
pub async fn preload(options: &BenchOptions, dir: &Path, broker: &Broker, keys: u64) -> Result<Value, String> {
    let shape = Shape { events: keys, keys, story: Story::Creates, schema: options.schema, document_bytes: options.document_bytes };
    let (creates, messages) = broker.filled(&shape).await?;
    let sink = NullBulk::start(false).await?;
    let loaded = caught_up(options, dir, broker, &[&creates], &sink).await?;
    if sink.live() != keys {
        return Err(format!("{} documents were written instead of {keys}: run with RUST_LOG=info to see why", sink.live()));
    }
    let load = figures(messages, &loaded, None);
    let state_bytes = folder_bytes(&dir.join("state-keys"));
    if options.kafka.delete_topics {
        broker.delete(&creates).await?;
    }
    let shape = Shape { events: options.events, story: Story::Updates, ..shape };
    let (updates, messages) = broker.filled(&shape).await?;
    let before = sink.documents();
    let updated = caught_up(options, dir, broker, &[&updates], &sink).await?;
    let documents = sink.documents() - before;
    if documents < options.events {
        return Err(format!("{documents} updates were written instead of {}: run with RUST_LOG=info to see why", options.events));
    }
    let update = figures(messages, &updated, None);
    let restart = restart(options, dir, broker, &updates).await?;
    if options.kafka.delete_topics {
        broker.delete(&updates).await?;
    }
    Ok(json!({
        "keys": keys,
        "load": load,
        "update": update,
        "conflicts": sink.conflicts(),
        "state_bytes_loaded": state_bytes,
        "state_bytes": folder_bytes(&dir.join("state-keys")),
        "restart_to_first_document_seconds": restart,
    }))
}

fn plan<'a>(options: &'a BenchOptions, broker: &Broker, topics: &[&str], sink_url: &'a str) -> Plan<'a> {
    let source = kafka_source(&broker.address, topics);
    Plan { pipelines: 1, source, module: options.module.as_deref(), keep: &options.keep, sink_url, state: "state-keys" }
}

async fn caught_up(options: &BenchOptions, dir: &Path, broker: &Broker, topics: &[&str], sink: &NullBulk) -> Result<Finished, String> {
    Child::start(&plan(options, broker, topics, &sink.url()).write(dir)?, true)?.finish().await
}

/// Seconds from the start of the process to the answer for an event that was produced just then.
async fn restart(options: &BenchOptions, dir: &Path, broker: &Broker, read: &str) -> Result<f64, String> {
    let topic = format!("rowmill-bench-restart-{}", std::process::id());
    broker.create(&topic).await?;
    let sink = NullBulk::start(false).await?;
    let config = plan(options, broker, &[read, &topic], &sink.url()).write(dir)?;
    let mut producer = broker.producer(&topic, "0")?;
    let child = Child::start(&config, false)?;
    let mut writer = Writer::new(options.schema, options.document_bytes);
    // Above every update.
    let (key, value) = writer.create(0, 1 << 40);
    producer.send(key, Some(value))?;
    producer.flush()?;
    let is_answered = await_documents(&sink, 1, FIRST_ANSWER).await;
    let answered = sink.answers();
    let started = child.started();
    child.stop().await?;
    broker.delete(&topic).await?;
    match answered {
        Some((first, _)) if is_answered => Ok(first.duration_since(started).as_secs_f64()),
        _ => Err(format!("no document came within {FIRST_ANSWER:?} of the restart")),
    }
}
