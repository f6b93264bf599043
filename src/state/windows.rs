//! Windows: what was counted in them, what is shown of them, and how far time has come.

use std::sync::Arc;

use bytestring::ByteString;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use rocksdb::{Direction, IteratorMode, ReadOptions, WriteBatch};
use serde::{Deserialize, Serialize};

use crate::aggregate::{Cell, Values};
use crate::event::{Lane, QuickMap};
use crate::state::keys::named;
use crate::state::record::{decode, encode, encode_into};
use crate::state::store::family;
use crate::state::{PipelineState, StateError, Store};

/// Before a cell's key: its pipeline and the start of its window.
const PREFIX_BYTES: usize = 4 + 8;

/// One key of one window: pipeline, start of the window and key, in the order of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellKey(Arc<[u8]>);

impl CellKey {
    fn new(pipeline: u32, start_ms: u64, key: &str) -> Self {
        Self([pipeline.to_be_bytes().as_slice(), &start_ms.to_be_bytes(), key.as_bytes()].concat().into())
    }

    /// The start of the window; 0 for sessions.
    pub fn start_ms(&self) -> u64 {
        start_of(&self.0)
    }

    /// The key.
    pub fn key(&self) -> &str {
        self.0.get(PREFIX_BYTES..).and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default()
    }

    /// Where a value that was counted for this cell is filed.
    pub fn value(&self, kind: Values, value: [u8; 16]) -> ValueKey {
        ValueKey([&*self.0, &[0, tag(kind)], &value].concat())
    }
}

impl AsRef<[u8]> for CellKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// One value that was counted for a cell.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueKey(Vec<u8>);

impl AsRef<[u8]> for ValueKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn tag(kind: Values) -> u8 {
    match kind {
        Values::Weights => 0,
        Values::Distinct => 1,
    }
}

fn start_of(key: &[u8]) -> u64 {
    key.get(4..PREFIX_BYTES).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// What is shown of one key of one window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Where its window ends; for a session, as far as is known.
    pub end_ms: u64,
    /// Its documents.
    pub documents: Vec<ShownDocument>,
    /// Whether the module or the sink has refused what it comes to, and a dead letter tells of it: it is made again with every change.
    pub is_refused: bool,
    /// The emission that wrote of them last, where bodies are known.
    pub emitted: u64,
}

impl Shown {
    /// The same, where what emissions up to `since` have written may have become something else.
    pub fn known_since(mut self, since: u64) -> Self {
        if self.emitted <= since && since > 0 {
            self.documents.iter_mut().for_each(|document| document.body_hash = None);
        }
        self
    }

    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty() && !self.is_refused
    }
}

/// A document of a row of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownDocument {
    /// Its index; none: the pipeline's.
    pub index: Option<String>,
    /// Its id.
    pub id: String,
    /// Its routing.
    pub routing: Option<String>,
    /// Hash of its body; none when it is not known what the sink has.
    pub body_hash: Option<u64>,
}

/// What a batch changes in windows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WindowEffects {
    /// What was counted, each cell once; none: nothing is left.
    pub cells: Vec<(CellKey, Option<Arc<Cell>>)>,
    /// How often values stand in cells; 0: they go.
    pub values: Vec<(ValueKey, u64)>,
    /// What is shown; none: nothing any more.
    pub shown: Vec<(CellKey, Option<Shown>)>,
    /// Windows (by their starts) of which nothing need be remembered but what is shown.
    pub closed: Vec<u64>,
    /// The times that lanes have reached.
    pub times: Vec<(Lane, u64)>,
    /// The watermark.
    pub watermark_ms: Option<u64>,
    /// The number that the documents of the last emission carry.
    pub emitted: Option<u64>,
}

/// What batches have staged.
#[derive(Default)]
pub(super) struct StagedWindows {
    cells: QuickMap<CellKey, (u64, Option<Arc<Cell>>)>,
    values: QuickMap<ValueKey, (u64, u64)>,
}

