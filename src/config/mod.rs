//! From a file to a checked plan.
//!
//! - Enters: the text of one TOML file, the folder it lies in, the environment.
//! - Leaves: a [`Plan`] that can be run as it stands, or every [`Problem`] at once, in the order of lines.
//! - Keeps true: what `check` accepts, `run` can start; no key is ignored; no secret is shown.
//! - Never: a connection to anything, a settled question about a connector (its own `settings.rs` reads its table).

mod across;
mod changes;
mod plan;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use crate::settings::{Environment, Section, Source};
use crate::{settings, sink, source};

pub use changes::{Changes, Fate, PipelineChange, SettingChange, is_same_table};
pub use plan::{BatchSettings, PipelinePlan, Plan, ServerSettings};

/// The settings that are read only where the user gives the table they stand in.
const OPTIONAL_TABLES: &str = "[pipelines.\"<name>\".transform]\nmodule = \"m\"\n";

/// One mistake in the configuration: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the user named it.
    pub file: String,
    /// Line in the file, from 1; none for what concerns the file as a whole.
    pub line: Option<usize>,
    /// One sentence with the remedy.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// Reads and checks a file, with the environment of this process.
pub fn load(path: &Path) -> Result<Plan, Vec<Problem>> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![Problem { file: file.clone(), line: None, message: format!("cannot be read: {error}") }])?;
    let dir = path.parent().unwrap_or(Path::new(""));
    let in_file = |problem: settings::Problem| Problem { file: file.clone(), line: Some(problem.line), message: problem.message };
    let plan = parse(&text, dir, &|name| std::env::var(name).ok());
    let plan = plan.map_err(|problems| problems.into_iter().map(in_file).collect::<Vec<_>>())?;
    Ok(Plan { file: Some(path.to_owned()), ..plan })
}

/// Reads and checks a text; `dir` is what relative paths in it are relative to.
pub fn parse(text: &str, dir: &Path, environment: Environment<'_>) -> Result<Plan, Vec<settings::Problem>> {
    let source = Source::new(text, dir, environment);
    let document = match toml_edit::Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            source.problem(error.span(), format!("this is not TOML: {}", error.message().replace('\n', ", ")));
            return Err(source.problems());
        }
    };
    let plan = read::plan(&source, &Section::root(&source, document.as_table()));
    let problems = source.problems();
    if problems.is_empty() { Ok(plan) } else { Err(problems) }
}

/// Every key of the file (`pipelines.<name>.batch.max_wait`), sorted: what the README's table is held against.
///
/// They are not listed anywhere: the readers are run over a file that has every kind of source and sink, and asked.
pub fn known_keys() -> Vec<String> {
    let sources = source::KINDS.iter().map(|(kind, _)| format!("source.{kind}"));
    let sinks = sink::KINDS.iter().map(|(kind, _)| format!("sink.{kind}"));
    let mut keys = BTreeSet::new();
    for table in sources.chain(sinks) {
        let text = format!("{OPTIONAL_TABLES}[pipelines.\"<name>\".{table}]\n");
        let source = Source::new(&text, "", &|_| None);
        if let Ok(document) = toml_edit::Document::parse(text.as_str()) {
            read::plan(&source, &Section::root(&source, document.as_table()));
        }
        keys.extend(source.known_keys());
    }
    let is_table = |key: &String| {
        let inside = format!("{key}.");
        keys.range(inside.clone()..).next().is_some_and(|next| next.starts_with(&inside))
    };
    keys.iter().filter(|key| !is_table(key)).cloned().collect()
}
