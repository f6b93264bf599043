//! The table `elasticsearch`, also named `opensearch`.

use std::sync::Arc;

use async_trait::async_trait;

use super::ElasticsearchSink;
use super::indexes::name_problem;
use crate::connect::http::{self, HttpSettings};
use crate::error::Failure;
use crate::limits;
use crate::settings::Section;
use crate::sink::{Sink, SinkContext, SinkSettings};

/// What a mapping may hold at its top, without which it is none.
const MAPPING_KEYS: [&str; 8] =
    ["properties", "dynamic", "dynamic_templates", "_source", "_routing", "_meta", "date_detection", "numeric_detection"];
/// What the body that makes an index may hold.
const INDEX_KEYS: [&str; 3] = ["settings", "mappings", "aliases"];
/// What the name of an index may be made of.
const PLACEHOLDERS: [&str; 3] = ["{topic}", "{schema}", "{table}"];

/// Settings of the elasticsearch sink.
#[derive(Clone, Debug)]
pub struct ElasticsearchSinkSettings {
    /// Where the server is.
    pub http: HttpSettings,
    /// The index, perhaps with placeholders.
    pub index: Option<String>,
    /// Whether an index that is missing is made.
    pub create_index: bool,
    /// The JSON body it is made from.
    pub mapping: Option<String>,
    /// Bulk requests at a time.
    pub requests_in_flight: usize,
}

/// Reads `[pipelines.….sink.elasticsearch]`.
pub fn read(section: &Section<'_>) -> Box<dyn SinkSettings> {
    Box::new(read_plain(section))
}

pub(super) fn read_plain(section: &Section<'_>) -> ElasticsearchSinkSettings {
    let create_index = section.boolean("create_index", true);
    let requests = section.integer("requests_in_flight", limits::SINK_REQUESTS_IN_FLIGHT_MAX as u64, 1..65);
    ElasticsearchSinkSettings {
        http: http::settings::read(section),
        index: read_index(section),
        create_index,
        mapping: read_mapping(section, create_index),
        requests_in_flight: usize::try_from(requests).unwrap_or(limits::SINK_REQUESTS_IN_FLIGHT_MAX),
    }
}

#[async_trait]
impl SinkSettings for ElasticsearchSinkSettings {
    fn index(&self) -> Option<&str> {
        self.index.as_deref()
    }

    async fn open(&self, context: &SinkContext) -> Result<Arc<dyn Sink>, Failure> {
        Ok(Arc::new(ElasticsearchSink::new(self.clone(), context)?))
    }
}

fn read_index(section: &Section<'_>) -> Option<String> {
    let index = section.string("index")?;
    // A placeholder stands for a name, so that what is around it can be looked at.
    let example = PLACEHOLDERS.iter().fold(index.clone(), |name, placeholder| name.replace(placeholder, "x"));
    if example.contains(['{', '}']) {
        section.problem("index", format!("may only hold the placeholders {}", PLACEHOLDERS.join(", ")));
    } else if let Some(problem) = name_problem(&example) {
        section.problem("index", format!("cannot be the name of an index: {problem}"));
    }
    Some(index)
}

/// The body an index is made from: the file as it is, or as its `mappings`.
fn read_mapping(section: &Section<'_>, create_index: bool) -> Option<String> {
    let text = section.contents("mapping")?;
    if !create_index {
        section.problem("mapping", "has no effect with create_index = false: remove one of the two");
    }
    let file: serde_json::Map<String, serde_json::Value> = match serde_json::from_str(&text) {
        Ok(file) => file,
        Err(error) => {
            section.problem("mapping", format!("must be a file with one JSON object: {error}"));
            return None;
        }
    };
    let holds = |keys: &[&str]| keys.iter().any(|key| file.contains_key(*key));
    match (holds(&INDEX_KEYS), holds(&MAPPING_KEYS)) {
        (true, false) => Some(text),
        (false, true) => Some(format!("{{\"mappings\":{text}}}")),
        (true, true) => {
            section.problem("mapping", "holds settings or mappings beside parts of a mapping: move those into \"mappings\"");
            None
        }
        (false, false) if file.is_empty() => None,
        (false, false) => {
            section.problem("mapping", "must hold \"mappings\" (with \"settings\", \"aliases\") or \"properties\" at its top");
            None
        }
    }
}
