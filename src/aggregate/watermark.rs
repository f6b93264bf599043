//! How far time has come, by what the lanes have given.
//!
//! A lane's time is the latest its events have told of. The watermark is where the slowest lane stands, of those that may still have something
//! to say: one that has given all it has, and has been silent for a while, holds nobody back. It never goes back.

use std::time::Duration;

use tokio::time::Instant;

use crate::event::{Lane, QuickMap};

/// The times of all lanes, and what follows from them.
#[derive(Clone, Debug, Default)]
pub struct Watermark {
    lanes: QuickMap<Lane, LaneTime>,
    reached_ms: u64,
    /// Whether the end of every lane that has spoken is known: before that there may be others, which have not.
    is_known: bool,
}

#[derive(Clone, Debug, Default)]
struct LaneTime {
    time_ms: u64,
    position: u64,
    /// Where the lane ends; none: not heard yet.
    newest: Option<u64>,
    /// When it spoke last, or came to this process: it may be about to speak.
    spoke: Option<Instant>,
    is_holding: bool,
}

impl Watermark {
    /// As it was when the process ended: the times of lanes, and the watermark.
    pub fn stored(lanes: impl Iterator<Item = (Lane, u64)>, reached_ms: u64) -> Self {
        let lanes = lanes.map(|(lane, time_ms)| (lane, LaneTime { time_ms, ..LaneTime::default() })).collect();
        Self { lanes, reached_ms, is_known: false }
    }

    /// The time before which everything has been told, in milliseconds since 1970; 0 where nothing is known.
    pub fn ms(&self) -> u64 {
        self.reached_ms
    }

    /// The times that lanes have reached.
    pub fn lane_times(&self) -> impl Iterator<Item = (&Lane, u64)> {
        self.lanes.iter().map(|(lane, time)| (lane, time.time_ms))
    }

    /// Notes an event of a lane, which ends at `position`. Gives the lane's time where it has moved on.
    pub fn told(&mut self, lane: &Lane, position: u64, time_ms: u64, now: Instant) -> Option<u64> {
        let known = self.lanes.contains_key(lane);
        let entry = if known { self.lanes.get_mut(lane) } else { Some(self.lanes.entry(lane.clone()).or_default()) };
        let own = entry?;
        own.position = position;
        own.spoke = Some(now);
        let was_holding = std::mem::replace(&mut own.is_holding, true);
        if !known {
            self.is_known = false;
        }
        if time_ms <= own.time_ms {
            return None;
        }
        let stood = std::mem::replace(&mut own.time_ms, time_ms);
        // Only the slowest lane can move it.
        if stood <= self.reached_ms || !was_holding {
            self.advance();
        }
        Some(time_ms)
    }

    /// Notes where this process's lanes stand and end; lanes that are not among them went to another.
    pub fn look_around(&mut self, lanes: &[(Lane, u64, Option<u64>)], now: Instant, idle_after: Duration) {
        let is_recent = |at: Instant| now.duration_since(at) < idle_after;
        let is_ours = |lane: &Lane| lanes.iter().any(|(ours, ..)| ours == lane);
        // Nothing is known before there are lanes, nor while one that is not among them has just spoken.
        self.is_known = !lanes.is_empty() && self.lanes.iter().all(|(lane, own)| is_ours(lane) || !own.spoke.is_some_and(is_recent));
        for (lane, own) in &mut self.lanes {
            own.is_holding = false;
            own.spoke = own.spoke.filter(|at| is_ours(lane) || is_recent(*at));
        }
        for (lane, newest, position) in lanes {
            let own = self.lanes.entry(lane.clone()).or_default();
            own.newest = Some(*newest);
            own.position = own.position.max(position.unwrap_or(0));
            let is_behind = own.position < *newest;
            own.is_holding = is_behind || is_recent(*own.spoke.get_or_insert(now));
        }
        self.advance();
    }

    /// Nothing more comes for now: no lane holds the others back.
    pub fn all_told(&mut self) {
        self.is_known = true;
        self.lanes.values_mut().for_each(|own| own.is_holding = false);
        self.advance();
    }

