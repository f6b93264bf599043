//! For those who watch: is the process alive, do the pipelines progress, what has been counted.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus::TextEncoder;
use serde::Serialize;

use crate::api::Api;
use crate::api::answer::Refusal;
use crate::pipeline::status::{PipelineStatus, RunState};

/// Prometheus' text format.
pub async fn metrics(State(api): State<Api>) -> Result<Response, Refusal> {
    let text = TextEncoder::new()
        .encode_to_string(&api.registry.gather())
        .map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics cannot be written: {error}")))?;
    Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}

/// The process answers, and that is all this says.
pub async fn live() -> Response {
    Json(Life { live: true }).into_response()
}

/// Ready means progress: a pipeline that waits, is paused or has stopped makes it 503, with the reason.
pub async fn ready(State(api): State<Api>) -> Response {
    let pipelines = api.pipelines.list();
    let stuck: Vec<Stuck<'_>> = pipelines.iter().filter(|pipeline| !pipeline.state.is_progressing()).map(Stuck::of).collect();
    let status = if stuck.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready: stuck.is_empty(), not_progressing: stuck })).into_response()
}

#[derive(Serialize)]
struct Life {
    live: bool,
}

#[derive(Serialize)]
struct Readiness<'p> {
    ready: bool,
    not_progressing: Vec<Stuck<'p>>,
}

/// A pipeline that does not progress, and why.
#[derive(Serialize)]
struct Stuck<'p> {
    pipeline: &'p str,
    state: RunState,
    reason: &'p str,
    remedy: Option<&'p str>,
}

impl<'p> Stuck<'p> {
    fn of(pipeline: &'p PipelineStatus) -> Self {
        let reason = match (pipeline.reason.as_deref(), pipeline.state) {
            (Some(reason), _) => reason,
            (None, RunState::Paused) => "it was paused: resume it",
            (None, _) => "it does not say why",
        };
        Self { pipeline: &pipeline.name, state: pipeline.state, reason, remedy: pipeline.remedy.as_deref() }
    }
}
