//! `wasi:keyvalue`: there is no store yet.

use wasmtime::component::Resource;

use crate::transform::host::Guest;
use crate::transform::world::wasi::keyvalue::store::{Bucket, Error, Host, HostBucket, KeyResponse};
use crate::transform::world::wasi::keyvalue::{atomics, batch};

impl Host for Guest {
    fn open(&mut self, _: String) -> Result<Resource<Bucket>, Error> {
        Err(Error::NoSuchStore)
    }
}

impl HostBucket for Guest {
    fn get(&mut self, _: Resource<Bucket>, _: String) -> Result<Option<Vec<u8>>, Error> {
        Err(Error::NoSuchStore)
    }

    fn set(&mut self, _: Resource<Bucket>, _: String, _: Vec<u8>) -> Result<(), Error> {
        Err(Error::NoSuchStore)
    }

    fn delete(&mut self, _: Resource<Bucket>, _: String) -> Result<(), Error> {
        Err(Error::NoSuchStore)
    }

    fn exists(&mut self, _: Resource<Bucket>, _: String) -> Result<bool, Error> {
        Err(Error::NoSuchStore)
    }

    fn list_keys(&mut self, _: Resource<Bucket>, _: Option<u64>) -> Result<KeyResponse, Error> {
        Err(Error::NoSuchStore)
    }

    fn drop(&mut self, _: Resource<Bucket>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl atomics::Host for Guest {
    fn increment(&mut self, _: Resource<Bucket>, _: String, _: u64) -> Result<u64, Error> {
        Err(Error::NoSuchStore)
    }
}

impl batch::Host for Guest {
    fn get_many(&mut self, _: Resource<Bucket>, _: Vec<String>) -> Result<Vec<Option<(String, Vec<u8>)>>, Error> {
        Err(Error::NoSuchStore)
    }

    fn set_many(&mut self, _: Resource<Bucket>, _: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        Err(Error::NoSuchStore)
    }

    fn delete_many(&mut self, _: Resource<Bucket>, _: Vec<String>) -> Result<(), Error> {
        Err(Error::NoSuchStore)
    }
}
