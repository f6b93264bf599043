//! The last batch that the sink has answered, and who waits for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::event::{Action, QuickMap, Write};
use crate::pipeline::work::Work;

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

/// The last batch at work that must be answered before these writes go out: one that writes a document which these delete.
///
/// Versions make any order harmless only as long as the sink remembers the delete, and search servers forget it after a
/// minute: an older write that is tried again later than that would bring the document back.
pub fn overtaken(at_work: &VecDeque<Work>, writes: &[Write]) -> Option<u64> {
    let deletes = writes.iter().filter(|write| write.action == Action::Delete);
    let deleted: QuickMap<&str, ()> = deletes.map(|write| (&*write.id, ())).collect();
    // Where two indexes have the same id, one more wait does no harm.
    let is_deleted = |write: &Write| deleted.contains_key(&*write.id);
    let mut before = at_work.iter().rev().filter(|work| !deleted.is_empty() && work.writes.iter().any(is_deleted));
    before.next().map(|work| work.number)
}