    fn advance(&mut self) {
        if !self.is_known {
            return;
        }
        let holding = self.lanes.values().filter(|own| own.is_holding).map(|own| own.time_ms).min();
        let reached = holding.or_else(|| self.lanes.values().map(|own| own.time_ms).max());
        self.reached_ms = self.reached_ms.max(reached.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Watermark;
    use crate::event::Lane;

    const IDLE: Duration = Duration::from_secs(5);

    fn lanes() -> (Lane, Lane) {
        ("a".into(), "b".into())
    }

    #[test]
    fn the_slowest_lane_holds_the_others_back_until_it_is_idle() {
        let ((a, b), start) = (lanes(), Instant::now());
        let mut watermark = Watermark::default();
        watermark.told(&a, 1, 1_000, start);
        assert_eq!(watermark.ms(), 0, "nobody knows yet which lanes there are");
        watermark.look_around(&[(a.clone(), 9, Some(1)), (b.clone(), 9, None)], start, IDLE);
        watermark.told(&a, 2, 5_000, start);
        assert_eq!(watermark.ms(), 0, "the other lane has not begun");
        watermark.told(&b, 1, 3_000, start);
        assert_eq!(watermark.ms(), 3_000);
        watermark.told(&b, 9, 2_000, start);
        watermark.told(&a, 9, 9_000, start);
        assert_eq!(watermark.ms(), 3_000);
        let ends = [(a.clone(), 9, Some(9)), (b.clone(), 9, Some(9))];
        watermark.look_around(&ends, start + IDLE / 2, IDLE);
        assert_eq!(watermark.ms(), 3_000, "it has just spoken");
        watermark.told(&a, 9, 9_000, start + IDLE);
        watermark.look_around(&ends, start + IDLE, IDLE);
        assert_eq!(watermark.ms(), 9_000);
        watermark.told(&b, 10, 4_000, start + IDLE);
        assert_eq!(watermark.ms(), 9_000, "it never goes back");
    }

    #[test]
    fn nothing_is_known_before_the_lanes_are_and_each_may_be_about_to_speak() {
        let ((a, b), start) = (lanes(), Instant::now());
        let mut watermark = Watermark::stored([(a.clone(), 9_000), (b.clone(), 1_000)].into_iter(), 500);
        watermark.look_around(&[], start, IDLE);
        assert_eq!(watermark.ms(), 500, "the partitions are not assigned yet");
        let ends = [(a.clone(), 9, Some(9)), (b.clone(), 9, Some(9))];
        watermark.look_around(&ends, start, IDLE);
        assert_eq!(watermark.ms(), 1_000, "its end was heard a while ago: there may be more");
        watermark.told(&b, 10, 2_000, start);
        watermark.look_around(&ends, start + IDLE, IDLE);
        assert_eq!(watermark.ms(), 9_000);
    }

    #[test]
    fn a_lane_that_spoke_and_went_holds_nobody_back_after_a_while() {
        let ((a, b), start) = (lanes(), Instant::now());
        let mut watermark = Watermark::default();
        watermark.look_around(&[(a.clone(), 9, None), (b.clone(), 9, None)], start, IDLE);
        watermark.told(&a, 1, 5_000, start);
        watermark.told(&b, 1, 1_000, start);
        let ours = [(a.clone(), 9, Some(1))];
        watermark.look_around(&ours, start + IDLE / 2, IDLE);
        assert_eq!(watermark.ms(), 1_000, "perhaps it was not heard yet where it ends");
        watermark.look_around(&ours, start + IDLE, IDLE);
        assert_eq!(watermark.ms(), 5_000);
    }

    #[test]
    fn a_lane_that_went_to_another_process_holds_nobody_back() {
        let ((a, b), start) = (lanes(), Instant::now());
        let mut watermark = Watermark::stored([(a.clone(), 4_000), (b, 1_000)].into_iter(), 1_000);
        watermark.look_around(&[(a.clone(), 9, Some(3))], start, IDLE);
        assert_eq!(watermark.ms(), 4_000);
        watermark.told(&a, 4, 6_000, start);
        assert_eq!(watermark.ms(), 6_000);
    }

    #[test]
    fn at_the_end_nobody_is_waited_for() {
        let ((a, b), start) = (lanes(), Instant::now());
        let mut watermark = Watermark::default();
        watermark.told(&a, 1, 7_000, start);
        watermark.told(&b, 1, 2_000, start);
        watermark.all_told();
        assert_eq!(watermark.ms(), 7_000);
    }
}
