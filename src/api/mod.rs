//! The HTTP side: admin, search, health, metrics, dashboard.
//!
//! - Enters: HTTP requests; what the pipelines tell of themselves.
//! - Leaves: commands to the pipelines, questions to the sinks, and answers in JSON (errors as `{"error": "one sentence"}`).
//! - Keeps true: a web page of someone else cannot drive it; with a token set, no admin call is answered without it.
//! - Never: secrets in an answer; work of its own (all is asked of [`Pipelines`] and of the sinks' searches).

mod admin;
mod answer;
mod dashboard;
mod dead;
mod guard;
mod health;
mod listen;
mod modules;
mod question;
mod reload;
mod search;
mod searches;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use axum::{Router, middleware};
use prometheus::Registry;
use tokio::sync::watch;

use crate::config::ServerSettings;
use crate::limits;
use crate::pipeline::status::Pipelines;
use guard::Guard;

pub use listen::serve;
pub use searches::SearchLog;

/// What the handlers work with. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pipelines: Arc<dyn Pipelines>,
    registry: Registry,
    server: watch::Receiver<ServerSettings>,
    search_log: Option<SearchLog>,
}

impl Api {
    /// The API of these pipelines, guarded as `server` says at the time.
    pub fn new(pipelines: Arc<dyn Pipelines>, registry: Registry, server: watch::Receiver<ServerSettings>) -> Self {
        Self { pipelines, registry, server, search_log: None }
    }

    /// Has the dashboard tell of what is searched for on it, and show what is trending.
    pub fn with_search_log(self, search_log: Option<SearchLog>) -> Self {
        Self { search_log, ..self }
    }

    fn guard(&self) -> Guard {
        Guard::new(&self.server.borrow())
    }
}

/// Every path there is.
pub fn router(api: Api) -> Router {
    let admin = Router::new()
        .route("/admin/reload", get(reload::plan).post(reload::reload))
        .route("/admin/pipelines", get(admin::list))
        .route("/admin/pipelines/{pipeline}", get(admin::show))
        .route("/admin/pipelines/{pipeline}/pause", post(admin::pause))
        .route("/admin/pipelines/{pipeline}/resume", post(admin::resume))
        .route("/admin/pipelines/{pipeline}/restart", post(admin::restart))
        .route("/admin/pipelines/{pipeline}/module", put(modules::replace).layer(DefaultBodyLimit::max(limits::MODULE_BYTES_MAX)))
        .route("/admin/pipelines/{pipeline}/modules", get(modules::list))
        .route("/admin/pipelines/{pipeline}/modules/rollback", post(modules::roll_back))
        .route("/admin/pipelines/{pipeline}/shadow", get(modules::shadow).delete(modules::end_shadow))
        .route("/admin/pipelines/{pipeline}/shadow/serve", post(modules::serve_shadow))
        .route("/admin/pipelines/{pipeline}/sample", get(modules::sample))
        .route("/admin/pipelines/{pipeline}/dead-letters", get(dead::list).delete(dead::drop_some))
        .route("/admin/pipelines/{pipeline}/dead-letters/replay", post(dead::replay_some))
        .route("/admin/pipelines/{pipeline}/dead-letters/{id}", get(dead::show).delete(dead::drop_one))
        .route("/admin/pipelines/{pipeline}/dead-letters/{id}/replay", post(dead::replay))
        .route_layer(middleware::from_fn_with_state(api.clone(), guard::require_token));
    Router::new()
        .merge(admin)
        .merge(dashboard::routes(api.search_log.as_ref()))
        .route("/metrics", get(health::metrics))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/api/v1/collections", get(search::collections))
        .route("/api/v1/{collection}/search", get(search::search))
        .fallback(answer::no_such_path)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(DefaultBodyLimit::max(limits::HTTP_BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(api.clone(), guard::refuse_foreign))
        .layer(middleware::map_response(answer::with_safe_headers))
        .with_state(api)
}
