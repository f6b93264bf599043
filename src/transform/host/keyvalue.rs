//! `wasi:keyvalue`: the store of the pipeline, which changes in the write that commits the batch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use wasmtime::component::Resource;

use crate::transform::host::Guest;
use crate::transform::overlay::{Overlay, STORE_CLOSED};
use crate::transform::world::wasi::keyvalue::store::{Error, Host, HostBucket, KeyResponse};
use crate::transform::world::wasi::keyvalue::{atomics, batch};

/// What the one bucket there is may be called.
const NAMES: [&str; 2] = ["default", ""];

/// A guest's hold on the store. There is nothing to it: the table of resources bounds how many there are.
pub struct Bucket;

/// The store of the present batch; none while there is none. Shared by the instances of one transform: what a batch has written outlives
/// an instance that traps.
#[derive(Clone, Default)]
pub struct BatchStore(Arc<Mutex<Option<Overlay>>>);

impl BatchStore {
    /// A batch begins.
    pub fn begin(&self, overlay: Overlay) {
        *self.lock() = Some(overlay);
    }

    /// It is over.
    pub fn end(&self) -> Option<Overlay> {
        self.lock().take()
    }

    /// Does something with it, if there is one.
    pub fn with<T>(&self, act: impl FnOnce(&mut Overlay) -> T) -> Option<T> {
        self.lock().as_mut().map(act)
    }

    fn ask<T>(&self, ask: impl FnOnce(&mut Overlay) -> Result<T, String>) -> Result<T, Error> {
        let answer = self.with(ask).unwrap_or_else(|| Err(STORE_CLOSED.to_owned()));
        answer.map_err(Error::Other)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Overlay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for Guest {
    fn open(&mut self, identifier: String) -> Result<Resource<Bucket>, Error> {
        if !NAMES.contains(&identifier.as_str()) {
            return Err(Error::NoSuchStore);
        }
        self.resources.push(Bucket).map_err(|_| Error::Other("too many resources are open: close some".to_owned()))
    }
}

impl HostBucket for Guest {
    fn get(&mut self, _: Resource<Bucket>, key: String) -> Result<Option<Vec<u8>>, Error> {
        self.store.ask(|store| store.get(&key)).map(|value| value.map(Vec::from))
    }

    fn set(&mut self, _: Resource<Bucket>, key: String, value: Vec<u8>) -> Result<(), Error> {
        self.store.ask(|store| store.set(&key, value))
    }

    fn delete(&mut self, _: Resource<Bucket>, key: String) -> Result<(), Error> {
        self.store.ask(|store| store.delete(&key))
    }

    fn exists(&mut self, _: Resource<Bucket>, key: String) -> Result<bool, Error> {
        self.store.ask(|store| store.get(&key)).map(|value| value.is_some())
    }

    fn list_keys(&mut self, _: Resource<Bucket>, cursor: Option<u64>) -> Result<KeyResponse, Error> {
        self.store.ask(|store| store.keys(cursor)).map(|(keys, cursor)| KeyResponse { keys, cursor })
    }

    fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.resources.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for Guest {
    fn increment(&mut self, _: Resource<Bucket>, key: String, delta: u64) -> Result<u64, Error> {
        self.store.ask(|store| store.increment(&key, delta))
    }
}

impl batch::Host for Guest {
    fn get_many(&mut self, _: Resource<Bucket>, keys: Vec<String>) -> Result<Vec<Option<(String, Vec<u8>)>>, Error> {
        let values = self.store.ask(|store| store.get_many(&keys))?;
        let pair = |(key, value): (String, Option<Bytes>)| value.map(|value| (key, Vec::from(value)));
        Ok(keys.into_iter().zip(values).map(pair).collect())
    }

    fn set_many(&mut self, _: Resource<Bucket>, entries: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        self.store.ask(|store| store.set_many(entries))
    }

    fn delete_many(&mut self, _: Resource<Bucket>, keys: Vec<String>) -> Result<(), Error> {
        self.store.ask(|store| store.delete_many(&keys))
    }
}
