//! What the pipelines are doing, and telling them what to do.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Serialize;

use crate::api::answer::{Part, Refusal};
use crate::api::{Api, question};
use crate::pipeline::status::{Command, CommandError, DeadLetter, PipelineStatus};

/// An object, so that more can be said later.
#[derive(Serialize)]
pub struct PipelineList {
    pipelines: Vec<PipelineStatus>,
}

/// See [`PipelineList`].
#[derive(Serialize)]
pub struct DeadLetterList {
    dead_letters: Vec<DeadLetter>,
}

/// Every pipeline.
pub async fn list(State(api): State<Api>) -> Json<PipelineList> {
    Json(PipelineList { pipelines: api.pipelines.list() })
}

/// One pipeline.
pub async fn show(State(api): State<Api>, pipeline: Part) -> Result<Json<PipelineStatus>, Refusal> {
    let Path(name) = pipeline?;
    status(&api, &name)
}

/// Pauses; answers with the status after it.
pub async fn pause(State(api): State<Api>, pipeline: Part) -> Result<Json<PipelineStatus>, Refusal> {
    command(api, pipeline, Command::Pause).await
}

/// Resumes; answers with the status after it.
pub async fn resume(State(api): State<Api>, pipeline: Part) -> Result<Json<PipelineStatus>, Refusal> {
    command(api, pipeline, Command::Resume).await
}

/// Restarts; answers with the status after it.
pub async fn restart(State(api): State<Api>, pipeline: Part) -> Result<Json<PipelineStatus>, Refusal> {
    command(api, pipeline, Command::Restart).await
}

/// The newest dead letters, newest first.
pub async fn dead_letters(
    State(api): State<Api>,
    pipeline: Part,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<DeadLetterList>, Refusal> {
    let Path(name) = pipeline?;
    let limit = question::dead_letters_limit(&parameters).map_err(Refusal::bad_request)?;
    let dead_letters = api.pipelines.dead_letters(&name, limit).await?.ok_or(CommandError::NotFound(name))?;
    Ok(Json(DeadLetterList { dead_letters }))
}

async fn command(api: Api, pipeline: Part, command: Command) -> Result<Json<PipelineStatus>, Refusal> {
    let Path(name) = pipeline?;
    api.pipelines.command(&name, command).await?;
    status(&api, &name)
}

fn status(api: &Api, name: &str) -> Result<Json<PipelineStatus>, Refusal> {
    let status = api.pipelines.get(name).ok_or_else(|| CommandError::NotFound(name.to_owned()))?;
    Ok(Json(status))
}
