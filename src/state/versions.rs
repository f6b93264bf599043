//! What is known of rows that change often, in memory, so that a change need not be looked up in the database.
//!
//! Nearly every row has one document, made of its last change and filed under its own key. All that need be known of such a
//! row are two numbers, so it takes 24 bytes here: ten million rows fit where whole records would need two gigabytes. Others
//! are kept whole, beside them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::event::{DocumentVersion, Version};
use crate::state::{DocumentRecord, DocumentRecords, RowKey, RowRecord};

/// Locks: pipelines of one process seldom meet at one of so many.
const SHARDS: usize = 64;
/// Rows whose hashes lead to one place; the least used of them makes room.
const WAYS: usize = 16;
/// Buckets of a shard that are cheap to have, however empty.
const FEW_BUCKETS: usize = 64;
/// Bits of a row's second hash kept beside the version's first part, which leaves them free.
const SECOND_HASH_BITS: u32 = 9;

/// The cache of all pipelines of a process.
pub(super) struct VersionCache {
    plain: Box<[Mutex<Shard>]>,
    others: Cache<RowKey, Arc<RowRecord>, RecordWeight>,
}

/// What is found in the cache.
pub(super) enum Known {
    /// All that is known of the row.
    Exactly(RowRecord),
    /// All but the second part of its version.
    UpToTies(RowRecord),
}

/// Part of the plain rows.
struct Shard {
    buckets: Vec<Bucket>,
    buckets_max: usize,
    /// How many there are.
    rows: usize,
}

/// Rows that share a place, the most used first, what is free last. The hashes stand together: whoever is not here is not found in two lines
/// of the processor's cache.
#[derive(Clone, Copy, Default)]
struct Bucket {
    hashes: [u64; WAYS],
    firsts: [u64; WAYS],
    bodies: [u64; WAYS],
}

/// A row that is there, with one document. It is known by 64 bits of one hash and 9 of another, less what its place says of
/// them already: that one of ten million rows is taken for another has a chance of one in 10^15 a look-up.
#[derive(Clone, Copy, Default)]
struct Plain {
    /// None of its bits set: there is nothing here.
    hash: u64,
    /// First part of the row's version, and of its document's; below it bits of the second hash.
    first_and_hash: u64,
    body_hash: u64,
}

impl VersionCache {
    /// An empty one, of at most so many bytes; it grows with what is put in.
    pub fn new(bytes: u64) -> Self {
        // A seventh for records of all kinds, which are some 250 bytes each.
        let others = bytes / 7;
        let buckets_max = usize::try_from(bytes - others).unwrap_or(usize::MAX) / (SHARDS * size_of::<Bucket>());
        let shard = |_| Mutex::new(Shard { buckets: Vec::new(), buckets_max, rows: 0 });
        let entries = usize::try_from(others / 250).unwrap_or(usize::MAX).max(16);
        Self { plain: (0..SHARDS).map(shard).collect(), others: Cache::with_weighter(entries, others, RecordWeight) }
    }

    /// What is known of a row.
    pub fn get(&self, key: &RowKey) -> Option<Known> {
        let sought = Plain::sought(key.hashes());
        if let Some(plain) = self.shard(&sought)?.get(&sought) {
            return Some(Known::UpToTies(plain.record()));
        }
        self.others.get(key).map(|record| Known::Exactly((*record).clone()))
    }

    /// Notes what has become of a row.
    pub fn insert(&self, key: &RowKey, record: RowRecord) {
        let sought = Plain::sought(key.hashes());
        let Some(mut shard) = self.shard(&sought) else { return };
        match sought.with(&record) {
            Some(plain) => {
                let was_plain = shard.insert(plain);
                drop(shard);
                if !was_plain {
                    self.others.remove(key);
                }
            }
            None => {
                shard.remove(&sought);
                drop(shard);
                self.others.insert(key.clone(), Arc::new(record));
            }
        }
    }

    /// Notes what was read of a row besides what was asked for, as long as nothing has to make room for it. What is noted already stays.
    pub fn add(&self, key: &[u8], record: &RowRecord) {
        if let Some(plain) = Plain::sought(RowKey::hashes_of(key)).with(record)
            && let Some(mut shard) = self.shard(&plain)
        {
            shard.add(plain);
        }
    }

    /// Whether there is room for more plain rows.
    pub fn has_room(&self) -> bool {
        // A bucket or another is full before all are.
        let has_room = |shard: MutexGuard<'_, Shard>| 16 * shard.rows < 15 * WAYS * shard.buckets_max;
        self.plain.iter().map(lock).any(has_room)
    }

    /// Forgets all.
    #[cfg(test)]
    pub fn clear(&self) {
        self.plain.iter().for_each(|shard| lock(shard).buckets.clear());
        self.others.clear();
    }

    fn shard(&self, row: &Plain) -> Option<MutexGuard<'_, Shard>> {
        // The lowest bits: the highest ones lead to the bucket.
        self.plain.get(row.hash as usize % SHARDS).map(lock)
    }
}

