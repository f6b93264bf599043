//! An index that applies what is newer, late, in part, or while it says that it did not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt;
use tokio::time::Instant;

use super::{Chance, coverage, trace};
use crate::error::Failure;
use crate::event::{Action, Write};
use crate::sink::{Sink, Verdict, WriteError};

/// As Elasticsearch's `index.gc_deletes`: how long the version of a deleted document is known.
const DELETES_KNOWN: Duration = Duration::from_secs(60);
/// A request that timed out here may be applied so much later.
const LATE_MAX_MS: u64 = 5_000;

/// The index, with all that can be wrong with it.
pub struct SimSink {
    pub inner: Mutex<Inner>,
    chance: Chance,
}

#[derive(Default)]
pub struct Inner {
    /// Documents by id; none when the index is not there.
    index: Option<BTreeMap<String, Stored>>,
    /// What went with an index that was removed, by version: nobody promises to bring it back until it is written again.
    removed: BTreeMap<String, u64>,
    /// The highest version that each document ever had.
    newest: BTreeMap<String, u64>,
    late: Vec<(Instant, Vec<Write>)>,
    storm_until: Option<Instant>,
    /// How many in a hundred requests meet with something.
    pub trouble: u32,
    /// Whether the index may be removed.
    pub is_removable: bool,
}

#[derive(Clone)]
struct Stored {
    version: u64,
    /// None: it was deleted.
    body: Option<String>,
    at: Instant,
}

/// What a request meets with.
#[derive(Clone, Copy)]
enum Fate {
    Well,
    Down,
    Storm,
    Split,
    Part,
    AppliedAndLost,
    AppliedInPartAndLost,
    AppliedLate,
    Restart,
    IndexRemoved,
}

impl Fate {
    fn roll(chance: &Chance, trouble: u32) -> Self {
        let mut chance = chance.lock().unwrap();
        if chance.random_range(0..100) >= trouble {
            return Fate::Well;
        }
        let (fate, name) = match chance.random_range(0..100) {
            0..15 => (Fate::Down, "down"),
            15..25 => (Fate::Storm, "storm"),
            25..40 => (Fate::Split, "split"),
            40..60 => (Fate::Part, "part"),
            60..72 => (Fate::AppliedAndLost, "applied and lost"),
            72..82 => (Fate::AppliedInPartAndLost, "applied in part and lost"),
            82..92 => (Fate::AppliedLate, "applied late"),
            92..98 => (Fate::Restart, "restart"),
            _ => (Fate::IndexRemoved, "index removed"),
        };
        coverage::saw(name);
        fate
    }
}

#[async_trait]
impl Sink for SimSink {
    async fn prepare(&self, _indexes: &[Arc<str>]) -> Result<(), Failure> {
        self.inner.lock().unwrap().index.get_or_insert_default();
        Ok(())
    }

    async fn write(&self, writes: &[Write]) -> Result<Vec<Verdict>, WriteError> {
        let fate = Fate::roll(&self.chance, self.inner.lock().unwrap().trouble);
        self.pause().await;
        let answer = self.answer(writes, fate);
        trace::say(|| format!("  {} writes: {answer:?}", writes.len()));
        self.pause().await;
        answer
    }

    fn requests_in_flight(&self) -> usize {
        3
    }
}

impl SimSink {
    pub fn new(chance: Chance) -> Self {
        Self { inner: Mutex::default(), chance }
    }

