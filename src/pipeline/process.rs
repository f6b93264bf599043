//! A batch worked out: gate, rows, transform, documents. No async, no sink.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Clock;
use crate::error::Failure;
use crate::event::{Change, Key, Lane, Operation, Origin, Version, Write};
use crate::limits;
use crate::pipeline::batch::{Event, Item, What};
use crate::pipeline::document::{self, IndexNames};
use crate::pipeline::failpoint::Failpoint;
use crate::pipeline::gate;
use crate::pipeline::metrics::PipelineMetrics;
use crate::pipeline::rows::{self, RowKeeper};
use crate::source::decode::{Decoded, LaneMemory};
use crate::state::settings::Keep;
use crate::state::{DeadLetter, Effects, LaneRecord, PipelineState, RowKey, RowRecord, Rows, StateError};
use crate::transform::Transformer;

/// A batch on its way: what it changes here, and what the sink must answer first.
#[derive(Debug)]
pub struct Work {
    /// Batches are numbered in order.
    pub number: u64,
    /// What becomes of the state.
    pub effects: Effects,
    /// For the sink, in order.
    pub writes: Arc<Vec<Write>>,
    /// Where each write comes from.
    pub causes: Vec<Cause>,
    /// The changes that the gate let through, in order.
    pub changes: Vec<Change>,
    /// Where each of them comes from.
    pub sources: Vec<Sourced>,
    /// What was counted on the way.
    pub tally: Tally,
}

impl Work {
    /// A batch of nothing so far.
    pub fn new(number: u64) -> Self {
        let effects = Effects::default();
        Self {
            number,
            effects,
            writes: Arc::default(),
            causes: Vec::new(),
            changes: Vec::new(),
            sources: Vec::new(),
            tally: Tally::default(),
        }
    }
}

impl Work {
    fn admit(&mut self, change: Change, source: Sourced) {
        self.tally.applied += u64::from(source.is_event);
        self.changes.push(change);
        self.sources.push(source);
    }
}

/// Where a write comes from: its place in [`Work::changes`].
pub type Cause = usize;

/// Events of a batch by what became of them before the sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Changed something.
    pub applied: u64,
    /// Were older than what is known.
    pub stale: u64,
    /// Became dead letters.
    pub dead: u64,
    /// Had nothing to do.
    pub ignored: u64,
    /// Documents that were as they had been.
    pub unchanged: u64,
}

impl Tally {
    /// An event that had been let through is a dead letter after all.
    pub fn dies(&mut self, source: &Sourced) {
        self.applied -= u64::from(source.is_event).min(self.applied);
        self.dead += u64::from(source.is_event);
    }
}

/// Where a change comes from, and what it is filed under.
#[derive(Clone, Debug)]
pub struct Sourced {
    /// The row; none for a table without a key.
    pub row: Option<RowKey>,
    /// Its value as it came.
    pub value: Option<Bytes>,
    /// Whether anything was known of the row before the change: then what is not remembered was not produced.
    pub is_known: bool,
    /// Whether it counts as an event; not so what one brings about besides its own change.
    pub is_event: bool,
    /// Whether values of its row may not be the last word: see [`crate::state::Provisional`].
    pub is_provisional: bool,
    /// Set where it is older than its table's last truncate: what it would write is deleted at that version.
    pub withdrawn: Option<Version>,
}

/// Works out batches, one after the other.
pub struct Processor {
    /// The pipeline's part of the state.
    pub state: PipelineState,
    /// The user's code.
    pub transformer: Transformer,
    /// Where documents go.
    pub indexes: IndexNames,
    /// How much is remembered of each row.
    pub keep: Keep,
    /// Whether changes carry the row before.
    pub wants_before: bool,
    /// Time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: PipelineMetrics,
    /// Number of the next batch.
    pub next_batch: u64,
}

impl Processor {
    /// Works out a batch and stages its effects, so that the next one sees them.
    pub fn work_out(&mut self, items: Vec<Item>) -> Result<Work, Failure> {
        let mut work = Work::new(self.next_batch);
        work.effects.positions = positions(&items)?;
        let events = items.into_iter().filter_map(|item| match item.what {
            What::Event(event) => Some(*event),
            What::Passed => None,
        });
        let mut rows = Rows::default();
        let gate = self.metrics.stage("gate");
        self.gate(events.collect(), &mut rows, &mut work)?;
        gate.observe_duration();
        Failpoint::Gated.pass();
        let writes = self.transform(&mut rows, &mut work)?;
        work.writes = Arc::new(writes);
        work.effects.rows = rows.into_changes();
        self.state.stage(work.number, &work.effects);
        self.next_batch += 1;
        Ok(work)
    }

