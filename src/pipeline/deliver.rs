//! Writes to verdicts: what is down is waited for, what is refused as a whole is taken apart.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::config::BatchSettings;
use crate::error::{Failure, Kind};
use crate::event::{Action, DocumentVersion, Write};
use crate::limits;
use crate::pipeline::failpoint::Failpoint;
use crate::pipeline::metrics::PipelineMetrics;
use crate::pipeline::pressure::Pressure;
use crate::pipeline::progress::Progress;
use crate::sink::{Sink, Verdict, WriteError};

/// A sink with too much to do, as a label of a metric, and as a verdict on one write.
const OVERLOADED: &str = "429";

/// Writes to one sink. Cheap to clone; clones know the same indexes.
#[derive(Clone)]
pub struct Deliverer {
    sink: Arc<dyn Sink>,
    settings: BatchSettings,
    clock: Clock,
    metrics: PipelineMetrics,
    progress: Arc<Progress>,
    /// Indexes that the sink has prepared. Held while preparing, so that one request at a time creates an index.
    prepared: Arc<Mutex<HashSet<Arc<str>>>>,
    pressure: Arc<Pressure>,
}

/// The last word on a write: it is settled either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is there, durably.
    Stored,
    /// Something as new or newer was there already.
    Stale,
    /// The sink will never take it, and why.
    Refused(String),
}

impl Deliverer {
    /// A deliverer for one pipeline.
    pub fn new(sink: Arc<dyn Sink>, settings: BatchSettings, clock: Clock, metrics: PipelineMetrics, progress: Arc<Progress>) -> Self {
        let pressure = Arc::new(Pressure::new(sink.requests_in_flight(), metrics.sink_concurrency.clone()));
        Self { sink, settings, clock, metrics, progress, prepared: Arc::default(), pressure }
    }

    /// Reaches out to the sink until it answers; `index` is the one documents go to, where it is known beforehand.
    pub async fn prepare(&self, index: Option<&str>) -> Result<(), Failure> {
        let indexes: Vec<Arc<str>> = index.map(Arc::from).into_iter().collect();
        self.prepare_indexes(indexes).await
    }

    /// Writes until every write has its answer, for as long as it takes. Gives one answer for each write, in order.
    ///
    /// Fails only where a person must do something.
    pub async fn deliver(&self, writes: &[Write]) -> Result<Vec<Answer>, Failure> {
        self.deliver_in_parts(writes, &[], async {}).await
    }

    /// The same, but for the writes at the places `late` (rising): they go out after all others are answered and `may_follow` has come.
    pub async fn deliver_in_parts(
        &self,
        writes: &[Write],
        late: &[usize],
        may_follow: impl Future<Output = ()>,
    ) -> Result<Vec<Answer>, Failure> {
        self.prepare_indexes(indexes_of(writes)).await?;
        let mut answers: Vec<Option<Answer>> = vec![None; writes.len()];
        let first = (0..writes.len()).filter(|place| late.binary_search(place).is_err());
        self.answer(writes, &mut answers, first).await?;
        if !late.is_empty() {
            may_follow.await;
            self.answer(writes, &mut answers, late.iter().copied()).await?;
        }
        let answers: Option<Vec<Answer>> = answers.into_iter().collect();
        answers.ok_or_else(|| Failure::bug("the sink left writes without a verdict"))
    }

