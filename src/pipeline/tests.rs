//! The loop against a source and a sink in memory: what holds, by name.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::BatchSettings;
use crate::error::Failure;
use crate::event::{Action, Change, Lane, Message, Origin, Write};
use crate::pipeline::control::{Control, Ended};
use crate::pipeline::courier::Courier;
use crate::pipeline::deliver::Deliverer;
use crate::pipeline::positions::Positions;
use crate::pipeline::runner::Runner;
use crate::sink::{Sink, Verdict, WriteError};
use crate::source::{Arrival, Source};
use crate::state::settings::{Keep, StateSettings};
use crate::state::{DeadLetter, LetterFilter, Store};
use crate::transform::{Outcome, Overlay, Transformer};

mod crashes;
mod faults;
mod keeps;
mod lanes;
mod moves;
pub(super) mod parts;
mod replays;
mod told;

use parts::Parts;

/// A source that gives these arrivals one by one, then waits for ever or ends.
struct Scripted {
    arrivals: VecDeque<Result<Arrival, Failure>>,
    ends: Vec<(Lane, u64)>,
    settled: Arc<Mutex<Vec<(Lane, u64)>>>,
    stays: bool,
}

impl Scripted {
    fn new(arrivals: impl IntoIterator<Item = Vec<Message>>) -> Self {
        let arrivals = arrivals.into_iter().map(|messages| Ok(Arrival::Messages(messages))).collect();
        Self { arrivals, ends: Vec::new(), settled: Arc::default(), stays: false }
    }
}

#[async_trait]
impl Source for Scripted {
    async fn next(&mut self) -> Result<Arrival, Failure> {
        match self.arrivals.pop_front() {
            Some(arrival) => arrival,
            None if self.stays => std::future::pending().await,
            None => Ok(Arrival::Finished),
        }
    }

    fn settle(&self, positions: &[(Lane, u64)]) {
        *self.settled.lock().unwrap() = positions.to_vec();
    }

    async fn ends(&self) -> Result<Vec<(Lane, u64)>, Failure> {
        Ok(self.ends.clone())
    }

