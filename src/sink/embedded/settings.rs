//! The table `embedded`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Failure;
use crate::settings::Section;
use crate::sink::embedded::EmbeddedSink;
use crate::sink::embedded::index::IndexOptions;
use crate::sink::embedded::value::StrictKind;
use crate::sink::{STAYS_WHERE_IT_IS, Sink, SinkContext, SinkSettings};

/// What is gathered in memory before a segment is written: one batch of 5 MiB takes about half of it.
const MEMORY_BYTES: u64 = 64 << 20;
/// Tantivy takes no less than 15 MB and no more than 4 GiB for a thread.
const MEMORY_BYTES_MIN: u64 = 16 << 20;
/// See [`MEMORY_BYTES_MIN`].
const MEMORY_BYTES_MAX: u64 = 4 << 30;

/// The words of `strict`.
const STRICT_KINDS: &[(&str, StrictKind)] =
    &[("number", StrictKind::Number), ("date", StrictKind::Date), ("boolean", StrictKind::Boolean), ("text", StrictKind::Text)];

/// Settings of the embedded sink.
#[derive(Clone, Debug)]
pub struct EmbeddedSinkSettings {
    index: Option<String>,
    dir: Option<PathBuf>,
    options: IndexOptions,
}

/// Reads `[pipelines.….sink.embedded]`.
pub fn read(section: &Section<'_>) -> Box<dyn SinkSettings> {
    let memory = section.size("memory", MEMORY_BYTES);
    if !(MEMORY_BYTES_MIN..MEMORY_BYTES_MAX).contains(&memory) {
        section.problem("memory", "must be from \"16MiB\" to less than \"4GiB\"");
    }
    let memory_bytes = usize::try_from(memory.clamp(MEMORY_BYTES_MIN, MEMORY_BYTES_MAX - 1)).unwrap_or(usize::MAX);
    let options = IndexOptions { memory_bytes, strict: Arc::new(strict(section)), ..IndexOptions::default() };
    Box::new(EmbeddedSinkSettings { index: section.string("index"), dir: section.path_to("dir"), options })
}

#[async_trait]
impl SinkSettings for EmbeddedSinkSettings {
    fn index(&self) -> Option<&str> {
        self.index.as_deref()
    }

    /// Each pipeline has a folder of its own, so that of two indexes of one name only one would be found.
    fn claims(&self) -> Option<String> {
        self.index.as_ref().filter(|index| !index.contains('{')).map(|index| format!("embedded index {index}"))
    }

    fn on_change(&self, key: &str) -> Option<String> {
        match key {
            "index" | "dir" => Some(STAYS_WHERE_IT_IS.to_owned()),
            _ if key.starts_with("strict") => Some("documents that are stored already are not checked".to_owned()),
            _ => None,
        }
    }

    async fn open(&self, context: &SinkContext) -> Result<Arc<dyn Sink>, Failure> {
        let dir = self.dir.clone().unwrap_or_else(|| context.dir.join("embedded"));
        Ok(Arc::new(EmbeddedSink::new(dir, self.options.clone(), context.clock.clone())))
    }
}

fn strict(section: &Section<'_>) -> BTreeMap<String, StrictKind> {
    let mut strict = BTreeMap::new();
    for (field, word) in section.string_map("strict") {
        match STRICT_KINDS.iter().find(|(known, _)| *known == word) {
            Some((_, kind)) => drop(strict.insert(field, *kind)),
            None => section.problem("strict", format!("knows \"number\", \"date\", \"boolean\" and \"text\": {field} is \"{word}\"")),
        }
    }
    strict
}
