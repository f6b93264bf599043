//! The table `elasticsearch`, also named `opensearch`.

use std::sync::Arc;

use async_trait::async_trait;

use super::ElasticsearchSink;
use super::indexes::name_problem;
use crate::connect::http::{self, HttpSettings};
use crate::error::Failure;
use crate::limits;
use crate::settings::Section;
use crate::sink::{STAYS_WHERE_IT_IS, Sink, SinkContext, SinkSettings};

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

    fn on_change(&self, key: &str) -> Option<String> {
        match key {
            "url" | "urls" => Some(format!("where this is another server, {STAYS_WHERE_IT_IS}")),
            "index" => Some(STAYS_WHERE_IT_IS.to_owned()),
            "mapping" | "create_index" => Some("concerns only indexes that are made from now on".to_owned()),
            _ => None,
        }
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

#[cfg(test)]
mod tests {
    use super::{ElasticsearchSinkSettings, read_plain};
    use crate::settings::{Section, Source};
    use crate::sink::SinkSettings as _;

    fn read(table: &str, mapping: &str) -> (ElasticsearchSinkSettings, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mapping.json"), mapping).unwrap();
        let table = format!("url = \"http://a\"\n{table}");
        let document: toml_edit::Document<String> = toml_edit::Document::parse(table.clone()).unwrap();
        let source = Source::new(&table, dir.path(), &|_| None);
        let section = Section::root(&source, document.as_table());
        let settings = read_plain(&section);
        drop(section);
        (settings, source.problems().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_address_is_enough() {
        let (settings, problems) = read("", "");
        assert_eq!(problems, [""; 0]);
        assert_eq!((settings.index(), settings.create_index, settings.requests_in_flight), (None, true, 4));
        assert_eq!(settings.mapping, None);
    }

    #[test]
    fn a_mapping_may_be_the_whole_body_or_its_mappings() {
        let whole = r#"{"settings":{"number_of_shards":1},"mappings":{"properties":{}}}"#;
        let plain = r#"{"dynamic":"strict","properties":{"a":{"type":"scaled_float","scaling_factor":100.00}}}"#;
        let wrapped = format!("{{\"mappings\":{plain}}}");
        for (file, body) in [(whole, Some(whole)), (plain, Some(wrapped.as_str())), ("{}", None)] {
            let (settings, problems) = read("mapping = \"file:mapping.json\"", file);
            assert_eq!((problems, settings.mapping.as_deref()), (vec![], body));
        }
    }

    #[test]
    fn mistakes_are_named() {
        let mut found = String::new();
        for (table, mapping) in [
            ("index = \"Products\"", ""),
            ("index = \"{topic}_{Schema}\"", ""),
            ("index = \"_{topic}\"", ""),
            ("mapping = \"file:mapping.json\"", "[1]"),
            ("mapping = \"file:mapping.json\"", "{"),
            ("mapping = \"file:mapping.json\"", r#"{"name":{"type":"text"}}"#),
            ("mapping = \"file:mapping.json\"", r#"{"settings":{},"properties":{}}"#),
            ("mapping = \"file:mapping.json\"\ncreate_index = false", r#"{"properties":{}}"#),
            ("requests_in_flight = 0", ""),
            ("indx = \"a\"", ""),
        ] {
            let (_, problems) = read(table, mapping);
            found.push_str(&problems.join("\n"));
            found.push('\n');
        }
        expect_test::expect![[r#"
            line 2: index cannot be the name of an index: it holds a capital letter
            line 2: index may only hold the placeholders {topic}, {schema}, {table}
            line 2: index cannot be the name of an index: it begins with -, _ or +
            line 2: mapping must be a file with one JSON object: invalid type: sequence, expected a map at line 1 column 0
            line 2: mapping must be a file with one JSON object: EOF while parsing an object at line 1 column 1
            line 2: mapping must hold "mappings" (with "settings", "aliases") or "properties" at its top
            line 2: mapping holds settings or mappings beside parts of a mapping: move those into "mappings"
            line 2: mapping has no effect with create_index = false: remove one of the two
            line 2: requests_in_flight must be a whole number from 1 to 64
            line 2: indx is not a known key: did you mean `index`?
        "#]]
        .assert_eq(&found);
        assert_eq!(read("index = \"{topic}-{schema}.{table}\"", "").1, [""; 0]);
    }
}