    fn newest(&self) -> Vec<(Lane, u64)> {
        self.ends.clone()
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

/// An index in memory that applies only what is newer, and first does what its script says.
#[derive(Default)]
struct MemorySink {
    documents: Mutex<BTreeMap<(String, String), (u64, Option<String>)>>,
    script: Mutex<VecDeque<WriteError>>,
    /// What becomes of each request before its writes are judged one by one; then the script, then all is well.
    requests: Mutex<VecDeque<Fate>>,
    refused: Option<&'static str>,
    refuses_deletes: bool,
    /// As Elasticsearch does after `index.gc_deletes`: a delete leaves no trace.
    forgets_deletes: bool,
    writes: Mutex<usize>,
    /// Indexes it was asked to prepare.
    prepared: Mutex<usize>,
    /// Writes of each request.
    sizes: Mutex<Vec<usize>>,
}

/// What becomes of a request.
enum Fate {
    /// It is answered.
    Answered,
    /// It is applied, and the answer never comes.
    AppliedAndLost,
    /// It fails, and nothing of it is applied.
    Failed(WriteError),
    /// The write at this place is put off, the others are judged.
    PutOff(usize),
}

impl MemorySink {
    /// The documents that are there: `index/id` → version and body.
    fn live(&self) -> BTreeMap<String, (u64, String)> {
        let documents = self.documents.lock().unwrap();
        let live = documents.iter().filter_map(|((index, id), (version, body))| Some((format!("{index}/{id}"), (*version, body.clone()?))));
        live.collect()
    }

    fn bodies(&self) -> BTreeMap<String, String> {
        self.live().into_iter().map(|(id, (_, body))| (id, body)).collect()
    }

    fn apply(&self, write: &Write) -> Verdict {
        *self.writes.lock().unwrap() += 1;
        let body = match &write.action {
            Action::Index(body) | Action::Emit(body) => Some(body.to_string()),
            Action::Delete => None,
        };
        if let (Some(refused), Some(body)) = (self.refused, &body)
            && body.contains(refused)
        {
            return Verdict::Refused("mapper_parsing_exception".to_owned());
        }
        if self.refuses_deletes && body.is_none() {
            return Verdict::Refused("not today".to_owned());
        }
        let mut documents = self.documents.lock().unwrap();
        let place = (write.index.to_string(), write.id.to_string());
        if documents.get(&place).is_some_and(|(version, _)| *version >= write.version.0) {
            return Verdict::Stale;
        }
        if body.is_none() && self.forgets_deletes {
            documents.remove(&place);
        } else {
            documents.insert(place, (write.version.0, body));
        }
        Verdict::Stored
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn prepare(&self, indexes: &[Arc<str>]) -> Result<(), Failure> {
        *self.prepared.lock().unwrap() += indexes.len();
        Ok(())
    }

    async fn write(&self, writes: &[Write]) -> Result<Vec<Verdict>, WriteError> {
        self.sizes.lock().unwrap().push(writes.len());
        if let Some(error) = self.script.lock().unwrap().pop_front() {
            return Err(error);
        }
        let fate = self.requests.lock().unwrap().pop_front().unwrap_or(Fate::Answered);
        let put_off = match fate {
            Fate::Failed(error) => return Err(error),
            Fate::PutOff(place) => Some(place),
            Fate::Answered | Fate::AppliedAndLost => None,
        };
        let judge = |(place, write)| if put_off == Some(place) { Verdict::Retry("429") } else { self.apply(write) };
        let verdicts = writes.iter().enumerate().map(judge).collect();
        if matches!(fate, Fate::AppliedAndLost) {
            std::future::pending::<()>().await;
        }
        Ok(verdicts)
    }

    fn requests_in_flight(&self) -> usize {
        2
    }
}

/// A pipeline with its state in a folder of its own; what it has done stays between runs.
struct Bench {
    dir: tempfile::TempDir,
    keep: Keep,
    sink: Arc<MemorySink>,
    settled: Arc<Mutex<Vec<(Lane, u64)>>>,
    messages: Vec<Message>,
    batch_documents: usize,
    /// What stands for the user's module; none: the row is the document.
    guest: Option<fn(&Change) -> Outcome>,
    /// The same for one that keeps something.
    keeping: Option<fn(&Change, &mut Overlay) -> Outcome>,
    /// Where dead letters go besides the state.
    letters_sink: Option<Arc<MemorySink>>,
}

impl Bench {
    fn new(keep: Keep, sink: MemorySink) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            dir,
            keep,
            sink: Arc::new(sink),
            settled: Arc::default(),
            messages: Vec::new(),
            batch_documents: 3,
            guest: None,
            keeping: None,
            letters_sink: None,
        }
    }

    /// Puts an envelope at the end of a partition.
    fn put(&mut self, partition: i32, key: Value, envelope: Option<Value>, headers: &[(&str, Value)]) {
        let lane: Lane = format!("shop.public.items/{partition}").into();
        let offset = self.messages.iter().filter(|message| message.lane == lane).count() as u64;
        self.messages.push(Message {
            lane,
            position: offset + 1,
            origin: Origin { topic: "shop.public.items".into(), partition, offset },
            timestamp_ms: 1,
            key: (!key.is_null()).then(|| Bytes::from(key.to_string())),
            value: envelope.map(|envelope| Bytes::from(envelope.to_string())),
            headers: headers.iter().map(|(name, value)| ((*name).into(), Some(Bytes::from(value.to_string())))).collect(),
        });
    }

    fn change(&mut self, partition: i32, operation: &str, lsn: u64, id: u64, row: Value) {
        let envelope = envelope(operation, lsn, id, row);
        self.put(partition, json!({"id": id}), Some(envelope), &[]);
    }

    fn store(&self) -> Store {
        let settings =
            StateSettings { dir: self.dir.path().join("state"), tombstone_retention: Duration::from_secs(3600), cache_bytes: 1 << 20 };
        Store::open(&settings, &Clock::system()).unwrap()
    }

    /// Runs to the end of the source, from where the state stands.
    async fn run(&self) -> Result<Ended, Failure> {
        let store = self.store();
        let (_control, control) = watch::channel(Control::default());
        self.runner(&store, self.source(&store), control).run().await
    }

    /// What is still to be read, two messages at a time, so that a run has several batches.
    fn source(&self, store: &Store) -> Box<dyn Source> {
        let unread = self.unread(store);
        Box::new(Scripted { settled: self.settled.clone(), ..Scripted::new(unread.chunks(2).map(<[Message]>::to_vec)) })
    }

    /// The messages behind the stored positions.
    fn unread(&self, store: &Store) -> Vec<Message> {
        let positions = Positions::new(store.pipeline("test", "auto").unwrap().positions().unwrap());
        let from = |lane: &str| crate::source::StoredPositions::position(&positions, lane).unwrap_or(0);
        self.messages.iter().filter(|message| message.position > from(&message.lane)).cloned().collect()
    }

    /// A loop that is ready to run.
    fn runner(&self, store: &Store, source: Box<dyn Source>, control: watch::Receiver<Control>) -> Runner {
        let state = store.pipeline("test", "auto").unwrap();
        let parts = Parts {
            source,
            sink: self.sink.clone(),
            positions: Arc::new(Positions::new(state.positions().unwrap())),
            state,
            transformer: match (self.keeping, self.guest) {
                (Some(keeping), _) => Transformer::Keeping(keeping),
                (None, guest) => guest.map_or(Transformer::Row, Transformer::Function),
            },
            windows: None,
            index: "items",
            keep: self.keep,
            batch: BatchSettings { max_documents: self.batch_documents, max_bytes: 1 << 20, max_wait: Duration::ZERO },
            batches_in_flight: 2,
            clock: Clock::simulated(1, 1_790_000_000_000),
            control,
        };
        let mut runner = parts.runner();
        runner.courier = self.letters_sink.as_ref().map(|sink| {
            let (metrics, progress) = (runner.metrics.beside(), runner.progress.clone());
            let deliverer = Deliverer::new(sink.clone(), runner.batch.clone(), runner.clock.clone(), metrics, progress);
            Courier::new(deliverer, "letters", "test", true)
        });
        runner
    }

    fn dead(&self) -> Vec<DeadLetter> {
        self.store().pipeline("test", "auto").unwrap().dead_letters(&LetterFilter::default(), 100).unwrap()
    }
}

fn envelope(operation: &str, lsn: u64, id: u64, row: Value) -> Value {
    let (before, after) = if operation == "d" { (json!({"id": id}), Value::Null) } else { (Value::Null, row) };
    json!({
        "before": before, "after": after, "op": operation, "ts_ms": 5,
        "source": {"connector": "postgresql", "name": "shop", "schema": "public", "table": "items", "lsn": lsn, "ts_ms": 4,
                   "snapshot": "false", "sequence": json!([(lsn - 1).to_string(), lsn.to_string()]).to_string()},
    })
}

fn row(id: u64, name: &str) -> Value {
    json!({"id": id, "name": name})
}

#[tokio::test(start_paused = true)]
async fn old_never_wins_after_a_newer_one_a_delete_and_a_restart() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    bench.change(0, "c", 100, 1, row(1, "first"));
    bench.change(0, "u", 200, 1, row(1, "second"));
    bench.change(0, "u", 150, 1, row(1, "late"));
    bench.change(0, "c", 100, 2, row(2, "gone"));
    bench.change(0, "d", 300, 2, Value::Null);
    bench.change(0, "u", 250, 2, row(2, "risen"));
    assert_eq!(bench.run().await, Ok(Ended::CaughtUp));
    let expected = BTreeMap::from([("items/1".to_owned(), (200 << 8, row(1, "second").to_string()))]);
    assert_eq!(bench.sink.live(), expected);
    bench.change(0, "u", 160, 1, row(1, "late again"));
    bench.change(0, "u", 260, 2, row(2, "risen again"));
    assert_eq!(bench.run().await, Ok(Ended::CaughtUp));
    assert_eq!(bench.sink.live(), expected, "after a restart");
}

