//! The rows we keep: what a change does to them, and what they lend to the change (`keep = "rows"`).
//!
//! Two things are put right here. A value that Postgres did not send is filled in from the row as it was. And a delete
//! carries the whole old row, not only its key.
//!
//! A change of the primary key arrives as a delete under the old key and a create under the new one, which may stand in
//! different partitions, so either may be read first. The create may lack values that only the old row has:
//!
//! - delete first: the old row is noted under the new key ([`MovedRow::Left`]) and the create takes it from there;
//! - create first: it takes what the old row has now, which may not be the last word, remembers which columns are
//!   provisional, and leaves a note under the old key ([`MovedRow::Awaited`]); when the delete is read, the old row is
//!   final, the columns are taken again, and the row is refreshed.
//!
//! A known gap: a row that moves twice while the first move is half read keeps the provisional value.

use std::collections::HashMap;
use std::sync::Arc;

use crate::event::{Change, JsonText, Key, Moved, Operation};
use crate::pipeline::toast;
use crate::state::{MovedRow, PipelineState, RowKey, Rows, StateError, Text};

/// The row besides its own that a change may touch.
pub fn also_touched(state: &PipelineState, change: &Change) -> Option<RowKey> {
    match change.moved.as_ref()? {
        Moved::To(key) | Moved::From(key) => Some(state.key(&change.table, &key.id)),
    }
}

/// The rows of one batch, with the notes about rows on the move.
pub struct RowKeeper<'a> {
    state: &'a PipelineState,
    now_ms: u64,
    wants_before: bool,
    moved: HashMap<RowKey, Option<MovedRow>>,
}

impl<'a> RowKeeper<'a> {
    /// A keeper for one batch. `wants_before`: the old row is looked up for every change, not only where it is needed.
    pub fn new(state: &'a PipelineState, now_ms: u64, wants_before: bool) -> Self {
        Self { state, now_ms, wants_before, moved: HashMap::new() }
    }

    /// Applies a change that the gate let through: completes it, and brings the kept row up to date.
    ///
    /// Gives the refresh of another row where this change settles that row's provisional values.
    pub fn apply(&mut self, rows: &mut Rows, key: &RowKey, change: &mut Change) -> Result<Option<Change>, StateError> {
        let lacks_values = change.after.as_deref().is_some_and(toast::may_lack_values);
        let old = if change.is_delete() || lacks_values || self.wants_before { self.state.row_text(rows, key)? } else { None };
        if let Some(old) = &old {
            change.before = Some(old.clone());
        }
        let refreshed = match change.moved.clone() {
            Some(Moved::To(to)) => self.leave(rows, key, change, &to, old.as_ref())?,
            Some(Moved::From(from)) => {
                self.arrive(rows, key, change, &from)?;
                None
            }
            None => {
                self.fill(rows, key, change, old.as_deref());
                None
            }
        };
        let text = change.after.clone().map_or(Text::Removed, Text::Put);
        rows.set_text(key, text);
        Ok(refreshed)
    }

    /// The notes this batch has changed.
    pub fn into_moved(self) -> Vec<(RowKey, Option<MovedRow>)> {
        self.moved.into_iter().collect()
    }

    /// An ordinary change: missing values come from the row as it was.
    fn fill(&self, rows: &mut Rows, key: &RowKey, change: &mut Change, old: Option<&str>) {
        let provisional = rows.record(key).map(|record| record.provisional.clone()).unwrap_or_default();
        let Some(after) = &change.after else { return };
        if !provisional.is_empty() {
            // What the row has set itself since is not provisional any more.
            let set = toast::set_by(after, &provisional);
            if let Some(record) = rows.record_mut(key) {
                record.provisional.retain(|column| !set.contains(column));
            }
        }
        if let Some(filled) = toast::may_lack_values(after).then(|| toast::fill(after, old)).flatten() {
            change.after = Some(filled.row);
        }
    }

    /// The delete half of a move.
    fn leave(&mut self, rows: &mut Rows, key: &RowKey, change: &Change, to: &Key, old: Option<&JsonText>) -> Result<Option<Change>, StateError> {
        let Some(old) = old else { return Ok(None) };
        let new_key = self.state.key(&change.table, &to.id);
        if let Some(MovedRow::Awaited { version, .. }) = self.note(key)?
            && version == change.version
        {
            self.moved.insert(key.clone(), None);
            return self.settle_provisional(rows, &new_key, change, to, old);
        }
        let has_arrived = rows.record(&new_key).is_some_and(|record| record.version >= change.version);
        if !has_arrived {
            let left = MovedRow::Left { version: change.version, row: old.to_string(), at_ms: self.now_ms };
            self.moved.insert(new_key, Some(left));
        }
        Ok(None)
    }

    /// The create half of a move.
    fn arrive(&mut self, rows: &mut Rows, key: &RowKey, change: &mut Change, from: &Key) -> Result<(), StateError> {
        let left = match self.note(key)? {
            Some(MovedRow::Left { version, row, .. }) if version == change.version => Some(row),
            _ => None,
        };
        if left.is_some() {
            self.moved.insert(key.clone(), None);
        }
        let Some(after) = change.after.clone().filter(|after| toast::may_lack_values(after)) else { return Ok(()) };
        if let Some(row) = left {
            change.after = toast::fill(&after, Some(&row)).map(|filled| filled.row).or(Some(after));
            return Ok(());
        }
        let old_key = self.state.key(&change.table, &from.id);
        let is_before = rows.record(&old_key).is_some_and(|record| record.deleted_ms.is_none() && record.version < change.version);
        let old = if is_before { self.state.row_text(rows, &old_key)? } else { None };
        let Some(filled) = toast::fill(&after, old.as_deref()) else { return Ok(()) };
        change.after = Some(filled.row);
        if let Some(record) = rows.record_mut(key) {
            record.provisional = filled.columns.into_iter().chain(filled.lacking).collect();
        }
        let awaited = MovedRow::Awaited { version: change.version, by: key.id().to_owned(), at_ms: self.now_ms };
        self.moved.insert(old_key, Some(awaited));
        Ok(())
    }

    /// The old row is final: what the new one had taken from it is taken again.
    fn settle_provisional(
        &mut self,
        rows: &mut Rows,
        new_key: &RowKey,
        change: &Change,
        to: &Key,
        old: &JsonText,
    ) -> Result<Option<Change>, StateError> {
        let columns = rows.record(new_key).map(|record| record.provisional.clone()).unwrap_or_default();
        if columns.is_empty() {
            return Ok(None);
        }
        let row = self.state.row_text(rows, new_key)?;
        let (Some(row), Some(record)) = (row, rows.record_mut(new_key)) else { return Ok(None) };
        record.provisional.clear();
        let version = record.version;
        // Also where it is what it was: an earlier life may have written something else.
        let Some(after) = toast::replace(&row, &columns, old) else { return Ok(None) };
        rows.set_text(new_key, Text::Put(after.clone()));
        Ok(Some(Change {
            operation: Operation::Refresh,
            key: Some(to.clone()),
            before: None,
            after: Some(after),
            version,
            moved: None,
            source: Arc::clone(&change.source),
            table: Arc::clone(&change.table),
            ts_ms: change.ts_ms,
            origin: change.origin.clone(),
        }))
    }

    fn note(&self, key: &RowKey) -> Result<Option<MovedRow>, StateError> {
        match self.moved.get(key) {
            Some(note) => Ok(note.clone()),
            None => self.state.moved(key),
        }
    }
}
