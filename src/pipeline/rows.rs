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
//! A row may move on before its first move is read to the end: what is provisional of it goes along, and the note that
//! waits for the first old row is pointed at whoever has those values now.

use std::collections::HashMap;
use std::sync::Arc;

use crate::event::{Change, JsonText, Key, Moved, Operation, Version};
use crate::pipeline::toast;
use crate::state::{Half, MovedRow, PipelineState, Provisional, RowKey, RowRecord, Rows, StateError, Text};

/// The row besides its own that a change may touch.
pub fn also_touched(state: &PipelineState, change: &Change) -> Option<RowKey> {
    match change.moved.as_deref()? {
        Moved::To { key, .. } | Moved::From { key, .. } => Some(state.key(&change.table, &key.id)),
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
        let refreshed = match change.moved.as_deref().cloned() {
            Some(Moved::To { key: to, at }) => self.leave(rows, key, change, (&to, at), old)?,
            Some(Moved::From { key: from, at }) => {
                self.arrive(rows, key, change, (&from, at))?;
                None
            }
            None => {
                fill(rows, key, change, old.as_deref());
                None
            }
        };
        rows.set_text(key, change.after.clone().map_or(Text::Removed, Text::Put));
        Ok(refreshed)
    }

    /// The notes this batch has changed.
    pub fn into_moved(self) -> Vec<(RowKey, Option<MovedRow>)> {
        self.moved.into_iter().collect()
    }

    /// The delete half of a move: the old row is final.
    fn leave(
        &mut self,
        rows: &mut Rows,
        key: &RowKey,
        change: &Change,
        (to, at): (&Key, Version),
        old: Option<JsonText>,
    ) -> Result<Option<Change>, StateError> {
        let Some(old) = old else { return Ok(None) };
        let provisional = rows.record(key).and_then(|record| record.provisional.clone());
        let awaited = key.moving(at, Half::Awaited);
        if let Some(MovedRow::Awaited { id, key: json, left, .. }) = self.note(&awaited)? {
            self.moved.insert(awaited, None);
            let waiting = Key { id: id.into(), json: JsonText::from(json) };
            return match left {
                None => self.settle(rows, change, at, waiting, &old, provisional),
                Some(left_at) => self.settle_left(change, &waiting, left_at, &old, provisional),
            };
        }
        let new_key = self.state.key(&change.table, &to.id);
        let has_arrived = rows.record(&new_key).is_some_and(|record| record.version >= change.version);
        if !has_arrived {
            if let Some(provisional) = &provisional {
                self.await_for(change, provisional, to, Some(at));
            }
            let left = MovedRow::Left { row: old.to_string(), provisional, at_ms: self.now_ms };
            self.moved.insert(new_key.moving(at, Half::Left), Some(left));
        }
        Ok(None)
    }

    /// The create half of a move.
    fn arrive(&mut self, rows: &mut Rows, key: &RowKey, change: &mut Change, (from, at): (&Key, Version)) -> Result<(), StateError> {
        let own = change.key.clone();
        let left = key.moving(at, Half::Left);
        let noted = self.note(&left)?;
        let lacking = change.after.clone().filter(|after| toast::may_lack_values(after));
        let provisional = match (noted, lacking) {
            (Some(MovedRow::Left { row, provisional, .. }), after) => {
                self.moved.insert(left, None);
                let filled = after.and_then(|after| toast::fill(&after, Some(&row)));
                // Also what the noted row lacks itself: whoever waits for it is the row that has arrived.
                let taken = filled.iter().flat_map(|filled| filled.columns.iter().chain(&filled.lacking)).cloned().collect::<Vec<_>>();
                if let Some(filled) = filled {
                    change.after = Some(filled.row);
                }
                narrowed(provisional, &taken)
            }
            (_, Some(after)) => {
                let old_key = self.state.key(&change.table, &from.id);
                let is_before = |record: &RowRecord| record.deleted_ms.is_none() && record.version < change.version;
                let old = if rows.record(&old_key).is_some_and(is_before) { self.state.row_text(rows, &old_key)? } else { None };
                let Some(filled) = toast::fill(&after, old.as_deref()) else { return Ok(()) };
                change.after = Some(filled.row);
                let columns = filled.columns.into_iter().chain(filled.lacking).collect();
                Some(Box::new(Provisional { from: from.id.to_string(), at, columns }))
            }
            (_, None) => None,
        };
        if let (Some(provisional), Some(own)) = (&provisional, own) {
            self.await_for(change, provisional, &own, None);
        }
        if let Some(record) = rows.record_mut(key) {
            record.provisional = provisional;
        }
        Ok(())
    }

    /// The row that waits takes its provisional values again; gives its refresh.
    fn settle(
        &mut self,
        rows: &mut Rows,
        change: &Change,
        at: Version,
        waiting: Key,
        old: &JsonText,
        still: Option<Box<Provisional>>,
    ) -> Result<Option<Change>, StateError> {
        let key = self.state.key(&change.table, &waiting.id);
        // Whoever waits may have got its place by moving on: then it is none of the rows that this change names.
        self.state.want(rows, key.clone(), None);
        self.state.fetch(rows)?;
        let provisional = rows.record(&key).and_then(|record| record.provisional.clone()).filter(|p| p.at == at);
        let (Some(provisional), Some(row)) = (provisional, self.state.row_text(rows, &key)?) else { return Ok(None) };
        let still = narrowed(still, &provisional.columns);
        if let Some(still) = &still {
            self.await_for(change, still, &waiting, None);
        }
        let Some(record) = rows.record_mut(&key) else { return Ok(None) };
        record.provisional = still;
        let version = record.version;
        // Also where it is what it was: an earlier life may have written something else.
        let Some(after) = toast::replace(&row, &provisional.columns, old) else { return Ok(None) };
        rows.set_text(&key, Text::Put(after.clone()));
        Ok(Some(refresh(change, waiting, after, version)))
    }

    /// The same where the row that waits has left its own key and not arrived at the next one: its note is mended.
    fn settle_left(
        &mut self,
        change: &Change,
        waiting: &Key,
        left_at: Version,
        old: &JsonText,
        still: Option<Box<Provisional>>,
    ) -> Result<Option<Change>, StateError> {
        let left = self.state.key(&change.table, &waiting.id).moving(left_at, Half::Left);
        let Some(MovedRow::Left { row, provisional: Some(provisional), at_ms }) = self.note(&left)? else { return Ok(None) };
        let still = narrowed(still, &provisional.columns);
        if let Some(still) = &still {
            self.await_for(change, still, waiting, Some(left_at));
        }
        let row = toast::replace(&row, &provisional.columns, old).map_or(row, |row| row.to_string());
        self.moved.insert(left, Some(MovedRow::Left { row, provisional: still, at_ms }));
        Ok(None)
    }

    /// Notes who waits for the last values of the row that `provisional` was taken from.
    fn await_for(&mut self, change: &Change, provisional: &Provisional, waiting: &Key, left: Option<Version>) {
        let note = MovedRow::Awaited { id: waiting.id.to_string(), key: waiting.json.to_string(), left, at_ms: self.now_ms };
        let from = self.state.key(&change.table, &provisional.from);
        self.moved.insert(from.moving(provisional.at, Half::Awaited), Some(note));
    }

    fn note(&self, key: &RowKey) -> Result<Option<MovedRow>, StateError> {
        match self.moved.get(key) {
            Some(note) => Ok(note.clone()),
            None => self.state.moved(key),
        }
    }
}

