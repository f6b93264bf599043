//! One search of an index, and its answer as a page or an error.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::SearchServer;
use super::indexes::{Indexes, name_problem};
use super::prepare::credentials_refused;
use super::query::{self, Fields};
use super::reason::ServerError;
use crate::connect::http::{HttpAnswer, HttpError};
use crate::sink::search::{Hit, Search, SearchError, SearchRequest, SearchResponse};

/// Searches the indexes that the sink writes to.
#[derive(Debug)]
pub struct IndexSearch {
    server: Arc<SearchServer>,
    indexes: Arc<Indexes>,
    index: Option<String>,
}

impl IndexSearch {
    /// `index` is the sink's own, which may be searched before anything was written to it.
    pub fn new(server: Arc<SearchServer>, indexes: Arc<Indexes>, index: Option<String>) -> Self {
        Self { server, indexes, index }
    }

    async fn fields(&self, collection: &str, request: &SearchRequest) -> Result<Fields, SearchError> {
        let names = query::fields_to_know(request);
        if names.is_empty() {
            return Ok(Fields::default());
        }
        let answer = self.server.fields(collection, &names).await.map_err(silence)?;
        read(&answer, collection)
    }
}

#[async_trait]
impl Search for IndexSearch {
    fn holds(&self, collection: &str) -> bool {
        self.index.as_deref() == Some(collection) || self.indexes.holds(collection)
    }

    fn collections(&self) -> Vec<String> {
        self.indexes.names()
    }

    async fn search(&self, collection: &str, request: &SearchRequest) -> Result<SearchResponse, SearchError> {
        if name_problem(collection).is_some() {
            return Err(SearchError::NotFound(collection.to_owned()));
        }
        let fields = self.fields(collection, request).await?;
        let body = query::body(request, &fields).map_err(SearchError::Invalid)?;
        let answer = self.server.search(collection, body).await.map_err(silence)?;
        read::<SearchAnswer>(&answer, collection).map(SearchResponse::from)
    }
}

fn silence(error: HttpError) -> SearchError {
    SearchError::Unavailable(error.message)
}

fn read<'a, T: Deserialize<'a>>(answer: &'a HttpAnswer, collection: &str) -> Result<T, SearchError> {
    if answer.status == 200 {
        return serde_json::from_slice(&answer.body)
            .map_err(|error| SearchError::Unavailable(format!("{} gave an answer that cannot be read: {error}", answer.address)));
    }
    Err(of_status(answer, collection))
}

fn of_status(answer: &HttpAnswer, collection: &str) -> SearchError {
    let error = ServerError::of_body(&answer.body);
    match (answer.status, &*error.kind) {
        (404, "index_not_found_exception") => SearchError::NotFound(collection.to_owned()),
        (400, "index_closed_exception") => SearchError::Unavailable(format!("index {collection} is closed: open it")),
        (400, _) => SearchError::Invalid(error.summary()),
        (401, _) => SearchError::Unavailable(credentials_refused(&answer.address)),
        (status, _) => SearchError::Unavailable(format!("{} answered {status}: {}", answer.address, error.summary())),
    }
}

#[derive(Debug, Deserialize)]
struct SearchAnswer {
    took: u64,
    hits: Hits,
}

#[derive(Debug, Deserialize)]
struct Hits {
    total: Total,
    hits: Vec<FoundDocument>,
}

#[derive(Debug, Deserialize)]
struct Total {
    value: u64,
}

#[derive(Debug, Deserialize)]
struct FoundDocument {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_score")]
    score: Option<f64>,
    #[serde(rename = "_version")]
    version: Option<i64>,
    /// None where the mapping says not to keep it.
    #[serde(rename = "_source")]
    source: Option<Box<RawValue>>,
}

impl From<SearchAnswer> for SearchResponse {
    fn from(answer: SearchAnswer) -> Self {
        let hits = answer.hits.hits.into_iter().map(Hit::from).collect();
        Self { total: answer.hits.total.value, hits, took_ms: answer.took }
    }
}

impl From<FoundDocument> for Hit {
    fn from(found: FoundDocument) -> Self {
        Self {
            id: found.id,
            score: found.score,
            version: found.version.and_then(|version| u64::try_from(version).ok()),
            document: found.source.unwrap_or_else(|| RawValue::NULL.to_owned()),
        }
    }
}