impl StagedWindows {
    pub(super) fn stage(&mut self, batch: u64, effects: &WindowEffects) {
        self.cells.extend(effects.cells.iter().map(|(key, cell)| (key.clone(), (batch, cell.clone()))));
        self.values.extend(effects.values.iter().map(|(key, count)| (key.clone(), (batch, *count))));
    }

    pub(super) fn written(&mut self, batch: u64, effects: WindowEffects, store: &Store) {
        for (key, cell) in effects.cells {
            if self.cells.get(&key).is_some_and(|(staged, _)| *staged == batch) {
                self.cells.remove(&key);
            }
            match cell {
                Some(cell) => store.cells.insert(key, cell),
                None => _ = store.cells.remove(&key),
            }
        }
        for (key, _) in effects.values {
            if self.values.get(&key).is_some_and(|(staged, _)| *staged == batch) {
                self.values.remove(&key);
            }
        }
    }
}

/// The cells that change often.
pub(super) type CellCache = Cache<CellKey, Arc<Cell>, CellWeight>;

/// What an entry of the cache weighs.
#[derive(Clone, Debug)]
pub(super) struct CellWeight;

impl Weighter<CellKey, Arc<Cell>> for CellWeight {
    fn weight(&self, key: &CellKey, cell: &Arc<Cell>) -> u64 {
        // 64: the entry's place in the cache's own tables.
        (64 + key.0.len() + cell.size_bytes()) as u64
    }
}

impl PipelineState {
    /// What one key of a window is filed under.
    pub fn cell_key(&self, start_ms: u64, key: &str) -> CellKey {
        CellKey::new(self.number, start_ms, key)
    }

    /// Cells as the next batch sees them, in the order of `keys`.
    pub fn cells(&self, keys: &[CellKey]) -> Result<Vec<Option<Arc<Cell>>>, StateError> {
        let mut cells: Vec<Option<Arc<Cell>>> = vec![None; keys.len()];
        let mut missing: Vec<(&CellKey, usize)> = Vec::new();
        for (place, (key, found)) in keys.iter().zip(&mut cells).enumerate() {
            match self.staged_windows.cells.get(key) {
                Some((_, cell)) => found.clone_from(cell),
                None => match self.store.cells.get(key) {
                    Some(cell) => *found = Some(cell),
                    None => missing.push((key, place)),
                },
            }
        }
        // In the order of keys the look-ups of one block follow each other.
        missing.sort_unstable();
        let read = self.store.db.batched_multi_get_cf(self.store.family(family::CELLS)?, missing.iter().map(|(key, _)| key), true);
        for ((key, place), bytes) in missing.iter().zip(read) {
            let Some(bytes) = bytes? else { continue };
            let cell: Arc<Cell> = Arc::new(decode("window", &bytes)?);
            self.store.cells.insert((*key).clone(), cell.clone());
            if let Some(found) = cells.get_mut(*place) {
                *found = Some(cell);
            }
        }
        Ok(cells)
    }

    /// How often values stand in their cells, as the next batch sees it, in the order of `keys`.
    pub fn values_counted(&self, keys: &[ValueKey]) -> Result<Vec<u64>, StateError> {
        let read = self.store.db.batched_multi_get_cf(self.store.family(family::COUNTED)?, keys.iter(), false);
        let count = |(key, bytes): (&ValueKey, Result<Option<_>, rocksdb::Error>)| match self.staged_windows.values.get(key) {
            Some((_, count)) => Ok(*count),
            None => bytes?.map_or(Ok(0), |bytes: rocksdb::DBPinnableSlice<'_>| decode("counted value", &bytes)),
        };
        keys.iter().zip(read).map(count).collect()
    }

    /// The least and the greatest value counted for a cell. Sees committed batches only.
    pub fn extreme_values(&self, cell: &CellKey, kind: Values) -> Result<Option<([u8; 16], [u8; 16])>, StateError> {
        let prefix = [&*cell.0, &[0, tag(kind)]].concat();
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(prefix.clone()));
        let mut entries = self.store.db.raw_iterator_cf_opt(self.store.family(family::COUNTED)?, options);
        let value = |key: Option<&[u8]>| key.filter(|key| key.len() == prefix.len() + 16).and_then(|key| key.last_chunk().copied());
        entries.seek_to_first();
        let first = value(entries.key());
        entries.seek_to_last();
        let last = value(entries.key());
        entries.status()?;
        Ok(first.zip(last))
    }

