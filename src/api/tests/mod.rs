//! The API as a client meets it, before pipelines that are made up.

mod foreign;
mod pages;
mod questions;
mod routes;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::value::RawValue;
use tower::ServiceExt;

use crate::api::{Api, router};
use crate::config::{Changes, Fate, PipelineChange, ServerSettings, SettingChange};
use crate::event::{Message, Origin, Version};
use crate::metrics::Metrics;
use crate::pipeline::status::{
    Command, CommandError, Comparison, DeadLetter, LaneStatus, LastError, LetterFilter, ModuleStatus, NotReloaded, PipelineStatus,
    Pipelines, Rates, Reload, ReloadResult, Replaced, Replayed, RunState, ServedModule, ShadowReport, Totals,
};
use crate::settings::Secret;
use crate::sink::search::{Hit, Search, SearchError, SearchRequest, SearchResponse};
use crate::state::DeadCause;

/// Pipelines that write down what they are told.
#[derive(Default)]
struct Invented {
    pipelines: Vec<PipelineStatus>,
    told: Mutex<Vec<(String, Command)>>,
    refusal: Option<CommandError>,
    not_reloaded: Option<NotReloaded>,
    asked: Arc<Mutex<Vec<SearchRequest>>>,
}

#[async_trait]
impl Pipelines for Invented {
    fn list(&self) -> Vec<PipelineStatus> {
        self.pipelines.clone()
    }

    async fn command(&self, name: &str, command: Command) -> Result<(), CommandError> {
        if self.get(name).is_none() {
            return Err(CommandError::NotFound(name.to_owned()));
        }
        self.told.lock().unwrap().push((name.to_owned(), command));
        self.refusal.clone().map_or(Ok(()), Err)
    }

    async fn dead_letters(&self, name: &str, filter: &LetterFilter, limit: usize) -> Result<Vec<DeadLetter>, CommandError> {
        self.get(name).ok_or_else(|| CommandError::NotFound(name.to_owned()))?;
        Ok((1..=3).rev().map(letter).filter(|letter| filter.matches(letter)).take(limit).collect())
    }

    async fn replay(&self, name: &str, filter: &LetterFilter) -> Result<Replayed, CommandError> {
        let replayed = self.drop_dead_letters(name, filter).await?;
        Ok(Replayed { replayed, ..Replayed::default() })
    }

    async fn drop_dead_letters(&self, name: &str, filter: &LetterFilter) -> Result<u64, CommandError> {
        Ok(self.dead_letters(name, filter, 9).await?.len() as u64)
    }

    async fn replace_module(&self, name: &str, module: Vec<u8>) -> Result<Replaced, CommandError> {
        let present = self.get(name).and_then(|status| status.module).ok_or_else(|| CommandError::NotFound(name.to_owned()))?;
        match &*module {
            b"" => Err(CommandError::Refused("the module is not WebAssembly".to_owned())),
            _ => Ok(Replaced { module: present, trial: Comparison { changes: 3, documents: 3, ..Comparison::default() } }),
        }
    }

    async fn start_shadow(&self, name: &str, module: Vec<u8>) -> Result<ShadowReport, CommandError> {
        let hash = self.replace_module(name, module).await?.module.hash;
        Ok(ShadowReport { hash, ..ShadowReport::default() })
    }

    async fn shadow(&self, name: &str) -> Result<ShadowReport, CommandError> {
        Err(CommandError::Conflict(format!("pipeline {name} has no shadow")))
    }

    async fn end_shadow(&self, name: &str) -> Result<ShadowReport, CommandError> {
        self.shadow(name).await
    }

    async fn serve_shadow(&self, name: &str) -> Result<Replaced, CommandError> {
        self.roll_back(name).await
    }

    async fn sample(&self, name: &str, limit: usize) -> Result<Vec<Message>, CommandError> {
        self.get(name).ok_or_else(|| CommandError::NotFound(name.to_owned()))?;
        let origin = Origin { topic: "shop.public.products".into(), partition: 2, offset: 7 };
        let message = Message {
            lane: "l".into(),
            position: 8,
            origin,
            timestamp_ms: 5,
            key: Some("{\"id\":1}".into()),
            value: None,
            headers: vec![("a".into(), Some("b".into()))],
        };
        Ok(vec![message; limit.min(2)])
    }

    async fn modules(&self, name: &str) -> Result<Vec<ServedModule>, CommandError> {
        let module = self.roll_back(name).await?.module;
        Ok(vec![ServedModule { hash: module.hash, from: "file".to_owned(), since_ms: module.loaded_ms }])
    }

    async fn roll_back(&self, name: &str) -> Result<Replaced, CommandError> {
        self.replace_module(name, b"module".to_vec()).await
    }

    async fn reload(&self, is_dry_run: bool) -> Result<Reload, NotReloaded> {
        if let Some(not_reloaded) = &self.not_reloaded {
            return Err(not_reloaded.clone());
        }
        let result = if is_dry_run { ReloadResult::Planned } else { ReloadResult::Applied };
        let plan = changes();
        Ok(Reload { result, file: "rowmill.toml".to_owned(), compared_with_ms: 5, text: plan.to_string(), plan })
    }