#[tokio::test(start_paused = true)]
async fn settles_only_after_durable_and_goes_on_there() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    for id in 1..=5 {
        bench.change(0, "c", 100 + id, id, row(id, "x"));
    }
    assert_eq!(bench.run().await, Ok(Ended::CaughtUp));
    assert_eq!(*bench.settled.lock().unwrap(), vec![(Lane::from("shop.public.items/0"), 5)]);
    let written = *bench.sink.writes.lock().unwrap();
    assert_eq!(bench.run().await, Ok(Ended::CaughtUp));
    assert_eq!(*bench.sink.writes.lock().unwrap(), written, "nothing is read twice");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_write_is_harmless_also_after_the_state_was_lost() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    bench.change(0, "c", 100, 1, row(1, "a"));
    bench.change(0, "u", 100, 1, row(1, "tie is older"));
    bench.change(0, "u", 200, 1, row(1, "b"));
    bench.change(0, "d", 300, 2, Value::Null);
    bench.run().await.unwrap();
    let before = bench.sink.live();
    bench.dir = tempfile::tempdir().unwrap();
    bench.run().await.unwrap();
    assert_eq!(bench.sink.live(), before);
    assert!(bench.dead().is_empty(), "a repeated write is harmless: what is stale is no dead letter");
    bench.change(0, "u", 201, 1, row(1, "c"));
    bench.run().await.unwrap();
    assert_eq!(bench.sink.live()["items/1"], (201 << 8, row(1, "c").to_string()));
}

