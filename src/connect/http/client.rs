//! A request to whichever address answers, and what was said or why nothing was.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use elasticsearch::http::Method;
use elasticsearch::http::headers::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use elasticsearch::http::transport::Transport;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::time::Instant;

use super::settings::{HttpSettings, last_cause};
use crate::clock::Clock;
use crate::error::Failure;
use crate::limits;

/// One request.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// What to do.
    pub method: Method,
    /// Path and query, below the server's own path; names in it already percent-encoded.
    pub path: String,
    /// The body's type.
    pub content_type: &'static str,
    /// The body; none if empty.
    pub body: Bytes,
}

/// What a server said.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
    /// How long the server asked us to wait.
    pub retry_after: Option<Duration>,
    /// Which address said it.
    pub address: Arc<str>,
}

/// Why a server said nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpTrouble {
    /// There was no connection, or it ended before an answer began.
    Unreachable,
    /// The answer did not come in time.
    Timeout,
    /// The answer broke off.
    Cut,
    /// The server's certificate is not one we trust.
    Untrusted,
}

/// No answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HttpError {
    /// What kind of silence.
    pub trouble: HttpTrouble,
    /// One sentence that names the address.
    pub message: String,
}

/// Carries requests to the addresses of one search server, in turn.
///
/// A request that got no answer, or one that says the node cannot serve (502, 503, 504), goes on to the next address, once to each; whoever
/// sends must therefore only send what may arrive twice. A time-out is final: it has cost enough time already.
#[derive(Debug)]
pub struct HttpClient {
    nodes: Vec<Node>,
    turn: AtomicUsize,
    gzip: bool,
    timeout: Duration,
    clock: Clock,
}

impl HttpClient {
    /// Makes the client; reaches for nothing.
    pub fn new(settings: &HttpSettings, clock: Clock) -> Result<Self, Failure> {
        let nodes: Result<Vec<Node>, Failure> = settings.urls.iter().map(|url| Node::new(settings, url)).collect();
        Ok(Self { nodes: nodes?, turn: AtomicUsize::new(0), gzip: settings.gzip, timeout: settings.timeout, clock })
    }

    /// The addresses, for people.
    pub fn addresses(&self) -> String {
        self.nodes.iter().map(|node| &*node.address).collect::<Vec<_>>().join(", ")
    }

    /// Sends one request.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        let request = self.packed(request).await;
        let mut outcome = Err(HttpError { trouble: HttpTrouble::Unreachable, message: "no address is known: set url".to_owned() });
        for (node, rest) in self.in_turn() {
            if rest == Rest::Over && !self.is_back(node).await {
                continue;
            }
            outcome = node.ask(&request, self.timeout).await;
            match &outcome {
                Ok(answer) if !matches!(answer.status, 502..=504) => {
                    node.rest_until(None);
                    return outcome;
                }
                _ => node.rest_until(Some(self.clock.instant() + limits::HTTP_NODE_REST)),
            }
            if matches!(&outcome, Err(error) if error.trouble == HttpTrouble::Timeout) {
                return outcome;
            }
        }
        outcome
    }

    /// Every node once, from the one whose turn it is; those that rest come last.
    fn in_turn(&self) -> Vec<(&Node, Rest)> {
        let now = self.clock.instant();
        let start = self.turn.fetch_add(1, Ordering::Relaxed) % self.nodes.len().max(1);
        let rotated = self.nodes.iter().cycle().skip(start).take(self.nodes.len());
        let mut nodes: Vec<(&Node, Rest)> = rotated.map(|node| (node, node.rest(now))).collect();
        nodes.sort_by_key(|(_, rest)| *rest == Rest::Resting);
        nodes
    }

    /// Whether a node that has rested answers again. The only one need not be asked: there is nowhere else to go.
    async fn is_back(&self, node: &Node) -> bool {
        if self.nodes.len() == 1 {
            return true;
        }
        let ping = Packed { method: Method::Head, path: String::new(), headers: HeaderMap::new(), body: Bytes::new() };
        let is_back = node.ask(&ping, limits::HTTP_PING_TIMEOUT.min(self.timeout)).await.is_ok();
        if !is_back {
            node.rest_until(Some(self.clock.instant() + limits::HTTP_NODE_REST));
        }
        is_back
    }

    async fn packed(&self, request: HttpRequest) -> Packed {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("rowmill/", env!("CARGO_PKG_VERSION"))));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(request.content_type));
        let mut body = request.body;
        if !self.gzip {
            // Who does not want to spend time on compressing does not want to on decompressing.
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        } else if body.len() >= limits::HTTP_GZIP_BYTES_MIN {
            let plain = body.clone();
            // Megabytes take tens of milliseconds, in which other tasks want the thread.
            if let Ok(Ok(small)) = tokio::task::spawn_blocking(move || gzipped(&plain)).await {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                body = small;
            }
        }
        Packed { method: request.method, path: request.path, headers, body }
    }
}

