//! A batch worked out: gate, rows, transform, documents. No async, no sink.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::clock::Clock;
use crate::error::Failure;
use crate::event::{Change, Key, Lane, Message, Operation, Origin, Version, Write};
use crate::limits;
use crate::pipeline::batch::{Event, Item};
use crate::pipeline::document::{self, IndexNames};
use crate::pipeline::failpoint::Failpoint;
use crate::pipeline::gate;
use crate::pipeline::guest_store;
use crate::pipeline::metrics::PipelineMetrics;
use crate::pipeline::recent::RecentChanges;
use crate::pipeline::replay::Replay;
use crate::pipeline::rows::{self, RowKeeper};
use crate::pipeline::shadow::ShadowPlace;
use crate::pipeline::windows::Windows;
use crate::source::decode::{DecodeError, Decoded, LaneMemory};
use crate::state::settings::Keep;
use crate::state::{CellKey, DeadCause, DeadEvent, DeadLetter, Effects, LaneRecord, PipelineState, RowKey, RowRecord, Rows, StateError};
use crate::transform::{KeyValues, Ran, Transformer};

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
    /// The changes that the transform has failed on or rejected: they left their rows' documents as they were.
    pub rejected: BTreeSet<Cause>,
    /// The changes that the sink has refused a document of.
    pub refused: BTreeSet<Cause>,
    /// The rows of windows that writes are of, where they are of no change; by their cause.
    pub rows_shown: Vec<ShownRow>,
    /// How many of the changes are withdrawn: see [`Sourced::withdrawn`].
    pub withdrawn: usize,
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
            rejected: BTreeSet::new(),
            refused: BTreeSet::new(),
            rows_shown: Vec::new(),
            withdrawn: 0,
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

/// The row of a window that a write is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownRow {
    /// Which.
    pub key: CellKey,
    /// Whether it was refused before, and a dead letter tells of it.
    pub was_refused: bool,
}

/// Where a write comes from: its place in [`Work::changes`], or in [`Work::rows_shown`].
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
    /// Came too late for every window.
    pub late: u64,
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
    /// The event; none for what an event brings about besides its own change.
    pub message: Option<Message>,
    /// What decoding remembered of the event's lane.
    pub memory: LaneMemory,
    /// The dead letter it is replayed from.
    pub replay: Option<Replay>,
    /// Whether anything was known of the row before the change: then what is not remembered was not produced.
    pub is_known: bool,
    /// Whether it counts as an event; not so what one brings about besides its own change.
    pub is_event: bool,
    /// Whether values of its row may not be the last word: see [`crate::state::Provisional`].
    pub is_provisional: bool,
    /// Set where it is older than its table's last truncate: what it would write is deleted at that version.
    pub withdrawn: Option<Version>,
}

impl Sourced {
    /// What happens to a known row without an event of its own.
    pub fn of_row(row: RowKey) -> Self {
        let row = Some(row);
        let (memory, is_known) = (LaneMemory::default(), true);
        Self { row, message: None, memory, replay: None, is_known, is_event: false, is_provisional: false, withdrawn: None }
    }
}

