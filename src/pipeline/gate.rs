//! Is it newer? The one comparison that makes every duplicate and every late event harmless; and what a change does to its row.

use crate::event::{Change, Version};
use crate::pipeline::rows::RowKeeper;
use crate::pipeline::work::{Sourced, Work};
use crate::state::settings::Keep;
use crate::state::{PipelineState, RowKey, RowRecord, Rows, Slot, StateError};

/// Whether a change at `version` is to be applied to a row.
///
/// It must be above what was applied to the row last (also when that was its deletion: tombstones are records too), and
/// above the last truncate of its table.
pub fn is_newer(version: Version, record: Option<&RowRecord>, floor: Option<Version>) -> bool {
    record.is_none_or(|record| version > record.version) && floor.is_none_or(|floor| version > floor)
}

/// What an event is held against.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Its row; none where it has no history to be compared with.
    pub row: Option<(RowKey, Slot)>,
    /// The last truncate of its table.
    pub floor: Option<Version>,
}

/// The changes of one batch at the gate.
pub struct Gate<'a> {
    /// The pipeline's part of the state.
    pub state: &'a PipelineState,
    /// How much is remembered of each row.
    pub keep: Keep,
    /// When.
    pub now_ms: u64,
    /// The rows as the batch has them.
    pub rows: &'a mut Rows,
    /// Their texts.
    pub keeper: RowKeeper<'a>,
    /// What was let through.
    pub work: &'a mut Work,
}

impl Gate<'_> {
    /// Lets a change through, if it is newer than what is known.
    pub fn admit(&mut self, mut change: Change, mut source: Sourced, place: Place) -> Result<(), StateError> {
        let floor = place.floor;
        let Some((key, slot)) = place.row else {
            // A row without a key has no history to compare with: its position alone keeps it from being applied twice, here and in the backlog.
            self.work.admit(change, source);
            return Ok(());
        };
        source.slot = Some(slot);
        let record = self.rows.record_at(slot);
        if let Some(replay) = source.replay.as_ref().filter(|replay| replay.is_again(&mut change, record, floor)) {
            source.is_known = replay.is_known;
            return self.admit_again(change, source, key);
        }
        if !is_newer(change.version, record, floor) {
            self.work.tally.stale += 1;
            let known = record.map(|record| record.version);
            if let Some(floor) = floor.filter(|floor| known <= Some(*floor)) {
                self.withdraw(change, source, (key, slot), floor);
            }
            return Ok(());
        }
        source.is_known = record.is_some();
        let refreshed = if self.keep == Keep::Rows { self.keeper.apply(self.rows, &key, &mut change)? } else { None };
        if let Some(record) = self.rows.record_mut_at(slot) {
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
            let slot = self.state.want(self.rows, row.clone(), None);
            let is_provisional = self.rows.record_at(slot).is_some_and(|record| record.provisional.is_some());
            self.work.admit(also, Sourced { slot: Some(slot), is_provisional, ..Sourced::of_row(row) });
        }
        Ok(())
    }

    /// A change that is read after the truncate of its table. Nothing is known of what it wrote, but a life of the process that
    /// ended before its commit may have read it first, and written it: that is deleted, as the truncate would have done.
    fn withdraw(&mut self, change: Change, source: Sourced, (key, slot): (RowKey, Slot), floor: Version) {
        let is_known = self.rows.record_at(slot).is_some();
        if let Some(record) = self.rows.record_mut_at(slot) {
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

#[cfg(test)]
mod tests {
    use super::{RowRecord, Version, is_newer};

    #[test]
    fn old_never_wins() {
        let at = |first, second| Version::new(first, second);
        let row = |version| Some(RowRecord { version, ..RowRecord::default() });
        let deleted = |version| Some(RowRecord { version, deleted_ms: Some(1), ..RowRecord::default() });
        for (what, version, record, floor, newer) in [
            ("a new row, even at zero", at(0, 0), None, None, true),
            ("the same again", at(7, 1), row(at(7, 1)), None, false),
            ("an older one", at(6, 9), row(at(7, 1)), None, false),
            ("a tie of the first part, later in its transaction", at(7, 2), row(at(7, 1)), None, true),
            ("a newer one", at(8, 0), row(at(7, 1)), None, true),
            ("late, after a delete", at(6, 0), deleted(at(7, 0)), None, false),
            ("made again after a delete", at(8, 0), deleted(at(7, 0)), None, true),
            ("a new row from before a truncate", at(7, 0), None, Some(at(8, 0)), false),
            ("a new row after a truncate", at(9, 0), None, Some(at(8, 0)), true),
        ] {
            assert_eq!(is_newer(version, record.as_ref(), floor), newer, "{what}");
        }
    }
}
