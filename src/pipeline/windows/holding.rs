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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Holding, lane_mark};
    use crate::event::Lane;
    use crate::limits::WINDOW_LANE_AWAY_MAX;

    #[tokio::test(start_paused = true)]
    async fn only_lanes_that_are_here_are_shown_and_what_went_may_come_back_for_a_while() {
        let (a, b): (Lane, Lane) = ("t/0".into(), "t/1".into());
        let since = |holding: &Holding| (holding.since(lane_mark(&a)), holding.since(lane_mark(&b)));
        let may_let_go = |holding: &Holding| holding.may_let_go([&a, &b].into_iter());
        let held = |lanes: &[(&Lane, u64)]| Some(lanes.iter().map(|(lane, number)| ((*lane).clone(), *number)).collect());
        let mut holding = Holding::new();
        assert_eq!((since(&holding), holding.since(0), may_let_go(&holding)), ((None, None), Some(0), false), "nothing is here yet");
        assert!(holding.update(held(&[(&a, 1), (&b, 2)]), 100));
        assert!(!holding.update(held(&[(&a, 1), (&b, 2)]), 200));
        assert_eq!((since(&holding), may_let_go(&holding)), ((Some(100), Some(100)), true));
        assert!(!holding.update(held(&[(&a, 1)]), 300));
        assert_eq!((since(&holding), may_let_go(&holding)), ((Some(100), None), false), "one went");
        tokio::time::advance(WINDOW_LANE_AWAY_MAX - Duration::from_millis(1)).await;
        assert!(!may_let_go(&holding));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(may_let_go(&holding), "it is with another by now");
        assert!(holding.update(held(&[(&a, 3), (&b, 4)]), 400), "one comes back, and one was away between two looks");
        assert_eq!(since(&holding), (Some(400), Some(400)));
        assert!(!holding.update(None, 500));
        assert_eq!((since(&holding), holding.since(7)), ((Some(0), Some(0)), Some(0)), "a source that shares nothing");
    }
}