/// A request as it goes over the wire, whichever node it goes to.
#[derive(Debug)]
struct Packed {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// Whether a node is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// It answered last time.
    Awake,
    /// It failed a while ago and may be back.
    Over,
    /// It failed just now.
    Resting,
}

#[derive(Debug)]
struct Node {
    address: Arc<str>,
    transport: Transport,
    rest_until: Mutex<Option<Instant>>,
}

impl Node {
    fn new(settings: &HttpSettings, url: &url::Url) -> Result<Self, Failure> {
        let address: Arc<str> = url.as_str().trim_end_matches('/').into();
        let transport = settings
            .transport(url)
            .map_err(|problem| Failure::misconfigured(format!("cannot make a connection to {address}: {problem}: check tls.ca")))?;
        Ok(Self { address, transport, rest_until: Mutex::default() })
    }

    fn rest(&self, now: Instant) -> Rest {
        match *self.rest_until.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Rest::Awake,
            Some(until) if until <= now => Rest::Over,
            Some(_) => Rest::Resting,
        }
    }

    fn rest_until(&self, until: Option<Instant>) {
        *self.rest_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    async fn ask(&self, request: &Packed, timeout: Duration) -> Result<HttpAnswer, HttpError> {
        let body = (!request.body.is_empty()).then(|| request.body.clone());
        let headers = request.headers.clone();
        let sent = self.transport.send(request.method, &request.path, headers, None::<&()>, body, Some(timeout)).await;
        let response = sent.map_err(|error| self.failed(&error, HttpTrouble::Unreachable))?;
        let status = response.status_code().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = response.bytes().await.map_err(|error| self.failed(&error, HttpTrouble::Cut))?;
        Ok(HttpAnswer { status, body, retry_after: retry_after.map(Duration::from_secs), address: Arc::clone(&self.address) })
    }

    fn failed(&self, error: &elasticsearch::Error, otherwise: HttpTrouble) -> HttpError {
        let (address, cause) = (&self.address, last_cause(error));
        let trouble = if error.is_timeout() {
            HttpTrouble::Timeout
        } else if cause.contains("invalid peer certificate") {
            HttpTrouble::Untrusted
        } else {
            otherwise
        };
        let message = match trouble {
            HttpTrouble::Unreachable => format!("cannot reach {address}: {cause}"),
            HttpTrouble::Timeout => format!("{address} did not answer in time: if it is only slow, raise timeout"),
            HttpTrouble::Cut => format!("the answer of {address} broke off: {cause}"),
            HttpTrouble::Untrusted => {
                format!("the certificate of {address} is not trusted ({cause}): set tls.ca to the authority that signed it")
            }
        };
        HttpError { trouble, message }
    }
}

fn gzipped(plain: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder.write_all(plain)?;
    encoder.finish().map(Bytes::from)
}
