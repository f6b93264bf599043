//! The page at `/`: static files that live in the binary and ask the API like any other client.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};

use crate::api::Api;
use crate::api::searches::{SearchLog, log_search};

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

const PAGE: &str = include_str!("dashboard/index.html");

/// The page and its files; with a log, the page shows what is trending and tells of its searches.
pub fn routes(search_log: Option<&SearchLog>) -> Router<Api> {
    match search_log {
        None => files().route("/", get(file(HTML, PAGE))),
        Some(log) => {
            let page = PAGE.replacen("<body>", &format!("<body data-search-log=\"{}\">", log.collection), 1);
            let page = move || std::future::ready(file(HTML, page.clone()));
            files().route("/", get(page)).route("/dashboard/searches", post(log_search))
        }
    }
}

fn files() -> Router<Api> {
    Router::new()
        .route("/dashboard/dashboard.js", get(file(JAVASCRIPT, include_str!("dashboard/dashboard.js"))))
        .route("/dashboard/ask.js", get(file(JAVASCRIPT, include_str!("dashboard/ask.js"))))
        .route("/dashboard/exact.js", get(file(JAVASCRIPT, include_str!("dashboard/exact.js"))))
        .route("/dashboard/dom.js", get(file(JAVASCRIPT, include_str!("dashboard/dom.js"))))
        .route("/dashboard/words.js", get(file(JAVASCRIPT, include_str!("dashboard/words.js"))))
        .route("/dashboard/search.js", get(file(JAVASCRIPT, include_str!("dashboard/search.js"))))
        .route("/dashboard/trending.js", get(file(JAVASCRIPT, include_str!("dashboard/trending.js"))))
        .route("/dashboard/pipelines.js", get(file(JAVASCRIPT, include_str!("dashboard/pipelines.js"))))
        .route("/dashboard/style.css", get(file("text/css; charset=utf-8", include_str!("dashboard/style.css"))))
        .route("/dashboard/icon.svg", get(file("image/svg+xml", include_str!("dashboard/icon.svg"))))
}

fn file<T: IntoResponse + Clone + Send + Sync + 'static>(kind: &'static str, text: T) -> impl IntoResponse + Clone + Send + Sync + 'static {
    ([(CONTENT_TYPE, kind)], text)
}
