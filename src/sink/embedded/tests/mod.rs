//! What holds of the embedded index, as tables.

use std::path::Path;

use serde_json::Value;

use crate::clock::Clock;
use crate::event::{Action, DocumentVersion, Write};
use crate::sink::embedded::EmbeddedSink;
use crate::sink::embedded::index::IndexOptions;
use crate::sink::search::{Search, SearchRequest, SearchResponse};
use crate::sink::{Sink, Verdict};

mod faults;
mod searches;
mod settings;
mod versions;

const START_MS: u64 = 1_769_250_600_000;

fn sink_in(dir: &Path) -> EmbeddedSink {
    sink_with(dir, IndexOptions::default())
}

fn sink_with(dir: &Path, options: IndexOptions) -> EmbeddedSink {
    EmbeddedSink::new(dir.to_owned(), IndexOptions { memory_bytes: 16 << 20, ..options }, Clock::system())
}

fn index(id: &str, version: u64, body: impl ToString) -> Write {
    let action = Action::Index(body.to_string().into());
    Write { index: "shop".into(), id: id.into(), routing: None, version: DocumentVersion(version), action }
}

fn delete(id: &str, version: u64) -> Write {
    Write { action: Action::Delete, ..index(id, version, "") }
}

async fn write(sink: &EmbeddedSink, writes: &[Write]) -> Vec<Verdict> {
    sink.write(writes).await.unwrap()
}

async fn search(sink: &EmbeddedSink, request: &SearchRequest) -> SearchResponse {
    Search::search(sink, "shop", request).await.unwrap()
}

/// Every document: id, version, body, in the order of ids.
async fn all(sink: &EmbeddedSink) -> Vec<(String, u64, Value)> {
    let found = search(sink, &SearchRequest { limit: 1000, ..SearchRequest::default() }).await;
    assert_eq!(found.total as usize, found.hits.len());
    let document = |text: &str| serde_json::from_str(text).unwrap();
    let mut all: Vec<_> = found.hits.into_iter().map(|hit| (hit.id, hit.version.unwrap(), document(hit.document.get()))).collect();
    all.sort_by(|left, right| left.0.cmp(&right.0));
    all
}
