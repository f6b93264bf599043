//! The real loop under seeded misfortune, against a model: at the end the index is the source.
//!
//! One seed decides everything: what the database does, how its changes lie in the partitions (repeats of old stretches
//! included), how the sink fails (before applying, after applying, in part, busy, refusing whole requests), when the process
//! dies, and whether its state comes back, comes back older, or is lost. Time is tokio's paused clock.
//!
//! `ROWMILL_SIM_SEEDS=FROM..TO cargo test --lib simulation` runs others; a failing seed says how to repeat it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::BatchSettings;
use crate::error::Failure;
use crate::event::{Action, Lane, Message, Origin, Write};
use crate::metrics::Metrics;
use crate::pipeline::deliver::Deliverer;
use crate::pipeline::document::IndexNames;
use crate::pipeline::metrics::PipelineMetrics;
use crate::pipeline::process::Processor;
use crate::pipeline::progress::Progress;
use crate::pipeline::runner::{Control, Ended, Positions, Runner};
use crate::sink::{Sink, Verdict, WriteError};
use crate::source::decode::Decoder;
use crate::source::decode::settings::{DecodeSettings, Format, VersionFrom};
use crate::source::{Arrival, Source, StoredPositions};
use crate::state::settings::{Keep, StateSettings};
use crate::state::{LetterFilter, PipelineState, Store};
use crate::transform::Transformer;

const KEYS: u64 = 6;
const PARTITIONS: usize = 2;
const SEEDS: Range<u64> = 0..150;
const MISSING: &str = "__debezium_unavailable_value";

type Chance = Arc<Mutex<StdRng>>;

/// What the database has done: its rows now, and its log as the partitions hold it.
struct Database {
    rows: BTreeMap<u64, Value>,
    partitions: Vec<Vec<Message>>,
    lsn: u64,
}

impl Database {
    fn new() -> Self {
        Self { rows: BTreeMap::new(), partitions: vec![Vec::new(); PARTITIONS], lsn: 1_000 }
    }

    /// One change of one row, or a row that moves to another key, or an emptied table.
    fn change(&mut self, chance: &mut StdRng, keeps_rows: bool) {
        self.lsn += chance.random_range(1..100);
        let id = chance.random_range(0..KEYS);
        let now = self.rows.get(&id).cloned();
        match now {
            None => {
                let row = json!({"id": id, "n": self.lsn, "long": format!("L{}", self.lsn)});
                self.put(id, "c", &row, &[]);
                self.rows.insert(id, row);
            }
            Some(_) if chance.random_bool(0.2) => {
                self.put(id, "d", &json!({"id": id}), &[]);
                self.tombstone(id);
                self.rows.remove(&id);
            }
            Some(row) if keeps_rows && chance.random_bool(0.15) => self.relocate(id, row, chance),
            Some(mut row) => {
                row["n"] = json!(if chance.random_bool(0.2) { row["n"].as_u64().unwrap() } else { self.lsn });
                let mut sent = row.clone();
                if keeps_rows && chance.random_bool(0.4) {
                    sent["long"] = json!(MISSING);
                } else {
                    row["long"] = json!(format!("L{}", self.lsn));
                    sent = row.clone();
                }
                self.put(id, "u", &sent, &[]);
                self.rows.insert(id, row);
            }
        }
        if chance.random_bool(0.01) {
            self.truncate(chance);
        }
    }

    fn relocate(&mut self, from: u64, mut row: Value, chance: &mut StdRng) {
        let to = chance.random_range(0..KEYS);
        if self.rows.contains_key(&to) {
            return;
        }
        self.put(from, "d", &json!({"id": from}), &[("__debezium.newkey", json!({"id": to}))]);
        self.tombstone(from);
        row["id"] = json!(to);
        let mut sent = row.clone();
        sent["long"] = json!(MISSING);
        self.put(to, "c", &sent, &[("__debezium.oldkey", json!({"id": from}))]);
        self.rows.remove(&from);
        self.rows.insert(to, row);
    }

    fn truncate(&mut self, chance: &mut StdRng) {
        self.lsn += 1;
        let partition = chance.random_range(0..PARTITIONS);
        let envelope = self.envelope("t", &Value::Null);
        self.append(partition, None, Some(envelope), &[]);
        self.rows.clear();
    }

