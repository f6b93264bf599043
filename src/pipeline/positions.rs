//! Where the lanes of a pipeline stand, as it is committed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::event::Lane;
use crate::source::StoredPositions;
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
