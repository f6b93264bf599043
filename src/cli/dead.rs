//! `rowmill dead`: what was set aside, played again, dropped.
//!
//! Looking needs nobody's leave: the state is read beside whoever has it open. What changes it is asked of the running instance, or done
//! here where none runs.

use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{DONE, FAILED, WRONG, failed, load, running, say};
use crate::clock::Clock;
use crate::config::{PipelinePlan, Plan};
use crate::error::Failure;
use crate::pipeline::status::DeadLetterStatus;
use crate::state::{LetterFilter, StateError, Store};

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum Dead {
    /// Show them, newest first, one JSON object a line
    List {
        /// Which
        #[command(flatten)]
        which: Which,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show one of them whole
    Show {
        /// Its number
        id: u64,
        /// Whose it is, where there are several pipelines
        #[arg(long)]
        pipeline: Option<String>,
    },
    /// Play some again, in the order they came: what is newer by now stays
    Replay {
        /// Which
        #[command(flatten)]
        which: Which,
        /// Every one
        #[arg(long)]
        all: bool,
    },
    /// Drop some for good
    Drop {
        /// Which
        #[command(flatten)]
        which: Which,
        /// Every one
        #[arg(long)]
        all: bool,
    },
}

/// Which dead letters: those for which all that is given is so.
#[derive(Debug, Args)]
pub struct Which {
    /// Their numbers
    ids: Vec<u64>,
    /// Whose they are, where there are several pipelines
    #[arg(long)]
    pipeline: Option<String>,
    /// What refused them
    #[arg(long)]
    stage: Option<Stage>,
    /// Their table, as `schema.table`
    #[arg(long)]
    table: Option<String>,
    /// Their row's key as text
    #[arg(long)]
    key: Option<String>,
    /// Their topic or file
    #[arg(long)]
    topic: Option<String>,
    /// A part of their reason, in any case
    #[arg(long)]
    reason: Option<String>,
}

/// Where an event can be refused.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Stage {
    /// It could not be read
    Decode,
    /// The user's code refused it
    Transform,
    /// The sink refused a document of it
    Sink,
}

impl Which {
    fn filter(&self) -> LetterFilter {
        let stage = self.stage.map(|stage| match stage {
            Stage::Decode => "decode",
            Stage::Transform => "transform",
            Stage::Sink => "sink",
        });
        LetterFilter {
            ids: self.ids.clone(),
            stage: stage.map(str::to_owned),
            table: self.table.clone(),
            key: self.key.clone(),
            topic: self.topic.clone(),
            reason: self.reason.clone(),
        }
    }
}

/// Carries out a command on dead letters.
pub async fn dead(config: &Path, command: &Dead) -> u8 {
    let plan = match load(config) {
        Ok(plan) => plan,
        Err(wrong) => return wrong,
    };
    let done = match command {
        Dead::List { which, limit } => list(&plan, which.pipeline.as_deref(), &which.filter(), *limit),
        Dead::Show { id, pipeline } => show(&plan, pipeline.as_deref(), *id),
        Dead::Replay { which, all } => change(&plan, Change::Replay, which, *all).await,
        Dead::Drop { which, all } => change(&plan, Change::Drop, which, *all).await,
    };
    match done {
        Ok(exit) => exit,
        Err(Refused::Wrong(message)) => {
            failed(message);
            WRONG
        }
        Err(Refused::Failed(message)) => failed(message),
    }
}

/// Why a command was not carried out.
enum Refused {
    /// It asks for what there cannot be.
    Wrong(String),
    /// It went wrong.
    Failed(String),
}

impl From<StateError> for Refused {
    fn from(error: StateError) -> Self {
        Refused::Failed(Failure::from(error).message)
    }
}

fn list(plan: &Plan, pipeline: Option<&str>, filter: &LetterFilter, limit: usize) -> Result<u8, Refused> {
    let store = Store::open_read_only(&plan.state.dir)?;
    let pipelines = match pipeline {
        Some(_) => vec![one_pipeline(plan, pipeline)?],
        None => plan.pipelines.iter().map(|pipeline| &**pipeline).collect(),
    };
    for pipeline in pipelines {
        let Some(state) = store.existing_pipeline(&pipeline.name)? else { continue };
        for letter in state.dead_letters(filter, limit)? {
            print(&pipeline.name, DeadLetterStatus::new(letter, crate::limits::DEAD_LETTER_SHOWN_BYTES_MAX));
        }
    }
    Ok(DONE)
}