    /// A connector that starts again repeats a stretch of its log at the end of a partition.
    fn repeat(&mut self, chance: &mut StdRng) {
        let partition = chance.random_range(0..PARTITIONS);
        let log = &self.partitions[partition];
        if log.is_empty() {
            return;
        }
        let start = chance.random_range(0..log.len());
        // A delete and its tombstone are one change to a connector: it repeats both.
        let start = if log[start].value.is_none() { start - 1 } else { start };
        let end = (start + chance.random_range(1..8)).min(log.len());
        let repeated: Vec<Message> = log[start..end].to_vec();
        for message in repeated {
            let headers: Vec<(Box<str>, Option<Bytes>)> = message.headers.clone();
            let place = self.partitions[partition].len() as u64;
            self.partitions[partition].push(Message { position: place + 1, headers, ..message });
        }
    }

    fn put(&mut self, id: u64, operation: &str, row: &Value, headers: &[(&str, Value)]) {
        let envelope = self.envelope(operation, row);
        self.append(id as usize % PARTITIONS, Some(id), Some(envelope), headers);
    }

    fn tombstone(&mut self, id: u64) {
        self.append(id as usize % PARTITIONS, Some(id), None, &[]);
    }

    fn envelope(&self, operation: &str, row: &Value) -> Value {
        let (before, after) = if operation == "d" { (row, &Value::Null) } else { (&Value::Null, row) };
        let sequence = json!([(self.lsn - 1).to_string(), self.lsn.to_string()]).to_string();
        json!({
            "before": before, "after": after, "op": operation, "ts_ms": 1,
            "source": {"connector": "postgresql", "name": "s", "schema": "public", "table": "t", "lsn": self.lsn, "ts_ms": 1,
                       "snapshot": "false", "sequence": sequence},
        })
    }

    fn append(&mut self, partition: usize, id: Option<u64>, envelope: Option<Value>, headers: &[(&str, Value)]) {
        let log = &mut self.partitions[partition];
        let offset = log.len() as u64;
        log.push(Message {
            lane: format!("s.public.t/{partition}").into(),
            position: offset + 1,
            origin: Origin { topic: "s.public.t".into(), partition: partition as i32, offset },
            timestamp_ms: 1,
            key: id.map(|id| Bytes::from(json!({"id": id}).to_string())),
            value: envelope.map(|envelope| Bytes::from(envelope.to_string())),
            headers: headers.iter().map(|(name, value)| ((*name).into(), Some(Bytes::from(value.to_string())))).collect(),
        });
    }
}

/// The partitions read from the stored positions, in stretches by chance.
struct SimSource {
    lanes: Vec<VecDeque<Message>>,
    chance: Chance,
    settled: Arc<Mutex<Vec<(Lane, u64)>>>,
}

