//! What has changed in windows, brought to the sink in steps.
//!
//! A step is worked out when everything before it is committed. First the state notes, durably, which documents may be there from now on
//! (`announce`); then they are written; and only with the answer the state takes their bodies for known. So whatever a crash leaves in the
//! sink is known of: it is written again, or deleted. A document's version is the time of its emission, raised above the last one: so it
//! stands above all that was shown before, also by a state that is lost.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use bytestring::ByteString;
use xxhash_rust::xxh3::xxh3_64;

use crate::aggregate::settings::{AggregateSettings, Emit};
use crate::aggregate::{Cell, Content, Row, Shape, Span, Top, Values};
use crate::error::Failure;
use crate::event::{Action, DocumentVersion, JsonText, Write};
use crate::limits::WINDOW_STEP_ROWS_MAX;
use crate::pipeline::process::Processor;
use crate::pipeline::windows::counting::rank_of;
use crate::pipeline::windows::sessions::SessionsStep;
use crate::pipeline::windows::{Changed, OpenWindow, Windows, version_at};
use crate::pipeline::work::{ShownRow, Work};
use crate::state::{CellKey, DeadCause, DeadLetter, PipelineState, Shown, ShownDocument, StateError, WindowEffects};
use crate::transform::{Output, Target};

/// What the next step shows.
#[derive(Default)]
pub(super) struct Step {
    pub(super) rows: Vec<StepRow>,
    /// Windows that are closed, and shown with this.
    closed: Vec<u64>,
    pub(super) sessions: Vec<SessionsStep>,
    /// Whether there is more to do at once.
    pub(super) has_more: bool,
}

/// One row of it.
pub(super) struct StepRow {
    pub(super) key: CellKey,
    /// What it comes to: none where nothing is left of it.
    pub(super) row: Option<Row>,
    /// The emission since which only this process shows it; of what it showed before the sink may have something else.
    pub(super) since: u64,
}

impl StepRow {
    pub(super) fn gone(key: CellKey) -> Self {
        Self { key, row: None, since: 0 }
    }
}

impl Processor {
    /// Works out the next step of what is to be shown; none where there is nothing. What may be in the sink from now on is noted
    /// in the state before this returns; it must be made durable before the writes go out. Everything before it must be committed.
    pub fn emission(&mut self) -> Result<Option<Work>, Failure> {
        let Some(windows) = &mut self.windows else { return Ok(None) };
        let step = windows.next_step(&self.state)?;
        windows.has_more = step.has_more;
        windows.emitted_at = Some(tokio::time::Instant::now());
        let rows: Vec<Row> = step.rows.iter().filter_map(|shown| shown.row.clone()).collect();
        let outcomes = match self.transformer.render(&rows)? {
            Some(outcomes) => outcomes,
            None => rows
                .iter()
                .map(|row| Ok(vec![Output::Index { target: Target::default(), body: row.document(&windows.settings) }]))
                .collect(),
        };
        let keys: Vec<CellKey> = step.rows.iter().map(|shown| shown.key.clone()).collect();
        let before = self.state.shown(&keys)?;
        let mut work = Work::new(self.next_batch);
        windows.emitted = windows.emitted.max(version_at(self.clock.now_ms())) + 1;
        let mut planner = Planner {
            index: windows.index.clone(),
            version: DocumentVersion(windows.emitted),
            knows_bodies: windows.settings.knows_bodies(),
            was_refused: false,
            announced: WindowEffects::default(),
            writes: Vec::new(),
            work: &mut work,
        };
        let mut outcomes = outcomes.into_iter();
        let mut rejected = Vec::new();
        for (StepRow { key, row, since }, before) in step.rows.into_iter().zip(before) {
            let before = before.unwrap_or_default().known_since(since);
            let outcome = if row.is_some() {
                outcomes.next().unwrap_or_else(|| Err("the module gave nothing for this row".to_owned()))
            } else {
                Ok(Vec::new())
            };
            match outcome {
                Ok(outputs) => planner.plan(key, row.as_ref(), outputs, before),
                Err(reason) if !before.is_refused => {
                    let end_ms = end_of(row.as_ref(), &before);
                    rejected.push((key, reason, Shown { end_ms, is_refused: true, ..before }));
                }
                // It was told of, and comes again with every change.
                Err(_) => {}
            }
        }
        planner.drop_deletes_of_what_is_written();
        let Planner { mut announced, writes, .. } = planner;
        announced.emitted = Some(windows.emitted);
        announced.watermark_ms = Some(windows.watermark.ms());
        for SessionsStep { key, lane, after, meanwhile } in step.sessions {
            let cell = |sessions| Arc::new(Cell { lane, content: Content::Sessions(sessions) });
            announced.cells.push((key.clone(), Some(cell(meanwhile))));
            let is_left = !after.open.is_empty() || !after.shown.is_empty();
            work.effects.windows.cells.push((key, is_left.then(|| cell(after))));
        }
        work.effects.windows.closed = step.closed;
        work.writes = Arc::new(writes);
        for (key, reason, shown) in rejected {
            work.effects.dead.push(self.window_letter("transform", &reason, &key));
            work.effects.windows.shown.push((key, Some(shown)));
        }
        self.state.announce(&announced)?;
        self.state.stage(work.number, &work.effects);
        self.next_batch += 1;
        Ok(Some(work))
    }

