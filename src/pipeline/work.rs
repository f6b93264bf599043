//! A batch on its way from the gate to its commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::event::{Change, Message, Version, Write};
use crate::limits;
use crate::pipeline::replay::Replay;
use crate::source::decode::LaneMemory;
use crate::state::{CellKey, Effects, RowKey, Slot};

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
        Self::with_capacity(number, 0)
    }

    /// The same with room for so many changes.
    pub fn with_capacity(number: u64, changes: usize) -> Self {
        let effects = Effects::default();
        Self {
            number,
            effects,
            writes: Arc::default(),
            causes: Vec::with_capacity(changes),
            changes: Vec::with_capacity(changes),
            sources: Vec::with_capacity(changes),
            rejected: BTreeSet::new(),
            refused: BTreeSet::new(),
            rows_shown: Vec::new(),
            withdrawn: 0,
            tally: Tally::default(),
        }
    }
}

impl Work {
    /// Adds a change that the gate let through.
    pub fn admit(&mut self, change: Change, source: Sourced) {
        self.tally.applied += u64::from(source.is_event);
        self.changes.push(change);
        self.sources.push(source);
    }
}

/// Batches that are answered and yet to be committed, as one.
#[derive(Debug)]
pub struct Uncommitted {
    /// Number of the last.
    pub number: u64,
    /// What they change, in their order.
    pub effects: Vec<Effects>,
    /// When the newest of their changes was made.
    pub ts_ms: u64,
}

impl Uncommitted {
    /// Adds a batch to those that wait; says whether they must wait no longer.
    pub fn add(waiting: &mut Option<Self>, work: Work) -> bool {
        let may_wait = work.effects.may_wait();
        let ts_ms = work.changes.iter().map(|change| change.ts_ms).max().unwrap_or(0);
        let all = waiting.get_or_insert_with(|| Self { number: work.number, effects: Vec::new(), ts_ms });
        all.effects.push(work.effects);
        (all.number, all.ts_ms) = (work.number, ts_ms.max(all.ts_ms));
        let is_full = all.effects.iter().map(|effects| effects.rows.len()).sum::<usize>() >= limits::COMMIT_ROWS_MAX;
        is_full || !may_wait
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
    /// Its place among the rows of the batch, while that is being worked out.
    pub slot: Option<Slot>,
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
    /// An event, before it is known what row it is about.
    pub fn of_event(message: Message, memory: LaneMemory, replay: Option<Replay>) -> Self {
        let is_event = replay.as_ref().is_none_or(|replay| !replay.is_row);
        let message = is_event.then_some(message);
        Self { row: None, slot: None, message, memory, replay, is_known: false, is_event, is_provisional: false, withdrawn: None }
    }

    /// What happens to a known row without an event of its own.
    pub fn of_row(row: RowKey) -> Self {
        let (memory, is_known, withdrawn) = (LaneMemory::default(), true, None);
        Self {
            row: Some(row),
            slot: None,
            message: None,
            memory,
            replay: None,
            is_known,
            is_event: false,
            is_provisional: false,
            withdrawn,
        }
    }
}
