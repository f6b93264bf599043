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

/// Asks the instance that has the state open, and gives the JSON that came back. The error is one sentence, the server's own where it
/// gave one.
pub async fn ask(server: &ServerSettings, method: &str, path: &str) -> Result<Value, String> {
    let Some(address) = server.listen.map(reachable) else {
        return Err("the state is in use by a running instance that does not listen: stop it first, or set server.listen".to_owned());
    };
    let (is_good, body) = exchange(server, address, method, path).await.map_err(|error| {
        format!(
            "the state is in use, and no running instance answers at {address} ({error}): stop whoever has it open, or set server.listen to where that one listens"
        )
    })?;
    match body.get("error").and_then(Value::as_str) {
        Some(error) if !is_good => Err(error.to_owned()),
        _ => Ok(body),
    }
}

/// Sends a request without a body to where an instance should be: whether it was answered well, and the JSON that came back.
pub async fn exchange(server: &ServerSettings, address: SocketAddr, method: &str, path: &str) -> Result<(bool, Value), String> {
    let unreachable = |error: &dyn std::fmt::Display| error.to_string();
    let stream = TcpStream::connect(address).await.map_err(|error| unreachable(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
    if let Some(token) = &server.token {
        request = request.header("authorization", format!("Bearer {}", token.reveal()));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| unreachable(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
    let is_good = answer.status().is_success();
    let body = answer.into_body().collect().await.map_err(|error| unreachable(&error))?.to_bytes();
    serde_json::from_slice(&body).map(|body| (is_good, body)).map_err(|error| unreachable(&error))
}

/// Where one that listens on all addresses is reached from here.
pub fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}