    /// The sink refused a document of a row: it is not taken for written, and told of, once until it is taken.
    pub fn row_refused(&mut self, work: &mut Work, row: &ShownRow, write: &Write, reason: &str) -> Result<(), StateError> {
        let effects = &mut work.effects.windows.shown;
        let place = effects.iter().position(|(key, _)| *key == row.key);
        let planned = place.map(|place| effects.swap_remove(place).1.unwrap_or_default());
        // What is not planned stays as it was announced.
        let shown = planned.map_or_else(
            || Ok::<_, StateError>(self.state.shown(std::slice::from_ref(&row.key))?.pop().flatten()),
            |shown| Ok(Some(shown)),
        );
        let mut shown = shown?.unwrap_or_default();
        for document in shown.documents.iter_mut().filter(|document| document.id == *write.id) {
            document.body_hash = None;
        }
        if !std::mem::replace(&mut shown.is_refused, true) && !row.was_refused {
            work.effects.dead.push(self.window_letter("sink", reason, &row.key));
        }
        work.effects.windows.shown.push((row.key.clone(), Some(shown)));
        Ok(())
    }

    /// A dead letter of a row of a window.
    fn window_letter(&self, stage: &str, reason: &str, key: &CellKey) -> DeadLetter {
        let cause = DeadCause::Window { start_ms: key.start_ms(), key: key.key().to_owned() };
        let index = self.windows.as_ref().map_or("", |windows| &windows.index);
        DeadLetter { key: Some(key.key().to_owned()), ..self.letter(stage, reason, index, cause) }
    }
}

impl Windows {
    fn next_step(&mut self, state: &PipelineState) -> Result<Step, Failure> {
        if self.expires() {
            return Ok(self.expired(state)?);
        }
        if let Shape::Session { gap_ms } = self.settings.shape {
            return Ok(self.sessions(state, gap_ms)?);
        }
        if let Some(start_ms) = self.first_closed() {
            let has_to_be_told = self.settings.knows_bodies() || self.settings.emit == Emit::Final;
            let window = self.open.entry(start_ms).or_default();
            // All of it, once: whatever was shown, now it is final.
            if has_to_be_told && !matches!(window.changed, Changed::From(Some(_))) {
                window.changed = Changed::From(None);
            }
            return Ok(self.rows(state, start_ms, true)?);
        }
        match self.first_changed() {
            Some(start_ms) => Ok(self.rows(state, start_ms, false)?),
            None => Ok(Step::default()),
        }
    }

