//! What `[pipelines.….source.file]` may say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Failure;
use crate::settings::Section;
use crate::source::file::source::FileSource;
use crate::source::{Source, SourceContext, SourceSettings};

/// Settings of the file source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSourceSettings {
    /// Where the file is.
    pub path: PathBuf,
    /// The path as it was written: the lane's name, which stays when the configuration moves.
    pub name: Arc<str>,
    /// What a line is.
    pub format: LineFormat,
    /// The topic of lines that name none.
    pub topic: Arc<str>,
    /// Whether to wait for more, like `tail -F`.
    pub follow: bool,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// What `kcat -J` prints: topic, partition, offset, headers, key and payload.
    Kcat,
    /// A value; or `{"key": …, "value": …}`, perhaps with `topic` and `headers`.
    Debezium,
}

/// Reads `[pipelines.….source.file]`.
pub fn read(section: &Section<'_>) -> Box<dyn SourceSettings> {
    Box::new(read_settings(section))
}

pub(super) fn read_settings(section: &Section<'_>) -> FileSourceSettings {
    let name: Arc<str> = section.required_string("path").into();
    FileSourceSettings {
        path: section.path_to("path").unwrap_or_default(),
        format: section.choice("format", LineFormat::Debezium, &[("debezium", LineFormat::Debezium), ("kcat", LineFormat::Kcat)]),
        topic: section.string("topic").map_or_else(|| Arc::clone(&name), Arc::from),
        follow: section.boolean("follow", false),
        name,
    }
}

/// What is said of a file that is not there, or closed to us.
pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::misconfigured(format!("cannot read {}: {error}: change `path`, or make the file readable", path.display()))
}

#[async_trait]
impl SourceSettings for FileSourceSettings {
    fn on_change(&self, key: &str) -> Option<String> {
        let sentence = match key {
            "path" => {
                "positions are kept by the path as it is written: under this one the file is read from its start, unless it was read before"
            }
            "format" => "lines that were read are not read again in the new way",
            "topic" => "rows whose table is told by the topic are other rows from now on: documents of the old ones stay",
            _ => return None,
        };
        Some(sentence.to_owned())
    }

    fn check(&self, _pipeline: &str) -> Result<(), Failure> {
        match std::fs::File::open(&self.path) {
            Err(error) if !self.follow => Err(unreadable(&self.path, &error)),
            _ => Ok(()),
        }
    }

    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>, Failure> {
        Ok(Box::new(FileSource::new(self.clone(), &context)))
    }
}