    /// Writes what stands at some places, until each has its answer.
    async fn answer(&self, writes: &[Write], answers: &mut [Option<Answer>], places: impl Iterator<Item = usize>) -> Result<(), Failure> {
        let mut groups = self.groups(writes, places);
        let mut attempt = 0;
        while let Some(mut group) = groups.pop_front() {
            let permit = self.pressure.permit().await;
            let rest = group.split_off(self.fitting(writes, &group));
            if !rest.is_empty() {
                groups.push_front(rest);
            }
            let request = request_of(writes, &group);
            Failpoint::BeforeSink.pass();
            match self.sink.write(&request).await {
                Ok(verdicts) => {
                    Failpoint::AfterSink.pass();
                    match verdicts.contains(&Verdict::Retry(OVERLOADED)) {
                        true => permit.overloaded(),
                        false => permit.answered(),
                    }
                    let again = note(answers, &group, verdicts).and_then(|again| without_superseded(answers, writes, again));
                    let Some((reason, places)) = again else {
                        attempt = 0;
                        self.progress.sink_answered();
                        continue;
                    };
                    groups.push_front(places);
                    self.back_off(&mut attempt, reason, &format!("the sink put documents off ({reason})"), None).await;
                }
                Err(WriteError::Split { message }) => {
                    drop(permit);
                    split(&mut groups, answers, group, &message);
                }
                Err(WriteError::IndexMissing { index }) => {
                    drop(permit);
                    self.prepared.lock().await.remove(index.as_str());
                    groups.push_front(group);
                    self.prepare_indexes(vec![index.into()]).await?;
                    // An index that is gone again at once must not be made in a tight loop.
                    self.back_off(&mut attempt, "index missing", "the index was removed", None).await;
                }
                Err(WriteError::Unavailable { reason, message, after }) => {
                    match reason {
                        // What takes longer than its time-out would for ever: smaller, it may not.
                        "timeout" => permit.overloaded(),
                        _ => drop(permit),
                    }
                    groups.push_front(group);
                    self.back_off(&mut attempt, reason, &message, after).await;
                }
                Err(WriteError::Overloaded { message, after }) => {
                    permit.overloaded();
                    groups.push_front(group);
                    self.back_off(&mut attempt, OVERLOADED, &message, after).await;
                }
                Err(WriteError::Misconfigured { remedy }) => return Err(Failure::misconfigured(remedy)),
            }
        }
        Ok(())
    }

    /// The writes of one request each, by the bounds of the configuration.
    fn groups(&self, writes: &[Write], places: impl Iterator<Item = usize>) -> VecDeque<Vec<usize>> {
        let mut groups: VecDeque<Vec<usize>> = VecDeque::new();
        let mut bytes = 0;
        for place in places {
            let size = writes.get(place).map_or(0, Write::size_bytes);
            match groups.back_mut() {
                Some(group) if group.len() < self.settings.max_documents && bytes + size <= self.settings.max_bytes => {
                    group.push(place);
                    bytes += size;
                }
                _ => {
                    groups.push_back(vec![place]);
                    bytes = size;
                }
            }
        }
        groups
    }

    /// How many of a group's writes may go out in one request now.
    fn fitting(&self, writes: &[Write], group: &[usize]) -> usize {
        let share = self.pressure.share();
        let (documents_max, bytes_max) = (self.settings.max_documents as f64 * share, self.settings.max_bytes as f64 * share);
        let mut bytes = 0;
        let fits = group.iter().enumerate().take_while(|(count, place)| {
            bytes += writes.get(**place).map_or(0, Write::size_bytes);
            *count == 0 || ((*count as f64) < documents_max && bytes as f64 <= bytes_max)
        });
        if share < 1.0 { fits.count() } else { group.len() }
    }

    async fn prepare_indexes(&self, indexes: Vec<Arc<str>>) -> Result<(), Failure> {
        let mut prepared = self.prepared.lock().await;
        let new: Vec<Arc<str>> = indexes.into_iter().filter(|index| !prepared.contains(index)).collect();
        if new.is_empty() && !prepared.is_empty() {
            return Ok(());
        }
        let mut attempt = 0;
        loop {
            match self.sink.prepare(&new).await {
                Ok(()) => break,
                Err(failure) if failure.kind == Kind::Unavailable => {
                    self.back_off(&mut attempt, "unreachable", &failure.message, None).await;
                }
                Err(failure) => return Err(failure),
            }
        }
        self.progress.sink_answered();
        if prepared.len() + new.len() > limits::INDEXES_KNOWN_MAX {
            prepared.clear();
        }
        prepared.extend(new);
        Ok(())
    }

