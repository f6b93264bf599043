//! Holds the index, the dead letters, the guest's store and what was settled against the model.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::database::{Database, Done, Entry, Step, lane};
use super::model::Model;
use super::module::{self, MARK};
use super::sink::SimSink;
use crate::event::{Lane, Version};
use crate::pipeline::document::PROVISIONAL_DROP;
use crate::state::{DeadLetter, Values};
use crate::transform::entry_bytes;

/// At the end: the index is the database.
pub fn index(history: &[Step], sink: &SimSink) {
    let model = Model::after(history.iter());
    let sink = sink.inner.lock().unwrap();
    let mut live = BTreeMap::new();
    for (name, body) in sink.live().into_iter().filter(|(name, _)| !sink.is_removed(name)) {
        let (row, generation) = unmarked(body);
        if let Some(document) = model.documents.get(name) {
            let has_run = document.changes.iter().any(|(id, version)| module::has_run(*id, *version, generation));
            assert!(has_run, "{name} is by module {generation}, which never saw the row so: {:?}", document.changes);
        }
        live.insert(name, row);
    }
    let expected = model.documents.iter().filter(|(name, _)| !sink.is_removed(name));
    let expected: BTreeMap<&str, Value> = expected.map(|(name, document)| (name.as_str(), document.row.clone())).collect();
    assert_eq!(live, expected, "the index (left) is the database (right)");
}

/// At the end: every dead letter has its cause, and every cause its dead letter.
pub fn dead_letters(database: &Database, letters: &[DeadLetter], has_replayed: bool) {
    let model = Model::after(database.history.iter());
    let mut rubbish: BTreeSet<(usize, u64)> = BTreeSet::new();
    for (partition, log) in database.log.iter().enumerate() {
        let is_rubbish = |entry: &&Entry| matches!(entry, Entry::Message(message) if message.value.as_deref() == Some(b"rubbish"));
        rubbish.extend(log.iter().filter(is_rubbish).map(|entry| (partition, entry.position() - 1)));
    }
    let mut told: BTreeMap<(u64, Version), &DeadLetter> = BTreeMap::new();
    let mut origins = BTreeSet::new();
    for letter in letters {
        let origin = (letter.origin.1 as usize, letter.origin.2);
        origins.insert(origin);
        if letter.stage == "decode" {
            assert!(rubbish.contains(&origin), "a dead letter without a cause: {letter:?}");
            continue;
        }
        let change = (letter.key.as_ref().unwrap().parse().unwrap(), letter.version.unwrap());
        let cause = model.dead.get(&change).map(|row| row["is"].as_str().unwrap());
        let expected = if letter.stage == "sink" { "refused" } else { "rejected" };
        assert_eq!(cause, Some(expected), "a dead letter without a cause: {letter:?}");
        told.insert(change, letter);
    }
    let missing: Vec<_> = rubbish.difference(&origins).collect();
    assert!(missing.is_empty(), "no dead letter of what cannot be decoded at {missing:?}");
    let truncated = truncates(&database.history).map(|step| step.version).max();
    for (change, row) in &model.dead {
        // What is at or below a truncate may be read after it. What a refused row is updated to in vain may be found unchanged.
        // A replay ends the letter of what has been overtaken.
        let is_later =
            |step: &Step| step.version > change.1 && matches!(&step.done, Done::Put(id, _) | Done::Delete(id) if *id == change.0);
        let is_overtaken = has_replayed && database.history.iter().any(is_later);
        let is_excused = truncated >= Some(change.1) || is_overtaken || told.keys().any(|told| model.dead[told] == *row);
        assert!(told.contains_key(change) || is_excused, "no dead letter of {change:?}: {row}");
    }
}

