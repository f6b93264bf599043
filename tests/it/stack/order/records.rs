//! The records of a topic: what they show of the order in which they came, and sending them again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::Value;

use super::super::topic;

const PLACEHOLDER: &str = "__debezium_unavailable_value";

/// A record as it stands in its topic.
#[derive(Clone, Debug)]
pub struct Record {
    pub partition: u64,
    key: Option<String>,
    value: Option<String>,
    /// Names and values.
    headers: Vec<(String, String)>,
}

/// Headers that differ from one run of a connector to the next; without them fewer `kcat` are needed to send records again.
const CONTEXT: &str = "__debezium.context.";

/// What an envelope says about its place in the log.
#[derive(Clone, Debug)]
struct Told {
    partition: u64,
    key: String,
    operation: String,
    snapshot: String,
    lsn: Option<u64>,
    last_commit: Option<u64>,
    transaction: Option<u64>,
    has_placeholder: bool,
    /// It is the create of a key change, or the delete.
    moved_from: bool,
    moved_to: bool,
}

/// The records of a topic by partition, in their order.
pub fn read(brokers: &str, name: &str) -> BTreeMap<u64, Vec<Record>> {
    let mut lanes: BTreeMap<u64, Vec<Record>> = BTreeMap::new();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    for message in topic(brokers, name) {
        let headers: Vec<String> = message["headers"].as_array().into_iter().flatten().filter_map(text).collect();
        let pairs = headers.chunks(2).filter(|pair| !pair[0].starts_with(CONTEXT));
        let headers = pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        let partition = message["partition"].as_u64().unwrap();
        let record = Record { partition, key: text(&message["key"]), value: text(&message["payload"]), headers };
        lanes.entry(partition).or_default().push(record);
    }
    lanes
}

impl Record {
    /// Whether it is the null that follows a delete. Alone it means something else: the delete was compacted away.
    fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }

    fn told(&self) -> Option<Told> {
        let value: Value = serde_json::from_str(self.value.as_deref()?).unwrap();
        let source = &value["source"];
        let sequence: Vec<Option<String>> = serde_json::from_str(source["sequence"].as_str()?).unwrap();
        Some(Told {
            partition: self.partition,
            key: self.key.clone().unwrap_or_default(),
            operation: value["op"].as_str().unwrap().to_owned(),
            snapshot: source["snapshot"].as_str().unwrap_or("false").to_owned(),
            lsn: source["lsn"].as_u64(),
            last_commit: sequence[0].as_ref().map(|lsn| lsn.parse().unwrap()),
            transaction: source["txId"].as_u64(),
            has_placeholder: value["after"].to_string().contains(PLACEHOLDER),
            moved_from: self.has_header("__debezium.oldkey"),
            moved_to: self.has_header("__debezium.newkey"),
        })
    }

    fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(header, _)| header == name)
    }
}

/// What the records of the topics must show, or this test is not about what it says.
pub const TROUBLES: [&str; 11] = [
    "a key moved to another partition without its long value",
    "a value that was not sent",
    "below its snapshot, and a commit before it",
    "below its snapshot, and no commit before it",
    "below its second snapshot, and no commit before it",
    "below the last commit",
    "deleted and made in one transaction",
    "incremental snapshot",
    "told again",
    "truncate",
    "two changes of a row in one transaction, both below the last commit",
];

/// Which of [`TROUBLES`] the records of a topic show.
pub fn troubles(lanes: &BTreeMap<u64, Vec<Record>>) -> BTreeSet<&'static str> {
    let told = |lane: &'_ Vec<Record>| -> Vec<Told> { lane.iter().filter_map(Record::told).collect() };
    let lanes: Vec<Vec<Told>> = lanes.values().map(told).collect();
    let mut troubles = BTreeSet::new();
    let all = || lanes.iter().flatten();
    for created in all().filter(|told| told.has_placeholder && told.moved_from) {
        let is_other_half = |deleted: &Told| deleted.moved_to && deleted.lsn == created.lsn && deleted.partition != created.partition;
        if all().any(is_other_half) {
            troubles.insert("a key moved to another partition without its long value");
        }
    }
    for lane in &lanes {
        troubles.extend(troubles_of_lane(lane));
    }
    troubles
}