fn show(plan: &Plan, pipeline: Option<&str>, id: u64) -> Result<u8, Refused> {
    let name = &one_pipeline(plan, pipeline)?.name;
    let filter = LetterFilter { ids: vec![id], ..LetterFilter::default() };
    let state = Store::open_read_only(&plan.state.dir)?.existing_pipeline(name)?;
    let letter = state.map(|state| state.dead_letters(&filter, 1)).transpose()?.and_then(|mut letters| letters.pop());
    let Some(letter) = letter else { return Err(Refused::Failed(format!("pipeline {name} has no dead letter {id}"))) };
    print(name, DeadLetterStatus::new(letter, usize::MAX));
    Ok(DONE)
}

fn print(pipeline: &str, letter: DeadLetterStatus) {
    let mut line = json!({ "pipeline": pipeline });
    if let (Some(line), Ok(serde_json::Value::Object(letter))) = (line.as_object_mut(), serde_json::to_value(letter)) {
        line.extend(letter);
    }
    say(line);
}

/// What is done to the letters that are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Replay,
    Drop,
}

async fn change(plan: &Plan, change: Change, which: &Which, all: bool) -> Result<u8, Refused> {
    let (pipeline, filter) = (one_pipeline(plan, which.pipeline.as_deref())?, which.filter());
    if (filter == LetterFilter::default()) != all {
        return Err(Refused::Wrong("say which dead letters: their numbers, a filter such as --table, or else --all".to_owned()));
    }
    // Nothing is made where there is no state.
    drop(Store::open_read_only(&plan.state.dir)?);
    match Store::open(&plan.state, &Clock::system()) {
        Ok(store) => changed_here(&store, pipeline, change, &filter),
        Err(StateError::InUse(_)) => changed_there(plan, pipeline, change, &filter).await,
        Err(error) => Err(error.into()),
    }
}

fn changed_here(store: &Store, pipeline: &PipelinePlan, change: Change, filter: &LetterFilter) -> Result<u8, Refused> {
    let state = store.pipeline(&pipeline.name, &pipeline.decode.version_unit())?;
    say(match change {
        Change::Replay => json!({ "waiting": state.mark_replays(filter)?.ids.len() }),
        Change::Drop => json!({ "dropped": state.drop_dead_letters(filter)? }),
    });
    if change == Change::Replay {
        eprintln!("rowmill: nothing runs on this state: they are replayed as soon as pipeline {} does", pipeline.name);
    }
    store.sync()?;
    Ok(DONE)
}

async fn changed_there(plan: &Plan, pipeline: &PipelinePlan, change: Change, filter: &LetterFilter) -> Result<u8, Refused> {
    let (method, path) = match change {
        Change::Replay => ("POST", "/replay"),
        Change::Drop => ("DELETE", ""),
    };
    let path = format!("/admin/pipelines/{}/dead-letters{path}?{}", pipeline.name, query(filter));
    let answer = running::ask(&plan.server, method, &path).await.map_err(Refused::Failed)?;
    say(&answer);
    if answer.get("dead_again").and_then(serde_json::Value::as_u64).is_some_and(|dead| dead > 0) {
        eprintln!("rowmill: some died again: `rowmill dead CONFIG list` tells why");
        return Ok(FAILED);
    }
    Ok(DONE)
}

fn query(filter: &LetterFilter) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let ids: Vec<String> = filter.ids.iter().map(u64::to_string).collect();
    let ids = (!ids.is_empty()).then(|| ids.join(","));
    let LetterFilter { stage, table, key, topic, reason, .. } = filter;
    for (name, value) in [("id", &ids), ("stage", stage), ("table", table), ("key", key), ("topic", topic), ("reason", reason)] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    match query.finish() {
        query if query.is_empty() => "all=true".to_owned(),
        query => query,
    }
}

fn one_pipeline<'p>(plan: &'p Plan, name: Option<&str>) -> Result<&'p PipelinePlan, Refused> {
    let names: Vec<&str> = plan.pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
    let mut pipelines = plan.pipelines.iter().map(|pipeline| &**pipeline);
    let found = match name {
        Some(name) => pipelines.find(|pipeline| pipeline.name == name),
        None => pipelines.next().filter(|_| plan.pipelines.len() == 1),
    };
    found.ok_or_else(|| Refused::Wrong(format!("say which pipeline: --pipeline with one of {}", names.join(", "))))
}
