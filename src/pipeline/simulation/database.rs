//! A table, what was done to it, and what Debezium tells of that in a topic of two partitions.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::event::{Message, Origin, Version};

/// Rows have the ids below this.
pub const IDS: u64 = 6;
pub const PARTITIONS: usize = 2;
const TOPIC: &str = "s.public.t";
const MISSING: &str = "__debezium_unavailable_value";

/// The table and its history.
pub struct Database {
    rows: BTreeMap<u64, Value>,
    /// Everything that was done, in the order of commits.
    pub history: Vec<Step>,
    /// The partitions.
    pub log: Vec<Vec<Entry>>,
    /// Values that are left alone are not sent (the pipeline keeps rows).
    omits_values: bool,
    /// Rows that were moved here and have not set their out-of-line value since.
    borrowed: BTreeSet<u64>,
    /// Rows that a truncate took and that have not come back.
    truncated: BTreeSet<u64>,
    serial: u64,
    commit_end: u64,
    lsn: u64,
}

/// One thing that was done to the table.
#[derive(Clone, Debug)]
pub struct Step {
    pub version: Version,
    /// The partition that tells of it, and where that stands afterwards.
    pub partition: usize,
    pub position: u64,
    pub done: Done,
}

/// What was done.
#[derive(Clone, Debug)]
pub enum Done {
    Put(u64, Value),
    Delete(u64),
    Truncate,
}

/// A place in a partition: a message, or a record that only the source understands.
#[derive(Clone)]
pub enum Entry {
    Message(Message),
    Marker(u64),
}

impl Entry {
    pub fn position(&self) -> u64 {
        match self {
            Entry::Message(message) => message.position,
            Entry::Marker(position) => *position,
        }
    }
}

pub fn lane(partition: usize) -> String {
    format!("{TOPIC}/{partition}")
}

impl Database {
    pub fn new(omits_values: bool) -> Self {
        Self {
            rows: BTreeMap::new(),
            history: Vec::new(),
            log: vec![Vec::new(); PARTITIONS],
            omits_values,
            borrowed: BTreeSet::new(),
            truncated: BTreeSet::new(),
            serial: 0,
            commit_end: 1_000,
            lsn: 1_000,
        }
    }

    /// A transaction; now and then something else in the topic.
    pub fn work(&mut self, chance: &mut StdRng) {
        self.begin(chance.random_bool(0.4));
        for _ in 0..if chance.random_bool(0.3) { chance.random_range(2..6) } else { 1 } {
            self.lsn += 1;
            self.change(chance);
        }
        self.commit_end = self.commit_end.max(self.lsn) + chance.random_range(10..100);
        match chance.random_range(0..100) {
            0..5 => self.repeat(chance),
            5..7 => {
                let partition = chance.random_range(0..PARTITIONS);
                self.append(partition, Some(0), Some(Bytes::from_static(b"rubbish")), &[]);
            }
            7..9 => {
                let log = &mut self.log[chance.random_range(0..PARTITIONS)];
                log.push(Entry::Marker(log.len() as u64 + 1));
            }
            _ => {}
        }
    }

    /// A transaction that was open while another one committed has LSNs below the end of that one: its changes tie in the
    /// first part of their versions.
    fn begin(&mut self, is_interleaved: bool) {
        self.lsn = if is_interleaved { self.commit_end - 9 } else { self.commit_end };
    }

    fn version(&self) -> Version {
        Version::new(self.commit_end.max(self.lsn), self.lsn)
    }

    fn change(&mut self, chance: &mut StdRng) {
        let id = chance.random_range(0..IDS);
        match (self.rows.get(&id).cloned(), chance.random_range(0..100)) {
            (_, 0..1) => self.truncate(chance),
            (None, _) => {
                // See `model`.
                let may_be_bad = !self.truncated.remove(&id);
                let row = self.fresh(id, may_be_bad, chance);
                self.put(id, "c", row.clone(), row, &[]);
            }
            (Some(_), 1..20) => self.delete(id, &[]),
            (Some(row), 20..34) => self.relocate(id, row, chance),
            // An update in vain. Not in a tie: see `model`.
            (Some(row), 34..44) if self.lsn > self.commit_end => self.update(id, row.clone(), row, chance),
            (Some(row), _) => {
                let mut new = self.fresh(id, !self.borrowed.contains(&id), chance);
                if self.omits_values && chance.random_bool(0.6) {
                    new["long"] = row["long"].clone();
                }
                self.update(id, row, new, chance);
            }
        }
    }

    /// `may_be_bad`: what was borrowed is settled by a refresh of the row, which a row that is refused since does not get.
    fn fresh(&mut self, id: u64, may_be_bad: bool, chance: &mut StdRng) -> Value {
        self.serial += 1;
        let is = match chance.random_range(0..12) {
            0 if may_be_bad => "refused",
            1 if may_be_bad => "rejected",
            _ => "good",
        };
        json!({"id": id, "n": self.serial, "is": is, "also": chance.random_bool(0.3), "long": format!("L{}", self.serial)})
    }

