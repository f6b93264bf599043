//! What is searched for on the dashboard, told to whoever counts it: the demo.

use axum::extract::State;
use axum::http::StatusCode;
use tokio::sync::mpsc::Sender;

use crate::api::Api;
use crate::api::answer::Refusal;
use crate::limits::LOGGED_SEARCH_CHARS_MAX;

/// Who is told of searches.
#[derive(Clone, Debug)]
pub struct SearchLog {
    /// The collection whose searches are meant.
    pub collection: &'static str,
    /// Takes their texts.
    pub queries: Sender<String>,
}

/// Tells of a search that somebody meant: not of every letter while one types.
pub async fn log_search(State(api): State<Api>, query: String) -> Result<StatusCode, Refusal> {
    let query = query.trim();
    if query.is_empty() || query.chars().count() > LOGGED_SEARCH_CHARS_MAX {
        return Err(Refusal::bad_request(format!("a search has 1 to {LOGGED_SEARCH_CHARS_MAX} letters: send its text as the body")));
    }
    let Some(log) = &api.search_log else { return Err(Refusal::not_found("searches are not logged here")) };
    log.queries
        .try_send(query.to_owned())
        .map(|()| StatusCode::NO_CONTENT)
        .map_err(|_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many searches wait to be logged: try again"))
}
