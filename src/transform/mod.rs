//! The WASM host: the user's code.
//!
//! - Enters: changes, in batches.
//! - Leaves: for each change its outputs, or the reason why there are none.
//! - Keeps true: a guest has nothing it was not given; a trap, a loop or a memory bomb costs its event, not the batch.
//! - Never: versions (the host's affair), order, I/O for the guest.
//!
//! Three lifetimes, one type each (the idea is Spin's): an [`Engine`] lives as long as the process, a [`Component`] as
//! long as a module is served, an instance until its guest traps. A [`Transform`] holds a component and its present
//! instance, and is made anew whenever its pipeline starts.

mod adapt;
mod batch;
mod binary;
mod bounds;
mod component;
mod cut;
mod engine;
mod fault;
mod guest;
mod host;
mod instance;
mod json;
mod memory;
mod metrics;
#[cfg(feature = "native-guest")]
pub mod native;
mod output;
mod overlay;
pub mod settings;
mod thread;
mod words;
mod world;

use std::sync::Arc;

use bytestring::ByteString;

use crate::aggregate::Row;
use crate::aggregate::fields::FieldMeasure;
use crate::error::Failure;
use crate::event::{Change, JsonText, Measure};

pub use component::{Component, Unfit};
pub use engine::{COMPILED_DIR, Engine};
pub use guest::Transform;
pub use memory::MemoryStore;
pub use metrics::TransformMetrics;
pub use overlay::{KeyValues, Overlay, Page, Written, entry_bytes};

/// What makes outputs of changes.
pub enum Transformer {
    /// No module: the row itself is the document.
    Row,
    /// No module: fields of the row say what it counts for.
    Fields(FieldMeasure),
    /// The user's module.
    Guest(Box<Transform>),
    /// A function that stands for a module in tests of the pipeline.
    #[cfg(test)]
    Function(fn(&Change) -> Outcome),
    /// The same for a module that keeps something.
    #[cfg(test)]
    Keeping(fn(&Change, &mut Overlay) -> Outcome),
}

/// What a batch came to.
#[derive(Debug)]
pub struct Ran {
    /// One for each change, in order.
    pub outcomes: Vec<Outcome>,
    /// What becomes of the store.
    pub written: Written,
}

impl Ran {
    fn without_store(changes: &[Change], outcome: impl Fn(&Change) -> Outcome) -> Self {
        let outcomes = changes.iter().map(|change| checked(change, outcome(change))).collect();
        Self { outcomes, written: Written::default() }
    }
}

impl Transformer {
    /// Says in `rowmill_module_info` which module serves from now on, where one does.
    pub fn announce(&self) {
        if let Transformer::Guest(transform) = self {
            transform.announce();
        }
    }

    /// Works on a batch of changes. Blocks: see [`Transform::run`].
    pub fn run(&mut self, changes: &[Change], store: &Arc<dyn KeyValues>) -> Result<Ran, Failure> {
        match self {
            Transformer::Row => Ok(Ran::without_store(changes, |change| Ok(row(change)))),
            Transformer::Fields(fields) => Ok(Ran::without_store(changes, |change| measures(fields, change))),
            Transformer::Guest(transform) => transform.run(changes, store),
            #[cfg(test)]
            Transformer::Function(function) => Ok(Ran::without_store(changes, *function)),
            #[cfg(test)]
            Transformer::Keeping(function) => {
                let mut overlay = Overlay::new(store.clone());
                let outcome = |change| {
                    overlay.begin_call();
                    let outcome = checked(change, function(change, &mut overlay));
                    overlay.end_call()?;
                    if outcome.is_ok() {
                        overlay.keep()
                    } else {
                        overlay.forget()
                    }
                    Ok(outcome)
                };
                let outcomes: Result<_, Failure> = changes.iter().map(outcome).collect();
                Ok(Ran { outcomes: outcomes?, written: overlay.into_written() })
            }
        }
    }

    /// Documents of rows of windows, where the user's module makes them; none: it does not. Blocks.
    pub fn render(&mut self, rows: &[Row]) -> Result<Option<Vec<Outcome>>, Failure> {
        match self {
            Transformer::Guest(transform) => transform.render(rows).map(Some),
            _ => Ok(None),
        }
    }
}

/// One thing a guest asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this document.
    Index {
        /// Which; names that are not given are the host's defaults.
        target: Target,
        /// The document: one JSON object on one line, checked.
        body: JsonText,
    },
    /// Delete this document.
    Delete {
        /// Which.
        target: Target,
    },
    /// Count this.
    Measure(Measure),
    /// Send this on.
    Emit {
        /// Where to.
        topic: String,
        /// Its key.
        key: Option<String>,
        /// JSON text on one line, checked.
        body: JsonText,
    },
}

/// Which document an output means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Default: the row's key as text.
    pub id: Option<ByteString>,
    /// Default: the pipeline's index.
    pub index: Option<ByteString>,
    /// Custom routing.
    pub routing: Option<ByteString>,
}

/// What became of one change: its outputs, or one sentence saying why there are none.
pub type Outcome = Result<Vec<Output>, String>;

fn checked(change: &Change, outcome: Outcome) -> Outcome {
    outcome.and_then(|outputs| output::check_ids(change, &outputs).map(|()| outputs))
}

fn measures(fields: &FieldMeasure, change: &Change) -> Outcome {
    Ok(fields.measure(change)?.map(Output::Measure).into_iter().collect())
}

/// What a row gives without a module: itself. A row that is gone gives nothing, so the host deletes its document.
fn row(change: &Change) -> Vec<Output> {
    let after = change.after.iter().filter(|_| !change.is_delete());
    after.map(|body| Output::Index { target: Target::default(), body: body.clone() }).collect()
}
