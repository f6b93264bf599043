//! Reading back from a sink: one request and one answer, whatever stands behind.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::value::RawValue;

/// A search as the HTTP API understands it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchRequest {
    /// The words to look for; none: everything.
    pub query: Option<String>,
    /// How many letters of a word may differ.
    pub fuzzy: Fuzziness,
    /// Whether all words must be there, or any.
    pub all_words: bool,
    /// The fields to look in; empty: all text fields.
    pub fields: Vec<String>,
    /// Conditions on fields, all of which must hold.
    pub filters: Vec<Filter>,
    /// Documents a page.
    pub limit: usize,
    /// Documents left out before it.
    pub offset: usize,
    /// Field to sort by, and whether from large to small; none: by score.
    pub sort: Option<(String, Descending)>,
}

/// Whether from large to small.
pub type Descending = bool;

/// How many letters of a word may differ from what is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fuzziness {
    /// None.
    #[default]
    Exact,
    /// By length, as Elasticsearch has it: to 2 letters none, to 5 one, above two.
    Auto,
    /// As many as this, at most 2.
    Letters(u8),
}

/// A condition on one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The field's path, with dots (`price.amount`).
    pub field: String,
    /// What must hold.
    pub condition: Condition,
}

/// What must hold of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It is (or, for a list, holds) this.
    Equals(String),
    /// It lies between these, each included. Numbers and ISO dates.
    Between {
        /// Lower end.
        from: Option<String>,
        /// Upper end.
        to: Option<String>,
    },
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct SearchResponse {
    /// How many documents match in all.
    pub total: u64,
    /// This page of them.
    pub hits: Vec<Hit>,
    /// How long the search took behind the API, in milliseconds.
    pub took_ms: u64,
}

/// One document found.
#[derive(Debug, Serialize)]
pub struct Hit {
    /// Its id.
    pub id: String,
    /// How well it matches; none when sorted by a field.
    pub score: Option<f64>,
    /// Its version.
    pub version: Option<u64>,
    /// The document, as it was written.
    pub document: Box<RawValue>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The question is wrong: the sentence says what to change. HTTP 400.
    #[error("{0}")]
    Invalid(String),
    /// There is no such collection. HTTP 404.
    #[error("collection {0} does not exist")]
    NotFound(String),
    /// What holds the documents cannot be reached. HTTP 503.
    #[error("{0}")]
    Unavailable(String),
}

/// Something that can be searched.
#[async_trait]
pub trait Search: Send + Sync {
    /// Whether this is the place of that collection.
    fn holds(&self, collection: &str) -> bool;

    /// The collections known to hold documents; more may be searched.
    fn collections(&self) -> Vec<String>;

    /// Looks in one collection.
    async fn search(&self, collection: &str, request: &SearchRequest) -> Result<SearchResponse, SearchError>;
}