impl Shard {
    fn get(&mut self, wanted: &Plain) -> Option<Plain> {
        let bucket = self.bucket(wanted.hash)?;
        let place = bucket.place_of(wanted)?;
        let found = bucket.at(place);
        // What is used moves away from the end, where room is made.
        bucket.swap(place, place.saturating_sub(1));
        found
    }

    /// Notes a row; says whether it was noted before.
    fn insert(&mut self, plain: Plain) -> bool {
        match self.put(plain) {
            Some(was_known) => was_known,
            None => {
                if let Some(bucket) = self.bucket(plain.hash) {
                    bucket.set(WAYS - 1, plain);
                }
                false
            }
        }
    }

    /// Notes a row of which nothing is noted yet, where there is room.
    fn add(&mut self, plain: Plain) {
        if self.get(&plain).is_none() {
            self.put(plain);
        }
    }

    /// Notes a row where it is noted already, or where there is room; says which. None: there is no room.
    fn put(&mut self, plain: Plain) -> Option<bool> {
        loop {
            if let Some(bucket) = self.bucket(plain.hash) {
                let known = bucket.place_of(&plain);
                if let Some(place) = known.or_else(|| bucket.free_place()) {
                    bucket.set(place, plain);
                    self.rows += usize::from(known.is_none());
                    return Some(known.is_some());
                }
            }
            // A full bucket is no reason to double many that are half empty.
            let is_filled = self.buckets.len() < FEW_BUCKETS || 4 * self.rows >= 3 * WAYS * self.buckets.len();
            if self.buckets.len() == self.buckets_max || !is_filled {
                return None;
            }
            self.grow();
        }
    }

    fn remove(&mut self, wanted: &Plain) {
        let Some(bucket) = self.bucket(wanted.hash) else { return };
        if let Some(place) = bucket.place_of(wanted) {
            // What is there stands before what is free.
            let last = bucket.free_place().unwrap_or(WAYS) - 1;
            bucket.swap(place, last);
            bucket.set(last, Plain::default());
            self.rows -= 1;
        }
    }

    fn bucket(&mut self, hash: u64) -> Option<&mut Bucket> {
        let place = (u128::from(hash) * self.buckets.len() as u128) >> 64;
        self.buckets.get_mut(place as usize)
    }

    fn grow(&mut self) {
        let buckets = (2 * self.buckets.len()).clamp(1, self.buckets_max);
        let old = std::mem::replace(&mut self.buckets, vec![Bucket::default(); buckets]);
        // The most used of a bucket stand first, and a bucket of the new ones is filled by at most two of the old.
        self.rows = 0;
        for plain in old.iter().flat_map(|bucket| (0..WAYS).map_while(|place| bucket.at(place))) {
            if let Some(bucket) = self.bucket(plain.hash)
                && let Some(place) = bucket.free_place()
            {
                bucket.set(place, plain);
                self.rows += 1;
            }
        }
    }
}

impl Bucket {
    fn place_of(&self, row: &Plain) -> Option<usize> {
        let rows = self.hashes.iter().zip(&self.firsts);
        rows.into_iter().position(|(hash, first)| *hash == row.hash && is_second_hash_same(*first, row.first_and_hash))
    }

    fn free_place(&self) -> Option<usize> {
        self.hashes.iter().position(|hash| *hash == 0)
    }

    fn at(&self, place: usize) -> Option<Plain> {
        let hash = self.hashes.get(place).copied().filter(|hash| *hash != 0)?;
        Some(Plain { hash, first_and_hash: *self.firsts.get(place)?, body_hash: *self.bodies.get(place)? })
    }

    fn set(&mut self, place: usize, plain: Plain) {
        let Plain { hash, first_and_hash, body_hash } = plain;
        for (column, value) in [(&mut self.hashes, hash), (&mut self.firsts, first_and_hash), (&mut self.bodies, body_hash)] {
            if let Some(slot) = column.get_mut(place) {
                *slot = value;
            }
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        for column in [&mut self.hashes, &mut self.firsts, &mut self.bodies] {
            column.swap(one, other);
        }
    }
}

fn is_second_hash_same(one: u64, other: u64) -> bool {
    (one ^ other) & ((1 << SECOND_HASH_BITS) - 1) == 0
}

impl Plain {
    /// This row with its record, if two numbers say all of that.
    fn with(self, record: &RowRecord) -> Option<Self> {
        let RowRecord { version, deleted_ms: None, documents, provisional: None, measured } = record else { return None };
        let [DocumentRecord { names: None, version: written, is_lowered: false, body_hash, is_live: true }] = documents.as_slice() else {
            return None;
        };
        let is_plain = measured.is_empty() && version.first <= Version::FIRST_MAX && *written == DocumentVersion::after(*version, None);
        let body_hash = body_hash.filter(|_| is_plain)?;
        Some(Self { first_and_hash: version.first << SECOND_HASH_BITS | self.first_and_hash, body_hash, ..self })
    }

    /// A row of which nothing but its key is said.
    fn sought([hash, second]: [u64; 2]) -> Self {
        Self { hash: hash.max(1), first_and_hash: second >> (u64::BITS - SECOND_HASH_BITS), body_hash: 0 }
    }