#[tokio::test(start_paused = true)]
async fn one_bad_event_never_stops_the_rest() {
    let mut bench = Bench::new(Keep::Versions, MemorySink { refused: Some("bad"), ..MemorySink::default() });
    bench.change(0, "c", 100, 1, row(1, "good"));
    bench.put(0, json!({"id": 9}), Some(json!("no row")), &[]);
    bench.change(0, "c", 101, 2, row(2, "bad"));
    bench.put(0, json!({"id": 8}), Some(envelope("c", 102, 7, row(7, "mismatch"))), &[]);
    bench.change(0, "c", 103, 3, row(3, "good too"));
    assert_eq!(bench.run().await, Ok(Ended::CaughtUp));
    assert_eq!(bench.sink.bodies().keys().collect::<Vec<_>>(), ["items/1", "items/3"]);
    let dead: Vec<(String, u64, Option<String>)> = bench.dead().into_iter().rev().map(|d| (d.stage, d.origin.2, d.key)).collect();
    assert_eq!(dead.len(), 3, "{dead:?}");
    assert!(dead.contains(&("sink".to_owned(), 2, Some("2".to_owned()))), "{dead:?}");
    assert!(dead.contains(&("decode".to_owned(), 3, Some("8".to_owned()))), "{dead:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_body_is_tried_again_when_it_comes_again() {
    let mut bench = Bench::new(Keep::Versions, MemorySink { refused: Some("bad"), ..MemorySink::default() });
    bench.change(0, "c", 100, 1, row(1, "bad"));
    bench.run().await.unwrap();
    bench.sink = Arc::new(MemorySink::default());
    bench.change(0, "u", 200, 1, row(1, "bad"));
    bench.run().await.unwrap();
    assert_eq!(bench.sink.bodies()["items/1"], row(1, "bad").to_string());
}

#[tokio::test(start_paused = true)]
async fn no_needless_writes_of_a_document_that_did_not_change() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    for lsn in [100, 200, 300] {
        bench.change(0, "u", lsn, 1, row(1, "same"));
    }
    bench.run().await.unwrap();
    assert_eq!(*bench.sink.writes.lock().unwrap(), 1);
    assert_eq!(bench.sink.live()["items/1"].0, 100 << 8);
}