    /// Documents that have been shown for long enough.
    fn expired(&mut self, state: &PipelineState) -> Result<Step, StateError> {
        let retention_ms = self.settings.retention_ms.unwrap_or(u64::MAX);
        let mut step = Step::default();
        self.expires_ms = None;
        let shown = state.shown_earliest(WINDOW_STEP_ROWS_MAX)?;
        step.has_more = shown.len() == WINDOW_STEP_ROWS_MAX;
        for (key, shown) in shown {
            let expires_ms = shown.end_ms.saturating_add(retention_ms);
            if expires_ms <= self.watermark.ms() {
                step.rows.push(StepRow::gone(key));
            } else {
                self.expires_ms = Some(self.expires_ms.map_or(expires_ms, |earliest| earliest.min(expires_ms)));
            }
        }
        step.has_more &= !step.rows.is_empty();
        if step.has_more {
            self.expires_ms = Some(0);
        }
        Ok(step)
    }

    /// Rows of one window.
    fn rows(&mut self, state: &PipelineState, start_ms: u64, is_final: bool) -> Result<Step, StateError> {
        let (settings, watermark_ms) = (self.settings.clone(), self.watermark.ms());
        let end_ms = settings.shape.end(start_ms);
        let span = (end_ms != u64::MAX).then(|| Span::new(start_ms, end_ms));
        let Some(window) = self.open.get_mut(&start_ms) else { return Ok(Step::default()) };
        let is_done;
        let mut keys: Vec<ByteString>;
        let ranked = settings.top > 0;
        if ranked {
            window.changed = Changed::Nothing;
            is_done = true;
            keys = first_keys(&settings, window, state, start_ms)?;
        } else {
            (keys, window.changed) = changed_keys(std::mem::take(&mut window.changed), state, start_ms)?;
            is_done = !window.changed.is_something();
        }
        let first = keys.len();
        if ranked {
            // What is shown, and is not among the first any more.
            let known: HashSet<ByteString> = keys.iter().cloned().collect();
            keys.extend(state.shown_from(start_ms, None, usize::MAX)?.into_iter().map(|(key, _)| key).filter(|key| !known.contains(key)));
        }
        let cell_keys: Vec<CellKey> = keys.iter().map(|key| state.cell_key(start_ms, key)).collect();
        let cells = state.cells(&cell_keys)?;
        let mut rows = Vec::with_capacity(keys.len());
        for (place, ((key, cell_key), cell)) in keys.into_iter().zip(cell_keys).zip(cells).enumerate() {
            let (lane, counted) = match cell.as_deref() {
                Some(Cell { lane, content: Content::Window(counted) }) if !ranked || place < first => (*lane, counted),
                _ => {
                    rows.push(StepRow::gone(cell_key));
                    continue;
                }
            };
            let Some(since) = self.holding.since(lane) else { continue };
            let mut row = Row::of(&settings, key, span.clone(), counted, watermark_ms);
            row.rank = u32::try_from(place + 1).ok().filter(|_| ranked);
            row.is_final = is_final;
            if settings.counts_weights() {
                row.set_extremes(state.extreme_values(&cell_key, Values::Weights)?);
            }
            rows.push(StepRow { key: cell_key, row: Some(row), since });
        }
        let mut closed = Vec::new();
        if is_final && is_done {
            self.open.remove(&start_ms);
            closed.push(start_ms);
        }
        self.shown_until(end_ms);
        let has_more = !is_done || self.first_closed().is_some() || self.first_changed().is_some();
        Ok(Step { rows, closed, has_more, ..Step::default() })
    }

    /// Something is shown of a window that ends then.
    pub(super) fn shown_until(&mut self, end_ms: u64) {
        if let Some(retention_ms) = self.settings.retention_ms {
            let expires_ms = end_ms.saturating_add(retention_ms);
            self.expires_ms = Some(self.expires_ms.map_or(expires_ms, |earliest| earliest.min(expires_ms)));
        }
    }
}

