//! Runs a transform natively, as Rowmill would: `init` first, then batches.
//!
//! ```text
//! let outputs = testing::run::<Component>("{}", &[testing::row("public.products", r#"{"id":1,"name":"Lamp"}"#)]);
//! ```

mod lines;

pub use lines::lines;

use crate::change::{Change, Operation, Version};
use crate::component::Component;
use crate::output::Output;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Runs a component on one batch.
///
/// # Panics
/// When `init` refuses the configuration, or the batch fails.
#[expect(clippy::panic, reason = "a test wants to fail here")]
pub fn run<C: Component>(config: &str, changes: &[Change]) -> Vec<Output> {
    match C::init(config).and_then(|()| C::transform(changes)) {
        Ok(outputs) => outputs,
        Err(reason) => panic!("{reason}"),
    }
}

/// An inserted row; its key is its column `id`.
pub fn row(table: &str, row: &str) -> Change {
    let id = serde_json::from_str::<Value>(row).ok().and_then(|row| row.get("id").cloned());
    let key = id.map_or_else(|| "null".to_owned(), |id| format!(r#"{{"id":{id}}}"#));
    Change { after: Some(row.to_owned()), ..change(Operation::Create, table, key) }
}

/// A deleted row: its key as an object.
pub fn deleted(table: &str, key: &str) -> Change {
    change(Operation::Delete, table, key.to_owned())
}

fn change(operation: Operation, table: &str, key: String) -> Change {
    Change {
        operation,
        source: "test".to_owned(),
        table: table.to_owned(),
        key,
        before: None,
        after: None,
        version: Version { first: 1, second: 1 },
        ts_ms: 0,
    }
}

thread_local! {
    static COUNTERS: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
    static GAUGES: RefCell<BTreeMap<String, f64>> = const { RefCell::new(BTreeMap::new()) };
}

pub(crate) fn record_count(name: &str, delta: u64) {
    COUNTERS.with_borrow_mut(|all| *all.entry(name.to_owned()).or_default() += delta);
}

pub(crate) fn record_gauge(name: &str, value: f64) {
    GAUGES.with_borrow_mut(|all| all.insert(name.to_owned(), value));
}

/// What this thread (that is: this test) has added to a counter.
pub fn counter(name: &str) -> u64 {
    COUNTERS.with_borrow(|all| all.get(name).copied().unwrap_or_default())
}

/// What this thread has set a gauge to.
pub fn gauge(name: &str) -> Option<f64> {
    GAUGES.with_borrow(|all| all.get(name).copied())
}
