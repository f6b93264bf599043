//! What the pipelines are doing, and telling them what to do.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;

use crate::api::Api;
use crate::api::answer::{Part, Refusal};
use crate::pipeline::status::{Command, CommandError, PipelineStatus};

/// An object, so that more can be said later.
#[derive(Serialize)]
pub struct PipelineList {
    pipelines: Vec<PipelineStatus>,
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

async fn command(api: Api, pipeline: Part, command: Command) -> Result<Json<PipelineStatus>, Refusal> {
    let Path(name) = pipeline?;
    api.pipelines.command(&name, command).await?;
    status(&api, &name)
}

fn status(api: &Api, name: &str) -> Result<Json<PipelineStatus>, Refusal> {
    let status = api.pipelines.get(name).ok_or_else(|| CommandError::NotFound(name.to_owned()))?;
    Ok(Json(status))
}