    fn record(&self) -> RowRecord {
        let version = Version::new(self.first_and_hash >> SECOND_HASH_BITS, 0);
        let written = DocumentVersion::after(version, None);
        let document = DocumentRecord { version: written, body_hash: Some(self.body_hash), is_live: true, ..DocumentRecord::default() };
        RowRecord { version, documents: DocumentRecords::from_buf([document]), ..RowRecord::default() }
    }
}

/// What a whole record weighs.
#[derive(Clone, Debug)]
struct RecordWeight;

impl Weighter<RowKey, Arc<RowRecord>> for RecordWeight {
    fn weight(&self, key: &RowKey, record: &Arc<RowRecord>) -> u64 {
        let measured: usize = record.measured.iter().map(|measure| size_of_val(measure) + measure.key.len()).sum();
        let names = |document: &DocumentRecord| {
            let lengths = [document.index(), document.id(), document.routing()].into_iter().flatten().map(str::len);
            document.names.as_ref().map_or(0, |names| size_of_val(&**names)) + lengths.sum::<usize>()
        };
        let documents: usize = record.documents.iter().map(|document| size_of_val(document) + names(document)).sum();
        // 64: the entry's place in the cache's own tables.
        (64 + key.as_bytes().len() + size_of::<RowRecord>() + documents + measured) as u64
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Known, SHARDS, VersionCache, WAYS};
    use crate::event::{DocumentVersion, Version};
    use crate::state::{DocumentRecord, RowKey, RowRecord};

    fn record(first: u64, second: u64, kind: u8) -> RowRecord {
        let version = Version::new(first, second);
        let document = DocumentRecord {
            version: DocumentVersion::after(version, None),
            body_hash: Some(first),
            is_live: true,
            ..DocumentRecord::default()
        };
        let record = RowRecord { version, documents: smallvec::smallvec![document], ..RowRecord::default() };
        match kind {
            0 | 1 => record,
            2 => RowRecord { deleted_ms: Some(1), ..record },
            _ => RowRecord { documents: Default::default(), ..record },
        }
    }

    /// What is to be found of a record: a plain one up to the second part of its version.
    fn found(known: Option<Known>, of: &RowRecord, kind: u8) {
        match known {
            None => {}
            Some(Known::Exactly(record)) => assert_eq!((&record, kind > 1), (of, true)),
            Some(Known::UpToTies(record)) => {
                let version = Version { second: of.version.second, ..record.version };
                assert_eq!((RowRecord { version, ..record }, kind < 2), (of.clone(), true));
            }
        }
    }

    proptest::proptest! {
        /// Small enough to make room all the time: whatever is found is what was put in last.
        #[test]
        fn what_is_found_is_what_was_noted_last(steps in proptest::collection::vec((0..3_000_u32, 0..1_000_u64, 0..3_u64, 0..4_u8), 1..3_000)) {
            let cache = VersionCache::new(64 << 10);
            let mut model: HashMap<u32, (RowRecord, u8)> = HashMap::new();
            for (row, first, second, kind) in steps {
                let key = RowKey::new(1, "t", &row.to_string());
                if let Some((record, kind)) = model.get(&row) {
                    found(cache.get(&key), record, *kind);
                } else {
                    assert!(cache.get(&key).is_none());
                }
                cache.insert(&key, record(first, second, kind));
                model.insert(row, (record(first, second, kind), kind));
                found(cache.get(&key), &record(first, second, kind), kind);
            }
        }
    }

    #[test]
    fn it_grows_to_its_bound_and_holds_nearly_as_many_rows_as_have_room() {
        let cache = VersionCache::new((4 << 20) * 7 / 6);
        assert_eq!(cache.plain.iter().map(|shard| super::lock(shard).buckets.len()).sum::<usize>(), 0, "nothing is taken beforehand");
        let rows: Vec<RowKey> = (0..150_000).map(|row| RowKey::new(1, "public.orders", &row.to_string())).collect();
        for key in &rows {
            cache.insert(key, record(7, 7, 0));
        }
        let buckets: usize = cache.plain.iter().map(|shard| super::lock(shard).buckets.len()).sum();
        assert!(buckets * WAYS * 24 <= 4 << 20 && buckets * WAYS * 24 > (4 << 20) - SHARDS * WAYS * 24, "{buckets}");
        let known = rows.iter().filter(|key| cache.get(key).is_some()).count();
        assert!(known > 130_000, "{known} of {} are known", rows.len());
    }

    #[test]
    fn the_least_used_makes_room() {
        // One bucket in each shard.
        let cache = VersionCache::new((SHARDS * WAYS * 24) as u64 * 7 / 6 + 7);
        let often = RowKey::new(1, "t", "often");
        cache.insert(&often, record(1, 1, 0));
        for row in 0..20_000 {
            cache.insert(&RowKey::new(1, "t", &row.to_string()), record(1, 1, 0));
            assert!(cache.get(&often).is_some(), "after {row}");
        }
    }
}
