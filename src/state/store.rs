//! The database itself: opened, tuned, synced, and refused where it cannot be trusted.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{self, AtomicBool};
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache as BlockCache, ColumnFamilyDescriptor, CompactionDecision, DB, DBCompactionStyle,
    DBCompressionType, IteratorMode, Options, WriteBatch, WriteOptions,
};

use crate::clock::Clock;
use crate::error::{Failure, Kind};
use crate::state::dead::Book;
use crate::state::record::deleted_ms;
use crate::state::record::{decode, encode};
use crate::state::settings::StateSettings;
use crate::state::versions::VersionCache;
use crate::state::windows::{CellCache, CellWeight};
use crate::state::{MovedRow, PipelineState};

/// Raised when what is stored changes its shape. Another number is refused.
const FORMAT: u32 = 4;

/// Block cache of the whole database: the bloom filters and indexes of some 10 million keys.
const BLOCK_CACHE_BYTES: usize = 32 << 20;
/// Memory of one write buffer; with two for each busy family this bounds what a crash must replay. A larger one is no quicker:
/// its entries no longer fit the processor's caches.
const WRITE_BUFFER_BYTES: usize = 16 << 20;
/// The write-ahead log on disk, and what a start after a crash reads again: two full write buffers.
const WAL_BYTES_MAX: u64 = 64 << 20;
/// How many open files the database may hold: below the usual limit of 1,024 for a process.
const OPEN_FILES_MAX: i32 = 512;
/// RocksDB looks at files this old again, so that the tombstones in them go even when nothing else is written.
const COMPACT_AGAIN_SECONDS: u64 = 24 * 3600;

/// The column families: what is kept apart.
pub(super) mod family {
    /// Format number, pipelines by name.
    pub const META: &str = "meta";
    /// Row key → [`crate::state::RowRecord`].
    pub const VERSIONS: &str = "versions";
    /// Row key → the row's JSON text.
    pub const ROWS: &str = "rows";
    /// Lane → [`crate::state::LaneRecord`].
    pub const POSITIONS: &str = "positions";
    /// Row key, version and half of a move → [`crate::state::MovedRow`].
    pub const MOVED: &str = "moved";
    /// Table → version of its last truncate.
    pub const FLOORS: &str = "floors";
    /// Number → [`crate::state::DeadLetter`].
    pub const DEAD: &str = "dead_letters";
    /// Number of a dead letter that is to be replayed → nothing.
    pub const REPLAYS: &str = "replays";
    /// Place and key → what a guest keeps there; nothing → what all of that counts.
    pub const VALUES: &str = "values";
    /// Start of a window and key → [`crate::aggregate::Cell`].
    pub const CELLS: &str = "cells";
    /// The same and a value → how often it was counted.
    pub const COUNTED: &str = "counted";
    /// Start of a window and key → [`crate::state::Shown`].
    pub const SHOWN: &str = "shown";
    /// Lane → the time it has reached; and the watermark.
    pub const TIMES: &str = "times";
    /// All of them.
    pub const ALL: [&str; 13] = [META, VERSIONS, ROWS, POSITIONS, MOVED, FLOORS, DEAD, REPLAYS, VALUES, CELLS, COUNTED, SHOWN, TIMES];
}

/// What went wrong with the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Another process has it open.
    #[error("the state directory {0} is in use by another process: stop that one, or give this one its own `state.dir`")]
    InUse(String),
    /// It was written by a newer Rowmill.
    #[error("the state directory {0} was written by a newer version of Rowmill: run that version, or start with another `state.dir`")]
    Newer(String),
    /// It was written by an older Rowmill.
    #[error(
        "the state directory {0} was written by an older version of Rowmill: remove it, or name another `state.dir`, and read the source again"
    )]
    Older(String),
    /// The configuration does not fit what is stored.
    #[error("{0}")]
    Misfit(String),
    /// No more dead letters may be kept.
    #[error("{0}")]
    Full(String),
    /// It cannot be read or written now (a full disk).
    #[error("{0}")]
    Unavailable(String),
    /// It is damaged.
    #[error("{0}: restore the state directory from a backup, or remove it and read the source again")]
    Corrupt(String),
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let kind = match error {
            StateError::InUse(_) | StateError::Newer(_) | StateError::Older(_) | StateError::Misfit(_) | StateError::Full(_) => {
                Kind::Misconfigured
            }
            StateError::Unavailable(_) => Kind::Unavailable,
            StateError::Corrupt(_) => Kind::Corrupt,
        };
        Failure { kind, message: error.to_string() }
    }
}

