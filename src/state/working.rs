//! One pipeline's part of the state, and batches that are worked out ahead of their commit.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rocksdb::{IteratorMode, ReadOptions, WriteBatch, WriteOptions};

use crate::event::{JsonText, Lane, QuickMap, Version};
use crate::state::dead::lock;
use crate::state::keys::{named, table_prefix};
use crate::state::record::{decode, encode, encode_into};
use crate::state::settings::DeadLetterBounds;
use crate::state::store::family;
use crate::state::windows::StagedWindows;
use crate::state::{DeadLetter, LaneRecord, MovedRow, RowKey, RowRecord, StateError, Store, ValueChanges, Values, WindowEffects};

/// What a pipeline's loop works on.
///
/// Each batch is [staged](Self::stage) under its number: later batches see its effects at once, the database only with
/// [`commit`](Self::commit). When a batch fails, the whole of this is dropped and opened again, and the source read again
/// from the last commit.
pub struct PipelineState {
    pub(super) store: Store,
    pub(super) number: u32,
    pub(super) dead_letters: DeadLetterBounds,
    staged_rows: QuickMap<RowKey, Staged<(Arc<RowRecord>, Text)>>,
    staged_moved: HashMap<RowKey, Staged<Option<MovedRow>>>,
    floors: HashMap<Arc<str>, Option<Version>>,
    values: Values,
    pub(super) staged_windows: StagedWindows,
}

/// Something of a batch that is not committed yet.
struct Staged<T> {
    batch: u64,
    value: T,
}

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
    pub record: Arc<RowRecord>,
    /// What becomes of its text.
    pub text: Text,
}

/// All that a batch changes in the state; one atomic write.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// Rows, each once.
    pub rows: Vec<RowChange>,
    /// Rows on the move between keys; none: the note goes.
    pub moved: Vec<(RowKey, Option<MovedRow>)>,
    /// Tables that were emptied.
    pub floors: Vec<(Arc<str>, Version)>,
    /// Where lanes stand after the batch.
    pub positions: Vec<(Lane, LaneRecord)>,
    /// What was set aside; new ones get their ids at the commit.
    pub dead: Vec<DeadLetter>,
    /// Dead letters that were replayed: they go, but for those that are in `dead` again.
    pub replayed: Vec<u64>,
    /// What the guest wrote to its store.
    pub values: ValueChanges,
    /// What is counted in windows, and shown of them.
    pub windows: WindowEffects,
}

/// The rows of a batch being worked on: each key once, with what the batch has done to it so far.
#[derive(Debug, Default)]
pub struct Rows {
    slots: QuickMap<RowKey, usize>,
    rows: Vec<WorkedRow>,
}

#[derive(Debug)]
struct WorkedRow {
    key: RowKey,
    record: Option<Arc<RowRecord>>,
    text: Text,
    is_changed: bool,
}

impl Rows {
    /// The record of a row as the batch has it now.
    pub fn record(&self, key: &RowKey) -> Option<&Arc<RowRecord>> {
        self.row(key)?.record.as_ref()
    }

    /// What the batch has done to the row's text so far.
    pub fn text(&self, key: &RowKey) -> &Text {
        self.row(key).map_or(&Text::Kept, |row| &row.text)
    }

    /// The record, to be changed.
    pub fn record_mut(&mut self, key: &RowKey) -> Option<&mut RowRecord> {
        let row = self.slots.get(key).and_then(|slot| self.rows.get_mut(*slot))?;
        row.is_changed = true;
        Some(Arc::make_mut(row.record.get_or_insert_default()))
    }

    /// Sets the row's text.
    pub fn set_text(&mut self, key: &RowKey, text: Text) {
        if let Some(row) = self.slots.get(key).and_then(|slot| self.rows.get_mut(*slot)) {
            row.is_changed = true;
            row.text = text;
        }
    }

    /// What the batch changes.
    pub fn into_changes(self) -> Vec<RowChange> {
        let changed = self.rows.into_iter().filter(|row| row.is_changed);
        changed.filter_map(|row| Some(RowChange { key: row.key, record: row.record?, text: row.text })).collect()
    }

    fn row(&self, key: &RowKey) -> Option<&WorkedRow> {
        self.slots.get(key).and_then(|slot| self.rows.get(*slot))
    }
}

impl PipelineState {
    pub(super) fn new(store: Store, number: u32) -> Result<Self, StateError> {
        let (dead_letters, values) = (DeadLetterBounds::default(), Values::open(&store, number)?);
        Ok(Self {
            store,
            number,
            dead_letters,
            staged_rows: QuickMap::default(),
            staged_moved: HashMap::new(),
            floors: HashMap::new(),
            values,
            staged_windows: StagedWindows::default(),
        })
    }

    /// The same, with other bounds of dead letters.
    pub fn with_dead_letters(self, dead_letters: DeadLetterBounds) -> Self {
        Self { dead_letters, ..self }
    }