    async fn pause(&self) {
        let pause = self.chance.lock().unwrap().random_range(0..50);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    fn answer(&self, writes: &[Write], fate: Fate) -> Result<Vec<Verdict>, WriteError> {
        let mut chance = self.chance.lock().unwrap();
        let mut inner = self.inner.lock().unwrap();
        let now = Instant::now();
        inner.catch_up(now);
        if matches!(fate, Fate::Storm) {
            inner.storm_until = Some(now + Duration::from_millis(chance.random_range(100..20_000)));
        }
        if inner.storm_until.is_some_and(|until| until > now) {
            let overloaded = WriteError::Overloaded { message: "simulated".to_owned(), after: None };
            return if chance.random_bool(0.5) { Err(overloaded) } else { Ok(writes.iter().map(|_| Verdict::Retry("429")).collect()) };
        }
        match fate {
            Fate::Down => return Err(down()),
            Fate::Split if writes.len() > 1 || writes.iter().any(is_refused) => {
                return Err(WriteError::Split { message: "simulated".to_owned() });
            }
            Fate::AppliedLate => {
                inner.late.push((now + Duration::from_millis(chance.random_range(0..LATE_MAX_MS)), writes.to_vec()));
                return Err(down());
            }
            Fate::Restart => {
                inner.restart();
                return Err(down());
            }
            Fate::IndexRemoved if inner.is_removable => inner.remove_index(),
            _ => {}
        }
        if inner.index.is_none() {
            return Err(WriteError::IndexMissing { index: "t".to_owned() });
        }
        let is_partial = matches!(fate, Fate::Part | Fate::AppliedInPartAndLost);
        // What is refused is not put off: something newer of its row would be taken, and it would never be heard of again.
        let mut is_put_off = |write| is_partial && !is_refused(write) && chance.random_bool(0.5);
        let verdicts = writes.iter().map(|write| if is_put_off(write) { Verdict::Retry("503") } else { inner.apply(write, now) });
        let verdicts = verdicts.collect();
        if matches!(fate, Fate::AppliedAndLost | Fate::AppliedInPartAndLost) { Err(down()) } else { Ok(verdicts) }
    }
}

impl Inner {
    /// The documents that are there.
    pub fn live(&self) -> BTreeMap<&str, &str> {
        let stored = self.index.iter().flatten();
        stored.filter_map(|(name, stored)| Some((name.as_str(), stored.body.as_deref()?))).collect()
    }

    /// Whether a document went with an index that was removed, and what is there now is older if it is anything.
    pub fn is_removed(&self, name: &str) -> bool {
        self.removed.contains_key(name)
    }

    /// Whether a document was written or deleted above this version, ever.
    pub fn was_above(&self, name: &str, version: u64) -> bool {
        self.newest.get(name).is_some_and(|newest| *newest > version)
    }

    /// Somebody removes the index, and nothing that it held comes back by itself.
    pub fn remove_index(&mut self) {
        self.late.clear();
        let gone = self.index.take().into_iter().flatten();
        for (name, stored) in gone {
            let removed = self.removed.entry(name).or_default();
            *removed = stored.version.max(*removed);
        }
    }

    /// The server starts again: what it knew of deletes is gone, and so are requests on their way.
    fn restart(&mut self) {
        self.late.clear();
        self.index.iter_mut().for_each(|index| index.retain(|_, stored| stored.body.is_some()));
    }

    /// What happened meanwhile.
    fn catch_up(&mut self, now: Instant) {
        let (due, late): (Vec<_>, Vec<_>) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now);
        self.late = late;
        if self.index.is_some() {
            for (at, writes) in due {
                writes.iter().for_each(|write| drop(self.apply(write, at)));
            }
        }
        self.index.iter_mut().for_each(|index| index.retain(|_, stored| stored.body.is_some() || now - stored.at < DELETES_KNOWN));
    }

    fn apply(&mut self, write: &Write, at: Instant) -> Verdict {
        let verdict = self.judge(write, at);
        trace::say(|| format!("  {} {:?} {} {}: {verdict:?}", write.version, write.action, write.id, write.version.0 >> 8));
        verdict
    }

    fn judge(&mut self, write: &Write, at: Instant) -> Verdict {
        if is_refused(write) {
            return Verdict::Refused("simulated".to_owned());
        }
        let Some(index) = &mut self.index else { return Verdict::Retry("503") };
        let version = write.version.0;
        if index.get(&*write.id).is_some_and(|known| known.version >= version) {
            return Verdict::Stale;
        }
        let body = match &write.action {
            Action::Index(body) => Some(body.to_string()),
            Action::Delete | Action::Emit(_) => None,
        };
        let newest = self.newest.entry(write.id.to_string()).or_default();
        *newest = version.max(*newest);
        if self.removed.get(&*write.id).is_some_and(|removed| version >= *removed) {
            self.removed.remove(&*write.id);
        }
        index.insert(write.id.to_string(), Stored { version, body, at });
        Verdict::Stored
    }
}

/// The one rule of this index: see `model`.
fn is_refused(write: &Write) -> bool {
    matches!(&write.action, Action::Index(body) if body.contains("\"refused\""))
}

fn down() -> WriteError {
    WriteError::Unavailable { reason: "simulated", message: "simulated".to_owned(), after: None }
}
