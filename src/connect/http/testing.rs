//! A server for tests: answers each request as it is told, and keeps what it was asked.

use std::io::Read as _;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The authority that signed the certificate of [`TestServer::start_tls`], which is for `localhost`. Both are good until 2126.
pub(crate) const CA: &str = include_str!("testdata/ca.pem");

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Answer(u16, String),
    /// An answer with one more header.
    With(u16, &'static str, String),
    /// The connection ends before the answer.
    Cut,
    /// The connection ends within the answer.
    CutWithin,
    /// Nothing, ever.
    Hang,
}

impl Reply {
    pub(crate) fn ok(body: &str) -> Self {
        Self::Answer(200, body.to_owned())
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// `GET /path`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The body, decompressed where it says it is compressed.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if self.header("content-encoding") == Some("gzip") {
            flate2::read::GzDecoder::new(&self.body[..]).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8(self.body.clone()).unwrap();
        }
        text
    }
}

type Answering = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

/// A server on a port of its own, until it is dropped.
pub(crate) struct TestServer {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    task: tokio::task::JoinHandle<()>,
}

impl TestServer {
    pub(crate) async fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve("http", None, Arc::new(answer)).await
    }

    pub(crate) async fn start_tls(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let certificate = CertificateDer::from_pem_slice(include_bytes!("testdata/server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("testdata/server-key.pem")).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        Self::serve("https", Some(TlsAcceptor::from(Arc::new(config))), Arc::new(answer)).await
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// `GET /path` of each request so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.received().iter().map(Received::line).collect()
    }

    async fn serve(scheme: &str, tls: Option<TlsAcceptor>, answer: Answering) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port());
        let received = Arc::new(Mutex::default());
        let task = tokio::spawn(accept(listener, tls, answer, Arc::clone(&received)));
        Self { url, received, task }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The address of nobody.
pub(crate) async fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://localhost:{}", listener.local_addr().unwrap().port())
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, answer: Answering, received: Arc<Mutex<Vec<Received>>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(greet(stream, tls.clone(), Arc::clone(&answer), Arc::clone(&received)));
    }
}

async fn greet(stream: TcpStream, tls: Option<TlsAcceptor>, answer: Answering, received: Arc<Mutex<Vec<Received>>>) {
    match tls {
        None => converse(stream, &answer, &received).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                converse(stream, &answer, &received).await;
            }
        }
    }
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &Answering, received: &Mutex<Vec<Received>>) {
    while let Some(request) = read_request(&mut stream).await {
        received.lock().unwrap().push(request.clone());
        let (status, header, body) = match answer(&request) {
            Reply::Answer(status, body) => (status, "", body),
            Reply::With(status, header, body) => (status, header, body),
            Reply::Cut => return,
            Reply::CutWithin => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"took\"").await;
                let _ = stream.shutdown().await;
                return;
            }
            Reply::Hang => std::future::pending().await,
        };
        let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
        let body = if request.method == "HEAD" { "" } else { &body };
        let text = format!("HTTP/1.1 {status} S\r\n{header}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Received> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ').map(str::to_owned);
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let mut request = Received { method: first.next().unwrap(), path: first.next().unwrap(), headers, body: bytes.split_off(head_end + 4) };
    let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    while request.body.len() < length {
        if stream.read_buf(&mut request.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(request)
}