impl From<rocksdb::Error> for StateError {
    fn from(error: rocksdb::Error) -> Self {
        match error.kind() {
            rocksdb::ErrorKind::Corruption => StateError::Corrupt(format!("the state is damaged: {error}")),
            // Measured: RocksDB takes writes again by itself, within 5 s, once two write buffers have room; nothing is lost.
            _ if error.as_ref().contains("No space left on device") => StateError::Unavailable(format!(
                "the disk of the state is full: make {} MiB of room, and the pipeline goes on by itself ({error})",
                (2 * WRITE_BUFFER_BYTES) >> 20
            )),
            _ => StateError::Unavailable(format!("the state cannot be read or written: {error}")),
        }
    }
}

/// The open database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(super) db: Arc<DB>,
    pub(super) cache: Arc<VersionCache>,
    pub(super) cells: Arc<CellCache>,
    /// Held while a new pipeline gets its number.
    numbering: Arc<Mutex<()>>,
    /// The dead letters of each pipeline, by its number.
    pub(super) books: Books,
    /// Whether a write has failed since the last time that one did not.
    has_failed: Arc<AtomicBool>,
}

type Books = Arc<Mutex<HashMap<u32, Arc<Mutex<Book>>>>>;

impl Store {
    /// Opens the state, or makes it.
    pub fn open(settings: &StateSettings, clock: &Clock) -> Result<Self, StateError> {
        let dir = settings.dir.as_path();
        std::fs::create_dir_all(dir)
            .map_err(|error| StateError::Misfit(format!("the state directory {} cannot be made: {error}", dir.display())))?;
        refuse_newer_families(dir)?;
        let retention_ms = u64::try_from(settings.tombstone_retention.as_millis()).unwrap_or(u64::MAX);
        let block_cache = BlockCache::new_lru_cache(BLOCK_CACHE_BYTES);
        let families = family::ALL.map(|name| ColumnFamilyDescriptor::new(name, family_options(name, &block_cache, retention_ms, clock)));
        let db = DB::open_cf_descriptors(&database_options(), dir, families).map_err(|error| opening(dir, &error))?;
        let store = Self::around(db, settings.cache_bytes);
        if !store.refuse_other_formats(dir)? {
            store.db.put_cf(store.family(family::META)?, "format", encode(&FORMAT)?)?;
        }
        Ok(store)
    }

    /// Opens the state to look at it, beside whoever has it open.
    pub fn open_read_only(dir: &Path) -> Result<Self, StateError> {
        if !dir.join("CURRENT").exists() {
            return Err(StateError::Misfit(format!("there is no state in {}: run the pipelines first", dir.display())));
        }
        // Nothing is made here that is missing.
        if refuse_newer_families(dir)?.len() < family::ALL.len() {
            return Err(StateError::Older(dir.display().to_string()));
        }
        let db = DB::open_cf_for_read_only(&Options::default(), dir, family::ALL, false).map_err(|error| opening(dir, &error))?;
        let store = Self::around(db, 0);
        store.refuse_other_formats(dir)?;
        Ok(store)
    }

    /// The part of the state that belongs to one pipeline; made when it is new.
    ///
    /// `unit` names what versions are counted in (`auto`, `offset`): versions of different units cannot be compared.
    pub fn pipeline(&self, name: &str, unit: &str) -> Result<PipelineState, StateError> {
        let meta = self.family(family::META)?;
        let key = format!("pipeline/{name}");
        // Pipelines start side by side: two new ones must not find the same number free.
        let _numbering = self.numbering.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = self.db.get_cf(meta, &key)? {
            let (number, stored): (u32, String) = decode("pipeline", &bytes)?;
            if stored != unit {
                return Err(StateError::Misfit(format!(
                    "pipeline {name} has stored versions in the unit `{stored}`, but the configuration says `{unit}`: \
                     set `decode.version = \"{stored}\"` again, or give the pipeline another name to read all anew"
                )));
            }
            return PipelineState::new(self.clone(), number);
        }
        let number = self.pipelines()?.into_iter().map(|(_, number)| number).max().unwrap_or(0) + 1;
        self.db.put_cf(meta, &key, encode(&(number, unit))?)?;
        PipelineState::new(self.clone(), number)
    }