    /// Lets newer changes through, in order, and brings the rows they change up to date.
    fn gate(&mut self, events: Vec<Event>, rows: &mut Rows, work: &mut Work) -> Result<(), Failure> {
        self.load(&events, rows)?;
        let floors = self.floors(&events)?;
        let now_ms = self.clock.now_ms();
        let mut keeper = RowKeeper::new(&self.state, now_ms, self.wants_before);
        for event in events {
            let Event { origin, timestamp_ms, value, decoded } = event;
            let change = match decoded {
                Ok(Decoded::Change(change)) => Some(change),
                Ok(Decoded::Tombstone { table, key }) => {
                    let row = rows.record(&self.state.key(&table, &key.id));
                    row.and_then(|row| lone_tombstone(table, key, row, timestamp_ms, origin))
                }
                Ok(Decoded::Truncate { .. } | Decoded::Ignored(_)) => None,
                Err(error) => {
                    work.tally.dead += 1;
                    let key = error.key.map(|key| cut(key.as_bytes()));
                    let (version, table) = (error.version, error.table.as_deref().map(str::to_owned));
                    let letter = self.dead_letter("decode", &error.reason, &origin, value.as_ref());
                    work.effects.dead.push(DeadLetter { table, key, version, ..letter });
                    continue;
                }
            };
            let Some(change) = change else {
                work.tally.ignored += 1;
                continue;
            };
            let floor = floors.get(&change.table).copied().flatten();
            let source = Sourced { row: None, value, is_known: false, is_event: true, is_provisional: false, withdrawn: None };
            admit(change, source, floor, rows, &mut keeper, self.keep, now_ms, work, &self.state)?;
        }
        work.effects.moved = keeper.into_moved();
        Ok(())
    }

    /// Brings in what is known of every row the events may touch, in one look-up.
    fn load(&self, events: &[Event], rows: &mut Rows) -> Result<(), StateError> {
        let mut keys = Vec::with_capacity(events.len());
        for event in events {
            match &event.decoded {
                Ok(Decoded::Change(change)) => {
                    keys.extend(change.key.as_ref().map(|key| self.state.key(&change.table, &key.id)));
                    if self.keep == Keep::Rows {
                        keys.extend(rows::also_touched(&self.state, change));
                    }
                }
                Ok(Decoded::Tombstone { table, key }) => keys.push(self.state.key(table, &key.id)),
                _ => {}
            }
        }
        self.state.load(rows, keys.into_iter())
    }

    /// Runs the user's code on what was let through, and works out the documents.
    fn transform(&mut self, rows: &mut Rows, work: &mut Work) -> Result<Vec<Write>, Failure> {
        let mut writes = Vec::with_capacity(work.changes.len());
        let timer = self.metrics.stage("transform");
        let outcomes = self.transformer.run(&work.changes)?;
        timer.observe_duration();
        Failpoint::Transformed.pass();
        if outcomes.len() != work.changes.len() {
            return Err(Failure::bug(format!("the transform gave {} outcomes for {} changes", outcomes.len(), work.changes.len())));
        }
        for (cause, ((change, source), outcome)) in work.changes.iter().zip(&work.sources).zip(outcomes).enumerate() {
            let record = source.row.as_ref().and_then(|row| rows.record_mut(row));
            let index = self.indexes.of(change);
            let planned = match source.withdrawn {
                None => outcome.and_then(|outputs| document::plan(change, outputs, record, &index, source)),
                Some(at) => document::withdraw(change, outcome.unwrap_or_default(), record, &index, source, at),
            };
            match planned {
                Ok(planned) => {
                    work.tally.unchanged += planned.unchanged;
                    work.causes.extend(planned.writes.iter().map(|_| cause));
                    writes.extend(planned.writes);
                }
                Err(reason) => {
                    work.tally.dies(source);
                    work.effects.dead.push(self.dead_change("transform", &reason, change, source));
                }
            }
        }
        Ok(writes)
    }

    /// A dead letter of a change.
    pub fn dead_change(&self, stage: &str, reason: &str, change: &Change, source: &Sourced) -> DeadLetter {
        DeadLetter {
            table: Some(change.table.to_string()),
            key: change.key.as_ref().map(|key| cut(key.id.as_bytes())),
            version: Some(change.version),
            ..self.dead_letter(stage, reason, &change.origin, source.value.as_ref())
        }
    }

    fn dead_letter(&self, stage: &str, reason: &str, origin: &Origin, value: Option<&Bytes>) -> DeadLetter {
        DeadLetter {
            id: 0,
            at_ms: self.clock.now_ms(),
            stage: stage.to_owned(),
            reason: reason.to_owned(),
            topic: origin.topic.to_string(),
            partition: origin.partition,
            offset: origin.offset,
            table: None,
            key: None,
            version: None,
            value: value.map(|value| cut(value)),
        }
    }

