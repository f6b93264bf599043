//! A batch of changes, counted: what they add, and what they take back.

use std::collections::HashMap;
use std::sync::Arc;

use bytestring::ByteString;
use rust_decimal::Decimal;
use tokio::time::Instant;

use crate::aggregate::fields::{needs_time, time_of};
use crate::aggregate::settings::{AggregateSettings, Emit, Late};
use crate::aggregate::{Cell, Content, Counted, Sessions, Shape, Top, Values};
use crate::error::Failure;
use crate::event::{Change, Lane, Measure, QuickMap};
use crate::limits;
use crate::pipeline::process::Processor;
use crate::pipeline::windows::holding::{LaneMark, lane_mark};
use crate::pipeline::windows::{Changed, OpenWindow, Windows, about};
use crate::pipeline::work::{Sourced, Work};
use crate::state::{CellKey, PipelineState, RowRecord, Rows, ValueKey};
use crate::transform::{Outcome, Output};

/// One measure to be added to a cell, or taken back.
struct Step {
    /// The start of its window; 0 for sessions.
    start_ms: u64,
    measure: Measure,
    time_ms: u64,
    is_added: bool,
    /// The watermark when its event was read.
    watermark_ms: u64,
    /// The change it is of; none for a table that was emptied.
    change: Option<usize>,
    /// The lane of that; 0: none.
    lane: LaneMark,
}

/// What became of the measures of one change.
#[derive(Clone, Default)]
struct Verdict {
    counted: u32,
    /// Why some were too late.
    late: Option<String>,
    /// Whether some were late, and still counted.
    is_in_grace: bool,
}

/// The steps of a batch, and what becomes of its changes.
pub struct Counting {
    steps: Vec<Step>,
    verdicts: Vec<Verdict>,
    times: HashMap<Lane, u64>,
    now: Instant,
}

impl Processor {
    /// Counts what the outcomes measure. Changes whose measures cannot be used become dead letters.
    pub fn count(&mut self, outcomes: Vec<Outcome>, rows: &mut Rows, work: &mut Work) -> Result<(), Failure> {
        let Some(windows) = &mut self.windows else { return Err(Failure::bug("measures without windows")) };
        let mut counting =
            Counting { steps: Vec::new(), verdicts: vec![Verdict::default(); outcomes.len()], times: HashMap::new(), now: Instant::now() };
        let (now_ms, mut failed) = (self.clock.now_ms(), Vec::new());
        for (place, ((change, source), outcome)) in work.changes.iter().zip(&work.sources).zip(outcomes).enumerate() {
            // It is older than the emptying of its table: nothing was counted, or it was taken back.
            if source.withdrawn.is_some() {
                continue;
            }
            let record = source.slot.and_then(|slot| rows.record_mut_at(slot));
            let measured = outcome.and_then(|outputs| measures(&windows.settings, change, outputs, now_ms));
            match measured {
                Ok(measures) => windows.judge(&mut counting, place, source, record, measures),
                Err(reason) => failed.push((place, reason)),
            }
        }
        for (place, reason) in failed {
            self.set_aside_change(work, place, &reason);
        }
        let verdicts = self.apply(&mut counting, work)?;
        for (place, verdict) in verdicts.into_iter().enumerate() {
            self.conclude_change(work, place, verdict);
        }
        Ok(())
    }

    /// Takes back what rows of an emptied table had added.
    pub fn take_back_all(&mut self, measured: Vec<Measure>, work: &mut Work) -> Result<(), Failure> {
        let Some(windows) = &mut self.windows else { return Ok(()) };
        let mut counting = Counting { steps: Vec::new(), verdicts: Vec::new(), times: HashMap::new(), now: Instant::now() };
        for measure in measured {
            windows.steps(&mut counting, None, 0, &measure, false);
        }
        self.apply(&mut counting, work)?;
        Ok(())
    }

    fn apply(&mut self, counting: &mut Counting, work: &mut Work) -> Result<Vec<Verdict>, Failure> {
        let Some(windows) = &mut self.windows else { return Ok(Vec::new()) };
        windows.apply(&self.state, counting, work)?;
        let effects = &mut work.effects.windows;
        effects.times.extend(counting.times.drain());
        effects.watermark_ms = Some(windows.watermark.ms());
        Ok(std::mem::take(&mut counting.verdicts))
    }

