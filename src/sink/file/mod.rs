//! The file sink: every write as a line of JSON, appended to a file or printed.
//!
//! - Enters: [`Write`]s, of every action: emitted messages have a place here too.
//! - Leaves: `{"action":…,"index":…,"id":…,"version":…,"body":…}` lines, and [`Verdict::Stored`] for each.
//! - Keeps true: a line is whole or not there; what was answered is on the disk.
//! - Never: comparing versions. A repeat is a second line; who reads the lines keeps the highest version of an id.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::error::Failure;
use crate::event::Write;
use crate::sink::{Sink, Verdict, WriteError};
use client::Lines;
use verdict::FileError;

mod client;
mod request;
/// What a user may set.
pub mod settings;
mod verdict;

#[cfg(test)]
mod tests;

/// Appends lines to one place.
struct FileSink {
    lines: Arc<Mutex<Lines>>,
}

impl FileSink {
    fn new(lines: Lines) -> Self {
        Self { lines: Arc::new(Mutex::new(lines)) }
    }

    /// Runs `work` where it may block on the disk.
    async fn blocking(&self, work: impl FnOnce(&mut Lines) -> Result<(), FileError> + Send + 'static) -> Result<(), FileError> {
        let lines = self.lines.clone();
        let run = move || work(&mut lines.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(run).await.unwrap_or_else(|error| Err(FileError::Stopped(error.to_string())))
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn prepare(&self, _indexes: &[Arc<str>]) -> Result<(), Failure> {
        Ok(self.blocking(Lines::open).await?)
    }

    async fn write(&self, writes: &[Write]) -> Result<Vec<Verdict>, WriteError> {
        let text = request::lines(writes);
        self.blocking(move |lines| lines.append(&text)).await?;
        Ok(vec![Verdict::Stored; writes.len()])
    }

    fn requests_in_flight(&self) -> usize {
        1
    }
}