    /// The part of a pipeline that has one already.
    pub fn existing_pipeline(&self, name: &str) -> Result<Option<PipelineState>, StateError> {
        let number = self.pipelines()?.into_iter().find(|(known, _)| known == name).map(|(_, number)| number);
        number.map(|number| PipelineState::new(self.clone(), number)).transpose()
    }

    /// The pipelines that have a part of the state.
    pub fn pipelines(&self) -> Result<Vec<(String, u32)>, StateError> {
        let meta = self.family(family::META)?;
        let mut pipelines = Vec::new();
        for entry in self.db.iterator_cf(meta, IteratorMode::From(b"pipeline/", rocksdb::Direction::Forward)) {
            let (key, value) = entry?;
            let Some(name) = std::str::from_utf8(&key).ok().and_then(|key| key.strip_prefix("pipeline/")) else { break };
            let (number, _): (u32, String) = decode("pipeline", &value)?;
            pipelines.push((name.to_owned(), number));
        }
        Ok(pipelines)
    }

    /// Makes everything committed durable (fsync of the write-ahead log). Others write meanwhile.
    ///
    /// After a failed write by a write, which syncs all before it: a write is refused while RocksDB recovers from a full disk, whereas
    /// `flush_wal` on a log that could not be written makes it give up until the process is started again.
    pub fn sync(&self) -> Result<(), StateError> {
        if !self.has_failed.load(atomic::Ordering::Acquire) {
            return Ok(self.db.flush_wal(true)?);
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.put_cf_opt(self.family(family::META)?, "synced", [], &options)?;
        self.has_failed.store(false, atomic::Ordering::Release);
        Ok(())
    }

    /// Writes all of it or nothing.
    pub(super) fn write(&self, writes: WriteBatch) -> Result<(), StateError> {
        self.db.write(writes).inspect_err(|_| self.has_failed.store(true, atomic::Ordering::Release))?;
        Ok(())
    }

    /// Bytes on disk, for the metric.
    pub fn size_bytes(&self) -> u64 {
        let live = self.db.property_int_value("rocksdb.total-sst-files-size").ok().flatten().unwrap_or(0);
        let families = family::ALL.iter().filter_map(|name| self.db.cf_handle(name));
        families
            .filter_map(|family| self.db.property_int_value_cf(family, "rocksdb.total-sst-files-size").ok().flatten())
            .sum::<u64>()
            .max(live)
    }

    /// Rewrites all files now: what has passed its retention goes.
    pub fn compact(&self) {
        for family in family::ALL.iter().filter_map(|name| self.db.cf_handle(name)) {
            // Without the flush, what is still in memory would not be looked at.
            let _ = self.db.flush_cf(family);
            self.db.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
        }
    }

    pub(super) fn family(&self, name: &str) -> Result<&rocksdb::ColumnFamily, StateError> {
        self.db.cf_handle(name).ok_or_else(|| StateError::Corrupt(format!("the state lacks the column family {name}")))
    }

    fn around(db: DB, cache_bytes: u64) -> Self {
        let cells_bytes = cache_bytes / 8;
        let cache = Arc::new(VersionCache::new(cache_bytes - cells_bytes));
        // An entry takes about 150 bytes: key, record, and the cache's own.
        let entries = usize::try_from(cells_bytes / 150).unwrap_or(usize::MAX).max(16);
        let cells = Arc::new(Cache::with_weighter(entries, cells_bytes, CellWeight));
        Self { db: Arc::new(db), cache, cells, numbering: Arc::default(), books: Arc::default(), has_failed: Arc::default() }
    }

    /// Whether the format is noted; fails where it is another than this version's.
    fn refuse_other_formats(&self, dir: &Path) -> Result<bool, StateError> {
        let Some(bytes) = self.db.get_cf(self.family(family::META)?, "format")? else { return Ok(false) };
        match decode::<u32>("format", &bytes)?.cmp(&FORMAT) {
            Ordering::Less => Err(StateError::Older(dir.display().to_string())),
            Ordering::Equal => Ok(true),
            Ordering::Greater => Err(StateError::Newer(dir.display().to_string())),
        }
    }
}

fn opening(dir: &Path, error: &rocksdb::Error) -> StateError {
    // RocksDB's own words; a damaged block or a lock file that may not be written is another matter.
    let message = error.to_string();
    if error.kind() == rocksdb::ErrorKind::IOError && (message.contains("While lock file") || message.contains("lock hold by")) {
        return StateError::InUse(dir.display().to_string());
    }
    if message.contains("No space left on device") {
        return StateError::Unavailable(format!("the disk of the state {} is full: make room, and start again ({message})", dir.display()));
    }
    StateError::from(error.clone())
}

/// The families there are. One we do not know was made by a version that comes after this one.
fn refuse_newer_families(dir: &Path) -> Result<Vec<String>, StateError> {
    if !dir.join("CURRENT").exists() {
        return Ok(Vec::new());
    }
    let mut families = DB::list_cf(&Options::default(), dir).map_err(|error| opening(dir, &error))?;
    families.retain(|name| name != "default");
    if families.iter().any(|name| !family::ALL.contains(&name.as_str())) {
        return Err(StateError::Newer(dir.display().to_string()));
    }
    Ok(families)
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(2);
    // One writer at a time needs no atomic steps, and keys in their order are found near each other: half the time.
    options.set_allow_concurrent_memtable_write(false);
    options.set_bytes_per_sync(1 << 20);
    // Families that are seldom written hold the log of all: above this they are flushed.
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_keep_log_file_num(3);
    options.set_max_log_file_size(4 << 20);
    options
}

fn family_options(name: &str, block_cache: &BlockCache, retention_ms: u64, clock: &Clock) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(block_cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_bloom_filter(10.0, false);
    // In parts: a file's whole filter is larger than a shard of the cache, and would be read anew for nearly every row.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_pin_top_level_index_and_filter(true);
    table.set_format_version(5);
    let mut options = by_pipeline();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_compaction_dynamic_level_bytes(true);
    let clock = clock.clone();
    match name {
        family::VERSIONS => {
            // New rows are looked for in vain, in every memtable: some ten bits for each that it may hold say so at once.
            options.set_memtable_whole_key_filtering(true);
            options.set_memtable_prefix_bloom_ratio(0.02);
            options.set_periodic_compaction_seconds(COMPACT_AGAIN_SECONDS);
            // Numbers and hashes, changed at random: there is little to compress, and to keep levels in order would write each many times.
            options.set_compression_type(DBCompressionType::None);
            options.set_compaction_style(DBCompactionStyle::Universal);
            options.set_compaction_filter(c"tombstones", move |_, _, value| expired(deleted_ms(value), retention_ms, &clock));
        }
        family::MOVED => {
            options.set_periodic_compaction_seconds(COMPACT_AGAIN_SECONDS);
            options.set_compaction_filter(c"moved rows", move |_, _, value| {
                expired(postcard::from_bytes::<MovedRow>(value).ok().map(|moved| moved.at_ms()), retention_ms, &clock)
            });
        }
        _ => {}
    }
    options
}

/// Options by which a memtable remembers where the last key of each pipeline went in. A commit writes keys in their order, so the next place is
/// near, and is found with a third fewer comparisons. The binding has no other way to set it.
fn by_pipeline() -> Options {
    Options::default().get_options_from_string("memtable_insert_with_hint_prefix_extractor=rocksdb.FixedPrefix.4").unwrap_or_default()
}

fn expired(since_ms: Option<u64>, retention_ms: u64, clock: &Clock) -> CompactionDecision {
    match since_ms {
        Some(since_ms) if since_ms.saturating_add(retention_ms) < clock.now_ms() => CompactionDecision::Remove,
        _ => CompactionDecision::Keep,
    }
}
