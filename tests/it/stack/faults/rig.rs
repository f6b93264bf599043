//! One `rowmill` and what it is to be held against.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::database::Documents;
use crate::support::{Running, get_json, http, rowmill, wait_for};

/// The longest wait for a process to catch up: a server that was down is tried again after up to 30 s.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A folder with a configuration and a state.
pub struct Rig {
    dir: tempfile::TempDir,
}

/// What a pipeline of the tests reads and writes.
pub struct Pipeline<'a> {
    pub name: &'a str,
    pub brokers: &'a str,
    pub topic: &'a str,
    pub keep: &'a str,
    /// The sink's table: its kind, and its settings.
    pub sink: (&'a str, String),
    /// More of librdkafka's, each after a comma.
    pub properties: &'a str,
    /// More settings of the pipeline, by their whole names.
    pub more: &'a str,
}

impl Pipeline<'_> {
    /// As the configuration has it. A member with a name of its own takes its partitions over at once when it is started again.
    fn text(&self) -> String {
        let Self { name, brokers, topic, keep, sink: (kind, sink), properties, more } = self;
        format!(
            "[pipelines.{name}]\nstate.keep = \"{keep}\"\n{more}\n[pipelines.{name}.source.kafka]\nbrokers = \"{brokers}\"\n\
             topics = [\"{topic}\"]\ngroup = \"{topic}-{name}\"\nproperties = {{ \"group.instance.id\" = \"{name}\", \
             \"reconnect.backoff.max.ms\" = \"500\"{properties} }}\n[pipelines.{name}.sink.{kind}]\n{sink}\n"
        )
    }
}

impl Rig {
    /// Writes the configuration; `general` comes before the pipelines.
    pub fn new(general: &str, pipelines: &[Pipeline<'_>]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pipelines: Vec<String> = pipelines.iter().map(Pipeline::text).collect();
        let text = format!("[server]\nlisten = \"127.0.0.1:0\"\n{general}\n{}", pipelines.concat());
        std::fs::write(dir.path().join("rowmill.toml"), text).unwrap();
        Self { dir }
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The command that runs it.
    pub fn command(&self) -> Command {
        let mut command = rowmill();
        command.arg("run").arg(self.path("rowmill.toml"));
        command
    }

    /// Starts it.
    pub fn run(&self) -> Running {
        Running::start(&mut self.command())
    }

    /// How many messages are committed, over all pipelines; the process must be dead.
    pub fn committed(&self) -> u64 {
        let mut command = rowmill();
        let positions = crate::support::succeed(command.arg("state").arg(self.path("rowmill.toml")).arg("positions"));
        positions.lines().filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["position"].as_u64()).sum()
    }
}

/// A name that nobody has used: shared servers keep topics and indexes.
pub fn unique(name: &str) -> String {
    format!("{name}-{:016x}", RandomState::new().build_hasher().finish())
}

/// A number that the environment may set.
pub fn told_number(name: &str, else_: u64) -> u64 {
    std::env::var(name).map_or(else_, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// How a pipeline does, by its process.
pub fn status(url: &str, pipeline: &str) -> Value {
    get_json(&format!("{url}/admin/pipelines/{pipeline}"))
}

/// How many messages a pipeline has made durable, over all lanes.
pub fn durable(url: &str, pipeline: &str) -> u64 {
    let lanes = status(url, pipeline)["lanes"].as_array().cloned().unwrap_or_default();
    lanes.iter().filter_map(|lane| lane["durable"].as_u64()).sum()
}

/// Waits until a pipeline has made everything up to these ends durable. It must have set nothing aside.
pub fn wait_durable(url: &str, pipeline: &str, ends: &BTreeMap<String, u64>) {
    let mut seen = Value::Null;
    let what = format!("pipeline {pipeline} to be through at {ends:?}");
    wait_for(&what, PATIENCE, || {
        seen = status(url, pipeline);
        let lanes = seen["lanes"].as_array()?;
        let durable = |lane: &str| lanes.iter().find(|seen| seen["lane"] == lane).and_then(|seen| seen["durable"].as_u64());
        ends.iter().all(|(lane, end)| durable(lane).unwrap_or(0) >= *end).then_some(())
    });
    let dead = get_json(&format!("{url}/admin/pipelines/{pipeline}/dead-letters"));
    assert_eq!(dead["dead_letters"].as_array().map(Vec::len), Some(0), "{pipeline}: {dead}");
}

/// Waits for an answer of `/health/ready` that fits; gives it.
pub fn wait_ready(url: &str, longest: Duration, fits: impl Fn(u16, &Value) -> bool) -> Value {
    wait_for("what /health/ready is to say", longest, || {
        let (status, body) = http("GET", &format!("{url}/health/ready"), None);
        let body: Value = serde_json::from_str(&body).ok()?;
        fits(status, &body).then_some(body)
    })
}

/// All documents of an index of a search server.
pub fn documents(server: &str, index: &str) -> Documents {
    http("POST", &format!("{server}/{index}/_refresh"), None);
    let found = get_json(&format!("{server}/{index}/_search?version=true&size=10000"));
    let hits = found["hits"]["hits"].as_array().unwrap_or_else(|| panic!("{index}: {found}"));
    assert_eq!(found["hits"]["total"]["value"].as_u64(), Some(hits.len() as u64), "more documents than one page");
    let document = |hit: &Value| (hit["_id"].as_str().unwrap().to_owned(), (hit["_version"].as_u64().unwrap(), hit["_source"].clone()));
    hits.iter().map(document).collect()
}

/// The documents that the lines of a file sink come to: the highest version of an id counts.
pub fn file_documents(path: &Path) -> Documents {
    let mut last: BTreeMap<String, (u64, Option<Value>)> = BTreeMap::new();
    for line in crate::support::json_lines(path) {
        let (id, version) = (line["id"].as_str().unwrap().to_owned(), line["version"].as_u64().unwrap());
        let body = (line["action"] == "index").then(|| line["body"].clone());
        let known = last.entry(id).or_default();
        if version > known.0 {
            *known = (version, body);
        }
    }
    last.into_iter().filter_map(|(id, (version, body))| Some((id, (version, body?)))).collect()
}

/// Fails with what differs, when something does; gives how many documents were compared.
pub fn assert_same(what: &str, index: &Documents, database: &Documents) -> usize {
    let ids: std::collections::BTreeSet<&String> = index.keys().chain(database.keys()).collect();
    let differ: Vec<String> = ids
        .into_iter()
        .filter(|id| index.get(*id) != database.get(*id))
        .map(|id| format!("{id}: index {} | database {}", shown(index.get(id)), shown(database.get(id))))
        .collect();
    assert!(differ.is_empty(), "{what}: {} of {} differ:\n{}", differ.len(), database.len(), differ[..differ.len().min(20)].join("\n"));
    database.len()
}

fn shown(document: Option<&(u64, Value)>) -> String {
    let cut = |body: &Value| body.to_string().chars().take(120).collect::<String>();
    document.map_or_else(|| "nothing".to_owned(), |(version, body)| format!("{} (lsn {}) {}", version, version >> 8, cut(body)))
}
