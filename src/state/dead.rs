//! What was set aside: dead letters, what bounds them, and which of them are to be replayed.
//!
//! Replays are asked for by a mark in the state, beside the letter: so a replay survives a crash, may be asked for while nothing runs, and
//! letter and mark go in the same write that holds the effects of the replayed event.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rocksdb::{IteratorMode, ReadOptions, WriteBatch};
use serde::{Deserialize, Serialize};

use crate::event::{Lane, Message, Origin, Version};
use crate::state::keys::{number_of, numbered};
use crate::state::record::{decode, encode};
use crate::state::settings::{DeadLetterBounds, WhenFull};
use crate::state::store::family;
use crate::state::{Effects, PipelineState, StateError};

/// An event that was set aside, with all that is needed to find it, mend it and play it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its number in the pipeline, from 1; 0 for one that has not been kept yet.
    pub id: u64,
    /// When it was set aside, in milliseconds since 1970.
    pub at_ms: u64,
    /// What refused it: `decode`, `transform` or `sink`.
    pub stage: String,
    /// One sentence.
    pub reason: String,
    /// Where it stood.
    pub origin: (String, i32, u64),
    /// `schema.table`, where that is known.
    pub table: Option<String>,
    /// The row's key, where it could be read.
    pub key: Option<String>,
    /// The event's version, where it could be read. A replay carries it.
    pub version: Option<Version>,
    /// How often it was replayed, and died again.
    pub replays: u32,
    /// What there is to replay.
    pub cause: DeadCause,
}

/// What a dead letter is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeadCause {
    /// This event.
    Event(Box<DeadEvent>),
    /// A row that an event of another row brought about; it is replayed as it is in the state.
    Row {
        /// Its key as JSON text.
        key: String,
    },
    /// A row of a window; it is replayed as it is then.
    Window {
        /// The start of its window.
        start_ms: u64,
        /// Its key.
        key: String,
    },
    /// An event larger than all dead letters together may be: where it stood is all that is kept.
    TooLarge,
}

/// An event as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadEvent {
    /// Its lane.
    pub lane: String,
    /// The position after it.
    pub position: u64,
    /// When it was written to the topic, in milliseconds since 1970; 0 when not known.
    pub timestamp_ms: u64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// What decoding remembered of its lane; its bytes are the pipeline's affair.
    pub memory: Vec<u8>,
    /// Whether anything was known of its row before it.
    pub is_known: bool,
}

impl DeadEvent {
    /// A message with what it takes to read it again as it was read first.
    pub fn new(message: &Message, memory: Vec<u8>, is_known: bool) -> Self {
        let bytes = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| bytes.to_vec());
        Self {
            lane: message.lane.to_string(),
            position: message.position,
            timestamp_ms: message.timestamp_ms,
            key: bytes(&message.key),
            value: bytes(&message.value),
            headers: message.headers.iter().map(|(name, value)| (name.to_string(), bytes(value))).collect(),
            memory,
            is_known,
        }
    }

    /// The message, which stood at `origin`.
    pub fn into_message(self, origin: Origin) -> Message {
        Message {
            lane: Lane::from(self.lane),
            position: self.position,
            origin,
            timestamp_ms: self.timestamp_ms,
            key: self.key.map(Bytes::from),
            value: self.value.map(Bytes::from),
            headers: self.headers.into_iter().map(|(name, value)| (name.into(), value.map(Bytes::from))).collect(),
        }
    }
}

/// Which dead letters are meant: those for which all that is given is so; with nothing given, all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// One of these numbers; empty: any.
    pub ids: Vec<u64>,
    /// What refused it.
    pub stage: Option<String>,
    /// `schema.table`.
    pub table: Option<String>,
    /// The row's key as text.
    pub key: Option<String>,
    /// The topic, or the file.
    pub topic: Option<String>,
    /// A part of the reason, in any case.
    pub reason: Option<String>,
}

impl LetterFilter {
    /// Whether a letter is meant.
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        let same = |wanted: &Option<String>, is: Option<&str>| wanted.as_deref().is_none_or(|wanted| is == Some(wanted));
        (self.ids.is_empty() || self.ids.contains(&letter.id))
            && same(&self.stage, Some(&letter.stage))
            && same(&self.table, letter.table.as_deref())
            && same(&self.key, letter.key.as_deref())
            && same(&self.topic, Some(&letter.origin.0))
            && self.reason.as_ref().is_none_or(|part| letter.reason.to_lowercase().contains(&part.to_lowercase()))
    }
}

