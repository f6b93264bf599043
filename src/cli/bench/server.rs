//! A real search server to write to: its index is made anew, and counted afterwards.

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use url::Url;

use super::INDEX;

/// One connection, kept open.
pub struct Server {
    address: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Server {
    /// Connects.
    pub async fn connect(url: &str) -> Result<Self, String> {
        let url: Url = url.parse().map_err(|error| format!("{url} is no address of a server: {error}"))?;
        let (Some(host), Some(port), "http") = (url.host_str(), url.port_or_known_default(), url.scheme()) else {
            return Err(format!("{url} is no address of a server: give it as http://host:port"));
        };
        let address = format!("{host}:{port}");
        let unreachable = |error: &dyn std::fmt::Display| format!("{address} cannot be reached: {error}");
        let stream = TcpStream::connect(&address).await.map_err(|error| unreachable(&error))?;
        stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
        tokio::spawn(connection);
        Ok(Self { address, sender })
    }

    /// The status and the body of an answer.
    pub async fn send(&mut self, method: &str, path: &str, body: Bytes) -> Result<(u16, Bytes), String> {
        let failed = |error: &dyn std::fmt::Display| format!("{} does not answer: {error}", self.address);
        self.sender.ready().await.map_err(|error| failed(&error))?;
        let content = if path.contains("_bulk") { "application/x-ndjson" } else { "application/json" };
        let request = Request::builder().method(method).uri(path).header("host", &self.address).header("content-type", content);
        let request = request.body(Full::new(body)).map_err(|error| failed(&error))?;
        let answer = self.sender.send_request(request).await.map_err(|error| failed(&error))?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
        Ok((status, body))
    }

    /// Removes the index and makes it again, without documents.
    pub async fn renew_index(&mut self) -> Result<(), String> {
        self.send("DELETE", &format!("/{INDEX}"), Bytes::new()).await?;
        self.asked("PUT", &format!("/{INDEX}"), "{}").await.map(drop)
    }

    /// Documents of the index.
    pub async fn count(&mut self) -> Result<u64, String> {
        self.asked("POST", &format!("/{INDEX}/_refresh"), "").await?;
        let counted = self.asked("GET", &format!("/{INDEX}/_count"), "").await?;
        counted.get("count").and_then(Value::as_u64).ok_or_else(|| format!("{} does not count documents: {counted}", self.address))
    }

    async fn asked(&mut self, method: &str, path: &str, body: &'static str) -> Result<Value, String> {
        let (status, body) = self.send(method, path, Bytes::from_static(body.as_bytes())).await?;
        match serde_json::from_slice(&body) {
            Ok(answer) if status == 200 => Ok(answer),
            _ => Err(format!("{} answered {method} {path} with {status}: {}", self.address, String::from_utf8_lossy(&body))),
        }
    }
}
