//! Who may ask.
//!
//! A server on a laptop is reached by every web page its user visits. A page can send requests here (then `Origin` is the
//! page's), or let its own name point here (then `Host` is that name): both are refused. An address as `Host` cannot be
//! made to point elsewhere, so on a server that listens on all addresses any of them is good.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;

use crate::api::Api;
use crate::api::answer::Refusal;
use crate::config::ServerSettings;
use crate::settings::Secret;

/// What is good and what is needed.
#[derive(Debug)]
pub struct Guard {
    listen: Option<SocketAddr>,
    hosts: Vec<String>,
    token: Option<Secret>,
}

impl Guard {
    /// The guard of a server.
    pub fn new(server: &ServerSettings) -> Self {
        let host = |name: &String| authority(name).map_or_else(|| name.clone(), |authority| authority.host().to_owned());
        Self { listen: server.listen, hosts: server.hosts.iter().map(host).collect(), token: server.token.clone() }
    }

    /// Refuses what a web page of someone else may have sent.
    pub fn check_sender(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut ports = Vec::new();
        let named = texts(headers, &HOST).chain(uri.authority().map(|authority| Some(authority.as_str())));
        for host in named {
            match host.and_then(authority).filter(|host| self.is_ours(host)) {
                Some(host) => ports.push(host.port_u16()),
                None => return Err(foreign("Host", host)),
            }
        }
        if ports.is_empty() {
            return Err(Refusal::bad_request("the request has no Host header: add one"));
        }
        for origin in texts(headers, &ORIGIN) {
            let page = origin.and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")));
            // Another port of this machine is another program: only a page that came from here is ours.
            let is_ours = |page: &Authority| self.is_listed(page) || (self.is_ours(page) && ports.contains(&page.port_u16()));
            if !page.and_then(authority).is_some_and(|page| is_ours(&page)) {
                return Err(foreign("Origin", origin));
            }
        }
        Ok(())
    }

    /// Refuses what lacks the token, where there is one.
    pub fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = &self.token else { return Ok(()) };
        let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let refused = match given.and_then(|value| value.split_at_checked("Bearer ".len())) {
            Some((scheme, given)) if scheme.eq_ignore_ascii_case(b"Bearer ") => {
                if is_same(given, token.reveal().as_bytes()) {
                    return Ok(());
                }
                "the token is not the one of server.token"
            }
            _ => "a token is needed: send the header `Authorization: Bearer TOKEN` with the one of server.token",
        };
        Err(Refusal::new(StatusCode::UNAUTHORIZED, refused))
    }

    fn is_ours(&self, host: &Authority) -> bool {
        let name = host.host().trim_end_matches('.');
        if name.eq_ignore_ascii_case("localhost") || self.is_listed(host) {
            return true;
        }
        let address: Option<IpAddr> = name.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let listens_on = |address: IpAddr| self.listen.is_some_and(|listen| listen.ip().is_unspecified() || listen.ip() == address);
        address.is_some_and(|address| address.is_loopback() || listens_on(address))
    }

    fn is_listed(&self, host: &Authority) -> bool {
        self.hosts.iter().any(|listed| listed.eq_ignore_ascii_case(host.host()))
    }
}

/// Before everything else.
pub async fn refuse_foreign(State(api): State<Api>, request: Request, next: Next) -> Result<Response, Refusal> {
    api.guard().check_sender(request.uri(), request.headers())?;
    Ok(next.run(request).await)
}

/// Before every admin call.
pub async fn require_token(State(api): State<Api>, request: Request, next: Next) -> Result<Response, Refusal> {
    api.guard().check_token(request.headers())?;
    Ok(next.run(request).await)
}

fn texts<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = Option<&'h str>> {
    headers.get_all(name).into_iter().map(|value| value.to_str().ok())
}

/// `name`, `name:port`, `[address]:port`; a user before an `@` has no business here.
fn authority(text: &str) -> Option<Authority> {
    text.parse().ok().filter(|_| !text.contains('@'))
}

fn foreign(header: &str, value: Option<&str>) -> Refusal {
    let value = value.unwrap_or("unreadable");
    let message = format!("the {header} {value} is foreign here: call the server by its address, or add the name to server.hosts");
    Refusal::new(StatusCode::FORBIDDEN, message)
}

/// Compares in a time that does not tell how much of the text was right.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    let differences = left.iter().zip(right).fold(0, |differences, (left, right)| std::hint::black_box(differences | (left ^ right)));
    left.len() == right.len() && differences == 0
}
