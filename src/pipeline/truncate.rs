//! A table was emptied: what its rows produced is deleted, in steps, before anything after it is read.

use std::sync::Arc;

use crate::error::Failure;
use crate::event::{Change, Key, Lane, Operation, Origin, Version};
use crate::limits;
use crate::pipeline::batch::Item;
use crate::pipeline::document;
use crate::pipeline::process::{Processor, positions};
use crate::pipeline::work::{Sourced, Tally, Work};
use crate::source::decode::Decoded;
use crate::state::{LaneRecord, RowChange, RowKey, Text};

/// The emptying of one table, while it goes on.
#[derive(Clone, Debug)]
pub struct Truncate {
    /// `schema.table`.
    pub table: Arc<str>,
    /// Rows at or below this are gone.
    pub version: Version,
    /// Where it was read.
    pub origin: Origin,
    /// Where lanes stand after it.
    pub positions: Vec<(Lane, LaneRecord)>,
    /// The last row that was looked at: the next step begins there, not at all that is deleted already.
    pub reached: Option<RowKey>,
}

impl Truncate {
    /// That of a batch which is a truncate alone.
    pub fn begin(items: &[Item]) -> Result<Self, Failure> {
        let positions = positions(items)?;
        let event = items.iter().find_map(|item| match item {
            Item::Event(event) => Some(event),
            Item::Passed { .. } => None,
        });
        match event.map(|event| (&event.decoded, &event.message.origin)) {
            Some((Ok(Decoded::Truncate { table, version }), origin)) => {
                Ok(Self { table: table.clone(), version: *version, origin: origin.clone(), positions, reached: None })
            }
            _ => Err(Failure::bug("a truncate without one")),
        }
    }
}

impl Processor {
    /// Works out the next step of a truncate; none when no row is left. Batches before it must be committed.
    ///
    /// The guest is not asked: what a row produced is known, and goes with it. From the first step on the table has a
    /// floor, so that rows from before the truncate that other partitions still hold are stale when they are read.
    pub fn truncate_step(&mut self, truncate: &mut Truncate) -> Result<Option<Work>, Failure> {
        if self.state.floor(&truncate.table)? > Some(truncate.version) {
            return Ok(None);
        }
        let reached = truncate.reached.as_ref();
        let rows = self.state.live_rows(&truncate.table, truncate.version, reached, limits::TRUNCATE_STEP_KEYS_MAX)?;
        let Some((last, _)) = rows.last() else { return Ok(None) };
        truncate.reached = Some(last.clone());
        let mut work = Work::new(self.next_batch);
        work.effects.floors.push((truncate.table.clone(), truncate.version));
        let mut writes = Vec::new();
        let mut measured = Vec::new();
        for (cause, (row, mut record)) in rows.into_iter().enumerate() {
            let change = delete_of(truncate, row.id());
            let remembered = &mut record;
            remembered.version = truncate.version;
            remembered.deleted_ms = Some(self.clock.now_ms());
            remembered.provisional = None;
            measured.append(&mut remembered.measured);
            let index = self.indexes.of(&change);
            let source = Sourced::of_row(row.clone());
            if self.windows.is_none() {
                document::plan(&change, Vec::new(), Some(remembered), &index, &source, &mut writes);
            }
            work.causes.resize(writes.len(), cause);
            work.effects.rows.push(RowChange { key: row, record, text: Text::Removed });
            work.changes.push(change);
            work.sources.push(source);
        }
        work.writes = Arc::new(writes);
        self.take_back_all(measured, &mut work)?;
        self.next_batch += 1;
        self.state.stage(work.number, &work.effects);
        Ok(Some(work))
    }

    /// The end of a truncate: the floor, and the lane's position after it. One that is older than the floor changes nothing.
    pub fn truncate_end(&mut self, truncate: Truncate) -> Result<Work, Failure> {
        let mut work = Work::new(self.next_batch);
        work.effects.positions = truncate.positions;
        if self.state.floor(&truncate.table)? > Some(truncate.version) {
            work.tally = Tally { stale: 1, ..Tally::default() };
        } else {
            work.tally = Tally { applied: 1, ..Tally::default() };
            work.effects.floors.push((truncate.table, truncate.version));
        }
        self.next_batch += 1;
        self.state.stage(work.number, &work.effects);
        Ok(work)
    }
}

fn delete_of(truncate: &Truncate, id: &str) -> Change {
    Change {
        operation: Operation::Delete,
        source: truncate.origin.topic.clone(),
        table: truncate.table.clone(),
        key: Some(Key { id: id.into(), json: serde_json::Value::from(id).to_string().into() }),
        before: None,
        after: None,
        version: truncate.version,
        ts_ms: 0,
        origin: truncate.origin.clone(),
        moved: None,
    }
}
