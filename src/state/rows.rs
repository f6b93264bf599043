//! The rows of a batch being worked on: each once, as the batch has it.

use std::collections::hash_map::Entry;

use crate::event::{JsonText, QuickMap};
use crate::state::versions::Known;
use crate::state::{RowKey, RowRecord};

/// What happens to the text of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Text {
    /// It stays as it is.
    #[default]
    Kept,
    /// It becomes this.
    Put(JsonText),
    /// It goes.
    Removed,
}

/// What a batch does to one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// Which row.
    pub key: RowKey,
    /// What is remembered of it from now on.
    pub record: RowRecord,
    /// What becomes of its text.
    pub text: Text,
}

/// The place of a row in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize);

/// The rows of a batch being worked on: each key once, with what the batch has done to it so far.
#[derive(Debug, Default)]
pub struct Rows {
    slots: QuickMap<RowKey, Slot>,
    rows: Vec<WorkedRow>,
    /// Those that are yet to be looked up in the database.
    pub(super) missing: Vec<Slot>,
}

#[derive(Debug)]
struct WorkedRow {
    key: RowKey,
    record: Option<RowRecord>,
    text: Text,
    is_changed: bool,
    /// Whether the second part of the version is not known.
    is_up_to_ties: bool,
}

impl Rows {
    /// Room for so many.
    pub fn with_capacity(rows: usize) -> Self {
        Self { slots: QuickMap::with_capacity_and_hasher(rows, <_>::default()), rows: Vec::with_capacity(rows), missing: Vec::new() }
    }

    /// The record of a row as the batch has it now.
    pub fn record(&self, key: &RowKey) -> Option<&RowRecord> {
        self.record_at(*self.slots.get(key)?)
    }

    /// The same by its place.
    pub fn record_at(&self, slot: Slot) -> Option<&RowRecord> {
        self.rows.get(slot.0)?.record.as_ref()
    }

    /// What the batch has done to the row's text so far.
    pub fn text(&self, key: &RowKey) -> &Text {
        self.slots.get(key).and_then(|slot| self.rows.get(slot.0)).map_or(&Text::Kept, |row| &row.text)
    }

    /// The record, to be changed.
    pub fn record_mut(&mut self, key: &RowKey) -> Option<&mut RowRecord> {
        self.record_mut_at(*self.slots.get(key)?)
    }

    /// The same by its place.
    pub fn record_mut_at(&mut self, slot: Slot) -> Option<&mut RowRecord> {
        let row = self.rows.get_mut(slot.0)?;
        (row.is_changed, row.is_up_to_ties) = (true, false);
        Some(row.record.get_or_insert_default())
    }

    /// Sets the row's text.
    pub fn set_text(&mut self, key: &RowKey, text: Text) {
        if let Some(row) = self.slots.get(key).and_then(|slot| self.rows.get_mut(slot.0)) {
            row.is_changed = true;
            row.text = text;
        }
    }

    /// What the batch changes.
    pub fn into_changes(self) -> Vec<RowChange> {
        let changed = self.rows.into_iter().filter(|row| row.is_changed);
        changed.filter_map(|row| Some(RowChange { key: row.key, record: row.record?, text: row.text })).collect()
    }

    /// The place of a row, which `known` finds where it is new here. `first`: the first part of the version it is to be compared with,
    /// which what is known up to ties suffices for unless it is the very same; none: all must be known.
    pub(super) fn want(&mut self, key: RowKey, first: Option<u64>, known: impl FnOnce(&RowKey) -> Option<Known>) -> Slot {
        let slot = match self.slots.entry(key) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let slot = Slot(self.rows.len());
                let key = entry.key().clone();
                let (record, is_up_to_ties) = match known(&key) {
                    Some(Known::Exactly(record)) => (Some(record), false),
                    Some(Known::UpToTies(record)) => (Some(record), true),
                    None => {
                        self.missing.push(slot);
                        (None, false)
                    }
                };
                entry.insert(slot);
                self.rows.push(WorkedRow { key, record, text: Text::Kept, is_changed: false, is_up_to_ties });
                slot
            }
        };
        if let Some(row) = self.rows.get_mut(slot.0).filter(|row| row.is_up_to_ties) {
            let is_tie = |first| row.record.as_ref().is_some_and(|record| record.version.first == first);
            if first.is_none_or(is_tie) {
                (row.record, row.is_up_to_ties) = (None, false);
                self.missing.push(slot);
            }
        }
        slot
    }

    /// The keys of rows that are yet to be looked up, in their order: then the look-ups of one block follow each other.
    pub(super) fn take_missing(&mut self) -> Vec<(RowKey, Slot)> {
        let missing = std::mem::take(&mut self.missing);
        let mut keys: Vec<(RowKey, Slot)> = missing.iter().filter_map(|slot| Some((self.rows.get(slot.0)?.key.clone(), *slot))).collect();
        keys.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        keys
    }

    /// What the database has of a row.
    pub(super) fn found(&mut self, slot: Slot, record: RowRecord) {
        if let Some(row) = self.rows.get_mut(slot.0) {
            row.record = Some(record);
        }
    }
}
