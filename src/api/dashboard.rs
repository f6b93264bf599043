//! The page at `/`: static files that live in the binary and ask the API like any other client.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The page and its files.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(file(HTML, include_str!("dashboard/index.html"))))
        .route("/dashboard/dashboard.js", get(file(JAVASCRIPT, include_str!("dashboard/dashboard.js"))))
        .route("/dashboard/ask.js", get(file(JAVASCRIPT, include_str!("dashboard/ask.js"))))
        .route("/dashboard/exact.js", get(file(JAVASCRIPT, include_str!("dashboard/exact.js"))))
        .route("/dashboard/dom.js", get(file(JAVASCRIPT, include_str!("dashboard/dom.js"))))
        .route("/dashboard/words.js", get(file(JAVASCRIPT, include_str!("dashboard/words.js"))))
        .route("/dashboard/search.js", get(file(JAVASCRIPT, include_str!("dashboard/search.js"))))
        .route("/dashboard/pipelines.js", get(file(JAVASCRIPT, include_str!("dashboard/pipelines.js"))))
        .route("/dashboard/style.css", get(file("text/css; charset=utf-8", include_str!("dashboard/style.css"))))
        .route("/dashboard/icon.svg", get(file("image/svg+xml", include_str!("dashboard/icon.svg"))))
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse + Clone + Send + Sync + 'static {
    ([(CONTENT_TYPE, kind)], text)
}