/// What was marked to be replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marked {
    /// The numbers of the letters.
    pub ids: Vec<u64>,
    /// How many were passed over, since their events were not kept.
    pub not_kept: usize,
}

/// What there is of one pipeline's dead letters, without the letters. One for all who have the pipeline's state open.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    /// Bytes of each.
    letters: BTreeMap<u64, u64>,
    bytes: u64,
    /// The highest number ever given.
    last: u64,
    /// Those that are to be replayed.
    replays: BTreeSet<u64>,
}

impl Book {
    fn put(&mut self, id: u64, bytes: u64) {
        self.remove(id);
        self.letters.insert(id, bytes);
        self.bytes += bytes;
        self.last = self.last.max(id);
    }

    fn remove(&mut self, id: u64) {
        self.bytes -= self.letters.remove(&id).unwrap_or(0);
    }

    fn is_over(&self, bounds: &DeadLetterBounds) -> bool {
        self.letters.len() as u64 > bounds.max_count || self.bytes > bounds.max_bytes
    }
}

impl PipelineState {
    /// How many dead letters there are.
    pub fn dead_letters_count(&self) -> Result<u64, StateError> {
        Ok(lock(&*self.book()?).letters.len() as u64)
    }

    /// Up to `limit` of the dead letters that are meant, newest first.
    pub fn dead_letters(&self, filter: &LetterFilter, limit: usize) -> Result<Vec<DeadLetter>, StateError> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(self.number.to_be_bytes().to_vec()));
        let mut letters = Vec::new();
        for entry in self.store.db.iterator_cf_opt(self.store.family(family::DEAD)?, options, IteratorMode::End) {
            if letters.len() == limit {
                break;
            }
            let letter: DeadLetter = decode("dead letter", &entry?.1)?;
            if filter.matches(&letter) {
                letters.push(letter);
            }
        }
        Ok(letters)
    }

    /// Drops the dead letters that are meant, and says how many they were.
    pub fn drop_dead_letters(&self, filter: &LetterFilter) -> Result<u64, StateError> {
        let (dead, replays) = (self.store.family(family::DEAD)?, self.store.family(family::REPLAYS)?);
        let shared = self.book()?;
        let mut book = lock(&*shared);
        let (mut after, mut writes) = (book.clone(), WriteBatch::default());
        let ids = self.ids(|letter| filter.matches(letter))?;
        for id in &ids {
            writes.delete_cf(dead, numbered(self.number, *id));
            writes.delete_cf(replays, numbered(self.number, *id));
            after.remove(*id);
            after.replays.remove(id);
        }
        self.store.write(writes)?;
        *book = after;
        Ok(ids.len() as u64)
    }

    /// Marks the dead letters that are meant: they are replayed when the pipeline runs. One without its event is passed over.
    pub fn mark_replays(&self, filter: &LetterFilter) -> Result<Marked, StateError> {
        let family = self.store.family(family::REPLAYS)?;
        let shared = self.book()?;
        let mut book = lock(&*shared);
        let mut not_kept = 0;
        let ids = self.ids(|letter| {
            let (is_meant, is_kept) = (filter.matches(letter), letter.cause != DeadCause::TooLarge);
            not_kept += usize::from(is_meant && !is_kept);
            is_meant && is_kept
        })?;
        let mut writes = WriteBatch::default();
        for id in &ids {
            writes.put_cf(family, numbered(self.number, *id), []);
        }
        self.store.write(writes)?;
        // Whoever asked may end at once.
        self.store.sync()?;
        book.replays.extend(&ids);
        Ok(Marked { ids, not_kept })
    }

    /// How many of `ids` are still there.
    pub fn kept(&self, ids: &[u64]) -> Result<usize, StateError> {
        let shared = self.book()?;
        let book = lock(&*shared);
        Ok(ids.iter().filter(|id| book.letters.contains_key(id)).count())
    }

    /// How many of `ids` are marked and not replayed yet.
    pub fn marked(&self, ids: &[u64]) -> Result<usize, StateError> {
        let shared = self.book()?;
        let book = lock(&*shared);
        Ok(ids.iter().filter(|id| book.replays.contains(id)).count())
    }

    /// Whether any is marked.
    pub fn has_replays(&self) -> Result<bool, StateError> {
        Ok(!lock(&*self.book()?).replays.is_empty())
    }

    /// Up to `limit` letters, and about `max_bytes` of them, that are to be replayed, the oldest first.
    pub fn next_replays(&self, limit: usize, max_bytes: usize) -> Result<Vec<DeadLetter>, StateError> {
        let family = self.store.family(family::DEAD)?;
        let ids: Vec<u64> = lock(&*self.book()?).replays.iter().copied().take(limit).collect();
        let (mut letters, mut bytes) = (Vec::new(), 0);
        for id in ids {
            let Some(value) = self.store.db.get_pinned_cf(family, numbered(self.number, id))? else { continue };
            bytes += value.len();
            if bytes > max_bytes && !letters.is_empty() {
                break;
            }
            letters.push(decode("dead letter", &value)?);
        }
        Ok(letters)
    }

    fn ids(&self, mut is_meant: impl FnMut(&DeadLetter) -> bool) -> Result<Vec<u64>, StateError> {
        let mut ids = Vec::new();
        self.each(family::DEAD, |_, value| {
            let letter: DeadLetter = decode("dead letter", value)?;
            if is_meant(&letter) {
                ids.push(letter.id);
            }
            Ok(true)
        })?;
        Ok(ids)
    }

    /// The book, read from the database by the first who asks.
    pub(super) fn book(&self) -> Result<Arc<Mutex<Book>>, StateError> {
        let mut books = lock(&*self.store.books);
        if let Some(book) = books.get(&self.number) {
            return Ok(book.clone());
        }
        let mut book = Book::default();
        self.each(family::DEAD, |key, value| {
            book.put(number_of(key).unwrap_or_default(), value.len() as u64);
            Ok(true)
        })?;
        self.each(family::REPLAYS, |key, _| {
            book.replays.extend(number_of(key));
            Ok(true)
        })?;
        if let Some(last) = self.store.db.get_cf(self.store.family(family::META)?, last_key(self.number))? {
            book.last = decode("number of a dead letter", &last)?;
        }
        let book = Arc::new(Mutex::new(book));
        books.insert(self.number, book.clone());
        Ok(book)
    }

    /// Adds to `writes` what becomes of dead letters, within their bounds.
    pub(super) fn set_aside(&self, writes: &mut WriteBatch, book: &mut Book, effects: &Effects) -> Result<(), StateError> {
        let (dead, replays) = (self.store.family(family::DEAD)?, self.store.family(family::REPLAYS)?);
        let again: HashSet<u64> = effects.dead.iter().map(|letter| letter.id).collect();
        for id in &effects.replayed {
            writes.delete_cf(replays, numbered(self.number, *id));
            book.replays.remove(id);
            if !again.contains(id) {
                writes.delete_cf(dead, numbered(self.number, *id));
                book.remove(*id);
            }
        }
        for letter in &effects.dead {
            let id = match letter.id {
                0 => book.last + 1,
                // It was dropped while it was being replayed.
                id if !book.letters.contains_key(&id) => continue,
                id => id,
            };
            let bytes = self.bounded_letter(DeadLetter { id, ..letter.clone() })?;
            book.put(id, bytes.len() as u64);
            writes.put_cf(dead, numbered(self.number, id), bytes);
        }
        writes.put_cf(self.store.family(family::META)?, last_key(self.number), encode(&book.last)?);
        if let (true, WhenFull::Stop, Some(letter)) = (book.is_over(&self.dead_letters), self.dead_letters.when_full, effects.dead.last()) {
            return Err(full(letter, book.letters.len() - 1));
        }
        while book.is_over(&self.dead_letters) {
            let Some((id, _)) = book.letters.first_key_value().map(|(id, bytes)| (*id, *bytes)) else { break };
            writes.delete_cf(dead, numbered(self.number, id));
            writes.delete_cf(replays, numbered(self.number, id));
            book.remove(id);
            book.replays.remove(&id);
        }
        Ok(())
    }

    fn bounded_letter(&self, letter: DeadLetter) -> Result<Vec<u8>, StateError> {
        let bytes = encode(&letter)?;
        if bytes.len() as u64 <= self.dead_letters.max_bytes {
            return Ok(bytes);
        }
        encode(&DeadLetter { cause: DeadCause::TooLarge, ..letter })
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn last_key(number: u32) -> String {
    format!("dead/{number}")
}

fn full(letter: &DeadLetter, kept: usize) -> StateError {
    let (topic, partition, offset) = &letter.origin;
    StateError::Full(format!(
        "no more dead letters than the {kept} there are may be kept, and {topic}/{partition}@{offset} would be one ({}: {}): mend the cause, replay or drop \
         some (rowmill dead), or raise max_count and max_bytes of dead_letters, and restart the pipeline",
        letter.stage, letter.reason
    ))
}
