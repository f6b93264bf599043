//! The user's code: a function whose generations tell themselves apart by a mark in the body.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::model::names;
use crate::event::{Change, JsonText, Version};
use crate::transform::{Outcome, Output, Overlay, Target};

thread_local! {
    static GENERATION: Cell<u64> = const { Cell::new(0) };
    static RAN: RefCell<BTreeSet<(u64, Version, u64)>> = const { RefCell::new(BTreeSet::new()) };
}

/// The column of a document that holds the generation of the module that made it.
pub const MARK: &str = "by";

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

/// From a row to its documents.
pub fn transform(change: &Change, _: &mut Overlay) -> Outcome {
    let generation = GENERATION.get();
    let id: u64 = change.key_id().parse().unwrap();
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
