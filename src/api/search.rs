//! The search API: whatever sink holds the collection answers.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde_json::{Value, json};

use crate::api::answer::{Part, Refusal};
use crate::api::{Api, question};
use crate::settings::nearest;
use crate::sink::search::SearchResponse;

/// The names of what can be searched.
pub async fn collections(State(api): State<Api>) -> Json<Value> {
    Json(json!({ "collections": api.pipelines.collections() }))
}

/// Searches one collection.
pub async fn search(
    State(api): State<Api>,
    collection: Part,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<SearchResponse>, Refusal> {
    let Path(collection) = collection?;
    let request = question::search_request(&parameters).map_err(Refusal::bad_request)?;
    // The others are let go of: they may be closed meanwhile.
    let Some(search) = api.pipelines.searches().into_iter().find(|search| search.holds(&collection)) else {
        return Err(no_such_collection(&collection, &api.pipelines.collections()));
    };
    Ok(Json(search.search(&collection, &request).await?))
}

fn no_such_collection(collection: &str, known: &[String]) -> Refusal {
    let remedy = match nearest(collection, known.iter().map(String::as_str)) {
        Some(known) => format!("did you mean {known}?"),
        None if known.is_empty() => "no documents have been written yet".to_owned(),
        None => "GET /api/v1/collections lists those there are".to_owned(),
    };
    Refusal::not_found(format!("collection {collection} does not exist: {remedy}"))
}
