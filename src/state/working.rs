//! One pipeline's part of the state, and batches that are worked out ahead of their commit.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rocksdb::{IteratorMode, ReadOptions, WriteBatch};

use crate::event::{JsonText, Lane, QuickMap, Version};
use crate::limits::{READ_AHEAD_ROWS, READ_AHEAD_ROWS_MAX};
use crate::state::dead::lock;
use crate::state::keys::{named, table_prefix};
use crate::state::record::{decode, encode, encode_row};
use crate::state::settings::DeadLetterBounds;
use crate::state::store::family;
use crate::state::versions::Known;
use crate::state::windows::StagedWindows;
use crate::state::{
    DeadLetter, LaneRecord, MovedRow, RowChange, RowKey, RowRecord, Rows, Slot, StateError, Store, Text, ValueChanges, Values,
    WindowEffects,
};

/// What a pipeline's loop works on.
///
/// Each batch is [staged](Self::stage) under its number: later batches see its effects at once, the database only with
/// [`commit`](Self::commit). When a batch fails, the whole of this is dropped and opened again, and the source read again
/// from the last commit.
pub struct PipelineState {
    pub(super) store: Store,
    pub(super) number: u32,
    pub(super) dead_letters: DeadLetterBounds,
    staged_rows: QuickMap<RowKey, Staged<(RowRecord, Text)>>,
    staged_moved: HashMap<RowKey, Staged<Option<MovedRow>>>,
    floors: HashMap<Arc<str>, Option<Version>>,
    values: Values,
    pub(super) staged_windows: StagedWindows,
    reading_ahead: ReadingAhead,
}

/// How far rows have been read into memory that nobody has asked for yet.
#[derive(Default)]
struct ReadingAhead {
    /// The last of them.
    after: Vec<u8>,
    is_done: bool,
}

