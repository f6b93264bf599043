//! What the measured process is told to do.

use std::path::{Path, PathBuf};

use super::INDEX;

/// A pipeline, or several, with the defaults of everything that is not measured.
pub struct Plan<'a> {
    /// How many, each of which reads everything and writes an index of its own.
    pub pipelines: u64,
    /// A table of the configuration, by [`file_source`] or [`kafka_source`].
    pub source: String,
    /// The transform; without it the row itself is the document.
    pub module: Option<&'a Path>,
    /// What is remembered of each row.
    pub keep: &'a str,
    /// Where the documents go.
    pub sink_url: &'a str,
    /// The folder of the state, beside the configuration.
    pub state: &'a str,
}

impl Plan<'_> {
    /// Writes it as a configuration into a folder.
    pub fn write(&self, dir: &Path) -> Result<PathBuf, String> {
        let Self { source, keep, sink_url, state, .. } = self;
        let module = self.module.map(|module| std::path::absolute(module).unwrap_or_else(|_| module.to_owned()));
        let transform =
            module.map_or_else(String::new, |module| format!("[pipelines.bench.transform]\nmodule = \"{}\"\n", module.display()));
        let pipeline = format!(
            "{source}\n{transform}[pipelines.bench.state]\nkeep = \"{keep}\"\n\
             [pipelines.bench.sink.elasticsearch]\nurl = \"{sink_url}\"\nindex = \"{INDEX}\"\n"
        );
        let mut text = format!("[server]\nlisten = \"off\"\n[state]\ndir = \"{state}\"\n{pipeline}");
        for number in 2..=self.pipelines {
            let other = pipeline.replace("[pipelines.bench.", &format!("[pipelines.bench-{number}."));
            text += &other.replace(&format!("\"{INDEX}\""), &format!("\"{INDEX}-{number}\""));
        }
        let path = dir.join(format!("{state}.toml"));
        std::fs::write(&path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        Ok(path)
    }
}

/// The configuration of a file source.
pub fn file_source(path: &Path) -> String {
    format!("[pipelines.bench.source.file]\npath = \"{}\"\nformat = \"debezium\"\n", path.display())
}

/// The configuration of a Kafka source.
#[cfg(feature = "kafka")]
pub fn kafka_source(brokers: &str, topics: &[&str]) -> String {
    format!("[pipelines.bench.source.kafka]\nbrokers = \"{brokers}\"\ntopics = {topics:?}\n")
}

/// The lengths of all files below a folder; what goes while we look is not counted.
pub fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => folder_bytes(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    });
    bytes.sum()
}