/// Works out batches, one after the other.
pub struct Processor {
    /// The pipeline's part of the state.
    pub state: PipelineState,
    /// The user's code.
    pub transformer: Transformer,
    /// What is counted, where it counts.
    pub windows: Option<Windows>,
    /// What it keeps.
    pub store: Arc<dyn KeyValues>,
    /// What it took last.
    pub recent: Arc<RecentChanges>,
    /// Code that runs beside it.
    pub shadow: Arc<ShadowPlace>,
    /// Where documents go.
    pub indexes: IndexNames,
    /// How much is remembered of each row.
    pub keep: Keep,
    /// Whether changes are events of a log, with positions for versions: their keys have no history to be judged by.
    pub is_log: bool,
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
        let effects = Effects { positions: positions(&items)?, ..Effects::default() };
        let events = items.into_iter().filter_map(|item| match item {
            Item::Event(event) => Some(*event),
            Item::Passed { .. } => None,
        });
        self.work_out_events(events.collect(), effects)
    }

    /// The same for events without a place in a lane; `effects` is what the batch changes besides.
    pub fn work_out_events(&mut self, events: Vec<Event>, effects: Effects) -> Result<Work, Failure> {
        let mut work = Work { effects, ..Work::new(self.next_batch) };
        let mut rows = Rows::default();
        let gate = self.metrics.stage("gate");
        self.gate(events, &mut rows, &mut work)?;
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
        let keeper = RowKeeper::new(&self.state, now_ms, self.wants_before);
        let mut gate = Gate { state: &self.state, keep: self.keep, is_log: self.is_log, now_ms, rows, keeper, work };
        for event in events {
            let Event { message, memory, decoded, replay } = event;
            let change = match decoded {
                Ok(Decoded::Change(change)) => Some(change),
                Ok(Decoded::Tombstone { table, key }) => {
                    let row = gate.rows.record(&self.state.key(&table, &key.id));
                    row.and_then(|row| lone_tombstone(table, key, row, &message))
                }
                Ok(Decoded::Truncate { .. } | Decoded::Ignored(_)) => None,
                Err(error) => {
                    gate.work.tally.dead += 1;
                    let dead = self.dead_event(&error, &message, &memory, replay.as_ref());
                    gate.work.effects.dead.push(dead);
                    continue;
                }
            };
            let Some(change) = change else {
                gate.work.tally.ignored += 1;
                continue;
            };
            let floor = floors.get(&change.table).copied().flatten();
            let is_event = replay.as_ref().is_none_or(|replay| !replay.is_row);
            let message = is_event.then_some(message);
            let (is_known, is_provisional, withdrawn) = (false, false, None);
            let source = Sourced { row: None, message, memory, replay, is_known, is_event, is_provisional, withdrawn };
            gate.admit(change, source, floor)?;
        }
        work.effects.moved = gate.keeper.into_moved();
        Ok(())
    }

    /// Brings in what is known of every row the events may touch, in one look-up.
    fn load(&self, events: &[Event], rows: &mut Rows) -> Result<(), StateError> {
        if self.is_log {
            return Ok(());
        }
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
        let started = self.clock.instant();
        let Ran { outcomes, written } =
            if work.withdrawn > 0 { self.run_apart(work)? } else { self.transformer.run(&work.changes, &self.store)? };
        work.effects.values = guest_store::changes(written);
        timer.observe_duration();
        Failpoint::Transformed.pass();
        self.recent.note(&work.changes, &work.sources, &outcomes);
        if matches!(self.transformer, Transformer::Guest(_)) {
            self.shadow.show(&work.changes, &outcomes, started.elapsed());
        }
        if outcomes.len() != work.changes.len() {
            return Err(Failure::bug(format!("the transform gave {} outcomes for {} changes", outcomes.len(), work.changes.len())));
        }
        if self.windows.is_some() {
            self.count(outcomes, rows, work)?;
            return Ok(writes);
        }
        for (cause, ((change, source), outcome)) in work.changes.iter().zip(&work.sources).zip(outcomes).enumerate() {
            let record = source.row.as_ref().and_then(|row| rows.record_mut(row));
            let index = self.indexes.of(change);
            let planned = match source.withdrawn {
                None => outcome.map(|outputs| document::plan(change, outputs, record, &index, source)),
                Some(at) => Ok(document::withdraw(change, outcome.unwrap_or_default(), record, &index, source, at)),
            };
            match planned {
                Ok(planned) => {
                    work.tally.unchanged += planned.unchanged;
                    work.causes.extend(planned.writes.iter().map(|_| cause));
                    writes.extend(planned.writes);
                }
                Err(reason) => {
                    work.rejected.insert(cause);
                    work.tally.dies(source);
                    work.effects.dead.push(self.dead_change("transform", &reason, change, source));
                }
            }
        }
        Ok(writes)
    }

    /// Runs the user's code where some of the changes are withdrawn. They are not applied, and may be read and withdrawn again: what
    /// they wrote to the store is forgotten.
    fn run_apart(&mut self, work: &Work) -> Result<Ran, Failure> {
        let is_withdrawn = |source: &Sourced| source.withdrawn.is_some();
        let all = || work.changes.iter().zip(&work.sources);
        let (withdrawn, applied): (Vec<_>, Vec<_>) = all().partition(|(_, source)| is_withdrawn(source));
        let changes = |of: Vec<(&Change, &Sourced)>| of.into_iter().map(|(change, _)| change.clone()).collect::<Vec<_>>();
        let Ran { outcomes, written } = self.transformer.run(&changes(applied), &self.store)?;
        let mut of_applied = outcomes.into_iter();
        let mut of_withdrawn = self.transformer.run(&changes(withdrawn), &self.store)?.outcomes.into_iter();
        let outcome = |source| if is_withdrawn(source) { of_withdrawn.next() } else { of_applied.next() };
        Ok(Ran { outcomes: work.sources.iter().filter_map(outcome).collect(), written })
    }

    /// A dead letter of a change.
    pub fn dead_change(&self, stage: &str, reason: &str, change: &Change, source: &Sourced) -> DeadLetter {
        let cause = match (&source.message, &change.key) {
            (Some(message), _) => dead_cause(message, &source.memory, source.is_known),
            (None, Some(key)) => DeadCause::Row { key: key.json.to_string() },
            (None, None) => DeadCause::TooLarge,
        };
        let letter = self.dead_letter(stage, reason, &change.origin, source.replay.as_ref(), cause);
        let key = change.key.as_ref().map(|key| cut(&key.id));
        DeadLetter { table: Some(cut(&change.table)), key, version: Some(change.version), ..letter }
    }

    /// A dead letter of what could not be decoded.
    fn dead_event(&self, error: &DecodeError, message: &Message, memory: &LaneMemory, replay: Option<&Replay>) -> DeadLetter {
        let letter = self.dead_letter("decode", &error.reason, &message.origin, replay, dead_cause(message, memory, false));
        let (version, table) = (error.version, error.table.as_deref().map(cut));
        DeadLetter { table, key: error.key.as_deref().map(cut), version, ..letter }
    }

    /// A dead letter of what no event brought about by itself.
    pub fn letter(&self, stage: &str, reason: &str, topic: &str, cause: DeadCause) -> DeadLetter {
        let origin = Origin { topic: topic.into(), partition: 0, offset: 0 };
        self.dead_letter(stage, reason, &origin, None, cause)
    }

    fn dead_letter(&self, stage: &str, reason: &str, origin: &Origin, replay: Option<&Replay>, cause: DeadCause) -> DeadLetter {
        DeadLetter {
            id: replay.map_or(0, |replay| replay.id),
            at_ms: self.clock.now_ms(),
            stage: stage.to_owned(),
            reason: reason.to_owned(),
            origin: (origin.topic.to_string(), origin.partition, origin.offset),
            table: None,
            key: None,
            version: None,
            replays: replay.map_or(0, |replay| replay.replays + 1),
            cause,
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

/// The changes of one batch at the gate.
struct Gate<'a> {
    state: &'a PipelineState,
    keep: Keep,
    is_log: bool,
    now_ms: u64,
    rows: &'a mut Rows,
    keeper: RowKeeper<'a>,
    work: &'a mut Work,
}

impl Gate<'_> {
    fn admit(&mut self, mut change: Change, mut source: Sourced, floor: Option<Version>) -> Result<(), StateError> {
        let row = change.key.as_ref().filter(|_| !self.is_log);
        let Some(key) = row.map(|key| self.state.key(&change.table, &key.id)) else {
            // A row without a key has no history to compare with: its position alone keeps it from being applied twice, here and in the backlog.
            self.work.admit(change, source);
            return Ok(());
        };
        let record = self.rows.record(&key).map(AsRef::as_ref);
        if let Some(replay) = source.replay.as_ref().filter(|replay| replay.is_again(&mut change, record, floor)) {
            source.is_known = replay.is_known;
            return self.admit_again(change, source, key);
        }
        if !gate::is_newer(change.version, record, floor) {
            self.work.tally.stale += 1;
            let known = record.map(|record| record.version);
            if let Some(floor) = floor.filter(|floor| known <= Some(*floor)) {
                self.withdraw(change, source, key, floor);
            }
            return Ok(());
        }
        source.is_known = record.is_some();
        let refreshed = if self.keep == Keep::Rows { self.keeper.apply(self.rows, &key, &mut change)? } else { None };
        if let Some(record) = self.rows.record_mut(&key) {
            record.version = change.version;
            record.deleted_ms = change.is_delete().then_some(self.now_ms);
            if change.is_delete() {
                record.provisional = None;
            }
            source.is_provisional = record.provisional.is_some();
        }
        source.row = Some(key);
        self.work.admit(change, source);
        if let Some(also) = refreshed
            && let Some(row) = also.key.as_ref().map(|key| self.state.key(&also.table, &key.id))
        {
            let is_provisional = self.rows.record(&row).is_some_and(|record| record.provisional.is_some());
            self.work.admit(also, Sourced { is_provisional, ..Sourced::of_row(row) });
        }
        Ok(())
    }

    /// A change that is read after the truncate of its table. Nothing is known of what it wrote, but a life of the process that
    /// ended before its commit may have read it first, and written it: that is deleted, as the truncate would have done.
    fn withdraw(&mut self, change: Change, source: Sourced, key: RowKey, floor: Version) {
        let is_known = self.rows.record(&key).is_some();
        if let Some(record) = self.rows.record_mut(&key) {
            record.version = floor;
            record.deleted_ms.get_or_insert(self.now_ms);
        }
        self.work.withdrawn += 1;
        self.work.admit(change, Sourced { row: Some(key), is_known, is_event: false, withdrawn: Some(floor), ..source });
    }

    /// A dead letter's change that was applied to its row already, and only then died: the row stays as it is.
    fn admit_again(&mut self, mut change: Change, mut source: Sourced, key: RowKey) -> Result<(), StateError> {
        change.moved = None;
        if self.keep == Keep::Rows && !change.is_delete() {
            // With the values that it lacked when it came.
            change.after = self.state.row_text(self.rows, &key)?.or(change.after);
        }
        source.is_provisional = self.rows.record(&key).is_some_and(|record| record.provisional.is_some());
        source.row = Some(key);
        self.work.admit(change, source);
        Ok(())
    }
}

