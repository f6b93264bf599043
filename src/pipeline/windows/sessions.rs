//! Sessions: when they end, and what is shown of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytestring::ByteString;

use crate::aggregate::settings::Emit;
use crate::aggregate::{Cell, Content, Row, Sessions, Span};
use crate::limits::WINDOW_STEP_ROWS_MAX;
use crate::pipeline::windows::emission::{Step, StepRow, changed_keys};
use crate::pipeline::windows::holding::LaneMark;
use crate::pipeline::windows::{OpenWindow, Windows};
use crate::state::{CellKey, PipelineState, StateError};

/// The sessions of one key in a step.
pub(super) struct SessionsStep {
    pub(super) key: CellKey,
    pub(super) lane: LaneMark,
    /// As they are after it.
    pub(super) after: Sessions,
    /// As they may be while it is on its way.
    pub(super) meanwhile: Sessions,
}

impl Windows {
    /// Finds when the sessions end that the state has.
    pub(super) fn find_sessions(&mut self, state: &PipelineState, gap_ms: u64) -> Result<(), StateError> {
        self.open.insert(0, OpenWindow::all());
        let mut after: Option<ByteString> = None;
        loop {
            let cells = state.cells_from(0, after.as_deref(), WINDOW_STEP_ROWS_MAX)?;
            let Some((last, _)) = cells.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, cell) in cells {
                self.note_session_end(&key, None, Some(&cell), gap_ms);
            }
        }
    }

    /// Keeps up with when a key's first session ends.
    pub(super) fn note_session_end(&mut self, key: &ByteString, before: Option<&Arc<Cell>>, after: Option<&Arc<Cell>>, gap_ms: u64) {
        let end = |cell: Option<&Arc<Cell>>| match cell.map(|cell| &cell.content) {
            Some(Content::Sessions(sessions)) => sessions.open.first().map(|session| session.end_ms(gap_ms)),
            _ => None,
        };
        if let Some(end_ms) = end(before) {
            self.session_ends.remove(&(end_ms, key.clone()));
        }
        if let Some(end_ms) = end(after) {
            self.session_ends.insert((end_ms, key.clone()));
        }
    }

    pub(super) fn sessions_end(&self) -> bool {
        self.session_ends.first().is_some_and(|(end_ms, _)| self.settings.closes_at(*end_ms) <= self.watermark.ms()) && self.may_close()
    }

    /// Rows of sessions, of keys whose first one is closed, or that have changed.
    pub(super) fn sessions(&mut self, state: &PipelineState, gap_ms: u64) -> Result<Step, StateError> {
        let (settings, watermark_ms, may_close) = (self.settings.clone(), self.watermark.ms(), self.may_close());
        let is_closed = |end_ms: u64| may_close && settings.closes_at(end_ms) <= watermark_ms;
        let ended = self.session_ends.iter().take_while(|(end_ms, _)| is_closed(*end_ms)).take(WINDOW_STEP_ROWS_MAX);
        let mut keys: BTreeSet<ByteString> = ended.map(|(_, key)| key.clone()).collect();
        let shows_changes = self.settings.emit == Emit::Changes;
        let window = self.open.entry(0).or_default();
        if keys.len() < WINDOW_STEP_ROWS_MAX {
            let (changed, left) = changed_keys(std::mem::take(&mut window.changed), state, 0)?;
            window.changed = left;
            keys.extend(changed);
        }
        let cell_keys: Vec<CellKey> = keys.iter().map(|key| state.cell_key(0, key)).collect();
        let cells = state.cells(&cell_keys)?;
        let mut step = Step::default();
        for ((key, cell_key), cell) in keys.into_iter().zip(cell_keys).zip(cells) {
            let Some(Cell { lane, content: Content::Sessions(sessions) }) = cell.as_deref() else {
                self.session_ends.retain(|(_, other)| *other != key);
                continue;
            };
            let (mut after, mut meanwhile) = (Sessions::default(), sessions.clone());
            let mut starts: BTreeSet<u64> = sessions.shown.iter().copied().collect();
            let since = self.holding.since(*lane);
            for session in &sessions.open {
                let end_ms = session.end_ms(gap_ms);
                let is_final = is_closed(end_ms);
                if !is_final {
                    after.open.push(session.clone());
                }
                let Some(since) = since else {
                    // Another process shows it; here it may come back, until it is closed.
                    if is_final {
                        starts.remove(&session.first_ms);
                    }
                    continue;
                };
                if is_final || shows_changes {
                    let span = Span::new(session.first_ms, end_ms);
                    let row = Row { is_final, ..Row::of(&settings, key.clone(), Some(span), &session.counted(&settings), watermark_ms) };
                    step.rows.push(StepRow { key: state.cell_key(session.first_ms, &key), row: Some(row), since });
                    if !is_final {
                        after.shown.push(session.first_ms);
                    }
                    meanwhile.shown.push(session.first_ms);
                    starts.remove(&session.first_ms);
                    self.shown_until(end_ms);
                }
            }
            if since.is_some() {
                // Sessions that were shown, and have become part of another.
                step.rows.extend(starts.into_iter().map(|start_ms| StepRow::gone(state.cell_key(start_ms, &key))));
            } else {
                after.shown.extend(starts);
            }
            meanwhile.shown.sort_unstable();
            meanwhile.shown.dedup();
            let after_cell = Arc::new(Cell { lane: *lane, content: Content::Sessions(after.clone()) });
            self.note_session_end(&key, cell.as_ref(), Some(&after_cell), gap_ms);
            step.sessions.push(SessionsStep { key: cell_key, lane: *lane, after, meanwhile });
        }
        step.has_more = self.sessions_end() || self.first_changed().is_some();
        Ok(step)
    }
}