    fn floors(&mut self, events: &[Event]) -> Result<HashMap<Arc<str>, Option<Version>>, StateError> {
        let mut floors = HashMap::new();
        for event in events {
            if let Ok(Decoded::Change(change)) = &event.decoded
                && !floors.contains_key(&change.table)
            {
                floors.insert(change.table.clone(), self.state.floor(&change.table)?);
            }
        }
        Ok(floors)
    }
}

/// One change at the gate.
#[expect(clippy::too_many_arguments, reason = "the parts of one batch, each borrowed apart")]
fn admit(
    mut change: Change,
    mut source: Sourced,
    floor: Option<Version>,
    rows: &mut Rows,
    keeper: &mut RowKeeper<'_>,
    keep: Keep,
    now_ms: u64,
    work: &mut Work,
    state: &PipelineState,
) -> Result<(), StateError> {
    let Some(key) = change.key.as_ref().map(|key| state.key(&change.table, &key.id)) else {
        // A row without a key has no history to compare with: its position alone keeps it from being applied twice.
        work.admit(change, source);
        return Ok(());
    };
    if !gate::is_newer(change.version, rows.record(&key).map(AsRef::as_ref), floor) {
        work.tally.stale += 1;
        let known = rows.record(&key).map(|record| record.version);
        if let Some(floor) = floor.filter(|floor| known <= Some(*floor)) {
            withdraw(change, source, key, floor, rows, now_ms, work);
        }
        return Ok(());
    }
    source.is_known = rows.record(&key).is_some();
    let refreshed = if keep == Keep::Rows { keeper.apply(rows, &key, &mut change)? } else { None };
    if let Some(record) = rows.record_mut(&key) {
        record.version = change.version;
        record.deleted_ms = change.is_delete().then_some(now_ms);
        if change.is_delete() {
            record.provisional = None;
        }
        source.is_provisional = record.provisional.is_some();
    }
    source.row = Some(key);
    let also = refreshed.map(|change| {
        let row = change.key.as_ref().map(|key| state.key(&change.table, &key.id));
        let is_provisional = row.as_ref().and_then(|row| rows.record(row)).is_some_and(|record| record.provisional.is_some());
        (change, Sourced { row, is_known: true, is_event: false, is_provisional, ..source.clone() })
    });
    work.admit(change, source);
    if let Some((change, source)) = also {
        work.admit(change, source);
    }
    Ok(())
}

/// A change that is read after the truncate of its table. Nothing is known of what it wrote, but a life of the process that
/// ended before its commit may have read it first, and written it: that is deleted, as the truncate would have done.
fn withdraw(change: Change, source: Sourced, key: RowKey, floor: Version, rows: &mut Rows, now_ms: u64, work: &mut Work) {
    let is_known = rows.record(&key).is_some();
    if let Some(record) = rows.record_mut(&key) {
        record.version = floor;
        record.deleted_ms.get_or_insert(now_ms);
    }
    work.admit(change, Sourced { row: Some(key), is_known, is_event: false, withdrawn: Some(floor), ..source });
}

/// The delete that a tombstone stands for, when the row is there.
fn lone_tombstone(table: Arc<str>, key: Key, row: &RowRecord, ts_ms: u64, origin: Origin) -> Option<Change> {
    // It is newer than all that was read of this key, so it stands just above the last of that.
    let version = Version::new(row.version.first, row.version.second.saturating_add(1));
    row.deleted_ms.is_none().then(|| Change {
        operation: Operation::Delete,
        source: origin.topic.clone(),
        table,
        key: Some(key),
        before: None,
        after: None,
        version,
        ts_ms,
        origin,
        moved: None,
    })
}

/// As much of a text as a dead letter keeps.
fn cut(text: &[u8]) -> String {
    let kept = text.get(..limits::DEAD_LETTER_BYTES_MAX.min(text.len())).unwrap_or_default();
    String::from_utf8_lossy(kept).into_owned()
}

/// Where each lane stands after the batch.
pub fn positions(items: &[Item]) -> Result<Vec<(Lane, LaneRecord)>, Failure> {
    let mut last: HashMap<&Lane, (u64, &LaneMemory)> = HashMap::new();
    for item in items {
        last.insert(&item.lane, (item.position, &item.memory));
    }
    let record = |(lane, (position, memory)): (&Lane, (u64, &LaneMemory))| {
        let memory = serde_json::to_vec(memory).map_err(|error| Failure::bug(format!("a lane's memory cannot be kept: {error}")))?;
        Ok((lane.clone(), LaneRecord { position, memory }))
    };
    last.into_iter().map(record).collect()
}
