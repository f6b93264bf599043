//! A search server that takes everything and keeps nothing but the time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The server; it ends when this is dropped.
pub struct NullBulk {
    address: SocketAddr,
    seen: Arc<Seen>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    documents: AtomicU64,
    requests: AtomicU64,
    /// When each id was answered first.
    answered: Mutex<HashMap<String, Instant>>,
}

impl NullBulk {
    /// Listens on a free port of the loopback.
    pub async fn start() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| format!("no free port: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let seen = Arc::new(Seen::default());
        let router = Router::new()
            .route("/", get(root))
            .route("/_bulk", post(bulk))
            .route("/{index}/_bulk", post(bulk))
            .fallback(any(async || json("{}".to_owned())))
            .layer(DefaultBodyLimit::disable())
            .with_state(seen.clone());
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, seen, serving })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Documents taken.
    pub fn documents(&self) -> u64 {
        self.seen.documents.load(Ordering::Relaxed)
    }

    /// Bulk requests answered.
    pub fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// Milliseconds between sending and answering, of those that were answered.
    pub fn waits(&self, sent: &[(String, Instant)]) -> Vec<f64> {
        let answered = self.seen.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |(id, at): &(String, Instant)| Some(answered.get(id)?.duration_since(*at).as_secs_f64() * 1000.0);
        sent.iter().filter_map(wait).collect()
    }
}

impl Drop for NullBulk {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn root() -> Response {
    json(r#"{"name":"null","version":{"distribution":"opensearch","number":"3.0.0"},"tagline":"keeps nothing"}"#.to_owned())
}

async fn bulk(State(seen): State<Arc<Seen>>, body: Bytes) -> Response {
    let now = Instant::now();
    let mut items = String::new();
    let mut lines = body.split(|byte| *byte == b'\n');
    while let Some(action) = lines.next().filter(|line| !line.is_empty()) {
        let is_delete = action.starts_with(b"{\"delete\"");
        if !is_delete {
            lines.next();
        }
        let name = if is_delete { "delete" } else { "index" };
        items.push_str(if items.is_empty() { "" } else { "," });
        items.push_str(&format!(r#"{{"{name}":{{"_index":"bench","_id":"0","_version":1,"result":"created","status":201}}}}"#));
        seen.documents.fetch_add(1, Ordering::Relaxed);
        if let Some(id) = id_of(action) {
            seen.answered.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_insert(now);
        }
    }
    seen.requests.fetch_add(1, Ordering::Relaxed);
    json(format!(r#"{{"took":0,"errors":false,"items":[{items}]}}"#))
}

fn id_of(action: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(action).ok()?;
    let (_, rest) = text.split_once("\"_id\":\"")?;
    rest.split_once('"').map(|(id, _)| id.to_owned())
}

fn json(body: String) -> Response {
    // Elasticsearch's own clients look for this header.
    ([(header::CONTENT_TYPE.as_str(), "application/json"), ("x-elastic-product", "Elasticsearch")], body).into_response()
}
