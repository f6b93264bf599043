//! What a batch has written to the guest's store, over what was there before it.
//!
//! Two layers, for the writes of a call count only if it went well: those of the present call lie over those of the batch, and are moved
//! down to them or forgotten. Nothing of it is in the state before the batch is staged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use bytesize::ByteSize;

use crate::error::Failure;
use crate::limits::{
    GUEST_STORE_ANSWER_BYTES_MAX, GUEST_STORE_ENTRY_BYTES, GUEST_STORE_KEY_BYTES_MAX, GUEST_STORE_MANY_KEYS_MAX, GUEST_STORE_PAGE_KEYS_MAX,
    GUEST_STORE_VALUE_BYTES_MAX, GUEST_STORE_WRITE_BYTES_MAX, GUEST_STORE_WRITES_MAX,
};

/// The store of a pipeline as a batch finds it: with all that earlier batches have written, committed or not.
pub trait KeyValues: Send + Sync {
    /// Where a key stands in the order of all keys. Always the same; two keys may share a place.
    fn place(&self, key: &str) -> u64;

    /// The value of a key.
    fn get(&self, key: &str) -> Result<Option<Bytes>, Failure>;

    /// At least `limit` keys from a place on, if there are so many, in the order of places: all that share a place, or none.
    fn keys(&self, from: u64, limit: usize) -> Result<Vec<(u64, String)>, Failure>;

    /// What all entries count: see [`entry_bytes`].
    fn bytes(&self) -> u64;

    /// What they may count.
    fn bytes_max(&self) -> u64;
}

/// What a batch has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Keys, each once; none: it goes.
    pub entries: Vec<(String, Option<Bytes>)>,
    /// By how many bytes the store is larger for it.
    pub grown: i64,
}

/// What a guest is told that asks at another time.
pub const STORE_CLOSED: &str = "the store is open while changes are transformed, and not in init";

/// One page of keys, and where the next begins.
pub type Page = (Vec<String>, Option<u64>);

/// What an entry counts.
pub fn entry_bytes(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64 + GUEST_STORE_ENTRY_BYTES
}

/// The store of one batch. Errors of its calls are sentences for the guest.
pub struct Overlay {
    base: Arc<dyn KeyValues>,
    batch: Layer,
    call: Layer,
    /// None: no call is under way.
    spent: Option<Spent>,
    failure: Option<Failure>,
}

#[derive(Default)]
struct Layer {
    entries: BTreeMap<(u64, String), Option<Bytes>>,
    grown: i64,
}

/// What the present call has written, counted as it came.
#[derive(Default)]
struct Spent {
    writes: u32,
    bytes: u64,
    is_too_much: bool,
}

impl Overlay {
    /// Nothing written yet.
    pub fn new(base: Arc<dyn KeyValues>) -> Self {
        Self { base, batch: Layer::default(), call: Layer::default(), spent: None, failure: None }
    }

    /// A call begins. Between calls the store is closed.
    pub fn begin_call(&mut self) {
        self.spent = Some(Spent::default());
    }

    /// The call is over; what it wrote is yet to be kept or forgotten. Says whether it wrote too much. An error means that the guest saw
    /// something else than what is in the store: nothing of the batch can be used.
    pub fn end_call(&mut self) -> Result<bool, Failure> {
        let is_too_much = self.spent.take().is_some_and(|spent| spent.is_too_much);
        self.failure.take().map_or(Ok(is_too_much), Err)
    }

    /// Whether the last call has written anything.
    pub fn has_written(&self) -> bool {
        !self.call.entries.is_empty()
    }

    /// What the last call wrote counts.
    pub fn keep(&mut self) {
        let Layer { entries, grown } = std::mem::take(&mut self.call);
        self.batch.entries.extend(entries);
        self.batch.grown += grown;
    }

    /// It does not.
    pub fn forget(&mut self) {
        self.call = Layer::default();
    }

    /// All that was kept.
    pub fn into_written(self) -> Written {
        let entries = self.batch.entries.into_iter().map(|((_, key), value)| (key, value)).collect();
        Written { entries, grown: self.batch.grown }
    }

    /// The value of a key.
    pub fn get(&mut self, key: &str) -> Result<Option<Bytes>, String> {
        self.open()?;
        let place = self.place(key)?;
        self.look_up(&place)
    }

    /// Sets a value.
    pub fn set(&mut self, key: &str, value: Vec<u8>) -> Result<(), String> {
        let place = self.place(key)?;
        if value.len() > GUEST_STORE_VALUE_BYTES_MAX {
            return Err(format!("a value of {} bytes: {GUEST_STORE_VALUE_BYTES_MAX} are allowed, so keep it in parts", value.len()));
        }
        let bytes = entry_bytes(key, &value);
        self.spend(bytes)?;
        let grows = signed(bytes) - self.counted(&place)?;
        let max = self.base.bytes_max();
        if grows > 0 && self.bytes() + grows > signed(max) {
            let max = ByteSize::b(max);
            return Err(format!("the store is full ({max}): delete what is not needed any more, or raise transform.store"));
        }
        self.put(place, Some(Bytes::from(value)), grows);
        Ok(())
    }

    /// Removes a key, if it is there.
    pub fn delete(&mut self, key: &str) -> Result<(), String> {
        let place = self.place(key)?;
        self.spend(entry_bytes(key, &[]))?;
        let counted = self.counted(&place)?;
        if counted > 0 {
            self.put(place, None, -counted);
        }
        Ok(())
    }