    /// The starts of all windows with anything counted in them. Sees committed batches only.
    pub fn window_starts(&self) -> Result<Vec<u64>, StateError> {
        let mut starts: Vec<u64> = Vec::new();
        for name in [family::CELLS, family::SHOWN] {
            let mut options = ReadOptions::default();
            options.set_iterate_range(rocksdb::PrefixRange(self.number.to_be_bytes()));
            let mut entries = self.store.db.raw_iterator_cf_opt(self.store.family(name)?, options);
            entries.seek_to_first();
            while let Some(key) = entries.key() {
                let start_ms = start_of(key);
                starts.push(start_ms);
                let Some(next) = start_ms.checked_add(1) else { break };
                entries.seek([self.number.to_be_bytes().as_slice(), &next.to_be_bytes()].concat());
            }
            entries.status()?;
        }
        starts.sort_unstable();
        starts.dedup();
        Ok(starts)
    }

    /// Up to `limit` cells of a window behind the key `after`, in the order of keys. Sees committed batches only.
    pub fn cells_from(&self, start_ms: u64, after: Option<&str>, limit: usize) -> Result<Vec<(ByteString, Arc<Cell>)>, StateError> {
        self.window_entries(family::CELLS, start_ms, after, limit, |bytes| Ok(Arc::new(decode("window", bytes)?)))
    }

    /// Up to `limit` keys of a window that are shown, behind the key `after`. Sees committed batches only.
    pub fn shown_from(&self, start_ms: u64, after: Option<&str>, limit: usize) -> Result<Vec<(ByteString, Shown)>, StateError> {
        self.window_entries(family::SHOWN, start_ms, after, limit, |bytes| decode("shown window", bytes))
    }

    /// What is shown of these, in their order. Sees committed batches only.
    pub fn shown(&self, keys: &[CellKey]) -> Result<Vec<Option<Shown>>, StateError> {
        let read = self.store.db.batched_multi_get_cf(self.store.family(family::SHOWN)?, keys.iter(), false);
        read.into_iter().map(|bytes| bytes?.map(|bytes| decode("shown window", &bytes)).transpose()).collect()
    }

    /// Up to `limit` of all that is shown, the earliest windows first. Sees committed batches only.
    pub fn shown_earliest(&self, limit: usize) -> Result<Vec<(CellKey, Shown)>, StateError> {
        let mut shown = Vec::new();
        self.each(family::SHOWN, |key, value| {
            shown.push((CellKey(key.into()), decode("shown window", value)?));
            Ok(shown.len() < limit)
        })?;
        Ok(shown)
    }

    /// The times that lanes have reached, the watermark, and the number of the last emission.
    pub fn window_times(&self) -> Result<(Vec<(Lane, u64)>, u64, u64), StateError> {
        let (mut times, mut watermark_ms, mut emitted) = (Vec::new(), 0, 0);
        self.each(family::TIMES, |key, value| {
            let time_ms: u64 = decode("time", value)?;
            match key.get(4..).unwrap_or_default() {
                WATERMARK => watermark_ms = time_ms,
                EMITTED => emitted = time_ms,
                lane => times.push((Lane::from(String::from_utf8_lossy(lane).as_ref()), time_ms)),
            }
            Ok(true)
        })?;
        Ok((times, watermark_ms, emitted))
    }

