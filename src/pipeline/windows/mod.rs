//! The windows of one pipeline: what is open, what is to be shown, and when.
//!
//! Events and documents go apart here. A batch of events changes cells in the state and is committed at once; nothing waits for the sink.
//! What has changed is shown by *emissions* (`emission.rs`), which are worked out from what is committed and durable. So the sink is never
//! ahead of the state, and what crashed is simply shown again.
//!
//! What is here besides the state is made of it at every start: every open window counts as changed then.

mod counting;
mod emission;
mod holding;
mod metrics;
mod sessions;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use tokio::time::Instant;

use crate::aggregate::settings::{AggregateSettings, Emit};
use crate::aggregate::{Shape, Top, Watermark};
use crate::error::Failure;
use crate::event::Lane;
use crate::limits;
use crate::pipeline::windows::holding::Holding;
use crate::state::PipelineState;

pub use metrics::WindowMetrics;

/// The windows of one run of the loop.
pub struct Windows {
    settings: Arc<AggregateSettings>,
    metrics: WindowMetrics,
    /// Where documents go that name no index.
    index: Arc<str>,
    watermark: Watermark,
    holding: Holding,
    /// By their starts; all sessions are under 0.
    open: BTreeMap<u64, OpenWindow>,
    /// When each key's first session ends.
    session_ends: BTreeSet<(u64, ByteString)>,
    /// The number that documents carried last.
    emitted: u64,
    emitted_at: Option<Instant>,
    /// Whether the last emission left something for the next one to do at once.
    has_more: bool,
    /// The watermark at which something that is shown has been shown for long enough.
    expires_ms: Option<u64>,
}

/// A window that is not closed, or has not been shown since.
#[derive(Default)]
struct OpenWindow {
    changed: Changed,
    /// Who stands first; none: to be found when it is asked for.
    top: Option<Top>,
}

/// What of a window is to be shown.
#[derive(Default)]
enum Changed {
    #[default]
    Nothing,
    Keys(HashSet<ByteString>),
    /// All of it, from behind this key.
    From(Option<ByteString>),
}

impl Changed {
    fn note(&mut self, key: &ByteString) {
        match self {
            Changed::Nothing => *self = Changed::Keys(HashSet::from([key.clone()])),
            // Walking all of it is little more work by then, and takes no memory.
            Changed::Keys(keys) if keys.len() >= limits::WINDOW_CHANGED_KEYS_MAX => *self = Changed::From(None),
            Changed::Keys(keys) => _ = keys.insert(key.clone()),
            Changed::From(None) => {}
            // It may lie before the place that was reached.
            Changed::From(Some(after)) if key > after => {}
            Changed::From(Some(_)) => *self = Changed::From(None),
        }
    }

    fn is_something(&self) -> bool {
        !matches!(self, Changed::Nothing)
    }
}

impl Windows {
    /// The windows as the state has them.
    pub fn open(settings: &Arc<AggregateSettings>, index: &str, metrics: WindowMetrics, state: &PipelineState) -> Result<Self, Failure> {
        let unit = settings.unit();
        let stored = state.windows_unit(&unit)?;
        if stored != unit {
            return Err(Failure::misconfigured(format!(
                "what was counted so far is of other windows ({stored}) than the configuration has now ({unit}): \
                 set them as they were, or give the pipeline another name to count anew"
            )));
        }
        let (times, watermark_ms, emitted) = state.window_times()?;
        let mut windows = Self {
            settings: settings.clone(),
            metrics,
            index: index.into(),
            watermark: Watermark::stored(times.into_iter(), watermark_ms),
            holding: Holding::new(),
            open: BTreeMap::new(),
            session_ends: BTreeSet::new(),
            emitted,
            emitted_at: None,
            has_more: false,
            expires_ms: settings.retention_ms.map(|_| 0),
        };
        match settings.shape {
            Shape::Session { gap_ms } => windows.find_sessions(state, gap_ms)?,
            _ => {
                for start_ms in state.window_starts()? {
                    // What is closed and shown has no cells any more.
                    if !windows.is_closed(start_ms) || !state.cells_from(start_ms, None, 1)?.is_empty() {
                        windows.open.insert(start_ms, OpenWindow::all());
                    }
                }
            }
        }
        Ok(windows)
    }

