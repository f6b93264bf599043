//! What a call passes to a guest.

use crate::aggregate::Row;
use crate::event::Change;
use crate::limits::GUEST_BATCH_BYTES_MAX;
use crate::transform::Outcome;
use crate::transform::cut::cut;
use crate::transform::output::check_ids;

/// Changes, or rows of windows.
#[derive(Clone, Copy)]
pub enum Batch<'a> {
    /// To be transformed, or measured.
    Changes(&'a [Change]),
    /// To be rendered.
    Rows(&'a [Row]),
}

impl<'a> Batch<'a> {
    /// How many there are.
    pub fn len(self) -> usize {
        match self {
            Batch::Changes(changes) => changes.len(),
            Batch::Rows(rows) => rows.len(),
        }
    }

    /// Parts for a call each, in order.
    pub fn calls(self, items_max: usize) -> Vec<Batch<'a>> {
        match self {
            Batch::Changes(changes) => cut(changes, items_max, GUEST_BATCH_BYTES_MAX).map(Batch::Changes).collect(),
            Batch::Rows(rows) => rows.chunks(items_max).map(Batch::Rows).collect(),
        }
    }

    /// Each by itself.
    pub fn each(self) -> Vec<Batch<'a>> {
        match self {
            Batch::Changes(changes) => changes.iter().map(|change| Batch::Changes(std::slice::from_ref(change))).collect(),
            Batch::Rows(rows) => rows.iter().map(|row| Batch::Rows(std::slice::from_ref(row))).collect(),
        }
    }

    /// Makes an error of each outcome whose documents have no usable id.
    pub fn check_ids(self, outcomes: &mut [Outcome]) {
        // A row of a window has an id by default.
        let Batch::Changes(changes) = self else { return };
        for (change, outcome) in changes.iter().zip(outcomes) {
            if let Ok(outputs) = outcome
                && let Err(reason) = check_ids(change, outputs)
            {
                *outcome = Err(reason);
            }
        }
    }
}