    /// Adds to the number under a key, which is kept as decimal text. What is not there counts as 0.
    pub fn increment(&mut self, key: &str, delta: u64) -> Result<u64, String> {
        let value = self.get(key)?;
        let number = value.map_or(Some(0), |value| std::str::from_utf8(&value).ok()?.parse::<u64>().ok());
        let number = number.ok_or("the value is no counter: it must be a whole number as decimal text")?;
        let sum = number.checked_add(delta).ok_or("the counter would pass 2^64 - 1")?;
        self.set(key, sum.to_string().into_bytes())?;
        Ok(sum)
    }

    /// The values of several keys, in their order.
    pub fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Bytes>>, String> {
        few(keys.len())?;
        let (mut values, mut bytes) = (Vec::with_capacity(keys.len()), 0);
        for key in keys {
            let value = self.get(key)?;
            bytes += value.as_ref().map_or(0, |value| entry_bytes(key, value));
            if bytes > GUEST_STORE_ANSWER_BYTES_MAX {
                return Err(format!("the values are larger than {} together: ask for fewer", ByteSize::b(GUEST_STORE_ANSWER_BYTES_MAX)));
            }
            values.push(value);
        }
        Ok(values)
    }

    /// Sets several values.
    pub fn set_many(&mut self, entries: Vec<(String, Vec<u8>)>) -> Result<(), String> {
        few(entries.len())?;
        entries.into_iter().try_for_each(|(key, value)| self.set(&key, value))
    }

    /// Removes several keys.
    pub fn delete_many(&mut self, keys: &[String]) -> Result<(), String> {
        few(keys.len())?;
        keys.iter().try_for_each(|key| self.delete(key))
    }

    /// Keys from a place on. The places of keys do not depend on what else is there: so whoever goes from page to page sees every key that
    /// is there all the while, once.
    pub fn keys(&mut self, from: Option<u64>) -> Result<Page, String> {
        self.open()?;
        let mut from = from.unwrap_or(0);
        loop {
            let base = self.base.keys(from, GUEST_STORE_PAGE_KEYS_MAX);
            let base = self.noted(base)?;
            // Of what comes after a full page nothing is known yet.
            let known_to = base.last().filter(|_| base.len() >= GUEST_STORE_PAGE_KEYS_MAX).map(|(place, _)| *place);
            let mut keys: BTreeSet<(u64, String)> = base.into_iter().collect();
            for layer in [&self.batch, &self.call] {
                let over = layer.entries.range((from, String::new())..);
                for (place, value) in over.take_while(|((place, _), _)| known_to.is_none_or(|known_to| *place <= known_to)) {
                    match value {
                        Some(_) => _ = keys.insert(place.clone()),
                        None => _ = keys.remove(place),
                    }
                }
            }
            let last = keys.iter().nth(GUEST_STORE_PAGE_KEYS_MAX - 1).map(|(place, _)| *place);
            let beyond = last.is_some_and(|last| keys.last().is_some_and(|(place, _)| *place > last));
            let end = if beyond { last } else { known_to };
            let next = end.and_then(|end| end.checked_add(1));
            let page: Vec<String> =
                keys.into_iter().take_while(|(place, _)| end.is_none_or(|end| *place <= end)).map(|(_, key)| key).collect();
            match next {
                // All keys of this stretch were deleted: an empty page would be taken for the end.
                Some(next) if page.is_empty() => from = next,
                next => return Ok((page, next)),
            }
        }
    }

    fn open(&mut self) -> Result<&mut Spent, String> {
        self.spent.as_mut().ok_or_else(|| STORE_CLOSED.to_owned())
    }

    /// Counts a write. One too many is refused, and the call has failed, whatever the guest makes of that.
    fn spend(&mut self, bytes: u64) -> Result<(), String> {
        let spent = self.open()?;
        (spent.writes, spent.bytes) = (spent.writes.saturating_add(1), spent.bytes.saturating_add(bytes));
        spent.is_too_much |= spent.writes > GUEST_STORE_WRITES_MAX || spent.bytes > GUEST_STORE_WRITE_BYTES_MAX;
        if spent.is_too_much { Err("this call has written too much to the store".to_owned()) } else { Ok(()) }
    }

    fn place(&self, key: &str) -> Result<(u64, String), String> {
        if key.len() > GUEST_STORE_KEY_BYTES_MAX {
            return Err(format!("a key of {} bytes: {GUEST_STORE_KEY_BYTES_MAX} are allowed", key.len()));
        }
        Ok((self.base.place(key), key.to_owned()))
    }

    fn look_up(&mut self, place: &(u64, String)) -> Result<Option<Bytes>, String> {
        let written = self.call.entries.get(place).or_else(|| self.batch.entries.get(place));
        match written {
            Some(value) => Ok(value.clone()),
            None => {
                let value = self.base.get(&place.1);
                self.noted(value)
            }
        }
    }

    /// What the entry at a place counts now; 0 where there is none.
    fn counted(&mut self, place: &(u64, String)) -> Result<i64, String> {
        Ok(self.look_up(place)?.map_or(0, |value| signed(entry_bytes(&place.1, &value))))
    }

    fn put(&mut self, place: (u64, String), value: Option<Bytes>, grows: i64) {
        self.call.entries.insert(place, value);
        self.call.grown += grows;
    }

    /// What the store counts now.
    fn bytes(&self) -> i64 {
        signed(self.base.bytes()) + self.batch.grown + self.call.grown
    }

    /// Notes a failure of ours: no guest can do anything about it, and what it does without the answer must not count.
    fn noted<T>(&mut self, answer: Result<T, Failure>) -> Result<T, String> {
        answer.map_err(|failure| {
            self.failure = Some(failure);
            "the store cannot be read".to_owned()
        })
    }
}

fn few(keys: usize) -> Result<(), String> {
    let fits = keys <= GUEST_STORE_MANY_KEYS_MAX;
    fits.then_some(()).ok_or_else(|| format!("{keys} keys at once: {GUEST_STORE_MANY_KEYS_MAX} are allowed"))
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
