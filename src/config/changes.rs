//! What another configuration would change, and what each change costs: a pure comparison, made to be printed.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::config::{PipelinePlan, Plan};
use crate::settings::{Setting, Settings};
use crate::sink::STAYS_WHERE_IT_IS;

/// Settings of the process that take effect while it runs.
const LIVE: [&str; 3] = ["server.token", "server.hosts", "server.drain_timeout"];

/// What a change of the keys that begin so means for what was done so far. The tables of a source and a sink speak for themselves.
const MEANINGS: [(&str, &str); 7] = [
    ("source.decode.", "events that were read are not read again in the new way"),
    ("transform.module", MADE_BEFORE),
    ("transform.config", MADE_BEFORE),
    ("transform.before", MADE_BEFORE),
    (
        "state.keep",
        "rows are brought up to date only while this is \"rows\": after a time without, values that an update leaves out would be filled in \
         from rows as they were; to begin anew, give the pipeline another name",
    ),
    ("dead_letters.sink", "dead letters set aside so far are not sent there"),
    ("dead_letters.max_", "where fewer are to be kept, the oldest go with the next one"),
];

const MADE_BEFORE: &str = "documents made so far stay as they are until their rows change";
const OTHER_SOURCE: &str = "another source has other positions: it is read from its start, unless this pipeline has read it before; \
     rows keep their versions, so that what it counts lower is taken for old; documents of the old source stay";

/// What is different between the configuration that serves and another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Settings of the process.
    pub process: Vec<SettingChange>,
    /// Every pipeline: in the order of the new file, then those that it lacks.
    pub pipelines: Vec<PipelineChange>,
    /// Why it cannot be applied while the process runs: one sentence each.
    pub obstacles: Vec<String>,
}

/// What becomes of one pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PipelineChange {
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub fate: Fate,
    /// What is set otherwise.
    pub settings: Vec<SettingChange>,
    /// What that means for what was done so far: one sentence each.
    pub notes: Vec<String>,
}

/// What becomes of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It starts.
    Added,
    /// It stops.
    Removed,
    /// It stops and starts again.
    Changed,
    /// It goes on without a pause.
    Unchanged,
}

/// One key that has another value. References are shown as they are written, secrets never.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingChange {
    /// The key: in full for the process, from its pipeline on for a pipeline.
    pub key: String,
    /// What it was; none where it was not set.
    pub old: Option<String>,
    /// What it is to be; none where it is not set any more. The same as before: what the reference stands for has changed.
    pub new: Option<String>,
}

impl Changes {
    /// What `new` would change where `old` serves.
    pub fn between(old: &Plan, new: &Plan) -> Self {
        let process = different(&old.settings, &new.settings);
        let needs_restart = process.iter().filter(|change| !LIVE.contains(&change.key.as_str()));
        let mut obstacles: Vec<String> = needs_restart
            .map(|change| format!("{} cannot change while the process runs: restart it, or put the old value back", change.key))
            .collect();
        let mut pipelines = Vec::new();
        for plan in &new.pipelines {
            match old.pipelines.iter().find(|other| other.name == plan.name) {
                Some(before) => {
                    obstacles.extend(other_unit(before, plan));
                    pipelines.push(changed(before, plan));
                }
                None => pipelines.push(PipelineChange::of(&plan.name, Fate::Added)),
            }
        }
        let removed = old.pipelines.iter().filter(|plan| new.pipelines.iter().all(|other| other.name != plan.name));
        pipelines.extend(removed.map(|plan| PipelineChange {
            notes: vec!["its state and its documents stay: under the same name it would go on where it stood".to_owned()],
            ..PipelineChange::of(&plan.name, Fate::Removed)
        }));
        Self { process, pipelines, obstacles }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.process.is_empty() && self.pipelines.iter().all(|pipeline| pipeline.fate == Fate::Unchanged)
    }

    /// Notes that the module of a pipeline has changed although its settings have not.
    pub fn note_module(&mut self, name: &str, old: String, new: String) {
        let Some(pipeline) = self.pipelines.iter_mut().find(|pipeline| pipeline.name == name) else { return };
        if pipeline.fate == Fate::Unchanged {
            pipeline.fate = Fate::Changed;
        }
        let key = "the file of transform.module".to_owned();
        pipeline.settings.push(SettingChange { key, old: Some(old), new: Some(new) });
        if !pipeline.notes.iter().any(|note| note == MADE_BEFORE) {
            pipeline.notes.push(MADE_BEFORE.to_owned());
        }
    }

    /// Adds a sentence to what is said of a pipeline.
    pub fn note(&mut self, name: &str, sentence: &str) {
        let pipeline = self.pipelines.iter_mut().find(|pipeline| pipeline.name == name);
        pipeline.into_iter().for_each(|pipeline| pipeline.notes.push(sentence.to_owned()));
    }

    /// The pipelines that stop, start or both.
    pub fn concerned(&self) -> BTreeSet<String> {
        let concerned = self.pipelines.iter().filter(|pipeline| pipeline.fate != Fate::Unchanged);
        concerned.map(|pipeline| pipeline.name.clone()).collect()
    }
}

