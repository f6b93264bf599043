//! A search server that takes everything and keeps nothing but versions.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use super::INDEX;
use super::taken::{Known, take};

/// The server; it ends when this is dropped.
pub struct NullBulk {
    address: SocketAddr,
    seen: Arc<Seen>,
    serving: JoinHandle<()>,
}

struct Seen {
    documents: AtomicU64,
    requests: AtomicU64,
    conflicts: AtomicU64,
    bytes: AtomicU64,
    known: Mutex<Known>,
    /// The first answer and the last.
    answers: Mutex<Option<(Instant, Instant)>>,
    /// When each id was answered first, by its hash, where that is asked for.
    answered: Option<Mutex<HashMap<u64, Instant>>>,
}

impl NullBulk {
    /// Listens on a free port of the loopback; `noting` remembers when each id was answered, which takes time.
    pub async fn start(noting: bool) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| format!("no free port: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let seen = Arc::new(Seen {
            documents: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            known: Mutex::default(),
            answers: Mutex::default(),
            answered: noting.then(Mutex::default),
        });
        let router = Router::new()
            .route("/", get(root))
            .route("/_bulk", post(bulk).put(bulk))
            .route("/{index}/_bulk", post(bulk_of).put(bulk_of))
            .fallback(any(async || json(r#"{"acknowledged":true,"shards_acknowledged":true,"index":"rowmill-bench"}"#)))
            .layer(DefaultBodyLimit::disable())
            .with_state(seen.clone());
        // An answer is sent when it is there, not when the one before it has been acknowledged.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, seen, serving })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes answered, whatever the answer.
    pub fn documents(&self) -> u64 {
        self.seen.documents.load(Ordering::Relaxed)
    }

    /// Bulk requests answered.
    pub fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// Writes that were refused because of their version.
    pub fn conflicts(&self) -> u64 {
        self.seen.conflicts.load(Ordering::Relaxed)
    }

    /// Bytes of all bulk requests, headers not counted.
    pub fn bytes(&self) -> u64 {
        self.seen.bytes.load(Ordering::Relaxed)
    }

    /// Documents that are there now.
    pub fn live(&self) -> u64 {
        lock(&self.seen.known).live()
    }

    /// When the first bulk request was answered, and the last.
    pub fn answers(&self) -> Option<(Instant, Instant)> {
        *lock(&self.seen.answers)
    }

    /// Milliseconds between sending and answering, of those that were answered.
    pub fn waits(&self, sent: &[(u64, Instant)]) -> Vec<f64> {
        let Some(answered) = &self.seen.answered else { return Vec::new() };
        let answered = lock(answered);
        let wait = |(id, at): &(u64, Instant)| {
            let answered = answered.get(&xxh3_64(id.to_string().as_bytes()))?;
            Some(answered.duration_since(*at).as_secs_f64() * 1000.0)
        };
        sent.iter().filter_map(wait).collect()
    }
}

impl Drop for NullBulk {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn root() -> Response {
    json(r#"{"name":"null","cluster_name":"null","version":{"distribution":"opensearch","number":"3.0.0"},"tagline":"keeps nothing"}"#)
}

async fn bulk(state: State<Arc<Seen>>, query: RawQuery, body: Bytes) -> Response {
    bulk_of(state, Path(INDEX.to_owned()), query, body).await
}

async fn bulk_of(State(seen): State<Arc<Seen>>, Path(index): Path<String>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let brief = query.is_some_and(|query| query.contains("filter_path="));
    let mut ids = Vec::new();
    // One lock for a request: two cores could not take two at once and measure something else too.
    let taken = take(&body, &index, brief, &mut lock(&seen.known), |id| {
        if seen.answered.is_some() {
            ids.push(xxh3_64(id));
        }
    });
    seen.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
    seen.conflicts.fetch_add(taken.conflicts, Ordering::Relaxed);
    let now = Instant::now();
    if let Some(answered) = &seen.answered {
        let mut answered = lock(answered);
        for id in ids {
            answered.entry(id).or_insert(now);
        }
    }
    lock(&seen.answers).get_or_insert((now, now)).1 = now;
    seen.requests.fetch_add(1, Ordering::Relaxed);
    seen.documents.fetch_add(taken.documents, Ordering::Relaxed);
    json(taken.answer)
}

fn json(body: impl IntoResponse) -> Response {
    // Elasticsearch's own clients look for the second header.
    ([(header::CONTENT_TYPE.as_str(), "application/json"), ("x-elastic-product", "Elasticsearch")], body).into_response()
}