    /// Waits before the next try: longer each time, a little different for everyone, at least what the server asked for.
    async fn back_off(&self, attempt: &mut u32, reason: &str, message: &str, after: Option<Duration>) {
        self.metrics.sink_retry(reason);
        self.progress.sink_trouble(message);
        if *attempt == 0 {
            tracing::warn!(pipeline = self.metrics.pipeline(), reason, "the sink is waited for: {message}");
        }
        let delay = limits::RETRY_DELAY_FIRST.saturating_mul(2_u32.saturating_pow(*attempt)).min(limits::RETRY_DELAY_MAX);
        *attempt += 1;
        let asked = after.unwrap_or_default().min(limits::RETRY_AFTER_MAX);
        tokio::time::sleep(self.clock.jittered(delay).max(asked)).await;
    }
}

/// The indexes of writes, each once.
fn indexes_of(writes: &[Write]) -> Vec<Arc<str>> {
    let mut indexes: Vec<Arc<str>> = Vec::new();
    for stretch in writes.chunk_by(|one, next| Arc::ptr_eq(&one.index, &next.index)) {
        indexes.extend(stretch.first().map(|write| write.index.clone()));
    }
    indexes.sort_unstable();
    indexes.dedup();
    indexes
}

/// The writes of a group; those that stand together, as nearly all groups do, are not copied.
fn request_of<'w>(writes: &'w [Write], group: &[usize]) -> Cow<'w, [Write]> {
    let together = group.first().zip(group.last()).filter(|(first, last)| *last - *first + 1 == group.len());
    match together.and_then(|(first, last)| writes.get(*first..=*last)) {
        Some(request) => Cow::Borrowed(request),
        None => group.iter().filter_map(|place| writes.get(*place).cloned()).collect(),
    }
}

/// Notes verdicts, and gives the places that are to be written again with the reason of the first.
fn note(answers: &mut [Option<Answer>], group: &[usize], verdicts: Vec<Verdict>) -> Option<(&'static str, Vec<usize>)> {
    let mut again: Option<(&'static str, Vec<usize>)> = None;
    for (place, verdict) in group.iter().zip(verdicts) {
        let answer = match verdict {
            Verdict::Stored => Answer::Stored,
            Verdict::Stale => Answer::Stale,
            Verdict::Refused(reason) => Answer::Refused(reason),
            Verdict::Retry(reason) => {
                again.get_or_insert_with(|| (reason, Vec::new())).1.push(*place);
                continue;
            }
        };
        if let Some(slot) = answers.get_mut(*place) {
            *slot = Some(answer);
        }
    }
    again
}

/// Leaves out what is put off while something newer of the same document is answered already: search servers forget deletes
/// after a while, and would take the older write then.
fn without_superseded(
    answers: &mut [Option<Answer>],
    writes: &[Write],
    (reason, places): (&'static str, Vec<usize>),
) -> Option<(&'static str, Vec<usize>)> {
    let answered = writes.iter().zip(answers.iter()).filter(|(_, answer)| matches!(answer, Some(Answer::Stored | Answer::Stale)));
    let mut newest: HashMap<(&str, &str), DocumentVersion> = HashMap::new();
    for (write, _) in answered.filter(|(write, _)| !matches!(write.action, Action::Emit(_))) {
        let version = newest.entry((&write.index, &write.id)).or_default();
        *version = write.version.max(*version);
    }
    let is_superseded = |write: &Write| {
        let newest = newest.get(&(&*write.index, &*write.id));
        !matches!(write.action, Action::Emit(_)) && newest.is_some_and(|newest| *newest > write.version)
    };
    let (superseded, again): (Vec<usize>, Vec<usize>) = places.into_iter().partition(|place| writes.get(*place).is_some_and(is_superseded));
    for place in superseded {
        if let Some(slot) = answers.get_mut(place) {
            *slot = Some(Answer::Stale);
        }
    }
    (!again.is_empty()).then_some((reason, again))
}

/// Halves a group that was refused as a whole; one that stands alone is the guilty one.
fn split(groups: &mut VecDeque<Vec<usize>>, answers: &mut [Option<Answer>], mut group: Vec<usize>, message: &str) {
    if let [place] = group.as_slice() {
        if let Some(slot) = answers.get_mut(*place) {
            *slot = Some(Answer::Refused(message.to_owned()));
        }
        return;
    }
    let second = group.split_off(group.len() / 2);
    groups.push_front(second);
    groups.push_front(group);
}
