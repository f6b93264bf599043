//! A write that the sink will never take: whose dead letter it is, and what must not be believed to be there.

use std::collections::VecDeque;

use crate::event::Write;
use crate::pipeline::document;
use crate::pipeline::process::Processor;
use crate::pipeline::work::{Cause, Work};
use crate::state::{RowKey, StateError};

impl Processor {
    /// Sets aside the change that a refused write is of.
    ///
    /// Where later changes of the row found its document unchanged, in this batch or in one that is at work already, they stand for the row
    /// now, and wanted the same: the last of them is set aside, so that its replay is not overtaken by what it repeats.
    pub fn refused(
        &mut self,
        work: &mut Work,
        at_work: &mut VecDeque<Work>,
        cause: Cause,
        write: &Write,
        reason: &str,
    ) -> Result<(), StateError> {
        if let Some(row) = work.rows_shown.get(cause).cloned() {
            return self.row_refused(work, &row, write, reason);
        }
        let Some(row) = work.sources.get(cause).and_then(|source| source.row.clone()) else {
            self.set_aside(work, cause, reason);
            return Ok(());
        };
        let last = take_back(work, &row, write).unwrap_or(cause);
        self.set_aside(work, last, reason);
        for later in at_work {
            if let Some(place) = take_back(later, &row, write) {
                self.set_aside(later, place, reason);
            }
        }
        self.state.restage(&row, |record| _ = document::take_back(record, row.id(), write));
        Ok(())
    }

    /// Many documents of a change may be refused; it is one dead letter.
    fn set_aside(&self, work: &mut Work, place: Cause, reason: &str) {
        let (Some(change), Some(source)) = (work.changes.get(place), work.sources.get(place)) else { return };
        if work.refused.insert(place) {
            work.tally.dies(source);
            work.effects.dead.push(self.dead_change("sink", reason, change, source));
        }
    }
}

/// Gives the last change of the row in the batch, where the batch leaves the refused document as it is.
fn take_back(work: &mut Work, row: &RowKey, write: &Write) -> Option<Cause> {
    let mut is_last_word = false;
    for change in work.effects.rows.iter_mut().filter(|change| change.key == *row) {
        is_last_word |= document::take_back(&mut change.record, row.id(), write);
    }
    let mut changes = work.sources.iter().enumerate().rev();
    let last = changes.find(|(place, source)| source.row.as_ref() == Some(row) && !work.rejected.contains(place));
    last.map(|(place, _)| place).filter(|_| is_last_word)
}
