//! The user's code: a function whose generations tell themselves apart by a mark in the body, and which keeps count.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::model::names;
use crate::event::{Change, JsonText, Operation, Version};
use crate::transform::{Outcome, Output, Overlay, Target};

thread_local! {
    static GENERATION: Cell<u64> = const { Cell::new(0) };
    static RAN: RefCell<BTreeSet<(u64, Version, u64)>> = const { RefCell::new(BTreeSet::new()) };
}

/// The column of a document that holds the generation of the module that made it.
pub const MARK: &str = "by";

/// What the keys of [`applied_key`] begin with.
pub const APPLIED: &str = "applied/";

/// From here on this generation runs.
pub fn swap(generation: u64) {
    GENERATION.set(generation);
}

/// Nothing has run.
pub fn reset() {
    GENERATION.set(0);
    RAN.take();
}

/// Whether a generation has run for a change.
pub fn has_run(id: u64, version: Version, generation: u64) -> bool {
    RAN.with_borrow(|ran| ran.contains(&(id, version, generation)))
}

/// What counts how often a change was applied.
pub fn applied_key(id: u64, version: Version) -> String {
    format!("{APPLIED}{id}/{}/{}", version.first, version.second)
}

/// What counts the changes of a row.
pub fn row_key(id: u64) -> String {
    format!("row/{id}")
}

/// What holds the number of a row that is there.
pub fn live_key(id: u64) -> String {
    format!("live/{id}")
}

/// From a row to its documents.
pub fn transform(change: &Change, store: &mut Overlay) -> Outcome {
    let generation = GENERATION.get();
    let id: u64 = change.key_id().parse().unwrap();
    // First of all: whatever is rejected has written.
    keep(change, id, store);
    RAN.with_borrow_mut(|ran| ran.insert((id, change.version, generation)));
    let Some(after) = change.after.as_ref().filter(|_| !change.is_delete()) else { return Ok(Vec::new()) };
    let mut row: Value = serde_json::from_str(after).unwrap();
    if row["is"] == "rejected" {
        return Err("simulated".to_owned());
    }
    let names = names(id, &row);
    row[MARK] = json!(generation);
    let body = JsonText::from(row.to_string());
    let document = |name: String| {
        let id = (name != change.key_id()).then(|| name.into());
        Output::Index { target: Target { id, ..Target::default() }, body: body.clone() }
    };
    Ok(names.into_iter().map(document).collect())
}

fn keep(change: &Change, id: u64, store: &mut Overlay) {
    if change.operation != Operation::Refresh {
        store.increment(&applied_key(id, change.version), 1).unwrap();
        store.increment(&row_key(id), 1).unwrap();
    }
    match &change.after {
        Some(after) if !change.is_delete() => {
            let row: Value = serde_json::from_str(after).unwrap();
            store.set(&live_key(id), row["n"].to_string().into_bytes()).unwrap();
        }
        _ => store.delete(&live_key(id)).unwrap(),
    }
}
