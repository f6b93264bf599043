//! Where the lanes of a pipeline stand, as it is committed, and as they are being read.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::event::{Lane, QuickMap};
use crate::source::StoredPositions;
use crate::source::decode::LaneMemory;
use crate::state::LaneRecord;

/// Committed positions, shared with the source: where a lane starts when it starts again.
#[derive(Debug, Default)]
pub struct Positions(Mutex<HashMap<Lane, LaneRecord>>);

impl Positions {
    /// Positions as the state has them.
    pub fn new(lanes: Vec<(Lane, LaneRecord)>) -> Self {
        Self(Mutex::new(lanes.into_iter().collect()))
    }

    /// Where a lane stands, with what decoding remembers of it.
    pub fn get(&self, lane: &str) -> Option<LaneRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(lane).cloned()
    }

    /// A lane has moved on.
    pub fn set(&self, lane: Lane, record: LaneRecord) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(lane, record);
    }

    /// Where all of them stand.
    pub fn all(&self) -> Vec<(Lane, u64)> {
        let lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.iter().map(|(lane, record)| (lane.clone(), record.position)).collect()
    }
}

impl StoredPositions for Positions {
    fn position(&self, lane: &str) -> Option<u64> {
        self.get(lane).map(|record| record.position)
    }
}

/// The reading of one lane in this run.
#[derive(Default)]
pub struct LaneReading {
    /// Position after the last message; none: nothing was read yet.
    reached: Option<u64>,
    memory: LaneMemory,
}

impl LaneReading {
    /// The message that ends at `position` is read; says whether it is news. A lane that is started again at its committed position
    /// repeats what waits here or is at work: all of that is still applied, so it must not come twice, nor bring the lane's position back.
    pub fn step(&mut self, position: u64) -> bool {
        let is_news = self.reached < Some(position);
        self.reached = self.reached.max(Some(position));
        is_news
    }

    /// What is remembered before the message of the last step that was news.
    pub fn memory(&mut self) -> &mut LaneMemory {
        &mut self.memory
    }
}

/// The reading of a lane; a new one begins where the lane stands.
pub fn reading_of<'m>(readings: &'m mut QuickMap<Lane, LaneReading>, positions: &Positions, lane: &Lane) -> &'m mut LaneReading {
    readings.entry(lane.clone()).or_insert_with(|| LaneReading { memory: memory_of(positions, lane), ..LaneReading::default() })
}

/// What decoding remembers of a lane where it was committed last.
fn memory_of(positions: &Positions, lane: &Lane) -> LaneMemory {
    let record = positions.get(lane);
    record.and_then(|record| serde_json::from_slice(&record.memory).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::LaneReading;

    #[test]
    fn what_was_here_is_no_news_and_where_a_lane_begins_is_also_at_0() {
        let mut reading = LaneReading::default();
        // With `start = "latest"` an empty lane begins at 0, and that is remembered: what comes while nobody reads must not be skipped.
        let steps = [(0, true), (0, false), (3, true), (1, false), (3, false), (4, true)];
        assert_eq!(steps.map(|(position, _)| (position, reading.step(position))), steps);
    }
}
