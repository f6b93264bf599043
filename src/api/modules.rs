//! The code of a pipeline, replaced while it runs.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::Serialize;

use crate::api::Api;
use crate::api::answer::{Part, Refusal};
use crate::pipeline::status::{ModuleStatus, ServedModule};

/// An object, so that more can be said later.
#[derive(Serialize)]
pub struct ModuleList {
    modules: Vec<ServedModule>,
}

/// Has the body serve as the module; answers once it does.
pub async fn replace(State(api): State<Api>, pipeline: Part, module: Bytes) -> Result<Json<ModuleStatus>, Refusal> {
    let Path(name) = pipeline?;
    Ok(Json(api.pipelines.replace_module(&name, module.to_vec()).await?))
}

/// Modules that served, the present one first.
pub async fn list(State(api): State<Api>, pipeline: Part) -> Result<Json<ModuleList>, Refusal> {
    let Path(name) = pipeline?;
    Ok(Json(ModuleList { modules: api.pipelines.modules(&name).await? }))
}

/// Goes back to the one before.
pub async fn roll_back(State(api): State<Api>, pipeline: Part) -> Result<Json<ModuleStatus>, Refusal> {
    let Path(name) = pipeline?;
    Ok(Json(api.pipelines.roll_back(&name).await?))
}