    /// Has everything that is open shown again: the code that renders it is another.
    pub fn show_all(&mut self) {
        for window in self.open.values_mut() {
            window.changed = Changed::From(None);
        }
    }

    /// Has one row shown again; false: its window is closed.
    pub fn show(&mut self, start_ms: u64, key: &ByteString) -> bool {
        let start_ms = if matches!(self.settings.shape, Shape::Session { .. }) { 0 } else { start_ms };
        let window = self.open.get_mut(&start_ms);
        let is_open = window.is_some();
        if let Some(window) = window {
            window.changed.note(key);
        }
        is_open
    }

    /// Notes the lanes of this process, as the source has them; `now_ms`: what the clock shows. What was counted from one that has come is
    /// shown, whatever was shown of it before: another process may have written something else since.
    pub fn hold(&mut self, lanes: Option<Vec<(Lane, u64)>>, now_ms: u64) {
        let emitted = self.emitted.max(version_at(now_ms));
        if self.holding.update(lanes, emitted) {
            self.show_all();
        }
    }

    /// Notes where the lanes of this process stand and end.
    pub fn look_around(&mut self, lanes: &[(Lane, u64, Option<u64>)], now: Instant) {
        self.watermark.look_around(lanes, now, self.settings.idle_after);
        self.metrics.show(self.watermark.ms(), self.open.len());
        self.metrics.tell_of_late();
    }

    /// Everything there was has been read: nobody is waited for.
    pub fn all_told(&mut self) {
        self.watermark.all_told();
    }

    /// This process has counted all that there is, of all lanes: it shows it, whether or not they are still its own.
    pub fn hold_all(&mut self) {
        self.holding.take_all();
    }

    /// Whether anything is to be shown that may be shown by now.
    pub fn owes(&self) -> bool {
        self.has_more || self.expires() || self.first_closed().is_some() || self.sessions_end() || self.first_changed().is_some()
    }

    /// When the next emission may begin; none: there is nothing to show.
    pub fn emits_at(&self) -> Option<Instant> {
        if !self.owes() {
            return None;
        }
        let now = Instant::now();
        let last = self.emitted_at.filter(|_| !self.has_more);
        Some(last.and_then(|last| last.checked_add(self.settings.emit_every)).unwrap_or(now))
    }

    fn is_closed(&self, start_ms: u64) -> bool {
        let end_ms = self.settings.shape.end(start_ms);
        end_ms != u64::MAX && self.settings.closes_at(end_ms) <= self.watermark.ms()
    }

    fn is_session(&self) -> bool {
        matches!(self.settings.shape, Shape::Session { .. })
    }

    fn first_closed(&self) -> Option<u64> {
        let first = self.open.keys().next().copied().filter(|_| !self.is_session());
        first.filter(|start_ms| self.is_closed(*start_ms) && self.may_close())
    }

    /// Whether what belongs to lanes that are not here may be let go of, as closing a window does.
    fn may_close(&self) -> bool {
        self.holding.may_let_go(self.watermark.lane_times().map(|(lane, _)| lane))
    }

    fn first_changed(&self) -> Option<u64> {
        if self.settings.emit == Emit::Final {
            return None;
        }
        self.open.iter().find(|(_, window)| window.changed.is_something()).map(|(start_ms, _)| *start_ms)
    }

    fn expires(&self) -> bool {
        self.expires_ms.is_some_and(|expires_ms| expires_ms <= self.watermark.ms())
    }
}

impl OpenWindow {
    fn all() -> Self {
        Self { changed: Changed::From(None), top: None }
    }
}

/// Room for the ties of a millisecond, below the time in a version.
const VERSION_BITS: u32 = 20;

/// What documents carry that are shown at a time, at least.
fn version_at(now_ms: u64) -> u64 {
    now_ms << VERSION_BITS
}

/// A length of time for people, without parts that do not matter.
fn about(ms: u64) -> String {
    let rounded = if ms > 60_000 { ms - ms % 1_000 } else { ms };
    humantime::format_duration(Duration::from_millis(rounded)).to_string()
}
