//! A batch worked out: gate, rows, transform, documents. No async, no sink.

use std::sync::Arc;

use crate::clock::Clock;
use crate::error::Failure;
use crate::event::{Change, Key, Lane, Message, Operation, Origin, QuickMap, Version, Write};
use crate::limits;
use crate::pipeline::batch::{Event, Item};
use crate::pipeline::document::{self, IndexNames};
use crate::pipeline::failpoint::Failpoint;
use crate::pipeline::gate::{Gate, Place};
use crate::pipeline::guest_store;
use crate::pipeline::metrics::PipelineMetrics;
use crate::pipeline::recent::RecentChanges;
use crate::pipeline::replay::Replay;
use crate::pipeline::rows::{self, RowKeeper};
use crate::pipeline::shadow::ShadowPlace;
use crate::pipeline::windows::Windows;
use crate::pipeline::work::{Sourced, Work};
use crate::source::decode::{DecodeError, Decoded, LaneMemory};
use crate::state::settings::Keep;
use crate::state::{DeadCause, DeadEvent, DeadLetter, Effects, LaneRecord, PipelineState, RowKey, RowRecord, Rows, Slot, StateError};
use crate::transform::{KeyValues, Ran, Transformer};

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
        let mut events = Vec::with_capacity(items.len());
        events.extend(items.into_iter().filter_map(|item| match item {
            Item::Event(event) => Some(event),
            Item::Passed { .. } => None,
        }));
        self.work_out_events(events, effects)
    }

    /// The same for events without a place in a lane; `effects` is what the batch changes besides.
    #[expect(clippy::vec_box, reason = "they come boxed from the backlog, and are too large to be moved once more")]
    pub fn work_out_events(&mut self, events: Vec<Box<Event>>, effects: Effects) -> Result<Work, Failure> {
        let mut work = Work { effects, ..Work::with_capacity(self.next_batch, events.len()) };
        let mut rows = Rows::with_capacity(events.len());
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
    #[expect(clippy::vec_box, reason = "they come boxed from the backlog, and are too large to be moved once more")]
    fn gate(&mut self, events: Vec<Box<Event>>, rows: &mut Rows, work: &mut Work) -> Result<(), Failure> {
        let places = self.places(&events, rows)?;
        let looked_up = self.state.fetch(rows)?;
        self.state.read_ahead(looked_up)?;
        let now_ms = self.clock.now_ms();
        let keeper = RowKeeper::new(&self.state, now_ms, self.wants_before);
        let mut gate = Gate { state: &self.state, keep: self.keep, now_ms, rows, keeper, work };
        for (event, place) in events.into_iter().zip(places) {
            let Event { message, memory, decoded, replay } = *event;
            let change = match decoded {
                Ok(Decoded::Change(change)) => Some(change),
                Ok(Decoded::Tombstone { table, key }) => {
                    let row = place.row.as_ref().and_then(|(_, slot)| gate.rows.record_at(*slot));
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
            gate.admit(change, Sourced::of_event(message, memory, replay), place)?;
        }
        work.effects.moved = gate.keeper.into_moved();
        Ok(())
    }

    /// What each event is held against: its row, and the last truncate of its table.
    fn places(&mut self, events: &[Box<Event>], rows: &mut Rows) -> Result<Vec<Place>, StateError> {
        let mut places = Vec::with_capacity(events.len());
        let mut last: Option<(Arc<str>, Option<Version>)> = None;
        for event in events {
            let mut place = Place::default();
            match &event.decoded {
                Ok(Decoded::Change(change)) if !self.is_log => {
                    place.floor = match &last {
                        Some((table, floor)) if Arc::ptr_eq(table, &change.table) => *floor,
                        _ => self.state.floor(&change.table)?,
                    };
                    last = Some((change.table.clone(), place.floor));
                    // Whatever is at or below the truncate, and a letter that comes again, is compared with all that is known.
                    let is_above = place.floor.is_none_or(|floor| change.version.first > floor.first);
                    let first = Some(change.version.first).filter(|_| is_above && event.replay.is_none());
                    if self.keep == Keep::Rows
                        && let Some(also) = rows::also_touched(&self.state, change)
                    {
                        self.state.want(rows, also, None);
                    }
                    place.row = change.key.as_ref().map(|key| self.want(rows, &change.table, key, first));
                }
                Ok(Decoded::Tombstone { table, key }) if !self.is_log => place.row = Some(self.want(rows, table, key, None)),
                _ => {}
            }
            places.push(place);
        }
        Ok(places)
    }

    fn want(&self, rows: &mut Rows, table: &str, key: &Key, first: Option<u64>) -> (RowKey, Slot) {
        let row = self.state.key(table, &key.id);
        let slot = self.state.want(rows, row.clone(), first);
        (row, slot)
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
            let record = source.slot.and_then(|slot| rows.record_mut_at(slot));
            let index = self.indexes.of(change);
            let planned = match source.withdrawn {
                None => outcome.map(|outputs| document::plan(change, outputs, record, &index, source, &mut writes)),
                Some(at) => Ok(document::withdraw(change, outcome.unwrap_or_default(), record, &index, source, at, &mut writes)),
            };
            match planned {
                Ok(unchanged) => {
                    work.tally.unchanged += unchanged;
                    work.causes.resize(writes.len(), cause);
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
    let mut last: QuickMap<&Lane, (u64, &LaneMemory)> = QuickMap::default();
    let mut after: Option<&Lane> = None;
    // From the end, so that of each stretch of a lane only its last is looked at.
    for item in items.iter().rev() {
        let (lane, position, memory) = item.place();
        if !after.is_some_and(|after| Arc::ptr_eq(after, lane)) {
            last.entry(lane).or_insert((position, memory));
        }
        after = Some(lane);
    }
    let record = |(lane, (position, memory)): (&Lane, (u64, &LaneMemory))| {
        let memory = serde_json::to_vec(memory).map_err(|error| Failure::bug(format!("a lane's memory cannot be kept: {error}")))?;
        Ok((lane.clone(), LaneRecord { position, memory }))
    };
    last.into_iter().map(record).collect()
}
