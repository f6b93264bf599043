//! What has happened in the seeds of this thread, so that a test can say that nothing here is dead code.

use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    static SEEN: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// This has happened.
pub fn saw(what: impl Into<String>) {
    SEEN.with_borrow_mut(|seen| *seen.entry(what.into()).or_default() += 1);
}

/// All that has happened, and how often.
pub fn seen() -> BTreeMap<String, u64> {
    SEEN.with_borrow(Clone::clone)
}