/// The keys that stand first, in order.
fn first_keys(
    settings: &AggregateSettings,
    window: &mut OpenWindow,
    state: &PipelineState,
    start_ms: u64,
) -> Result<Vec<ByteString>, StateError> {
    let top = match window.top.take().filter(Top::is_complete) {
        Some(top) => top,
        None => {
            let mut top = Top::of(settings.top);
            let mut after: Option<ByteString> = None;
            loop {
                let cells = state.cells_from(start_ms, after.as_deref(), WINDOW_STEP_ROWS_MAX)?;
                let Some((last, _)) = cells.last() else { break };
                after = Some(last.clone());
                for (key, cell) in &cells {
                    top.set(key, rank_of(settings, Some(cell)));
                }
            }
            top
        }
    };
    let top = window.top.insert(top);
    Ok(top.keys().cloned().collect())
}

/// The next keys that have changed, and what is left.
pub(super) fn changed_keys(changed: Changed, state: &PipelineState, start_ms: u64) -> Result<(Vec<ByteString>, Changed), StateError> {
    match changed {
        Changed::Nothing => Ok((Vec::new(), Changed::Nothing)),
        Changed::Keys(mut keys) if keys.len() > WINDOW_STEP_ROWS_MAX => {
            let taken: Vec<ByteString> = keys.iter().take(WINDOW_STEP_ROWS_MAX).cloned().collect();
            taken.iter().for_each(|key| _ = keys.remove(key));
            Ok((taken, Changed::Keys(keys)))
        }
        Changed::Keys(keys) => Ok((keys.into_iter().collect(), Changed::Nothing)),
        Changed::From(after) => {
            let cells = state.cells_from(start_ms, after.as_deref(), WINDOW_STEP_ROWS_MAX)?.into_iter().map(|(key, _)| key);
            // Of what was shown, and has nothing counted for it any more.
            let shown = state.shown_from(start_ms, after.as_deref(), WINDOW_STEP_ROWS_MAX)?.into_iter().map(|(key, _)| key);
            let mut keys: BTreeSet<ByteString> = cells.chain(shown).collect();
            let mut taken = Vec::new();
            while taken.len() < WINDOW_STEP_ROWS_MAX {
                let Some(key) = keys.pop_first() else { return Ok((taken, Changed::Nothing)) };
                taken.push(key);
            }
            let last = taken.last().cloned();
            Ok((taken, Changed::From(last)))
        }
    }
}

/// The writes of one step on the way.
struct Planner<'w> {
    index: Arc<str>,
    version: DocumentVersion,
    /// Whether the state keeps hashes of bodies.
    knows_bodies: bool,
    /// Whether the row at hand was refused before.
    was_refused: bool,
    announced: WindowEffects,
    writes: Vec<Write>,
    work: &'w mut Work,
}

