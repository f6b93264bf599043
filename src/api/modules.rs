//! The code of a pipeline, replaced while it runs.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use crate::api::Api;
use crate::api::answer::{Part, Refusal};
use crate::api::question::{self, Parameters};
use crate::event::Message;
use crate::pipeline::status::{Replaced, ServedModule, ShadowReport};

/// An object, so that more can be said later.
#[derive(Serialize)]
pub struct ModuleList {
    modules: Vec<ServedModule>,
}

/// Has the body serve as the module, and answers once it does; or, with `shadow=true`, runs it beside the one that serves.
pub async fn replace(State(api): State<Api>, pipeline: Part, Query(parameters): Parameters, module: Bytes) -> Result<Response, Refusal> {
    let Path(name) = pipeline?;
    if question::shadow(&parameters).map_err(Refusal::bad_request)? {
        return Ok(Json(api.pipelines.start_shadow(&name, module.to_vec()).await?).into_response());
    }
    Ok(Json(api.pipelines.replace_module(&name, module.to_vec()).await?).into_response())
}

/// Modules that served, the present one first.
pub async fn list(State(api): State<Api>, pipeline: Part) -> Result<Json<ModuleList>, Refusal> {
    let Path(name) = pipeline?;
    Ok(Json(ModuleList { modules: api.pipelines.modules(&name).await? }))
}

/// Goes back to the one before.
pub async fn roll_back(State(api): State<Api>, pipeline: Part) -> Result<Json<Replaced>, Refusal> {
    let Path(name) = pipeline?;
    Ok(Json(api.pipelines.roll_back(&name).await?))
}

/// What the shadow has seen so far.
pub async fn shadow(State(api): State<Api>, pipeline: Part) -> Result<Json<ShadowReport>, Refusal> {
    let Path(name) = pipeline?;
    Ok(Json(api.pipelines.shadow(&name).await?))
}

/// Ends the shadow; its last report.
pub async fn end_shadow(State(api): State<Api>, pipeline: Part) -> Result<Json<ShadowReport>, Refusal> {
    let Path(name) = pipeline?;
    Ok(Json(api.pipelines.end_shadow(&name).await?))
}

/// Has the shadow's module serve.
pub async fn serve_shadow(State(api): State<Api>, pipeline: Part) -> Result<Json<Replaced>, Refusal> {
    let Path(name) = pipeline?;
    Ok(Json(api.pipelines.serve_shadow(&name).await?))
}

/// The last events that reached the transform, as `kcat -J` prints them: what `rowmill test` reads.
pub async fn sample(State(api): State<Api>, pipeline: Part, Query(parameters): Parameters) -> Result<Response, Refusal> {
    let Path(name) = pipeline?;
    let limit = question::sample(&parameters).map_err(Refusal::bad_request)?;
    let lines: String = api.pipelines.sample(&name, limit).await?.iter().map(line).collect();
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}

/// Bytes that are no UTF-8 are shown as best they can be: `kcat` does the same.
fn line(message: &Message) -> String {
    let text = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let headers: Vec<Option<String>> = message.headers.iter().flat_map(|(name, value)| [Some(name.to_string()), text(value)]).collect();
    let line = json!({
        "topic": &*message.origin.topic, "partition": message.origin.partition, "offset": message.origin.offset,
        "ts": message.timestamp_ms, "headers": headers, "key": text(&message.key), "payload": text(&message.value),
    });
    format!("{line}\n")
}
