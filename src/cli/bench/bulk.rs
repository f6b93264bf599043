//! `rowmill bench bulk`: how fast a server takes the documents when nothing is done but to send them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use hyper::body::Bytes;
use memchr::memmem;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::events::{Shape, Story};
use super::server::Server;
use super::{DONE, INDEX, failed, medians, say};

/// What to measure.
#[derive(Clone, Debug, Args)]
pub struct BulkOptions {
    /// The server; its index rowmill-bench is made anew. Without it a null bulk server of this process
    #[arg(long)]
    url: Option<String>,
    /// Generated changes, as of `rowmill bench`
    #[arg(long, default_value_t = 500_000)]
    events: u64,
    /// Keys they are spread over
    #[arg(long, default_value_t = 50_000)]
    keys: u64,
    /// About how long a row is as JSON
    #[arg(long)]
    document_bytes: Option<u64>,
    /// Documents of a request, as of a pipeline's batch
    #[arg(long, default_value_t = 2_000)]
    bulk_documents: usize,
    /// Bytes of a request, as of a pipeline's batch
    #[arg(long, default_value_t = 5 << 20)]
    bulk_bytes: usize,
    /// Requests at once, as a pipeline has them
    #[arg(long, default_value_t = 4)]
    in_flight: usize,
    /// Measure so many times, and give medians
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
}

/// Measures, and prints one JSON object with the figures.
pub async fn bulk(options: &BulkOptions) -> u8 {
    let mut runs = Vec::new();
    for _ in 0..options.runs {
        match measure(options).await {
            Ok(figures) => runs.push(figures),
            Err(message) => return failed(message),
        }
    }
    say(format_args!("{:#}", medians(&runs)));
    DONE
}

async fn measure(options: &BulkOptions) -> Result<Value, String> {
    let BulkOptions { events, keys, document_bytes, .. } = *options;
    let shape = Shape { events, keys, story: Story::Life, schema: false, document_bytes };
    let requests = Arc::new(requests(&shape, options)?);
    let null = super::NullBulk::start(false).await?;
    let url = options.url.clone().unwrap_or_else(|| null.url());
    if options.url.is_some() {
        Server::connect(&url).await?.renew_index().await?;
    }
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = JoinSet::new();
    let began = Instant::now();
    for _ in 0..options.in_flight {
        senders.spawn(send(Server::connect(&url).await?, requests.clone(), next.clone()));
    }
    while let Some(sent) = senders.join_next().await {
        sent.map_err(|error| error.to_string())??;
    }
    let seconds = began.elapsed().as_secs_f64();
    let live = if options.url.is_some() { Server::connect(&url).await?.count().await? } else { null.live() };
    if live != shape.counts().1 {
        return Err(format!("{live} documents are there in the end instead of {}", shape.counts().1));
    }
    Ok(json!({
        "documents": events,
        "bulk_requests": requests.len(),
        "bulk_bytes": requests.iter().map(Bytes::len).sum::<usize>(),
        "seconds": (seconds * 100.0).round() / 100.0,
        "documents_per_second": (events as f64 / seconds).round(),
    }))
}

/// All bodies, made before the clock runs.
fn requests(shape: &Shape, options: &BulkOptions) -> Result<Vec<Bytes>, String> {
    let (mut requests, mut body, mut documents) = (Vec::new(), Vec::new(), 0);
    shape.each_row(|key, version, row| {
        let action = if row.is_some() { "index" } else { "delete" };
        body.extend_from_slice(
            format!("{{\"{action}\":{{\"_id\":\"{key}\",\"version\":{version},\"version_type\":\"external\"}}}}\n").as_bytes(),
        );
        if let Some(row) = row {
            body.extend_from_slice(row);
            body.push(b'\n');
        }
        documents += 1;
        if documents == options.bulk_documents || body.len() >= options.bulk_bytes {
            requests.push(Bytes::from(std::mem::take(&mut body)));
            documents = 0;
        }
        Ok(())
    })?;
    if !body.is_empty() {
        requests.push(body.into());
    }
    Ok(requests)
}

async fn send(mut server: Server, requests: Arc<Vec<Bytes>>, next: Arc<AtomicUsize>) -> Result<(), String> {
    let path = format!("/{INDEX}/_bulk?filter_path=errors,items.*.status,items.*.error");
    while let Some(body) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let (status, answer) = server.send("POST", &path, body.clone()).await?;
        if status != 200 {
            return Err(format!("the server answered {status}, try fewer --in-flight: {}", String::from_utf8_lossy(&answer)));
        }
        // Conflicts are between requests that were sent at once.
        if memmem::find(&answer, b"\"errors\":true").is_some() {
            let is_bad =
                |item: &Value| item.pointer("/index/status").or(item.pointer("/delete/status")).is_none_or(|status| !is_good(status));
            let told: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
            if let Some(bad) = told.get("items").and_then(Value::as_array).into_iter().flatten().find(|item| is_bad(item)) {
                return Err(format!("the server refuses a document: {bad}"));
            }
        }
    }
    Ok(())
}

fn is_good(status: &Value) -> bool {
    matches!(status.as_u64(), Some(200 | 201 | 404 | 409))
}