    /// The database this is a part of.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What the guest keeps.
    pub fn values(&self) -> &Values {
        &self.values
    }

    #[cfg(test)]
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// What a row of this pipeline is filed under.
    pub fn key(&self, table: &str, id: &str) -> RowKey {
        RowKey::new(self.number, table, id)
    }

    /// Brings what is known of these rows into `rows`; those that are there already stay as the batch has them.
    pub fn load(&self, rows: &mut Rows, keys: impl Iterator<Item = RowKey>) -> Result<(), StateError> {
        let mut missing: Vec<usize> = Vec::new();
        for key in keys {
            let slot = rows.rows.len();
            let Entry::Vacant(entry) = rows.slots.entry(key.clone()) else { continue };
            entry.insert(slot);
            let staged = self.staged_rows.get(&key).map(|staged| staged.value.0.clone());
            let record = staged.or_else(|| self.store.cache.get(&key));
            if record.is_none() {
                missing.push(slot);
            }
            rows.rows.push(WorkedRow { key, record, text: Text::Kept, is_changed: false });
        }
        // In the order of keys the look-ups of one block follow each other.
        let key_of = |slot: &usize| rows.rows.get(*slot).map(|row| row.key.clone());
        let mut missing: Vec<(RowKey, usize)> = missing.iter().filter_map(|slot| Some((key_of(slot)?, *slot))).collect();
        missing.sort_unstable();
        let family = self.store.family(family::VERSIONS)?;
        let found = self.store.db.batched_multi_get_cf(family, missing.iter().map(|(key, _)| key), true);
        for ((key, slot), found) in missing.iter().zip(found) {
            let Some(bytes) = found? else { continue };
            let record: Arc<RowRecord> = Arc::new(decode("row's version", &bytes)?);
            self.store.cache.insert(key.clone(), record.clone());
            if let Some(row) = rows.rows.get_mut(*slot) {
                row.record = Some(record);
            }
        }
        Ok(())
    }