impl PipelineChange {
    fn of(name: &str, fate: Fate) -> Self {
        Self { name: name.to_owned(), fate, settings: Vec::new(), notes: Vec::new() }
    }
}

fn changed(old: &PipelinePlan, new: &PipelinePlan) -> PipelineChange {
    let settings = different(&old.settings, &new.settings);
    if settings.is_empty() {
        return PipelineChange::of(&new.name, Fate::Unchanged);
    }
    let mut notes: Vec<String> = Vec::new();
    for note in settings.iter().flat_map(|change| meanings(old, new, &change.key)) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    PipelineChange { settings, notes, ..PipelineChange::of(&new.name, Fate::Changed) }
}

/// What a change of this key means.
fn meanings(old: &PipelinePlan, new: &PipelinePlan, key: &str) -> Vec<String> {
    let inside = |table: &str, kind: &str| key.strip_prefix(&format!("{table}.{kind}.")).map(str::to_owned);
    let other_source = old.source_kind != new.source_kind;
    let other_sink = old.sink_kind != new.sink_kind;
    let of_source = inside("source", new.source_kind).filter(|_| !other_source).and_then(|key| new.source.on_change(&key));
    let of_sink = inside("sink", new.sink_kind).filter(|_| !other_sink).and_then(|key| new.sink.on_change(&key));
    let of_kind = match key {
        "source" if other_source => Some(OTHER_SOURCE.to_owned()),
        "sink" if other_sink => Some(STAYS_WHERE_IT_IS.to_owned()),
        _ => None,
    };
    let ours = MEANINGS.iter().find(|(start, _)| key.starts_with(start));
    of_source.into_iter().chain(of_sink).chain(of_kind).chain(ours.map(|(_, meaning)| (*meaning).to_owned())).collect()
}

fn other_unit(old: &PipelinePlan, new: &PipelinePlan) -> Option<String> {
    let (was, is) = (old.decode.version_unit(), new.decode.version_unit());
    (was != is).then(|| {
        format!(
            "pipelines.{}.source.decode: versions would be counted as `{is}`, and those remembered are counted as `{was}`: put the old value \
             back, or give the pipeline another name to read all anew",
            new.name
        )
    })
}

/// Whether one table of a pipeline (`sink`) says the same in both.
pub fn is_same_table(old: &PipelinePlan, new: &PipelinePlan, table: &str) -> bool {
    let inside = format!("{table}.");
    different(&old.settings, &new.settings).iter().all(|change| change.key != table && !change.key.starts_with(&inside))
}

fn different(old: &Settings, new: &Settings) -> Vec<SettingChange> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |key: &String| {
        let (old, new) = (old.get(key), new.get(key));
        let is_same = match (old, new) {
            (Some(old), Some(new)) => old.is_same(new),
            // The defaults of a table come and go with it.
            (Some(only), None) | (None, Some(only)) => only.is_default(),
            (None, None) => true,
        };
        let shown = |setting: Option<&Setting>| setting.map(|setting| setting.shown().to_owned());
        (!is_same).then(|| SettingChange { key: key.clone(), old: shown(old), new: shown(new) })
    };
    keys.into_iter().filter_map(change).collect()
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for obstacle in &self.obstacles {
            writeln!(f, "! {obstacle}")?;
        }
        if !self.process.is_empty() {
            writeln!(f, "~ the process")?;
            self.process.iter().try_for_each(|change| writeln!(f, "    {change}"))?;
        }
        for pipeline in self.pipelines.iter().filter(|pipeline| pipeline.fate != Fate::Unchanged) {
            writeln!(f, "{pipeline}")?;
        }
        let unchanged: Vec<&str> =
            self.pipelines.iter().filter(|pipeline| pipeline.fate == Fate::Unchanged).map(|pipeline| pipeline.name.as_str()).collect();
        if unchanged.is_empty() { Ok(()) } else { writeln!(f, "= unchanged, and not interrupted: {}", unchanged.join(", ")) }
    }
}

impl fmt::Display for PipelineChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, fate, settings, notes } = self;
        match fate {
            Fate::Added => write!(f, "+ {name}: starts")?,
            Fate::Removed => write!(f, "- {name}: stops after the batches at work")?,
            Fate::Changed => write!(f, "~ {name}: restarts between two batches")?,
            Fate::Unchanged => write!(f, "= {name}: is not interrupted")?,
        }
        settings.iter().try_for_each(|change| write!(f, "\n    {change}"))?;
        notes.iter().try_for_each(|note| write!(f, "\n    note: {note}"))
    }
}

impl fmt::Display for SettingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, old, new } = self;
        match (old, new) {
            (Some(old), Some(new)) if old == new => write!(f, "{key}: {new} has changed"),
            (old, new) => {
                let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(not set)".to_owned());
                write!(f, "{key}: {} → {}", shown(old), shown(new))
            }
        }
    }
}