fn troubles_of_lane(lane: &[Told]) -> BTreeSet<&'static str> {
    let mut snapshots = BTreeSet::new();
    let mut seen: BTreeMap<(&str, Option<u64>), Vec<&Told>> = BTreeMap::new();
    let mut troubles = BTreeSet::new();
    for told in lane {
        let mut note = |what, is_so: bool| _ = is_so.then(|| troubles.insert(what));
        note("a value that was not sent", told.has_placeholder);
        note("incremental snapshot", told.snapshot == "incremental");
        note("truncate", told.operation == "t");
        if told.snapshot != "false" {
            snapshots.extend(told.lsn);
            continue;
        }
        let is_below_snapshot = told.lsn < snapshots.last().copied();
        let is_below_last_commit = told.lsn < told.last_commit;
        let is_first = told.last_commit.is_none();
        note("below its snapshot, and no commit before it", is_below_snapshot && is_first && snapshots.len() == 1);
        note("below its second snapshot, and no commit before it", is_below_snapshot && is_first && snapshots.len() == 2);
        note("below its snapshot, and a commit before it", is_below_snapshot && !is_first);
        note("below the last commit", is_below_last_commit);
        let others = seen.entry((&told.key, told.transaction)).or_default();
        let is_again = others.iter().any(|other| (other.lsn, &other.operation) == (told.lsn, &told.operation));
        note("told again", is_again);
        let is_second = !is_again && others.iter().any(|other| other.lsn < told.lsn && other.last_commit == told.last_commit);
        note("two changes of a row in one transaction, both below the last commit", is_second && is_below_last_commit);
        let is_made_anew = told.operation == "c" && others.iter().any(|other| other.operation == "d" && other.lsn < told.lsn);
        note("deleted and made in one transaction", is_made_anew);
        others.push(told);
    }
    troubles
}

/// A choice of records to be sent again: single ones, stretches in their order, and stretches in reverse.
pub fn choice(lanes: &BTreeMap<u64, Vec<Record>>, random: &mut StdRng) -> Vec<Record> {
    let mut chosen = Vec::new();
    for lane in lanes.values() {
        let mut stretch = |longest: usize| {
            let start = random.random_range(0..lane.len());
            &lane[start..(start + random.random_range(1..=longest)).min(lane.len())]
        };
        // A tombstone goes with its delete.
        chosen.extend(stretch(80).iter().skip_while(|record| record.is_tombstone()).cloned());
        chosen.extend(stretch(40).iter().rev().filter(|record| !record.is_tombstone()).cloned());
        for _ in 0..10 {
            chosen.extend(stretch(1).iter().filter(|record| !record.is_tombstone()).cloned());
        }
        // The snapshot, and what came first after it.
        chosen.extend(lane.iter().take(15).filter(|record| !record.is_tombstone()).cloned());
    }
    chosen
}

/// Sends records again: to their partitions, in this order, as they were.
pub fn send(brokers: &str, topic: &str, records: &[Record]) {
    for alike in records.chunk_by(|one, other| (one.partition, &one.headers) == (other.partition, &other.headers)) {
        let mut kcat = Command::new("kcat");
        // An empty value is null.
        kcat.args(["-b", brokers, "-P", "-q", "-t", topic, "-K", "\t", "-Z", "-p", &alike[0].partition.to_string()]);
        for (name, value) in &alike[0].headers {
            kcat.args(["-H", &format!("{name}={value}")]);
        }
        let mut kcat = kcat.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = kcat.stdin.take().unwrap();
        for record in alike {
            writeln!(stdin, "{}\t{}", record.key.as_deref().unwrap_or(""), record.value.as_deref().unwrap_or("")).unwrap();
        }
        drop(stdin);
        assert!(kcat.wait().unwrap().success());
    }
}