    /// What windows were counted by; what is there already where there is something, and else `unit` from now on.
    pub fn windows_unit(&self, unit: &str) -> Result<String, StateError> {
        let key = format!("windows/{}", self.number);
        let meta = self.store.family(family::META)?;
        if let Some(bytes) = self.store.db.get_cf(meta, &key)? {
            return decode("windows", &bytes);
        }
        self.store.db.put_cf(meta, &key, encode(&unit)?)?;
        Ok(unit.to_owned())
    }

    /// Writes what is about to be shown, apart from any batch.
    pub fn announce(&self, effects: &WindowEffects) -> Result<(), StateError> {
        let mut writes = WriteBatch::default();
        self.write_windows(&mut writes, effects)?;
        self.store.write(writes)?;
        // The cache outlives a loop that ends before the batch is committed.
        for (key, cell) in &effects.cells {
            match cell {
                Some(cell) => self.store.cells.insert(key.clone(), cell.clone()),
                None => _ = self.store.cells.remove(key),
            }
        }
        Ok(())
    }

    pub(super) fn write_windows(&self, writes: &mut WriteBatch, effects: &WindowEffects) -> Result<(), StateError> {
        let (cells, counted) = (self.store.family(family::CELLS)?, self.store.family(family::COUNTED)?);
        let (shown, times) = (self.store.family(family::SHOWN)?, self.store.family(family::TIMES)?);
        let mut buffer = Vec::new();
        for (key, cell) in &effects.cells {
            match cell {
                Some(cell) => {
                    encode_into(&**cell, &mut buffer)?;
                    writes.put_cf(cells, key, &buffer);
                }
                None => writes.delete_cf(cells, key),
            }
        }
        for (key, count) in &effects.values {
            match count {
                0 => writes.delete_cf(counted, key),
                count => writes.put_cf(counted, key, encode(count)?),
            }
        }
        for (key, what) in &effects.shown {
            match what {
                Some(what) => writes.put_cf(shown, key, encode(what)?),
                None => writes.delete_cf(shown, key),
            }
        }
        for start_ms in &effects.closed {
            let from = CellKey::new(self.number, *start_ms, "");
            let to = CellKey::new(self.number, start_ms.saturating_add(1), "");
            writes.delete_range_cf(cells, &from, &to);
            writes.delete_range_cf(counted, &from, &to);
        }
        for (lane, time_ms) in &effects.times {
            writes.put_cf(times, named(self.number, lane), encode(time_ms)?);
        }
        for (name, number) in [(WATERMARK, effects.watermark_ms), (EMITTED, effects.emitted)] {
            if let Some(number) = number {
                writes.put_cf(times, [self.number.to_be_bytes().as_slice(), name].concat(), encode(&number)?);
            }
        }
        Ok(())
    }

    fn window_entries<T>(
        &self,
        name: &str,
        start_ms: u64,
        after: Option<&str>,
        limit: usize,
        read: impl Fn(&[u8]) -> Result<T, StateError>,
    ) -> Result<Vec<(ByteString, T)>, StateError> {
        let prefix = CellKey::new(self.number, start_ms, "");
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(prefix.as_ref().to_vec()));
        // The first key behind it.
        let from = after.map(|after| [CellKey::new(self.number, start_ms, after).as_ref(), &[0]].concat());
        let start = from.unwrap_or_else(|| prefix.as_ref().to_vec());
        let entries = self.store.db.iterator_cf_opt(self.store.family(name)?, options, IteratorMode::From(&start, Direction::Forward));
        let mut found = Vec::new();
        for entry in entries.take(limit) {
            let (key, value) = entry?;
            let key = CellKey(key.as_ref().into());
            found.push((ByteString::from(key.key()), read(&value)?));
        }
        Ok(found)
    }
}

/// Lanes have names that are text: these are none.
const WATERMARK: &[u8] = b"\xff\x00";
const EMITTED: &[u8] = b"\xff\x01";
