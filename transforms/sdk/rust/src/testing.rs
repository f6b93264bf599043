//! Runs a transform natively, as Rowmill would: `init` first, then batches.
//!
//! ```text
//! let outputs = testing::run::<Component>("{}", &[testing::row("public.products", r#"{"id":1,"name":"Lamp"}"#)]);
//! ```

mod lines;

pub use lines::{Line, lines};

use crate::aggregate::{Aggregate, Measurement};
use crate::change::{Change, Operation, Version};
use crate::column::Decimal;
use crate::component::Component;
use crate::output::{Action, Output};
use crate::window::WindowRow;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Runs a component on one batch.
///
/// # Panics
/// When `init` refuses the configuration, or the batch fails.
#[expect(clippy::panic, reason = "a test wants to fail here")]
pub fn run<C: Component>(config: &str, changes: &[Change]) -> Vec<Output> {
    match C::init(config).and_then(|()| transform::<C>(changes)) {
        Ok(outputs) => outputs,
        Err(reason) => panic!("{reason}"),
    }
}

/// What one batch counts for.
///
/// # Panics
/// When `init` refuses the configuration, or the batch fails.
#[expect(clippy::panic, reason = "a test wants to fail here")]
pub fn measure<C: Aggregate>(config: &str, changes: &[Change]) -> Vec<Measurement> {
    match C::init(config).and_then(|()| C::measure(changes)) {
        Ok(measurements) => measurements,
        Err(reason) => panic!("{reason}"),
    }
}

/// What becomes of rows of windows.
///
/// # Panics
/// When `init` refuses the configuration, or the rows fail.
#[expect(clippy::panic, reason = "a test wants to fail here")]
pub fn render<C: Aggregate>(config: &str, rows: &[WindowRow]) -> Vec<Output> {
    match C::init(config).and_then(|()| C::render(rows)) {
        Ok(outputs) => outputs,
        Err(reason) => panic!("{reason}"),
    }
}

/// A key that was counted so often, each time for 1; without a window, and in none of what the configuration may ask for.
pub fn window_row(key: &str, count: u64) -> WindowRow {
    WindowRow {
        window: None,
        key: key.to_owned(),
        rank: None,
        is_final: false,
        count,
        sum: Decimal::of_host(count.to_string()),
        min: None,
        max: None,
        average: None,
        distinct: None,
        score: None,
    }
}

/// A change that is rejected has written nothing to the store. Where that is not plain, the changes are tried one by one, as the host does.
fn transform<C: Component>(changes: &[Change]) -> Result<Vec<Output>, String> {
    let before = KEPT.with_borrow(Clone::clone);
    let outputs = C::transform(changes)?;
    let is_rejected = |output: &Output| matches!(output.action, Action::Reject(_));
    if !outputs.iter().any(is_rejected) || KEPT.with_borrow(|kept| kept.store == before.store) {
        return Ok(outputs);
    }
    if changes.len() == 1 {
        KEPT.with_borrow_mut(|kept| kept.store = before.store);
        return Ok(outputs);
    }
    KEPT.set(before);
    let mut outputs = Vec::new();
    for (change, place) in changes.iter().zip(0..) {
        let alone = transform::<C>(std::slice::from_ref(change))?;
        outputs.extend(alone.into_iter().map(|output| Output { change: place, ..output }));
    }
    Ok(outputs)
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

/// What the host keeps for a component.
#[derive(Clone)]
struct Kept {
    counters: BTreeMap<String, u64>,
    gauges: BTreeMap<String, f64>,
    store: BTreeMap<String, Vec<u8>>,
}

thread_local! {
    static KEPT: RefCell<Kept> = const { RefCell::new(Kept { counters: BTreeMap::new(), gauges: BTreeMap::new(), store: BTreeMap::new() }) };
}

pub(crate) fn record_count(name: &str, delta: u64) {
    KEPT.with_borrow_mut(|kept| *kept.counters.entry(name.to_owned()).or_default() += delta);
}

pub(crate) fn record_gauge(name: &str, value: f64) {
    KEPT.with_borrow_mut(|kept| kept.gauges.insert(name.to_owned(), value));
}

pub(crate) fn with_store<T>(act: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> T {
    KEPT.with_borrow_mut(|kept| act(&mut kept.store))
}

/// What this thread (that is: this test) has added to a counter.
pub fn counter(name: &str) -> u64 {
    KEPT.with_borrow(|kept| kept.counters.get(name).copied().unwrap_or_default())
}

/// What this thread has set a gauge to.
pub fn gauge(name: &str) -> Option<f64> {
    KEPT.with_borrow(|kept| kept.gauges.get(name).copied())
}