    fn set_aside_change(&self, work: &mut Work, place: usize, reason: &str) {
        let (Some(change), Some(source)) = (work.changes.get(place), work.sources.get(place)) else { return };
        work.rejected.insert(place);
        work.tally.dies(source);
        work.effects.dead.push(self.dead_change("transform", reason, change, source));
    }

    /// Counts a change by what became of its measures.
    fn conclude_change(&self, work: &mut Work, place: usize, verdict: Verdict) {
        let Some(windows) = &self.windows else { return };
        let (Some(change), Some(source)) = (work.changes.get(place), work.sources.get(place)) else { return };
        let Some(reason) = verdict.late else {
            if verdict.is_in_grace {
                windows.metrics.late_counted();
            }
            return;
        };
        windows.metrics.late_dropped(&change.origin, &reason);
        if verdict.counted > 0 {
            return;
        }
        if windows.settings.late == Late::DeadLetter {
            self.set_aside_change(work, place, &reason);
        } else if source.is_event {
            work.tally.applied = work.tally.applied.saturating_sub(1);
            work.tally.late += 1;
        }
    }
}

/// The measures of one change, with their times.
fn measures(settings: &AggregateSettings, change: &Change, outputs: Vec<Output>, now_ms: u64) -> Result<Vec<Measure>, String> {
    let mut measures = Vec::with_capacity(outputs.len());
    // What a deleted row had added is taken back; it adds nothing by going.
    let is_gone = change.is_delete() && !settings.append_only;
    for output in outputs {
        let Output::Measure(measure) = output else { continue };
        let time_ms = if needs_time(settings) { time_of(&measure, change)? } else { measure.time_ms.unwrap_or(change.ts_ms) };
        let ahead_max = u64::try_from(limits::EVENT_AHEAD_MAX.as_millis()).unwrap_or(u64::MAX);
        if time_ms > now_ms.saturating_add(ahead_max).min(limits::EVENT_TIME_MAX_MS) {
            return Err(format!(
                "its time lies {} ahead of this machine's clock: correct it, or name its unit in aggregate.time_unit",
                about(time_ms.saturating_sub(now_ms))
            ));
        }
        if !is_gone {
            measures.push(Measure { time_ms: Some(time_ms), ..measure });
        }
    }
    Ok(measures)
}

impl Windows {
    /// Finds what a change adds and takes back, by the time that has been reached when it is read; and lets time go on.
    fn judge(&mut self, counting: &mut Counting, place: usize, source: &Sourced, record: Option<&mut RowRecord>, measures: Vec<Measure>) {
        let time_ms = measures.iter().filter_map(|measure| measure.time_ms).max();
        let (mut before, mut added) = (Vec::new(), measures);
        if let Some(record) = record.filter(|_| !self.settings.append_only) {
            before = std::mem::replace(&mut record.measured, added.clone());
            // What stays the same is not touched, wherever its windows stand.
            before.retain(|old| match added.iter().position(|new| new == old) {
                Some(same) => {
                    added.remove(same);
                    false
                }
                None => true,
            });
        }
        let lane = source.message.as_ref().map_or(0, |message| lane_mark(&message.lane));
        for measure in &before {
            self.steps(counting, Some(place), lane, measure, false);
        }
        for measure in &added {
            self.steps(counting, Some(place), lane, measure, true);
        }
        if let (Some(time_ms), Some(message)) =
            (time_ms, source.message.as_ref().filter(|_| source.replay.is_none() && needs_time(&self.settings)))
            && let Some(time_ms) = self.watermark.told(&message.lane, message.position, time_ms, counting.now)
        {
            counting.times.insert(message.lane.clone(), time_ms);
        }
    }

