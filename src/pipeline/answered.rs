//! The last batch that the sink has answered, and who waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Cheap to clone; clones know the same. Who waits is woken in the order they came, so that a simulation can be repeated:
/// tokio's `watch` wakes in an order that depends on chance.
#[derive(Clone, Debug, Default)]
pub struct Answered(Arc<(AtomicU64, Notify)>);

impl Answered {
    /// This batch and all before it are answered.
    pub fn set(&self, number: u64) {
        self.0.0.store(number, Ordering::Release);
        self.0.1.notify_waiters();
    }

    /// Waits until this batch is answered.
    pub async fn wait_for(&self, number: u64) {
        loop {
            // Before the look, so that nothing is missed between the two.
            let notified = self.0.1.notified();
            if self.0.0.load(Ordering::Acquire) >= number {
                return;
            }
            notified.await;
        }
    }
}