/// Something of a batch that is not committed yet.
struct Staged<T> {
    batch: u64,
    value: T,
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

impl Effects {
    /// Whether it may be written together with later batches: what is set aside, counted or kept by a guest is written at once.
    pub fn may_wait(&self) -> bool {
        self.dead.is_empty() && self.replayed.is_empty() && self.values.is_empty() && self.windows == WindowEffects::default()
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
            reading_ahead: ReadingAhead::default(),
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

    /// The place of a row among those of a batch; what is known of it is there after the next [`fetch`](Self::fetch). A row that is
    /// there already stays as the batch has it.
    ///
    /// `first`: the first part of the version it is to be compared with. Where the row's has another, its second part may be left
    /// open; without `first` it never is.
    pub fn want(&self, rows: &mut Rows, key: RowKey, first: Option<u64>) -> Slot {
        let staged = |key: &RowKey| self.staged_rows.get(key).map(|staged| Known::Exactly(staged.value.0.clone()));
        rows.want(key, first, |key| staged(key).or_else(|| self.store.cache.get(key)))
    }

    /// Looks up what is wanted and not in memory; says how many rows were found.
    pub fn fetch(&self, rows: &mut Rows) -> Result<usize, StateError> {
        let missing = rows.take_missing();
        if missing.is_empty() {
            return Ok(0);
        }
        let mut found_rows = 0;
        let family = self.store.family(family::VERSIONS)?;
        let found = self.store.db.batched_multi_get_cf(family, missing.iter().map(|(key, _)| key), true);
        for ((key, slot), found) in missing.iter().zip(found) {
            let Some(bytes) = found? else { continue };
            let record: RowRecord = decode("row's version", &bytes)?;
            self.store.cache.insert(key, record.clone());
            rows.found(*slot, record);
            found_rows += 1;
        }
        Ok(found_rows)
    }

    /// Reads rows into memory, one after the other, that are likely to be asked for: a process that has just started knows none, and to
    /// look up one costs as much as to read some fifteen in their order. So each that had to be looked up pays for many more, until all
    /// have been read or there is no more room. Of rows that are staged the commit will say more.
    pub fn read_ahead(&mut self, looked_up: usize) -> Result<(), StateError> {
        let limit = looked_up.saturating_mul(READ_AHEAD_ROWS).min(READ_AHEAD_ROWS_MAX);
        if limit == 0 || self.reading_ahead.is_done || !self.store.cache.has_room() {
            return Ok(());
        }
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(self.number.to_be_bytes()));
        options.fill_cache(false);
        let mut entries = self.store.db.raw_iterator_cf_opt(self.store.family(family::VERSIONS)?, options);
        let ReadingAhead { after, is_done } = &mut self.reading_ahead;
        if after.is_empty() {
            entries.seek_to_first();
        } else {
            entries.seek(&*after);
        }
        for place in 0..=limit {
            let Some((key, value)) = entries.item() else {
                entries.status()?;
                *is_done = true;
                break;
            };
            self.store.cache.add(key, &decode("row's version", value)?);
            if place == limit {
                *after = key.to_vec();
            }
            entries.next();
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
    ) -> Result<Vec<(RowKey, RowRecord)>, StateError> {
        let prefix = table_prefix(self.number, table);
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(prefix.clone()));
        let mut rows = Vec::new();
        let start = IteratorMode::From(from.map_or(&prefix, |key| key.as_bytes()), rocksdb::Direction::Forward);
        for entry in self.store.db.iterator_cf_opt(self.store.family(family::VERSIONS)?, options, start) {
            let (key, value) = entry?;
            let record: RowRecord = decode("row's version", &value)?;
            if record.deleted_ms.is_none() && record.version <= below {
                rows.push((RowKey::from_bytes(&key), record));
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
            correct(&mut staged.value.0);
        }
    }

    /// Writes all effects of a batch in one atomic write. Batches are committed in the order of their numbers.
    pub fn commit(&mut self, batch: u64, effects: Effects) -> Result<(), StateError> {
        self.commit_together(batch, vec![effects])
    }

    /// The same for several batches, in their order; `batch` is the last. Of those that [may not wait](Effects::may_wait) there is one at most.
    pub fn commit_together(&mut self, batch: u64, effects: Vec<Effects>) -> Result<(), StateError> {
        let mut writes = WriteBatch::default();
        self.write_rows(&mut writes, &effects)?;
        let (positions, floors) = (self.store.family(family::POSITIONS)?, self.store.family(family::FLOORS)?);
        for effects in &effects {
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
        }
        if let Some(effects) = effects.iter().find(|effects| !effects.dead.is_empty() || !effects.replayed.is_empty()) {
            let shared = self.book()?;
            // Held over the write: letters may be dropped by others meanwhile.
            let mut book = lock(&shared);
            let mut after = book.clone();
            self.set_aside(&mut writes, &mut after, effects)?;
            self.store.write(writes)?;
            *book = after;
        } else {
            self.store.write(writes)?;
        }
        self.staged_moved.retain(|_, staged| staged.batch > batch);
        for effects in effects {
            for row in effects.rows {
                if let Entry::Occupied(staged) = self.staged_rows.entry(row.key.clone())
                    && staged.get().batch <= batch
                {
                    staged.remove();
                }
                // Also where a later batch is staged: that one may never be committed, and the cache outlives it.
                self.store.cache.insert(&row.key, row.record);
            }
            self.values.written(batch, &effects.values);
            self.staged_windows.written(batch, effects.windows, &self.store);
        }
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

    fn write_rows(&self, writes: &mut WriteBatch, effects: &[Effects]) -> Result<(), StateError> {
        let versions = self.store.family(family::VERSIONS)?;
        let (texts, moves) = (self.store.family(family::ROWS)?, self.store.family(family::MOVED)?);
        let mut buffer = Vec::new();
        // Of a row that batches change several times only the last word is written.
        let rows = in_order(effects.iter().flat_map(|effects| &effects.rows));
        for changes in rows.chunk_by(|(_, one), (_, next)| one.key == next.key) {
            let Some((_, row)) = changes.last() else { continue };
            encode_row(&row.record, &mut buffer)?;
            writes.put_cf(versions, &row.key, &buffer);
            match changes.iter().rev().map(|(_, change)| &change.text).find(|text| **text != Text::Kept) {
                Some(Text::Put(text)) => writes.put_cf(texts, &row.key, text.as_bytes()),
                Some(Text::Removed) => writes.delete_cf(texts, &row.key),
                Some(Text::Kept) | None => {}
            }
        }
        for (key, moved) in effects.iter().flat_map(|effects| &effects.moved) {
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

/// Rows in the order of their keys, so that each finds its place in memory near the one before; the changes of one row in the order they came.
/// Each stands beside the eight bytes after those that all keys share, which mostly tell where it belongs.
fn in_order<'a>(rows: impl Iterator<Item = &'a RowChange> + Clone) -> Vec<(u64, &'a RowChange)> {
    let first = rows.clone().next().map_or(&[][..], |row| row.key.as_bytes());
    let shared = rows.clone().fold(first.len(), |shared, row| {
        let same = first.iter().zip(row.key.as_bytes()).take(shared);
        same.take_while(|(one, other)| one == other).count()
    });
    let mut placed: Vec<(u64, &RowChange)> = rows.map(|row| (eight_bytes(row.key.as_bytes(), shared), row)).collect();
    placed.sort_by(|(one_start, one), (other_start, other)| one_start.cmp(other_start).then_with(|| one.key.cmp(&other.key)));
    placed
}

fn eight_bytes(key: &[u8], from: usize) -> u64 {
    let mut bytes = [0; 8];
    key.iter().skip(from).zip(&mut bytes).for_each(|(byte, place)| *place = *byte);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::in_order;
    use crate::state::{RowChange, RowKey, RowRecord, Text};

    proptest::proptest! {
        #[test]
        fn rows_are_put_in_the_order_of_their_keys_and_those_of_one_key_stay_in_theirs(
            keys in proptest::collection::vec(("[ab]{1,2}", "[0-2]{0,3}|shared-[0-9]{3}-[0-9]"), 0..40),
        ) {
            let change = |(table, id): &(String, String)| {
                RowChange { key: RowKey::new(1, table, id), record: RowRecord::default(), text: Text::Kept }
            };
            let rows: Vec<RowChange> = keys.iter().map(change).collect();
            let mut sorted: Vec<&RowChange> = rows.iter().collect();
            sorted.sort_by(|one, other| one.key.cmp(&other.key));
            let ordered = in_order(rows.iter());
            proptest::prop_assert_eq!(ordered.len(), sorted.len());
            for ((_, ordered), sorted) in ordered.into_iter().zip(sorted) {
                proptest::prop_assert!(std::ptr::eq(ordered, sorted));
            }
        }
    }
}