    /// The steps of one measure: one for each window that is open.
    fn steps(&self, counting: &mut Counting, change: Option<usize>, lane: LaneMark, measure: &Measure, is_added: bool) {
        let (time_ms, watermark_ms) = (measure.time_ms.unwrap_or(0), self.watermark.ms());
        let step = |start_ms| Step { start_ms, measure: measure.clone(), time_ms, is_added, watermark_ms, change, lane };
        if self.is_session() {
            counting.steps.push(step(0));
            return;
        }
        for start_ms in self.settings.shape.starts(time_ms) {
            let end_ms = self.settings.shape.end(start_ms);
            let verdict = change.and_then(|change| counting.verdicts.get_mut(change));
            if self.is_closed(start_ms) {
                if let Some(verdict) = verdict {
                    verdict.late.get_or_insert_with(|| too_late(&self.settings, end_ms, watermark_ms));
                }
                continue;
            }
            if let Some(verdict) = verdict {
                verdict.counted += 1;
                verdict.is_in_grace |= end_ms <= watermark_ms;
            }
            counting.steps.push(step(start_ms));
        }
    }

    /// Brings cells up to date, and notes what is to be shown.
    fn apply(&mut self, state: &PipelineState, counting: &mut Counting, work: &mut Work) -> Result<(), Failure> {
        let (mut cells, places) = Cells::load(state, &counting.steps)?;
        let mut values = ValueCounts::load(state, &self.settings, &counting.steps)?;
        for (step, place) in counting.steps.iter().zip(places) {
            let verdict = step.change.and_then(|change| counting.verdicts.get_mut(change));
            let (Some(key), Some(slot)) = (cells.keys.get(place), cells.cells.get_mut(place)) else { continue };
            match self.settings.shape {
                Shape::Session { gap_ms } => count_in_sessions(&self.settings, gap_ms, step, slot, verdict),
                _ => count_in_window(&self.settings, key, step, slot, &mut values),
            }
        }
        for (key, Slot { before, cell, is_changed }) in cells.into_changes() {
            if is_changed {
                self.note(&key, before.as_ref(), cell.as_ref());
                work.effects.windows.cells.push((key, cell));
            }
        }
        work.effects.windows.values.extend(values.into_changes());
        Ok(())
    }

    /// A cell has become another.
    fn note(&mut self, cell: &CellKey, before: Option<&Arc<Cell>>, after: Option<&Arc<Cell>>) {
        let key = ByteString::from(cell.key());
        if let Shape::Session { gap_ms } = self.settings.shape {
            self.note_session_end(&key, before, after, gap_ms);
        }
        let settings = &*self.settings;
        let size = settings.top;
        // One that is not here is new: so its top is known from its first key on.
        let window = self
            .open
            .entry(cell.start_ms())
            .or_insert_with(|| OpenWindow { top: (size > 0).then(|| Top::of(size)), ..OpenWindow::default() });
        let shows_changes = settings.emit == Emit::Changes;
        if size == 0 {
            if shows_changes {
                window.changed.note(&key);
            }
            return;
        }
        if shows_changes {
            window.changed = Changed::From(None);
        }
        if let Some(top) = &mut window.top {
            top.set(&key, rank_of(settings, after));
        }
    }
}

/// By what a cell is ranked; none where nothing is counted.
pub(super) fn rank_of(settings: &AggregateSettings, cell: Option<&Arc<Cell>>) -> Option<Decimal> {
    match cell.map(|cell| &cell.content) {
        Some(Content::Window(counted)) => Some(counted.rank(settings)),
        _ => None,
    }
}

fn too_late(settings: &AggregateSettings, end_ms: u64, watermark_ms: u64) -> String {
    let since = about(watermark_ms.saturating_sub(settings.closes_at(end_ms)));
    format!("it came {since} of event time after its window was closed")
}

fn count_in_window(settings: &AggregateSettings, key: &CellKey, step: &Step, slot: &mut Slot, values: &mut ValueCounts) {
    slot.is_changed = true;
    let Content::Window(counted) = slot.content_from(step.lane, || Content::Window(Counted::default())) else { return };
    if step.is_added {
        counted.add(settings, &step.measure, step.time_ms);
    } else {
        counted.take_back(settings, &step.measure, step.time_ms);
    }
    for (kind, value) in Values::of(settings, &step.measure) {
        let has_turned = values.count(key.value(kind, value), step.is_added);
        if has_turned && kind == Values::Distinct {
            counted.count_distinct(step.is_added);
        }
    }
    if counted.count == 0 && !settings.append_only {
        slot.cell = None;
    }
}