/// An ordinary change: missing values come from the row as it was.
fn fill(rows: &mut Rows, key: &RowKey, change: &mut Change, old: Option<&str>) {
    let Some(after) = &change.after else { return };
    let provisional = rows.record(key).and_then(|record| record.provisional.clone());
    if let (Some(provisional), Some(record)) = (provisional, rows.record_mut(key)) {
        // What the row has set itself since is not provisional any more.
        let set = toast::set_by(after, &provisional.columns);
        let columns: Vec<String> = provisional.columns.iter().filter(|column| !set.contains(column)).cloned().collect();
        record.provisional = (!columns.is_empty()).then(|| Box::new(Provisional { columns, ..*provisional }));
    }
    if let Some(filled) = toast::may_lack_values(after).then(|| toast::fill(after, old)).flatten() {
        change.after = Some(filled.row);
    }
}

/// What stays provisional of values of which only `columns` were taken on.
fn narrowed(provisional: Option<Box<Provisional>>, columns: &[String]) -> Option<Box<Provisional>> {
    let mut provisional = provisional?;
    provisional.columns.retain(|column| columns.contains(column));
    (!provisional.columns.is_empty()).then_some(provisional)
}

fn refresh(change: &Change, key: Key, after: JsonText, version: Version) -> Change {
    Change {
        operation: Operation::Refresh,
        source: Arc::clone(&change.source),
        table: Arc::clone(&change.table),
        key: Some(key),
        before: None,
        after: Some(after),
        version,
        ts_ms: change.ts_ms,
        origin: change.origin.clone(),
        moved: None,
    }
}
