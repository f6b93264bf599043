//! Which lanes this process has, where processes share them: what was counted from a lane is shown by whoever has it.
//!
//! A process keeps what it has counted of lanes that went to another, and may get them back; the other counts them from where it stands.
//! Without this, the one that was away would write its old counts over newer ones as soon as it starts, or closes a window.

use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::event::{Lane, QuickMap};
use crate::limits::WINDOW_LANE_AWAY_MAX;

/// A lane, as cells remember it; 0 is none.
pub type LaneMark = u32;

/// The mark of a lane.
pub fn lane_mark(lane: &str) -> LaneMark {
    (xxh3_64(lane.as_bytes()) as u32).max(1)
}

/// The lanes of this process.
pub(super) struct Holding {
    lanes: QuickMap<LaneMark, Tenure>,
    /// It has all that there are.
    has_all: bool,
    /// When a lane came or went last, or the run began.
    changed: Instant,
}

#[derive(Clone, Copy)]
struct Tenure {
    /// The source's number of it.
    number: u64,
    /// The number that the first emission after its beginning exceeds.
    since: u64,
}

impl Holding {
    /// None so far.
    pub(super) fn new() -> Self {
        Self { lanes: QuickMap::default(), has_all: false, changed: Instant::now() }
    }

    /// Notes the lanes as the source has them (see [`crate::source::Source::lanes`]); says whether some came. `emitted`: the number that
    /// all emissions so far do not exceed, also those of other processes.
    pub(super) fn update(&mut self, lanes: Option<Vec<(Lane, u64)>>, emitted: u64) -> bool {
        let Some(now_ours) = lanes.filter(|_| !self.has_all) else {
            self.has_all = true;
            return false;
        };
        let before = std::mem::take(&mut self.lanes);
        let tenure = |(lane, number): (Lane, u64)| {
            let mark = lane_mark(&lane);
            let known = before.get(&mark).copied().filter(|tenure| tenure.number == number);
            (mark, known.unwrap_or(Tenure { number, since: emitted }))
        };
        self.lanes = now_ours.into_iter().map(tenure).collect();
        let kept = self.lanes.iter().filter(|(mark, own)| before.get(mark).is_some_and(|old| old.number == own.number)).count();
        let has_come = kept < self.lanes.len();
        if has_come || kept < before.len() {
            self.changed = Instant::now();
        }
        has_come
    }

    /// Everything is shown here.
    pub(super) fn take_all(&mut self) {
        self.has_all = true;
    }

    /// Since which emission what was counted from a lane is shown here alone; none: another process shows it.
    pub(super) fn since(&self, lane: LaneMark) -> Option<u64> {
        if self.has_all || lane == 0 { Some(0) } else { self.lanes.get(&lane).map(|tenure| tenure.since) }
    }

    /// Whether what was counted from lanes that are not here may be let go of: they have been away for long enough to be with another.
    pub(super) fn may_let_go<'l>(&self, mut known: impl Iterator<Item = &'l Lane>) -> bool {
        self.has_all || self.changed.elapsed() >= WINDOW_LANE_AWAY_MAX || known.all(|lane| self.lanes.contains_key(&lane_mark(lane)))
    }
}
