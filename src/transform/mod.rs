//! The WASM host: the user's code.
//!
//! - Enters: changes, in batches.
//! - Leaves: for each change its outputs, or the reason why there are none.
//! - Keeps true: a guest has nothing it was not given; a trap, a loop or a memory bomb costs its event, not the batch.
//! - Never: versions (the host's affair), order, I/O for the guest.

pub mod settings;

use bytestring::ByteString;

use crate::event::JsonText;

/// One thing a guest asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this document.
    Index {
        /// Which; names that are not given are the host's defaults.
        target: Target,
        /// The document: one JSON object, checked.
        body: JsonText,
    },
    /// Delete this document.
    Delete {
        /// Which.
        target: Target,
    },
    /// Send this on.
    Emit {
        /// Where to.
        topic: String,
        /// Its key.
        key: Option<String>,
        /// JSON text, checked.
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
#[derive(Clone)]
pub struct Engine;
impl Engine { pub fn new(_: Option<&std::path::Path>) -> Result<Self, crate::error::Failure> { Ok(Self) } }
#[derive(Clone)]
pub struct TransformMetrics;
impl TransformMetrics { pub fn declare(_: &crate::metrics::Metrics) -> Self { Self } }
pub enum Transformer { Row }
pub struct Loaded<'a> { pub hash: &'a str, pub bytes: u64 }
impl Transformer {
    pub fn rows() -> Self { Self::Row }
    pub fn open(_: &Engine, _: &settings::TransformSettings, _: &TransformMetrics, _: &str) -> Result<Self, crate::error::Failure> { Ok(Self::Row) }
    pub fn module(&self) -> Option<Loaded<'_>> { None }
    pub fn run(&mut self, changes: &[crate::event::Change]) -> Result<Vec<Outcome>, crate::error::Failure> {
        Ok(changes.iter().map(|c| Ok(c.after.clone().map(|body| Output::Index { target: Target::default(), body }).into_iter().collect())).collect())
    }
}
