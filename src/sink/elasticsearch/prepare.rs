//! Before the first write: reaching the server, and finding or making the index.

use std::sync::Arc;

use serde::Deserialize;

use super::client::SearchServer;
use super::indexes::{Indexes, name_problem};
use super::reason::ServerError;
use super::settings::ElasticsearchSinkSettings;
use crate::connect::http::{HttpAnswer, HttpError, HttpTrouble};
use crate::error::Failure;

/// Reaches the server, and says in the log what it is.
pub async fn server(server: &SearchServer, pipeline: &str) -> Result<(), Failure> {
    let answer = server.about().await.map_err(silence)?;
    match answer.status {
        200 => {
            let product = product(&answer)?;
            tracing::info!(pipeline, addresses = server.addresses(), "reached {product}");
            Ok(())
        }
        // Who may only write to some indexes may not ask about the cluster.
        403 => Ok(()),
        _ => Err(refusal(&answer, "answer what it is")),
    }
}

/// Sees that an index is there, or makes it.
pub async fn index(
    server: &SearchServer,
    settings: &ElasticsearchSinkSettings,
    indexes: &Indexes,
    index: &Arc<str>,
) -> Result<(), Failure> {
    if let Some(problem) = name_problem(index) {
        // Every write to it is refused, with its reason; a transform's odd name must not stop the others.
        tracing::warn!(%index, "no index can have this name: {problem}");
        return Ok(());
    }
    let answer = server.exists(index).await.map_err(silence)?;
    match answer.status {
        200 => {}
        404 if settings.create_index => create(server, settings, index).await?,
        404 => {
            return Err(Failure::misconfigured(format!("index {index} does not exist: create it, or set create_index = true")));
        }
        403 => {
            let privilege = "view_index_metadata (OpenSearch: indices:admin/get)";
            return Err(Failure::misconfigured(format!("the server does not let us see whether index {index} exists: grant {privilege}")));
        }
        _ => return Err(refusal(&answer, &format!("say whether index {index} exists"))),
    }
    indexes.note(index);
    Ok(())
}

/// What became of a request that got no answer.
pub fn silence(error: HttpError) -> Failure {
    match error.trouble {
        HttpTrouble::Untrusted => Failure::misconfigured(error.message),
        _ => Failure::unavailable(error.message),
    }
}

/// What an answer means that is not the one hoped for.
pub fn refusal(answer: &HttpAnswer, what: &str) -> Failure {
    let (address, status) = (&answer.address, answer.status);
    let error = ServerError::of_body(&answer.body);
    let message = format!("{address} did not {what}: {status}: {}", error.summary());
    match status {
        401 => Failure::misconfigured(credentials_refused(address)),
        403 if error.kind != "cluster_block_exception" => Failure::misconfigured(format!("{message}: give the user the right to")),
        // A proxy whose server is away may say 404.
        403 | 404 | 408 | 429 | 500.. => Failure::unavailable(message),
        _ => Failure::misconfigured(message),
    }
}

/// The remedy for a 401.
pub fn credentials_refused(address: &str) -> String {
    format!("{address} refuses the credentials: set user and password, or api_key, to ones it knows")
}

async fn create(server: &SearchServer, settings: &ElasticsearchSinkSettings, index: &str) -> Result<(), Failure> {
    let body = settings.mapping.as_deref().unwrap_or("{}");
    let answer = server.create(index, body).await.map_err(silence)?;
    if answer.status == 200 {
        tracing::info!(index, "made the index");
        return Ok(());
    }
    let error = ServerError::of_body(&answer.body);
    match (answer.status, &*error.kind) {
        // Somebody was faster.
        (400, "resource_already_exists_exception") => Ok(()),
        (400, _) if settings.mapping.is_some() => Err(Failure::misconfigured(format!(
            "{} refuses to make index {index} from the file of mapping: {}",
            answer.address,
            error.summary()
        ))),
        _ => Err(refusal(&answer, &format!("make index {index}"))),
    }
}

#[derive(Deserialize)]
struct About {
    version: AboutVersion,
}

#[derive(Deserialize)]
struct AboutVersion {
    number: String,
    distribution: Option<String>,
}

fn product(answer: &HttpAnswer) -> Result<String, Failure> {
    let address = &answer.address;
    let Ok(About { version }) = serde_json::from_slice(&answer.body) else {
        return Err(Failure::unavailable(format!("{address} does not answer like Elasticsearch or OpenSearch: check url")));
    };
    let name = match version.distribution.as_deref() {
        Some("opensearch") => "OpenSearch",
        _ => "Elasticsearch",
    };
    let major: u32 = version.number.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default();
    // From 7 on a document has no type.
    if name == "Elasticsearch" && major < 7 {
        return Err(Failure::misconfigured(format!("{address} is {name} {}: use 8 or newer", version.number)));
    }
    Ok(format!("{name} {}", version.number))
}