/// When positions are settled: every effect of all events before them is in the index, or of something later.
///
/// Values that a moved row has not sent are left out: they are settled by the other half of the move, which may be yet unread.
pub fn settled(history: &[Step], positions: &[(Lane, u64)], sink: &SimSink) {
    let positions: BTreeMap<&str, u64> = positions.iter().map(|(lane, position)| (&**lane, *position)).collect();
    let is_settled = |step: &&Step| positions.get(&*lane(step.partition)).is_some_and(|position| *position >= step.position);
    let model = Model::after(history.iter().filter(is_settled));
    let mut newest: BTreeMap<u64, (u64, Version)> = BTreeMap::new();
    for step in history.iter().filter(is_settled) {
        match &step.done {
            Done::Put(id, row) => drop(newest.insert(*id, (row["n"].as_u64().unwrap(), step.version))),
            Done::Delete(id) => newest.entry(*id).or_default().1 = step.version,
            Done::Truncate => newest.values_mut().for_each(|(_, version)| *version = step.version),
        }
    }
    let sink = sink.inner.lock().unwrap();
    let live = sink.live();
    for (name, body) in live.iter().filter(|(name, _)| !sink.is_removed(name)) {
        let (row, _) = unmarked(body);
        let (n, version) = newest.get(&row["id"].as_u64().unwrap()).copied().unwrap_or_default();
        // Above it once: what comes now is repeated, after a delete that the index has forgotten.
        let is_ahead = row["n"].as_u64().unwrap() > n || sink.was_above(name, version.first << 8);
        let expected = model.documents.get(*name).map(|document| without_long(&document.row));
        assert!(is_ahead || expected.as_ref() == Some(&without_long(&row)), "settled {positions:?}: {name} is {row}, not {expected:?}");
    }
    // A truncate that is not settled may have been read, and then what is older is not applied any more.
    let truncated = truncates(history).filter(|step| !is_settled(step)).map(|step| step.version).max();
    for (name, document) in model.documents.iter().filter(|(name, _)| !live.contains_key(name.as_str())) {
        let (_, version) = document.changes.last().unwrap();
        // What comes after it may be deleted already, and stand a little below its place.
        let below = (version.first << 8) - 1 - PROVISIONAL_DROP;
        let is_excused = truncated > Some(*version) || sink.is_removed(name) || sink.was_above(name, below);
        assert!(is_excused, "settled {positions:?}: {name} is missing: {document:?}");
    }
}

/// At the end of each life: the store is as large as it says, and no change has written to it twice.
pub fn store(values: &Values, has_replayed: bool) -> BTreeMap<String, u64> {
    let number = |key: &str| String::from_utf8(values.get(key).unwrap().unwrap().to_vec()).unwrap().parse::<u64>().unwrap();
    let keys = values.keys(0, usize::MAX).unwrap();
    let kept: BTreeMap<String, u64> = keys.into_iter().map(|(_, key)| (key.clone(), number(&key))).collect();
    let bytes: u64 = kept.iter().map(|(key, number)| entry_bytes(key, number.to_string().as_bytes())).sum();
    assert_eq!(values.bytes(), bytes, "{kept:?}");
    let mut of_rows: BTreeMap<String, u64> = BTreeMap::new();
    for (key, applied) in &kept {
        let Some(change) = key.strip_prefix(module::APPLIED) else { continue };
        assert!(*applied == 1 || has_replayed, "{key} was applied {applied} times");
        *of_rows.entry(module::row_key(change.split('/').next().unwrap().parse().unwrap())).or_default() += applied;
    }
    let counters = kept.iter().filter(|(key, _)| key.starts_with("row/")).map(|(key, count)| (key.clone(), *count));
    assert_eq!(counters.collect::<BTreeMap<_, _>>(), of_rows, "the counters of rows (left) are the sums of their changes (right)");
    kept
}

/// At the end: every change has written once, and the last one of a row has the last word.
///
/// What is at or below a truncate may be read after it, and then is not applied. A rejected change has written nothing, however often it
/// was replayed; others that are replayed write again.
pub fn kept(history: &[Step], kept: &BTreeMap<String, u64>, has_replayed: bool) {
    let truncated = truncates(history).map(|step| step.version).max();
    let mut live: BTreeMap<u64, Option<u64>> = BTreeMap::new();
    for step in history {
        let (id, row) = match &step.done {
            Done::Put(id, row) => (*id, Some(row)),
            Done::Delete(id) => (*id, None),
            Done::Truncate => continue,
        };
        let applied = kept.get(&module::applied_key(id, step.version)).copied().unwrap_or(0);
        let is_rejected = row.is_some_and(|row| row["is"] == "rejected");
        let may_be_late = truncated >= Some(step.version);
        let is_right = match applied {
            0 => is_rejected || may_be_late,
            1 => !is_rejected,
            _ => !is_rejected && has_replayed,
        };
        assert!(is_right, "{id} at {:?} was applied {applied} times: {row:?}", step.version);
        if !is_rejected && !may_be_late {
            live.insert(id, row.map(|row| row["n"].as_u64().unwrap()));
        }
    }
    for (id, n) in live {
        assert_eq!(kept.get(&module::live_key(id)).copied(), n, "row {id}");
    }
}

fn truncates(history: &[Step]) -> impl Iterator<Item = &Step> {
    history.iter().filter(|step| matches!(step.done, Done::Truncate))
}

/// A body as the row it was made of, and the generation of the module that made it.
fn unmarked(body: &str) -> (Value, u64) {
    let mut row: Value = serde_json::from_str(body).unwrap();
    let mark = row.as_object_mut().unwrap().remove(MARK).unwrap();
    (row, mark.as_u64().unwrap())
}

fn without_long(row: &Value) -> Value {
    let mut row = row.clone();
    row.as_object_mut().unwrap().remove("long");
    row
}
