//! What is committed becomes durable while the loop goes on: an fsync takes longer than a hundred events.

use tokio::task::JoinHandle;

use crate::error::Failure;
use crate::event::Lane;
use crate::state::{StateError, Store};

/// The fsync under way, and what there is to be settled.
#[derive(Default)]
pub struct Settling {
    syncing: Option<JoinHandle<Result<(), StateError>>>,
    /// Where the lanes stood when it began.
    positions: Vec<(Lane, u64)>,
    is_unsettled: bool,
}

impl Settling {
    /// Something was committed.
    pub fn committed(&mut self) {
        self.is_unsettled = true;
    }

    /// Whether something is to be made durable, and nothing is being made so.
    pub fn is_due(&self) -> bool {
        self.is_unsettled && self.syncing.is_none()
    }

    /// Whether an fsync is under way.
    pub fn is_under_way(&self) -> bool {
        self.syncing.is_some()
    }

    /// Begins to make durable what is committed; the lanes stand at `positions`.
    pub fn begin(&mut self, store: Store, positions: Vec<(Lane, u64)>) {
        (self.positions, self.is_unsettled) = (positions, false);
        self.syncing = Some(tokio::task::spawn_blocking(move || store.sync()));
    }

    /// Waits for its end, and gives the positions that are durable. Cancel safe.
    pub async fn durable(&mut self) -> Result<Vec<(Lane, u64)>, Failure> {
        if let Some(syncing) = &mut self.syncing {
            let synced = syncing.await;
            self.syncing = None;
            synced.map_err(|error| Failure::bug(format!("making the state durable broke off: {error}")))??;
        }
        Ok(std::mem::take(&mut self.positions))
    }

    /// All that was committed is durable already.
    pub fn ended(&mut self) {
        self.is_unsettled = false;
    }
}
