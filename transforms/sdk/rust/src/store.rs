//! What a transform keeps: keys and values, in one store for each pipeline.
//!
//! The store changes in the very write that commits the rows and the position of their batch, or not at all: after a crash it is as it was at
//! the last commit, and the changes since then come again. A change that is rejected, or that traps, has written nothing. So whatever
//! happens, each change that is applied has written once. But the function may be called again for a row that has not changed (a
//! [`Refresh`](crate::Operation::Refresh), or a dead letter that is replayed after the sink had refused its document), and then writes again.
//!
//! The store is open while changes are transformed, not in `init`. Every function here is a call to the host, and so is an error of it, which
//! `?` turns into the reason of a reject.
//!
//! Natively it is a store of the thread (that is: of the test), empty at first.

use crate::error::{Result, reject};
use crate::json;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The value of a key.
///
/// # Errors
/// The key is longer than 1,024 bytes.
pub fn get(key: &str) -> Result<Option<Vec<u8>>> {
    host::get(key)
}

/// Sets a value.
///
/// # Errors
/// The key is longer than 1,024 bytes, the value than 1 MiB, or the store is full (`transform.store`).
pub fn set(key: &str, value: impl AsRef<[u8]>) -> Result<()> {
    host::set(key, value.as_ref())
}

/// Removes a key, if it is there.
///
/// # Errors
/// The key is longer than 1,024 bytes.
pub fn delete(key: &str) -> Result<()> {
    host::delete(key)
}

/// Whether a key is there.
///
/// # Errors
/// The key is longer than 1,024 bytes.
pub fn exists(key: &str) -> Result<bool> {
    host::exists(key)
}

/// Adds to a counter, and gives the sum. What is not there counts as 0. A counter is kept as decimal text: [`get_json`] reads it, and
/// [`set_json`] sets one, also to less.
///
/// # Errors
/// The value is no whole number from 0 to 2^64 - 1, or the sum would be none.
pub fn increment(key: &str, delta: u64) -> Result<u64> {
    host::increment(key, delta)
}

/// All keys, in no particular order.
///
/// # Errors
/// None of the store's own.
pub fn keys() -> Result<Vec<String>> {
    host::keys()
}

/// The value of a key, read as JSON.
///
/// # Errors
/// Those of [`get`], and what of the value does not fit `T`.
pub fn get_json<T: DeserializeOwned>(key: &str) -> Result<Option<T>> {
    let Some(value) = get(key)? else { return Ok(None) };
    let text = std::str::from_utf8(&value)?;
    json::parse(text, "field").map(Some).map_err(|error| error.at(format_args!("store key `{key}`")))
}

/// Sets a value as JSON.
///
/// # Errors
/// Those of [`set`], and what cannot be written as JSON.
pub fn set_json<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<()> {
    set(key, serde_json::to_vec(value)?)
}

#[cfg(target_arch = "wasm32")]
mod host {
    use super::{Result, reject};
    use crate::bindings::wasi::keyvalue::atomics;
    use crate::bindings::wasi::keyvalue::store::{self, Bucket, Error};
    use std::cell::OnceCell;

    /// Opened once for each instance: another call to the host is saved.
    fn with<T>(act: impl FnOnce(&Bucket) -> std::result::Result<T, Error>) -> Result<T> {
        thread_local! {
            static BUCKET: OnceCell<Bucket> = const { OnceCell::new() };
        }
        let acted = BUCKET.with(|bucket| match bucket.get() {
            Some(bucket) => act(bucket),
            None => store::open("default").and_then(|opened| act(bucket.get_or_init(|| opened))),
        });
        acted.map_err(|error| match error {
            Error::NoSuchStore => reject("this host has no store"),
            Error::AccessDenied => reject("this host gives no access to its store"),
            Error::Other(reason) => reject(reason).at("store"),
        })
    }

    pub fn get(key: &str) -> Result<Option<Vec<u8>>> {
        with(|bucket| bucket.get(key))
    }

    pub fn set(key: &str, value: &[u8]) -> Result<()> {
        with(|bucket| bucket.set(key, value))
    }

    pub fn delete(key: &str) -> Result<()> {
        with(|bucket| bucket.delete(key))
    }

    pub fn exists(key: &str) -> Result<bool> {
        with(|bucket| bucket.exists(key))
    }

    pub fn increment(key: &str, delta: u64) -> Result<u64> {
        with(|bucket| atomics::increment(bucket, key, delta))
    }

    pub fn keys() -> Result<Vec<String>> {
        let (mut keys, mut cursor) = (Vec::new(), None);
        loop {
            let page = with(|bucket| bucket.list_keys(cursor))?;
            keys.extend(page.keys);
            match page.cursor {
                None => return Ok(keys),
                next => cursor = next,
            }
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod host {
    use super::{Result, reject};
    use crate::testing::with_store;

    pub fn get(key: &str) -> Result<Option<Vec<u8>>> {
        Ok(with_store(|store| store.get(key).cloned()))
    }

    pub fn set(key: &str, value: &[u8]) -> Result<()> {
        with_store(|store| store.insert(key.to_owned(), value.to_vec()));
        Ok(())
    }

    pub fn delete(key: &str) -> Result<()> {
        with_store(|store| store.remove(key));
        Ok(())
    }

    pub fn exists(key: &str) -> Result<bool> {
        Ok(with_store(|store| store.contains_key(key)))
    }

    pub fn increment(key: &str, delta: u64) -> Result<u64> {
        let number = match get(key)? {
            Some(value) => String::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok()),
            None => Some(0),
        };
        let number = number.ok_or_else(|| reject("store: the value is no counter: it must be a whole number as decimal text"))?;
        let sum = number.checked_add(delta).ok_or_else(|| reject("store: the counter would pass 2^64 - 1"))?;
        set(key, sum.to_string().as_bytes())?;
        Ok(sum)
    }

    pub fn keys() -> Result<Vec<String>> {
        Ok(with_store(|store| store.keys().cloned().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bytes_counters_or_json() {
        assert_eq!(get("a").unwrap(), None);
        set("a", "text").unwrap();
        set("b", [0xff]).unwrap();
        assert_eq!((get("a").unwrap().as_deref(), exists("b").unwrap()), (Some(&b"text"[..]), true));
        assert_eq!((increment("n", 2).unwrap(), increment("n", 3).unwrap()), (2, 5));
        assert_eq!(get_json::<i64>("n").unwrap(), Some(5));
        set_json("n", &4).unwrap();
        assert_eq!(increment("n", 1).unwrap(), 5);
        delete("b").unwrap();
        assert_eq!(keys().unwrap(), ["a", "n"]);
    }

    #[test]
    fn what_does_not_fit_says_why() {
        set("word", "many").unwrap();
        assert!(increment("word", 1).unwrap_err().reason().contains("no counter"));
        set("max", u64::MAX.to_string()).unwrap();
        assert!(increment("max", 1).unwrap_err().reason().contains("2^64"));
        assert!(get_json::<u64>("word").unwrap_err().reason().starts_with("store key `word`: "));
    }
}
