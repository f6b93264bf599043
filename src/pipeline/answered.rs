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

/// Deletes that must not go out before other batches are answered.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Late {
    /// Their places among the writes of their batch, rising.
    pub places: Vec<usize>,
    /// The last of those batches.
    pub after: u64,
}

impl Late {
    /// The deletes of documents that batches at work write.
    ///
    /// Versions make any order harmless only as long as the sink remembers the delete, and search servers forget it after a
    /// minute: an older write that is tried again later than that would bring the document back.
    pub fn of(at_work: &VecDeque<Work>, writes: &[Write]) -> Self {
        let mut late = Self::default();
        let deletes = writes.iter().enumerate().filter(|(_, write)| write.action == Action::Delete);
        // Where two indexes have the same id, or a batch two deletes of it, one more wait does no harm.
        let mut deleted: QuickMap<&str, Vec<usize>> = QuickMap::default();
        deletes.for_each(|(place, write)| deleted.entry(&*write.id).or_default().push(place));
        for work in at_work {
            if deleted.is_empty() {
                break;
            }
            let found = work.writes.iter().filter_map(|write| deleted.get(&*write.id)).flatten();
            let known = late.places.len();
            late.places.extend(found);
            if late.places.len() > known {
                late.after = work.number;
            }
        }
        late.places.sort_unstable();
        late.places.dedup();
        late
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use super::Late;
    use crate::event::{Action, DocumentVersion, Write};
    use crate::pipeline::work::Work;

    #[test]
    fn only_deletes_wait_and_for_the_last_batch_that_writes_their_document() {
        let write =
            |id: &'static str, action| Write { index: "i".into(), id: id.into(), routing: None, version: DocumentVersion(1), action };
        let index = |id| write(id, Action::Index("{}".into()));
        let delete = |id| write(id, Action::Delete);
        let work = |number, writes| Work { writes: Arc::new(writes), ..Work::new(number) };
        let at_work: VecDeque<Work> =
            [work(7, vec![index("a"), index("b")]), work(8, vec![delete("c"), index("b")]), work(9, vec![index("d")])].into();
        for (what, writes, places, after) in [
            ("no deletes", vec![index("a"), index("d")], vec![], 0),
            ("of nobody's document", vec![delete("x")], vec![], 0),
            ("of one that is written twice", vec![index("a"), delete("b"), delete("x")], vec![1], 8),
            ("of one that is deleted", vec![delete("c")], vec![0], 8),
            ("of several, one of them twice", vec![delete("a"), delete("d"), index("a"), delete("a")], vec![0, 1, 3], 9),
        ] {
            assert_eq!(Late::of(&at_work, &writes), Late { places, after }, "{what}");
        }
    }
}