#[async_trait]
impl Source for SimSource {
    async fn next(&mut self) -> Result<Arrival, Failure> {
        let (lane, count, pause) = {
            let mut chance = self.chance.lock().unwrap();
            (chance.random_range(0..PARTITIONS), chance.random_range(1..6), chance.random_range(0..20))
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let lane = if self.lanes[lane].is_empty() { (lane + 1) % PARTITIONS } else { lane };
        let count = self.lanes[lane].len().min(count);
        let messages: Vec<Message> = self.lanes[lane].drain(..count).collect();
        Ok(if messages.is_empty() { Arrival::Finished } else { Arrival::Messages(messages) })
    }

    fn settle(&self, positions: &[(Lane, u64)]) {
        *self.settled.lock().unwrap() = positions.to_vec();
    }

    async fn ends(&self) -> Result<Vec<(Lane, u64)>, Failure> {
        Ok(Vec::new())
    }

    fn newest(&self) -> Vec<(Lane, u64)> {
        Vec::new()
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

/// An index that applies what is newer, late, in part, or while it says that it did not.
struct SimSink {
    documents: Mutex<BTreeMap<String, (u64, Option<String>)>>,
    chance: Chance,
    failing: Mutex<bool>,
}

impl SimSink {
    fn apply(&self, write: &Write) -> Verdict {
        let mut documents = self.documents.lock().unwrap();
        let known = documents.get(&*write.id).map(|(version, _)| *version);
        if known.is_some_and(|known| known >= write.version.0) {
            return Verdict::Stale;
        }
        let body = match &write.action {
            Action::Index(body) => Some(body.to_string()),
            Action::Delete | Action::Emit(_) => None,
        };
        documents.insert(write.id.to_string(), (write.version.0, body));
        Verdict::Stored
    }
}

#[async_trait]
impl Sink for SimSink {
    async fn prepare(&self, _indexes: &[Arc<str>]) -> Result<(), Failure> {
        Ok(())
    }

    async fn write(&self, writes: &[Write]) -> Result<Vec<Verdict>, WriteError> {
        let (before, after, fate) = {
            let mut chance = self.chance.lock().unwrap();
            (chance.random_range(0..50), chance.random_range(0..50), chance.random_range(0..100))
        };
        tokio::time::sleep(Duration::from_millis(before)).await;
        let fate = if *self.failing.lock().unwrap() { fate } else { 99 };
        let down = || WriteError::Unavailable { reason: "simulated", message: "simulated".to_owned(), after: None };
        match fate {
            0..8 => return Err(down()),
            8..14 => return Err(WriteError::Overloaded { message: "simulated".to_owned(), after: None }),
            14..20 if writes.len() > 1 => return Err(WriteError::Split { message: "simulated".to_owned() }),
            _ => {}
        }
        let applied = writes.iter().map(|write| {
            let is_put_off = (20..30).contains(&fate) && self.chance.lock().unwrap().random_bool(0.5);
            if is_put_off { Verdict::Retry("simulated") } else { self.apply(write) }
        });
        let verdicts = applied.collect();
        tokio::time::sleep(Duration::from_millis(after)).await;
        if (30..38).contains(&fate) { Err(down()) } else { Ok(verdicts) }
    }

    fn requests_in_flight(&self) -> usize {
        3
    }
}

/// Everything of one seed.
struct Simulation {
    database: Database,
    sink: Arc<SimSink>,
    chance: Chance,
    settled: Arc<Mutex<Vec<(Lane, u64)>>>,
    keep: Keep,
    dir: tempfile::TempDir,
    generation: u32,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let chance: Chance = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        let keep = if seed.is_multiple_of(2) { Keep::Rows } else { Keep::Versions };
        let sink = Arc::new(SimSink { documents: Mutex::default(), chance: chance.clone(), failing: Mutex::new(true) });
        // In memory where there is such a folder: a seed opens the state many times.
        let shared = Path::new("/dev/shm");
        let dir = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
        Self { database: Database::new(), sink, chance, settled: Arc::default(), keep, dir: dir.unwrap(), generation: 0 }
    }

    fn state_dir(&self) -> PathBuf {
        self.dir.path().join(format!("state-{}", self.generation))
    }

    fn state(&self) -> PipelineState {
        let settings =
            StateSettings { dir: self.state_dir(), tombstone_retention: Duration::from_secs(86_400 * 365 * 100), cache_bytes: 4_096 };
        Store::open(&settings, &Clock::system()).unwrap().pipeline("sim", "auto").unwrap()
    }

    /// The database works on while nobody reads; now and then its connector repeats itself.
    fn work(&mut self) {
        let mut chance = self.chance.lock().unwrap();
        for _ in 0..chance.random_range(5..60) {
            self.database.change(&mut chance, self.keep == Keep::Rows);
            if chance.random_bool(0.05) {
                self.database.repeat(&mut chance);
            }
        }
    }

    /// One life of the process: to the end of the partitions, or until it dies.
    async fn live(&mut self, dies: bool) {
        let state = self.state();
        let positions = Arc::new(Positions::new(state.positions().unwrap()));
        let lanes = self.database.partitions.iter().map(|log| {
            let from = log.first().and_then(|message| positions.position(&message.lane)).unwrap_or(0);
            log.iter().filter(|message| message.position > from).cloned().collect()
        });
        let source = SimSource { lanes: lanes.collect(), chance: self.chance.clone(), settled: self.settled.clone() };
        let (seed, batch, life) = {
            let mut chance = self.chance.lock().unwrap();
            let batch = BatchSettings {
                max_documents: chance.random_range(1..9),
                max_bytes: 1 << 20,
                max_wait: Duration::from_millis(chance.random_range(0..2) * 30),
            };
            (chance.random::<u64>(), batch, Duration::from_millis(chance.random_range(0..1_500)))
        };
        let clock = Clock::simulated(seed, 1_790_000_000_000);
        let metrics = PipelineMetrics::declare(&Metrics::detached());
        let progress = Arc::new(Progress::new(clock.clone()));
        let processor = Processor {
            state,
            transformer: Transformer::Row,
            recent: Arc::default(),
            indexes: IndexNames::new(Some("t")),
            keep: self.keep,
            wants_before: false,
            clock: clock.clone(),
            metrics: metrics.clone(),
            next_batch: 1,
        };
        let (_control, control) = watch::channel(Control::default());
        let runner = Runner {
            source: Box::new(source),
            decoder: Decoder::new(DecodeSettings { format: Format::Debezium, version: VersionFrom::Auto }),
            processor,
            deliverer: Deliverer::new(self.sink.clone(), batch.clone(), clock.clone(), metrics.clone(), progress.clone()),
            courier: None,
            positions,
            batch,
            batches_in_flight: 3,
            clock,
            metrics,
            progress,
            control,
            swaps: tokio::sync::mpsc::channel(1).1,
            restarts: 0,
            ends: None,
        };
        if dies {
            let _ = tokio::time::timeout(life, runner.run()).await;
        } else {
            assert_eq!(runner.run().await, Ok(Ended::CaughtUp));
        }
    }

    /// What was settled is in the state: nothing is forgotten that the source may forget.
    fn check_settled(&self) {
        let stored: BTreeMap<Lane, u64> =
            self.state().positions().unwrap().into_iter().map(|(lane, record)| (lane, record.position)).collect();
        for (lane, settled) in self.settled.lock().unwrap().iter() {
            assert!(stored.get(lane).is_some_and(|stored| stored >= settled), "{lane}: settled {settled}, stored {stored:?}");
        }
    }

    /// The state after a death: as it was, older, or lost.
    fn fate_of_state(&mut self, backup: &mut Option<PathBuf>) {
        let fate = self.chance.lock().unwrap().random_range(0..20);
        match (fate, backup.clone()) {
            (0, _) => self.generation += 1,
            (1, Some(older)) => {
                self.generation += 1;
                copy(&older, &self.state_dir());
            }
            (2..6, _) => {
                let copied = self.dir.path().join(format!("backup-{}-{fate}", self.generation));
                let _ = std::fs::remove_dir_all(&copied);
                copy(&self.state_dir(), &copied);
                *backup = Some(copied);
            }
            _ => return,
        }
        self.settled.lock().unwrap().clear();
    }

    fn check_index(&self) {
        let documents = self.sink.documents.lock().unwrap();
        let live: BTreeMap<u64, Value> = documents
            .iter()
            .filter_map(|(id, (_, body))| Some((id.parse().unwrap(), serde_json::from_str(body.as_ref()?).unwrap())))
            .collect();
        assert_eq!(live, self.database.rows, "the index is the source");
        let dead = self.state().dead_letters(&LetterFilter::default(), 10).unwrap();
        assert!(dead.is_empty(), "dead letters without a cause: {dead:?}");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn simulate(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut simulation = Simulation::new(seed);
        let mut backup = None;
        let lives = simulation.chance.lock().unwrap().random_range(1..6);
        for _ in 0..lives {
            simulation.work();
            simulation.live(true).await;
            simulation.check_settled();
            simulation.fate_of_state(&mut backup);
        }
        *simulation.sink.failing.lock().unwrap() = seed.is_multiple_of(3);
        simulation.live(false).await;
        simulation.check_settled();
        simulation.check_index();
    });
}

#[test]
fn the_index_is_the_source_after_any_misfortune() {
    let told = std::env::var("ROWMILL_SIM_SEEDS").ok();
    let seeds = told.map_or(SEEDS, |told| {
        let (from, to) = told.split_once("..").unwrap();
        from.parse().unwrap()..to.parse().unwrap()
    });
    for seed in seeds {
        let ran = std::panic::catch_unwind(|| simulate(seed));
        assert!(ran.is_ok(), "seed {seed} failed: ROWMILL_SIM_SEEDS={seed}..{} cargo test --lib simulation", seed + 1);
    }
}