fn count_in_sessions(settings: &AggregateSettings, gap_ms: u64, step: &Step, slot: &mut Slot, verdict: Option<&mut Verdict>) {
    let Content::Sessions(sessions) = slot.content_from(step.lane, || Content::Sessions(Sessions::default())) else { return };
    let Step { measure, time_ms, watermark_ms, .. } = step;
    let is_counted = if step.is_added {
        sessions.add(settings, measure, *time_ms, gap_ms, *watermark_ms)
    } else {
        sessions.take_back(settings, measure, *time_ms, gap_ms, *watermark_ms)
    };
    let is_empty = sessions.open.is_empty() && sessions.shown.is_empty();
    slot.is_changed |= is_counted;
    if is_empty {
        slot.cell = None;
    }
    let Some(verdict) = verdict else { return };
    let own_end_ms = time_ms.saturating_add(gap_ms);
    if is_counted {
        verdict.counted += 1;
        verdict.is_in_grace |= own_end_ms <= step.watermark_ms;
    } else {
        verdict.late.get_or_insert_with(|| too_late(settings, own_end_ms, step.watermark_ms));
    }
}

/// The cells of a batch, as it leaves them.
struct Cells {
    keys: Vec<CellKey>,
    cells: Vec<Slot>,
}

struct Slot {
    before: Option<Arc<Cell>>,
    cell: Option<Arc<Cell>>,
    is_changed: bool,
}

impl Slot {
    /// What is counted, to be counted on from a lane.
    fn content_from(&mut self, lane: LaneMark, new: impl FnOnce() -> Content) -> &mut Content {
        let cell = Arc::make_mut(self.cell.get_or_insert_with(|| Arc::new(Cell { lane, content: new() })));
        if lane != 0 {
            cell.lane = lane;
        }
        &mut cell.content
    }
}

impl Cells {
    /// The cells that `steps` are about; gives also which is whose.
    fn load(state: &PipelineState, steps: &[Step]) -> Result<(Self, Vec<usize>), Failure> {
        let mut slots: QuickMap<(u64, &ByteString), usize> = QuickMap::default();
        let (mut keys, mut places) = (Vec::new(), Vec::with_capacity(steps.len()));
        for step in steps {
            let place = *slots.entry((step.start_ms, &step.measure.key)).or_insert_with(|| {
                keys.push(state.cell_key(step.start_ms, &step.measure.key));
                keys.len() - 1
            });
            places.push(place);
        }
        let found = state.cells(&keys)?;
        let cells = found.into_iter().map(|cell| Slot { before: cell.clone(), cell, is_changed: false }).collect();
        Ok((Self { keys, cells }, places))
    }

    fn into_changes(self) -> impl Iterator<Item = (CellKey, Slot)> {
        self.keys.into_iter().zip(self.cells)
    }
}

/// How often values stand in their cells, as the batch leaves it.
#[derive(Default)]
struct ValueCounts(QuickMap<ValueKey, (u64, u64)>);

impl ValueCounts {
    fn load(state: &PipelineState, settings: &AggregateSettings, steps: &[Step]) -> Result<Self, Failure> {
        if !settings.counts_weights() && !settings.counts_distinct() {
            return Ok(Self::default());
        }
        let of = |step: &Step| {
            Values::of(settings, &step.measure)
                .map(|(kind, value)| state.cell_key(step.start_ms, &step.measure.key).value(kind, value))
                .collect::<Vec<_>>()
        };
        let mut keys: Vec<ValueKey> = steps.iter().flat_map(of).collect();
        keys.sort_unstable();
        keys.dedup();
        let counts = state.values_counted(&keys)?;
        Ok(Self(keys.into_iter().zip(counts).map(|(key, count)| (key, (count, count))).collect()))
    }

    /// Counts a value once more, or once less; says whether it is there since, or gone.
    fn count(&mut self, key: ValueKey, is_added: bool) -> bool {
        let (_, count) = self.0.entry(key).or_default();
        if is_added {
            *count += 1;
            *count == 1
        } else {
            *count = count.saturating_sub(1);
            *count == 0
        }
    }

    fn into_changes(self) -> impl Iterator<Item = (ValueKey, u64)> {
        self.0.into_iter().filter(|(_, (before, after))| before != after).map(|(key, (_, after))| (key, after))
    }
}