    fn update(&mut self, id: u64, old: Value, new: Value, chance: &mut StdRng) {
        let mut sent = new.clone();
        if self.omits_values && old["long"] == new["long"] && chance.random_bool(0.9) {
            sent["long"] = json!(MISSING);
        } else {
            self.borrowed.remove(&id);
        }
        self.put(id, "u", sent, new, &[]);
    }

    /// A row whose key changes: a delete and a create of one version.
    fn relocate(&mut self, from: u64, mut row: Value, chance: &mut StdRng) {
        let to = chance.random_range(0..IDS);
        if self.rows.contains_key(&to) {
            return;
        }
        self.delete(from, &[("__debezium.newkey", json!({"id": to}))]);
        self.serial += 1;
        (row["id"], row["n"]) = (json!(to), json!(self.serial));
        if self.truncated.remove(&to) {
            row["is"] = json!("good");
        }
        let mut sent = row.clone();
        if self.omits_values {
            sent["long"] = json!(MISSING);
            self.borrowed.insert(to);
        }
        self.put(to, "c", sent, row, &[("__debezium.oldkey", json!({"id": from}))]);
    }

    fn put(&mut self, id: u64, operation: &str, sent: Value, row: Value, headers: &[(&str, Value)]) {
        let envelope = self.envelope(operation, &Value::Null, &sent);
        self.tell(id as usize % PARTITIONS, Some(id), envelope, headers, Done::Put(id, row.clone()));
        self.rows.insert(id, row);
    }

    fn delete(&mut self, id: u64, headers: &[(&str, Value)]) {
        let partition = id as usize % PARTITIONS;
        let envelope = self.envelope("d", &json!({"id": id}), &Value::Null);
        self.tell(partition, Some(id), envelope, headers, Done::Delete(id));
        self.append(partition, Some(id), None, &[]);
        self.rows.remove(&id);
        self.borrowed.remove(&id);
    }

    fn truncate(&mut self, chance: &mut StdRng) {
        let envelope = self.envelope("t", &Value::Null, &Value::Null);
        self.tell(chance.random_range(0..PARTITIONS), None, envelope, &[], Done::Truncate);
        self.truncated.extend(std::mem::take(&mut self.rows).into_keys());
        self.borrowed.clear();
    }

    /// A connector that starts again repeats a stretch of its log at the end of a partition.
    fn repeat(&mut self, chance: &mut StdRng) {
        let log = &mut self.log[chance.random_range(0..PARTITIONS)];
        if log.is_empty() {
            return;
        }
        let start = chance.random_range(0..log.len());
        // A delete and its tombstone are one change to a connector: it repeats both.
        let is_tombstone = matches!(&log[start], Entry::Message(message) if message.value.is_none());
        let start = if is_tombstone { start - 1 } else { start };
        let end = (start + chance.random_range(1..9)).min(log.len());
        let repeated: Vec<Entry> = log[start..end].to_vec();
        for entry in repeated {
            let position = log.len() as u64 + 1;
            log.push(match entry {
                Entry::Marker(_) => Entry::Marker(position),
                Entry::Message(message) => {
                    let origin = Origin { offset: position - 1, ..message.origin.clone() };
                    Entry::Message(Message { position, origin, ..message })
                }
            });
        }
    }

    fn envelope(&self, operation: &str, before: &Value, after: &Value) -> Value {
        let sequence = json!([self.commit_end.to_string(), self.lsn.to_string()]).to_string();
        json!({
            "before": before, "after": after, "op": operation, "ts_ms": 1,
            "source": {"connector": "postgresql", "name": "s", "schema": "public", "table": "t", "lsn": self.lsn, "ts_ms": 1,
                       "snapshot": "false", "sequence": sequence},
        })
    }

    fn tell(&mut self, partition: usize, id: Option<u64>, envelope: Value, headers: &[(&str, Value)], done: Done) {
        let position = self.append(partition, id, Some(Bytes::from(envelope.to_string())), headers);
        self.history.push(Step { version: self.version(), partition, position, done });
    }

    fn append(&mut self, partition: usize, id: Option<u64>, value: Option<Bytes>, headers: &[(&str, Value)]) -> u64 {
        let log = &mut self.log[partition];
        let offset = log.len() as u64;
        log.push(Entry::Message(Message {
            lane: lane(partition).into(),
            position: offset + 1,
            origin: Origin { topic: TOPIC.into(), partition: partition as i32, offset },
            timestamp_ms: 1,
            key: id.map(|id| Bytes::from(json!({"id": id}).to_string())),
            value,
            headers: headers.iter().map(|(name, value)| ((*name).into(), Some(Bytes::from(value.to_string())))).collect(),
        }));
        offset + 1
    }
}
