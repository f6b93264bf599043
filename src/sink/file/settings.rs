//! The table `file` of a sink.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Failure;
use crate::settings::Section;
use crate::sink::file::FileSink;
use crate::sink::file::client::Lines;
use crate::sink::{STAYS_WHERE_IT_IS, Sink, SinkContext, SinkSettings};

/// Settings of the file sink.
#[derive(Clone, Debug)]
pub struct FileSinkSettings {
    /// The file; none: standard output, which is written as `-`.
    path: Option<PathBuf>,
    index: Option<String>,
}

/// Reads `[pipelines.….sink.file]`.
pub fn read(section: &Section<'_>) -> Box<dyn SinkSettings> {
    let path = match section.required_string("path").as_str() {
        "-" => None,
        _ => section.path_to("path"),
    };
    Box::new(FileSinkSettings { path, index: section.string("index") })
}

#[async_trait]
impl SinkSettings for FileSinkSettings {
    fn index(&self) -> Option<&str> {
        self.index.as_deref()
    }

    fn claims(&self) -> Option<String> {
        self.path.as_ref().map(|path| format!("file {}", path.display()))
    }

    fn on_change(&self, key: &str) -> Option<String> {
        matches!(key, "path" | "index").then(|| STAYS_WHERE_IT_IS.to_owned())
    }

    async fn open(&self, _context: &SinkContext) -> Result<Arc<dyn Sink>, Failure> {
        let lines = self.path.as_ref().map_or_else(Lines::stdout, |path| Lines::file(path.clone()));
        Ok(Arc::new(FileSink::new(lines)))
    }
}