    /// The text of a row, as `rows` and the batches before it have it.
    pub fn row_text(&self, rows: &Rows, key: &RowKey) -> Result<Option<JsonText>, StateError> {
        let staged = self.staged_rows.get(key).map_or(&Text::Kept, |staged| &staged.value.1);
        for text in [rows.text(key), staged] {
            match text {
                Text::Put(text) => return Ok(Some(text.clone())),
                Text::Removed => return Ok(None),
                Text::Kept => {}
            }
        }
        let Some(bytes) = self.store.db.get_pinned_cf(self.store.family(family::ROWS)?, key)? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).map_err(|_| StateError::Corrupt("a row in the state is not text".to_owned()))?;
        Ok(Some(JsonText::from(text)))
    }

    /// What is noted of a row on the move.
    pub fn moved(&self, key: &RowKey) -> Result<Option<MovedRow>, StateError> {
        if let Some(staged) = self.staged_moved.get(key) {
            return Ok(staged.value.clone());
        }
        let bytes = self.store.db.get_pinned_cf(self.store.family(family::MOVED)?, key)?;
        bytes.map(|bytes| decode("moved row", &bytes)).transpose()
    }

    /// The version of the last truncate of a table, if there was one.
    pub fn floor(&mut self, table: &Arc<str>) -> Result<Option<Version>, StateError> {
        if let Some(floor) = self.floors.get(table) {
            return Ok(*floor);
        }
        let bytes = self.store.db.get_pinned_cf(self.store.family(family::FLOORS)?, named(self.number, table))?;
        let floor = bytes.map(|bytes| decode("truncate", &bytes)).transpose()?;
        self.floors.insert(table.clone(), floor);
        Ok(floor)
    }

    /// Up to `limit` rows of a table that are there and not above `below`, from `from` on. Sees committed batches only.
    pub fn live_rows(
        &self,
        table: &str,
        below: Version,
        from: Option<&RowKey>,
        limit: usize,
    ) -> Result<Vec<(RowKey, Arc<RowRecord>)>, StateError> {
        let prefix = table_prefix(self.number, table);
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(prefix.clone()));
        let mut rows = Vec::new();
        let start = IteratorMode::From(from.map_or(&prefix, |key| key.as_bytes()), rocksdb::Direction::Forward);
        for entry in self.store.db.iterator_cf_opt(self.store.family(family::VERSIONS)?, options, start) {
            let (key, value) = entry?;
            let record: RowRecord = decode("row's version", &value)?;
            if record.deleted_ms.is_none() && record.version <= below {
                rows.push((RowKey::from_bytes(&key), Arc::new(record)));
            }
            if rows.len() == limit {
                break;
            }
        }
        Ok(rows)
    }

    /// Lets later batches see what this one does, before it is committed. Batches are numbered in rising order.
    pub fn stage(&mut self, batch: u64, effects: &Effects) {
        for row in &effects.rows {
            // The text of an earlier batch that is still on its way must not be forgotten by one that keeps it.
            let text = match (&row.text, self.staged_rows.get(&row.key)) {
                (Text::Kept, Some(earlier)) => earlier.value.1.clone(),
                (text, _) => text.clone(),
            };
            self.staged_rows.insert(row.key.clone(), Staged { batch, value: (row.record.clone(), text) });
        }
        for (key, moved) in &effects.moved {
            self.staged_moved.insert(key.clone(), Staged { batch, value: moved.clone() });
        }
        for (table, version) in &effects.floors {
            self.floors.insert(table.clone(), Some(*version));
        }
        if !effects.values.is_empty() {
            self.values.stage(batch, &effects.values);
        }
        self.staged_windows.stage(batch, &effects.windows);
    }

    /// Corrects the staged record of a row whose document was refused, so that its body is not taken for written.
    pub fn restage(&mut self, key: &RowKey, correct: impl Fn(&mut RowRecord)) {
        if let Some(staged) = self.staged_rows.get_mut(key) {
            correct(Arc::make_mut(&mut staged.value.0));
        }
    }

    /// Writes all effects of a batch in one atomic write. Batches are committed in the order of their numbers.
    pub fn commit(&mut self, batch: u64, effects: Effects) -> Result<(), StateError> {
        let mut writes = WriteBatch::default();
        self.write_rows(&mut writes, &effects)?;
        let (positions, floors) = (self.store.family(family::POSITIONS)?, self.store.family(family::FLOORS)?);
        for (lane, record) in &effects.positions {
            writes.put_cf(positions, named(self.number, lane), encode(record)?);
        }
        for (table, version) in &effects.floors {
            writes.put_cf(floors, named(self.number, table), encode(version)?);
        }
        if !effects.values.is_empty() {
            self.values.write(&mut writes, &effects.values)?;
        }
        self.write_windows(&mut writes, &effects.windows)?;
        if effects.dead.is_empty() && effects.replayed.is_empty() {
            self.store.db.write_opt(writes, &WriteOptions::default())?;
        } else {
            let shared = self.book()?;
            // Held over the write: letters may be dropped by others meanwhile.
            let mut book = lock(&shared);
            let mut after = book.clone();
            self.set_aside(&mut writes, &mut after, &effects)?;
            self.store.db.write_opt(writes, &WriteOptions::default())?;
            *book = after;
        }
        for row in effects.rows {
            if self.staged_rows.get(&row.key).is_some_and(|staged| staged.batch == batch) {
                self.staged_rows.remove(&row.key);
            }
            // Also where a later batch is staged: that one may never be committed, and the cache outlives it.
            self.store.cache.insert(row.key, row.record);
        }
        self.staged_moved.retain(|_, staged| staged.batch != batch);
        self.values.written(batch, &effects.values);
        self.staged_windows.written(batch, effects.windows, &self.store);
        Ok(())
    }

    /// Where every lane of the pipeline stands.
    pub fn positions(&self) -> Result<Vec<(Lane, LaneRecord)>, StateError> {
        let mut positions = Vec::new();
        self.each(family::POSITIONS, |key, value| {
            let lane = String::from_utf8_lossy(key.get(4..).unwrap_or_default());
            positions.push((Lane::from(lane.as_ref()), decode("position", value)?));
            Ok(true)
        })?;
        Ok(positions)
    }

    fn write_rows(&self, writes: &mut WriteBatch, effects: &Effects) -> Result<(), StateError> {
        let versions = self.store.family(family::VERSIONS)?;
        let (texts, moves) = (self.store.family(family::ROWS)?, self.store.family(family::MOVED)?);
        let mut buffer = Vec::new();
        for row in &effects.rows {
            encode_into(&*row.record, &mut buffer)?;
            writes.put_cf(versions, &row.key, &buffer);
            match &row.text {
                Text::Kept => {}
                Text::Put(text) => writes.put_cf(texts, &row.key, text.as_bytes()),
                Text::Removed => writes.delete_cf(texts, &row.key),
            }
        }
        for (key, moved) in &effects.moved {
            match moved {
                Some(moved) => writes.put_cf(moves, key, encode(moved)?),
                None => writes.delete_cf(moves, key),
            }
        }
        Ok(())
    }

    /// Calls `visit` for each entry of this pipeline in a family, until it says false.
    pub(super) fn each(&self, family: &str, mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, StateError>) -> Result<(), StateError> {
        let prefix = self.number.to_be_bytes();
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(prefix.to_vec()));
        let start = IteratorMode::From(&prefix, rocksdb::Direction::Forward);
        for entry in self.store.db.iterator_cf_opt(self.store.family(family)?, options, start) {
            let (key, value) = entry?;
            if !visit(&key, &value)? {
                break;
            }
        }
        Ok(())
    }
}