#[tokio::test(start_paused = true)]
async fn what_is_down_is_waited_for_and_what_is_refused_whole_is_taken_apart() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    let down = || WriteError::Unavailable { reason: "unreachable", message: "connection refused".to_owned(), after: None };
    let busy = || WriteError::Overloaded { message: "busy".to_owned(), after: Some(Duration::from_secs(60)) };
    let whole = || WriteError::Split { message: "too large".to_owned() };
    *bench.sink.script.lock().unwrap() = VecDeque::from([down(), down(), busy(), whole(), down(), whole()]);
    for id in 1..=3 {
        bench.change(0, "c", 100 + id, id, row(id, "x"));
    }
    assert_eq!(bench.run().await, Ok(Ended::CaughtUp));
    let refused = bench.dead().len();
    assert_eq!(bench.sink.bodies().len() + refused, 3, "every document is stored or a dead letter");
    assert!(refused <= 1, "at most the one that stood alone");
}

#[tokio::test(start_paused = true)]
async fn a_truncate_deletes_what_the_table_produced() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    for id in 1..=5 {
        bench.change(0, "c", 100 + id, id, row(id, "x"));
    }
    bench.put(1, Value::Null, Some(envelope("t", 200, 0, Value::Null)), &[]);
    bench.change(0, "c", 150, 6, row(6, "from before, read late"));
    bench.change(0, "c", 300, 7, row(7, "after"));
    bench.run().await.unwrap();
    assert_eq!(bench.sink.bodies().keys().collect::<Vec<_>>(), ["items/7"]);
}

#[tokio::test(start_paused = true)]
async fn a_lone_tombstone_deletes_and_the_one_after_a_delete_does_not() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    bench.change(0, "c", 100, 1, row(1, "kept"));
    bench.change(0, "c", 100, 2, row(2, "compacted away"));
    bench.put(0, json!({"id": 2}), None, &[]);
    bench.change(0, "d", 50, 1, Value::Null);
    bench.put(0, json!({"id": 1}), None, &[]);
    bench.run().await.unwrap();
    assert_eq!(bench.sink.bodies().keys().collect::<Vec<_>>(), ["items/1"]);
}

const MISSING: &str = "__debezium_unavailable_value";

/// Both halves of a key change in either order, in different partitions.
fn moved(delete_first: bool) -> Bench {
    let mut bench = Bench::new(Keep::Rows, MemorySink::default());
    let long = |id: u64, name: &str, text: &str| json!({"id": id, "name": name, "text": text});
    bench.change(0, "c", 100, 1, long(1, "a", "old"));
    let (from, to) = (json!({"id": 1}), json!({"id": 2}));
    let create = (1, to.clone(), envelope("c", 300, 2, long(2, "b", MISSING)), vec![("__debezium.oldkey", from.clone())]);
    let delete = (0, from, envelope("d", 300, 1, Value::Null), vec![("__debezium.newkey", to)]);
    let update = (0, json!({"id": 1}), envelope("u", 200, 1, long(1, "a", "new")), vec![]);
    let order = if delete_first { [update, delete, create] } else { [create, update, delete] };
    for (partition, key, envelope, headers) in order {
        bench.put(partition, key, Some(envelope), &headers);
    }
    bench
}

#[tokio::test(start_paused = true)]
async fn a_moved_row_takes_its_out_of_line_values_along_whichever_half_comes_first() {
    for delete_first in [true, false] {
        let bench = moved(delete_first);
        bench.run().await.unwrap();
        let bodies = bench.sink.bodies();
        let texts: Vec<(&String, Value)> =
            bodies.iter().map(|(id, body)| (id, serde_json::from_str::<Value>(body).unwrap()["text"].clone())).collect();
        assert_eq!(texts, [(&"items/2".to_owned(), json!("new"))], "delete first: {delete_first}");
    }
}

#[tokio::test(start_paused = true)]
async fn out_of_line_values_are_filled_in_and_a_value_set_meanwhile_stays() {
    let mut bench = moved(false);
    // The row sets its own value before the old half is read: that is the last word.
    let own = envelope("u", 400, 2, json!({"id": 2, "name": "c", "text": "own"}));
    let late = bench.messages.split_off(2);
    bench.put(1, json!({"id": 2}), Some(own), &[]);
    bench.messages.extend(late);
    bench.change(1, "u", 500, 2, json!({"id": 2, "name": "d", "text": MISSING}));
    bench.run().await.unwrap();
    assert_eq!(bench.sink.bodies()["items/2"], json!({"id": 2, "name": "d", "text": "own"}).to_string());
}