impl Planner<'_> {
    /// Plans what a row comes to: documents that are another are written, those that are no more are deleted.
    fn plan(&mut self, key: CellKey, row: Option<&Row>, outputs: Vec<Output>, before: Shown) {
        let default_id = row.map(Row::id).unwrap_or_default();
        let mut documents: Vec<ShownDocument> = Vec::new();
        let mut touched = before.documents.clone();
        self.was_refused = before.is_refused;
        let writes_before = self.writes.len();
        for output in outputs {
            match output {
                Output::Index { target, body } => {
                    let document = shown_document(&target, &default_id, Some(&body).filter(|_| self.knows_bodies));
                    let is_known = document.body_hash.is_some() && before.documents.contains(&document);
                    documents.retain(|other| !is_same(other, &document));
                    if is_known {
                        self.work.tally.unchanged += 1;
                    } else {
                        note_unknown(&mut touched, &document);
                        self.write(&key, &document, Action::Index(body));
                    }
                    documents.push(document);
                }
                Output::Delete { target } => {
                    let document = shown_document(&target, &default_id, None);
                    documents.retain(|other| !is_same(other, &document));
                    note_unknown(&mut touched, &document);
                    self.write(&key, &document, Action::Delete);
                }
                Output::Emit { topic, key: message_key, body } => {
                    let id = message_key.map_or_else(|| ByteString::from(default_id.as_str()), ByteString::from);
                    self.push(&key, Write { index: topic.into(), id, routing: None, version: self.version, action: Action::Emit(body) });
                }
                Output::Measure(_) => {}
            }
        }
        for gone in before.documents.iter().filter(|known| !documents.iter().any(|document| is_same(document, known))) {
            note_unknown(&mut touched, gone);
            self.write(&key, gone, Action::Delete);
        }
        let end_ms = end_of(row, &before);
        let has_written = self.knows_bodies && self.writes.len() > writes_before;
        let emitted = if has_written { self.version.0 } else { before.emitted };
        let after = Shown { end_ms, documents, is_refused: false, emitted };
        let announced = Shown { end_ms, documents: touched, ..before };
        if announced.is_empty() && after.is_empty() {
            return;
        }
        if after != announced {
            let shown = (!after.is_empty()).then_some(after);
            self.work.effects.windows.shown.push((key.clone(), shown));
        }
        if announced != before {
            self.announced.shown.push((key, Some(announced)));
        }
    }

    fn write(&mut self, key: &CellKey, document: &ShownDocument, action: Action) {
        let index = document.index.as_deref().map_or_else(|| self.index.clone(), Arc::from);
        let (id, routing) = (document.id.as_str().into(), document.routing.as_deref().map(ByteString::from));
        self.push(key, Write { index, id, routing, version: self.version, action });
    }

    fn push(&mut self, key: &CellKey, write: Write) {
        self.work.causes.push(self.work.rows_shown.len());
        self.work.rows_shown.push(ShownRow { key: key.clone(), was_refused: self.was_refused });
        self.writes.push(write);
    }

    /// A document that leaves one row and is another's now (a place in a list of the first ten) must not be deleted.
    fn drop_deletes_of_what_is_written(&mut self) {
        type Name = (Arc<str>, ByteString, Option<ByteString>);
        let name = |write: &Write| -> Name { (write.index.clone(), write.id.clone(), write.routing.clone()) };
        let written: HashSet<Name> = self.writes.iter().filter(|write| matches!(write.action, Action::Index(_))).map(name).collect();
        let is_kept: Vec<bool> =
            self.writes.iter().map(|write| write.action != Action::Delete || !written.contains(&name(write))).collect();
        let mut kept = is_kept.iter();
        self.writes.retain(|_| kept.next().copied().unwrap_or(true));
        let mut kept = is_kept.iter();
        self.work.causes.retain(|_| kept.next().copied().unwrap_or(true));
    }
}

/// Where the window of a row ends; of one that is gone, as it was noted.
fn end_of(row: Option<&Row>, before: &Shown) -> u64 {
    row.and_then(|row| row.span.as_ref()).map_or(before.end_ms, |span| span.end_ms)
}

fn shown_document(target: &Target, default_id: &str, body: Option<&JsonText>) -> ShownDocument {
    ShownDocument {
        index: target.index.as_ref().map(ToString::to_string),
        id: target.id.as_ref().map_or_else(|| default_id.to_owned(), ToString::to_string),
        routing: target.routing.as_ref().map(ToString::to_string),
        body_hash: body.map(|body| xxh3_64(body.as_bytes())),
    }
}

fn is_same(one: &ShownDocument, two: &ShownDocument) -> bool {
    (&one.index, &one.id, &one.routing) == (&two.index, &two.id, &two.routing)
}

/// What the sink has of this document is not known until it has answered.
fn note_unknown(touched: &mut Vec<ShownDocument>, document: &ShownDocument) {
    touched.retain(|other| !is_same(other, document));
    touched.push(ShownDocument { body_hash: None, ..document.clone() });
}