/// The delete that a tombstone stands for, when the row is there.
fn lone_tombstone(table: Arc<str>, key: Key, row: &RowRecord, message: &Message) -> Option<Change> {
    // It is newer than all that was read of this key, so it stands just above the last of that.
    let version = Version::new(row.version.first, row.version.second.saturating_add(1));
    row.deleted_ms.is_none().then(|| delete(table, key, version, message))
}

/// The delete of a row of which only the key came.
pub fn delete(table: Arc<str>, key: Key, version: Version, message: &Message) -> Change {
    Change {
        operation: Operation::Delete,
        source: message.origin.topic.clone(),
        table,
        key: Some(key),
        before: None,
        after: None,
        version,
        ts_ms: message.timestamp_ms,
        origin: message.origin.clone(),
        moved: None,
    }
}

fn dead_cause(message: &Message, memory: &LaneMemory, is_known: bool) -> DeadCause {
    // What cannot be written cannot be read either: a replay then begins with nothing remembered.
    let memory = serde_json::to_vec(memory).unwrap_or_default();
    DeadCause::Event(DeadEvent::new(message, memory, is_known).into())
}

/// As much of a name as a dead letter keeps.
fn cut(key: &str) -> String {
    key.get(..key.floor_char_boundary(limits::DEAD_LETTER_NAME_BYTES_MAX)).unwrap_or_default().to_owned()
}

/// Where each lane stands after the batch.
pub fn positions(items: &[Item]) -> Result<Vec<(Lane, LaneRecord)>, Failure> {
    let mut last: HashMap<&Lane, (u64, &LaneMemory)> = HashMap::new();
    for item in items {
        let (lane, position, memory) = item.place();
        last.insert(lane, (position, memory));
    }
    let record = |(lane, (position, memory)): (&Lane, (u64, &LaneMemory))| {
        let memory = serde_json::to_vec(memory).map_err(|error| Failure::bug(format!("a lane's memory cannot be kept: {error}")))?;
        Ok((lane.clone(), LaneRecord { position, memory }))
    };
    last.into_iter().map(record).collect()
}
