//! Many short lives of one pipeline, each ended by chance: at the end the index is what the events say, and the module has counted each
//! of them once.
//!
//! Chance decides the events (ties within a transaction, repeats, several documents of a row), what the sink does, how
//! batches and lanes fall, and when the loop is dropped in the middle of whatever it does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::faults::named_documents;
use super::{Bench, Fate, MemorySink, Scripted, envelope};
use crate::clock::Clock;
use crate::event::{Change, Message};
use crate::pipeline::control::{Control, Ended};
use crate::sink::WriteError;
use crate::state::Store;
use crate::state::settings::Keep;
use crate::transform::{Outcome, Overlay};

/// Lives of so many seeds; more by hand with `ROWMILL_SEEDS`.
const SEEDS: u64 = 40;
const KEYS: u64 = 5;
const LANES: u64 = 2;
const EVENTS: u64 = 40;
const LIVES: usize = 6;
/// What stands in the bodies that the sink refuses.
const BAD: &str = "\"n\":2";

pub(super) struct Chance(pub Clock);

impl Chance {
    pub fn below(&self, bound: u64) -> u64 {
        (self.0.chance() * bound as f64) as u64
    }

    pub fn one_in(&self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// The documents that a change of a row leaves: what it names, but for bodies that are refused; those stay as they were.
fn apply(documents: &mut BTreeMap<String, String>, id: u64, row: Option<&Value>) {
    let names: Vec<String> = row.and_then(|row| row["documents"].as_array()).into_iter().flatten().map(place).collect();
    documents.retain(|name, _| !name.starts_with(&format!("items/{id}")) || names.contains(name));
    let body = row.map(Value::to_string).unwrap_or_default();
    if !body.contains(BAD) {
        documents.extend(names.into_iter().map(|name| (name, body.clone())));
    }
}

fn place(name: &Value) -> String {
    format!("items/{}", name.as_str().unwrap())
}

/// Puts events into the lanes, and gives the documents there are in the end.
fn events(chance: &Chance, bench: &mut Bench) -> BTreeMap<String, String> {
    let mut documents = BTreeMap::new();
    let mut rows: BTreeMap<u64, Value> = BTreeMap::new();
    let mut sent: Vec<(i32, u64, Value)> = Vec::new();
    let (mut transaction, mut place) = (1, 0);
    for _ in 0..EVENTS {
        (transaction, place) = if chance.one_in(2) { (transaction + 1, 0) } else { (transaction, place + 1) };
        let id = 1 + chance.below(KEYS);
        let names: Vec<String> = ["a", "b", "c"].iter().filter(|_| chance.one_in(2)).map(|name| format!("{id}{name}")).collect();
        let row = json!({"id": id, "documents": names, "n": chance.below(3)});
        let operation = match rows.contains_key(&id) {
            false => "c",
            true if chance.one_in(4) => "d",
            true => "u",
        };
        let mut event = envelope(operation, 1, id, row.clone());
        // Below the end of the last commit, so that only the second part tells the changes of a transaction apart.
        event["source"]["lsn"] = json!(transaction * 1_000 - 500 + place);
        event["source"]["sequence"] = json!(json!([(transaction * 1_000).to_string(), null]).to_string());
        apply(&mut documents, id, (operation != "d").then_some(&row));
        if operation == "d" {
            rows.remove(&id)
        } else {
            rows.insert(id, row)
        };
        let lane = i32::try_from(id % LANES).unwrap();
        sent.push((lane, id, event));
        if chance.one_in(5) {
            sent.push(sent[usize::try_from(chance.below(sent.len() as u64)).unwrap()].clone());
        }
    }
    for (lane, id, event) in sent {
        bench.put(lane, json!({"id": id}), Some(event), &[]);
    }
    documents
}

/// What is left to be read, the lanes mixed by chance and now and then started again.
pub(super) fn arrivals(chance: &Chance, unread: &[Message]) -> Vec<Vec<Message>> {
    let mut lanes: Vec<Vec<Message>> =
        (0..LANES).map(|lane| unread.iter().filter(|message| message.origin.partition as u64 == lane).cloned().collect()).collect();
    let whole = lanes.clone();
    let mut arrivals = Vec::new();
    while lanes.iter().any(|lane| !lane.is_empty()) {
        let lane = usize::try_from(chance.below(LANES)).unwrap();
        let some = lanes[lane].len().min(1 + chance.below(6) as usize);
        let messages: Vec<Message> = lanes[lane].drain(..some).collect();
        if !messages.is_empty() {
            arrivals.push(messages);
        }
        if chance.one_in(20) {
            lanes[lane] = whole[lane].clone();
        }
    }
    arrivals
}

pub(super) fn fate(chance: &Chance) -> Fate {
    let unavailable = || WriteError::Unavailable { reason: "timeout", message: "no answer".to_owned(), after: None };
    match chance.below(20) {
        0..=9 => Fate::Answered,
        10 => Fate::AppliedAndLost,
        11..=13 => Fate::Failed(unavailable()),
        14..=16 => Fate::PutOff(chance.below(3) as usize),
        17 => Fate::Failed(WriteError::Overloaded { message: "busy".to_owned(), after: None }),
        18 => Fate::Failed(WriteError::IndexMissing { index: "items".to_owned() }),
        _ => Fate::Failed(WriteError::Misconfigured { remedy: "change it".to_owned() }),
    }
}

/// Documents as the row names them, by a module that counts: all changes, and each.
fn counted(change: &Change, store: &mut Overlay) -> Outcome {
    store.increment("all", 1)?;
    store.increment(&format!("{}/{}", change.key_id(), change.version.second), 1)?;
    named_documents(change)
}

/// What such a module has counted: all changes, and how many were counted how often.
fn counts(store: &Store) -> (u64, BTreeMap<u64, u64>) {
    let state = store.pipeline("test", "auto").unwrap();
    let number =
        |key: &str| state.values().get(key).unwrap().map_or(0, |value| String::from_utf8(value.to_vec()).unwrap().parse().unwrap());
    let mut each = BTreeMap::new();
    for (_, key) in state.values().keys(0, usize::MAX).unwrap().iter().filter(|(_, key)| key != "all") {
        *each.entry(number(key)).or_default() += 1;
    }
    (number("all"), each)
}

/// One life, by a sink with these fates; none when it was cut off.
pub(super) async fn live(bench: &Bench, store: &Store, arrivals: Vec<Vec<Message>>, life: Duration) -> Option<Ended> {
    let (_control, control) = watch::channel(Control::default());
    let runner = bench.runner(store, Box::new(Scripted::new(arrivals)), control);
    tokio::time::timeout(life, runner.run()).await.ok()?.ok()
}

async fn simulate(seed: u64) {
    let chance = Chance(Clock::simulated(seed, 1_790_000_000_000));
    let keep = if chance.one_in(2) { Keep::Rows } else { Keep::Versions };
    let mut bench = Bench::new(keep, MemorySink { forgets_deletes: chance.one_in(2), refused: Some(BAD), ..MemorySink::default() });
    bench.keeping = Some(counted);
    let expected = events(&chance, &mut bench);
    let mut store = bench.store();
    for _ in 0..LIVES {
        bench.batch_documents = 1 + chance.below(6) as usize;
        *bench.sink.requests.lock().unwrap() = (0..chance.below(40)).map(|_| fate(&chance)).collect();
        let unread = bench.unread(&store);
        live(&bench, &store, arrivals(&chance, &unread), Duration::from_millis(1 + chance.below(5_000))).await;
        if chance.one_in(2) {
            drop(store);
            if chance.one_in(4) {
                bench.dir = tempfile::tempdir().unwrap();
            }
            store = bench.store();
        }
    }
    bench.sink.requests.lock().unwrap().clear();
    let unread = bench.unread(&store);
    let ended = live(&bench, &store, arrivals(&chance, &unread), Duration::from_secs(3600)).await;
    assert_eq!(ended, Some(Ended::CaughtUp), "seed {seed}");
    assert_eq!(bench.sink.bodies(), expected, "seed {seed}");
    assert_eq!(counts(&store), (EVENTS, BTreeMap::from([(1, EVENTS)])), "seed {seed}: every change has counted once");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_and_old_never_wins_in_any_life() {
    let seeds = std::env::var("ROWMILL_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(SEEDS) {
        simulate(seed).await;
    }
}
