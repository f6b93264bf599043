//! The configuration, read again while everything runs.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::api::Api;
use crate::pipeline::status::{NotReloaded, Reload};

/// What the file would change.
pub async fn plan(State(api): State<Api>) -> Result<Json<Reload>, NotReloaded> {
    api.pipelines.reload(true).await.map(Json)
}

/// Has the file serve, as a whole; answers once it does.
pub async fn reload(State(api): State<Api>) -> Result<Json<Reload>, NotReloaded> {
    // A client that goes away must not leave half of it.
    let pipelines = api.pipelines.clone();
    let reloading = tokio::spawn(async move { pipelines.reload(false).await });
    reloading.await.unwrap_or_else(|error| Err(NotReloaded::Conflict(format!("the reload broke off: {error}; report it")))).map(Json)
}

impl IntoResponse for NotReloaded {
    fn into_response(self) -> Response {
        let error = self.to_string();
        match self {
            NotReloaded::Conflict(_) => (StatusCode::CONFLICT, Json(json!({ "error": error }))),
            NotReloaded::Refused { file, problems, plan, .. } => {
                let text = plan.as_ref().map(ToString::to_string);
                let answer = json!({ "error": error, "file": file, "problems": problems, "plan": plan, "text": text });
                (StatusCode::UNPROCESSABLE_ENTITY, Json(answer))
            }
        }
        .into_response()
    }
}