    fn searches(&self) -> Vec<Arc<dyn Search>> {
        vec![Arc::new(Shelf(self.asked.clone()))]
    }

    fn collections(&self) -> Vec<String> {
        self.searches().iter().flat_map(|search| search.collections()).collect()
    }
}

/// A sink with one document in one collection.
struct Shelf(Arc<Mutex<Vec<SearchRequest>>>);

#[async_trait]
impl Search for Shelf {
    fn holds(&self, collection: &str) -> bool {
        matches!(collection, "products" | "broken")
    }

    fn collections(&self) -> Vec<String> {
        vec!["products".to_owned()]
    }

    async fn search(&self, collection: &str, request: &SearchRequest) -> Result<SearchResponse, SearchError> {
        self.0.lock().unwrap().push(request.clone());
        match (collection, request.query.as_deref()) {
            ("broken", _) => Err(SearchError::Unavailable("the search server cannot be reached".to_owned())),
            (_, Some("?")) => Err(SearchError::Invalid("the field price holds no dates".to_owned())),
            _ => {
                let document = RawValue::from_string(r#"{"name":"Lamp","price":12.50}"#.to_owned()).unwrap();
                Ok(SearchResponse {
                    total: 1,
                    hits: vec![Hit { id: "7".to_owned(), score: Some(1.5), version: Some(256), document }],
                    took_ms: 2,
                })
            }
        }
    }
}

fn status(name: &str, state: RunState) -> PipelineStatus {
    PipelineStatus {
        name: name.to_owned(),
        source: "kafka".to_owned(),
        sink: "embedded".to_owned(),
        state,
        reason: (state == RunState::Stopped).then(|| "the index has no field id".to_owned()),
        remedy: (state == RunState::Stopped).then(|| "add the field, then restart the pipeline".to_owned()),
        lanes: vec![LaneStatus {
            lane: "public.products/0".to_owned(),
            newest: Some(120),
            received: Some(119),
            applied: Some(110),
            durable: Some(100),
        }],
        lag_events: Some(20),
        lag_seconds: Some(0.5),
        rates: Rates { events_per_second: 10.0, documents_per_second: 9.5 },
        totals: Totals { events_applied: 100, ..Totals::default() },
        module: Some(ModuleStatus { hash: "ab12".to_owned(), version: 1, path: "m.wasm".to_owned(), bytes: 10, loaded_ms: 5 }),
        watermark_ms: None,
        last_error: Some(LastError { message: "a batch was refused".to_owned(), kind: "unavailable", at_ms: 7 }),
        dead_letters: 3,
    }
}

fn letter(id: u64) -> DeadLetter {
    DeadLetter {
        id,
        at_ms: 1_000 * id,
        stage: "transform".to_owned(),
        reason: "price is no number".to_owned(),
        origin: ("public.products".to_owned(), 0, 40 + id),
        table: Some("public.products".to_owned()),
        key: Some(id.to_string()),
        version: Some(Version::new(9, 1)),
        replays: 0,
        cause: DeadCause::TooLarge,
    }
}

fn server() -> ServerSettings {
    let listen = Some("127.0.0.1:8080".parse().unwrap());
    ServerSettings { listen, token: None, hosts: Vec::new(), drain_timeout: std::time::Duration::ZERO }
}

/// One pipeline with another bound.
fn changes() -> Changes {
    let setting = SettingChange { key: "batch.max_wait".to_owned(), old: Some("\"0s\"".to_owned()), new: Some("\"2s\"".to_owned()) };
    let pipeline = PipelineChange { name: "p".to_owned(), fate: Fate::Changed, settings: vec![setting], notes: Vec::new() };
    Changes { pipelines: vec![pipeline], ..Changes::default() }
}

/// Settings that never change: what gives them is gone.
fn settings(server: &ServerSettings) -> tokio::sync::watch::Receiver<ServerSettings> {
    tokio::sync::watch::channel(server.clone()).1
}

fn locked() -> ServerSettings {
    ServerSettings { token: Some(Secret::new("geheim")), ..server() }
}

fn app(pipelines: impl Pipelines + 'static, server: &ServerSettings) -> Router {
    let registry = prometheus::Registry::new();
    Metrics::new(registry.clone(), "products").counter("rowmill_things_total", "Things.").inc_by(3);
    router(Api::new(Arc::new(pipelines), registry, settings(server)))
}

/// `GET /path` (or another method) from a good place; extra headers as given.
async fn ask(app: &Router, line: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost:8080");
    }
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(*name, *value);
    }
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// The answers to some questions, one line each.
async fn answers(app: &Router, lines: &[&str]) -> String {
    let mut all = String::new();
    for line in lines {
        let (status, body) = ask(app, line, &[]).await;
        all.push_str(&format!("{line}\n  {} {body}\n", status.as_u16()));
    }
    all
}
