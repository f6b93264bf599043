//! The source as its pipeline sees it, with the blocking reads in threads of their own.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::task::JoinHandle;

use crate::error::Failure;
use crate::event::{Lane, Message};
use crate::limits::FILE_FOLLOW_INTERVAL;
use crate::source::file::format::Reading;
use crate::source::file::lines::Line;
use crate::source::file::settings::{FileSourceSettings, unreadable};
use crate::source::file::tail::{self, Step, Tail};
use crate::source::{Arrival, Source, SourceContext};

/// A file, read line by line.
pub(super) struct FileSource {
    settings: FileSourceSettings,
    reading: Reading,
    /// Where the file is while nobody reads it.
    tail: Option<Tail>,
    /// Where it is while a thread that may block reads it. That goes on when a call of `next` is dropped.
    away: Option<JoinHandle<(Tail, io::Result<Step>)>>,
    /// The file was replaced, and the pipeline is yet to be told.
    is_anew: bool,
    /// The file's last line has been given.
    is_finished: bool,
    trouble: Mutex<Option<String>>,
}

impl FileSource {
    /// Will read from the stored position.
    pub(super) fn new(settings: FileSourceSettings, context: &SourceContext) -> Self {
        let start = context.positions.position(&settings.name).unwrap_or_default();
        let reading = Reading::new(settings.format, Arc::clone(&settings.name), Arc::clone(&settings.topic));
        let tail = Tail::new(settings.path.clone(), settings.follow, start);
        Self { settings, reading, tail: Some(tail), away: None, is_anew: false, is_finished: false, trouble: Mutex::default() }
    }

    /// One look at the file, by a thread that may block. Cancel safe.
    async fn step(&mut self) -> Result<io::Result<Step>, Failure> {
        if let Some(mut tail) = self.tail.take() {
            self.away = Some(tokio::task::spawn_blocking(move || {
                let step = tail.step();
                (tail, step)
            }));
        }
        let Some(away) = &mut self.away else { return Err(broke_off("its thread is gone")) };
        let done = away.await;
        self.away = None;
        let (tail, step) = done.map_err(broke_off)?;
        self.tail = Some(tail);
        Ok(step)
    }

    /// What a step is to the caller of `next`.
    fn heard(&mut self, step: Step) -> Heard {
        let arrival = match step {
            Step::Idle => return Heard::Nothing,
            Step::Lines(lines) => self.arrival(&lines),
            Step::Anew(last) => {
                tracing::warn!(path = %self.settings.path.display(), "the file was made anew: it is read from its start");
                self.is_anew = true;
                last.and_then(|line| self.arrival(std::slice::from_ref(&line)))
            }
            Step::End(last) => {
                self.is_finished = true;
                last.and_then(|line| self.arrival(std::slice::from_ref(&line)))
            }
        };
        arrival.map_or(Heard::More, Heard::Arrival)
    }

    /// What lines are to the pipeline. Blank ones are only passed.
    fn arrival(&mut self, lines: &[Line]) -> Option<Arrival> {
        let messages: Vec<Message> = lines.iter().filter(|line| !line.is_blank()).map(|line| self.reading.message(line)).collect();
        if !messages.is_empty() {
            return Some(Arrival::Messages(messages));
        }
        lines.last().map(|line| Arrival::Passed { lane: Arc::clone(&self.reading.lane), position: line.end })
    }

    /// What an error means: a followed file may still come, another must be there.
    fn heed(&self, error: &io::Error) -> Result<(), Failure> {
        let path = &self.settings.path;
        if self.settings.follow && error.kind() == io::ErrorKind::NotFound {
            self.set_trouble(Some(format!("waiting for {} to be written", path.display())));
            return Ok(());
        }
        Err(unreadable(path, error))
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

#[async_trait]
impl Source for FileSource {
    async fn next(&mut self) -> Result<Arrival, Failure> {
        while !self.is_finished {
            if std::mem::take(&mut self.is_anew) {
                return Ok(Arrival::Anew { lane: Arc::clone(&self.reading.lane) });
            }
            let arrival = match self.step().await? {
                Ok(step) => {
                    self.set_trouble(None);
                    self.heard(step)
                }
                Err(error) => {
                    self.heed(&error)?;
                    Heard::Nothing
                }
            };
            match arrival {
                Heard::Arrival(arrival) => return Ok(arrival),
                Heard::More => {}
                Heard::Nothing => tokio::time::sleep(FILE_FOLLOW_INTERVAL).await,
            }
        }
        Ok(Arrival::Finished)
    }

    fn settle(&self, _positions: &[(Lane, u64)]) {}

    async fn ends(&self) -> Result<Vec<(Lane, u64)>, Failure> {
        loop {
            let (path, follow): (PathBuf, bool) = (self.settings.path.clone(), self.settings.follow);
            let asked = tokio::task::spawn_blocking(move || tail::end(&path, follow)).await;
            match asked.map_err(broke_off)? {
                Ok(end) => return Ok(vec![(Arc::clone(&self.reading.lane), end)]),
                Err(error) => self.heed(&error)?,
            }
            tokio::time::sleep(FILE_FOLLOW_INTERVAL).await;
        }
    }

    fn newest(&self) -> Vec<(Lane, u64)> {
        // One stat of a local file takes microseconds.
        let length = std::fs::metadata(&self.settings.path).map(|metadata| metadata.len());
        length.map(|length| vec![(Arc::clone(&self.reading.lane), length)]).unwrap_or_default()
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What one step is to the caller of `next`.
enum Heard {
    Arrival(Arrival),
    /// Look again at once.
    More,
    /// Look again later.
    Nothing,
}

fn broke_off(reason: impl std::fmt::Display) -> Failure {
    Failure::bug(format!("reading the file broke off: {reason}"))
}
