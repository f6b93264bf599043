//! The calls we make to a search server. What the answers mean is said elsewhere.

use bytes::Bytes;
use elasticsearch::http::Method;

use super::indexes::encoded;
use crate::clock::Clock;
use crate::connect::http::{HttpAnswer, HttpClient, HttpError, HttpRequest, HttpSettings};
use crate::error::Failure;

const JSON: &str = "application/json";
const LINES_OF_JSON: &str = "application/x-ndjson";

/// Elasticsearch or OpenSearch, at one address or several.
#[derive(Debug)]
pub struct SearchServer {
    http: HttpClient,
}

impl SearchServer {
    /// Makes the client; reaches for nothing.
    pub fn new(settings: &HttpSettings, clock: Clock) -> Result<Self, Failure> {
        Ok(Self { http: HttpClient::new(settings, clock)? })
    }

    /// The addresses, for people.
    pub fn addresses(&self) -> String {
        self.http.addresses()
    }

    /// What the server is.
    pub async fn about(&self) -> Result<HttpAnswer, HttpError> {
        self.call(Method::Get, String::new(), JSON, Bytes::new()).await
    }

    /// Whether there is an index or alias of that name: 200 or 404.
    pub async fn exists(&self, index: &str) -> Result<HttpAnswer, HttpError> {
        self.call(Method::Head, encoded(index), JSON, Bytes::new()).await
    }

    /// Makes an index from `body` (settings, mappings, aliases).
    pub async fn create(&self, index: &str, body: &str) -> Result<HttpAnswer, HttpError> {
        self.call(Method::Put, encoded(index), JSON, Bytes::copy_from_slice(body.as_bytes())).await
    }

    /// Writes.
    pub async fn bulk(&self, path: &str, body: Bytes) -> Result<HttpAnswer, HttpError> {
        self.call(Method::Post, path.to_owned(), LINES_OF_JSON, body).await
    }

    /// What kinds of fields an index has by these names (`name`, `name.*`).
    pub async fn fields(&self, index: &str, names: &[String]) -> Result<HttpAnswer, HttpError> {
        let names = names.iter().map(|name| encoded(name)).collect::<Vec<_>>().join(",");
        self.call(Method::Get, format!("{}/_field_caps?fields={names}", encoded(index)), JSON, Bytes::new()).await
    }

    /// Searches one index; half an answer, where a part of the index is away, counts as none.
    pub async fn search(&self, index: &str, body: String) -> Result<HttpAnswer, HttpError> {
        self.call(Method::Post, format!("{}/_search?allow_partial_search_results=false", encoded(index)), JSON, body.into()).await
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: String,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<HttpAnswer, HttpError> {
        self.http.send(HttpRequest { method, path, content_type, body }).await
    }
}
