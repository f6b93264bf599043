//! Talking to a running instance, over its HTTP API.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::config::ServerSettings;

/// Sends a request without a body, and gives the JSON that came back. The error is one sentence, the server's own where it gave one.
pub async fn ask(server: &ServerSettings, method: &str, path: &str) -> Result<Value, String> {
    let Some(address) = server.listen.map(reachable) else {
        return Err("the state is in use by a running instance that does not listen: stop it first, or set server.listen".to_owned());
    };
    let unreachable = |error: &dyn std::fmt::Display| {
        format!(
            "the state is in use, and no running instance answers at {address} ({error}): stop whoever has it open, or set server.listen to where that one listens"
        )
    };
    let stream = TcpStream::connect(address).await.map_err(|error| unreachable(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
    if let Some(token) = &server.token {
        request = request.header("authorization", format!("Bearer {}", token.reveal()));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| format!("{path} cannot be asked for: {error}"))?;
    let answer = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
    let is_good = answer.status().is_success();
    let body = answer.into_body().collect().await.map_err(|error| unreachable(&error))?.to_bytes();
    let body: Value = serde_json::from_slice(&body).map_err(|error| unreachable(&error))?;
    match body.get("error").and_then(Value::as_str) {
        Some(error) if !is_good => Err(error.to_owned()),
        _ => Ok(body),
    }
}

/// Where one that listens on all addresses is reached from here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}
