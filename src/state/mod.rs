//! What we remember: the only home of RocksDB.
//!
//! - Enters: the effects of a batch, worked out by the pipeline.
//! - Leaves: what is known of a row, the positions of lanes, dead letters, what guests keep, windows.
//! - Keeps true: versions, rows, tombstones, dead letters, what guests keep, windows and positions of a batch become visible together or not at all.
//! - Never: a decision about an event; those are the pipeline's.
//!
//! One database serves all pipelines of a process; every key starts with the number of its pipeline. A commit reaches the
//! write-ahead log at once (kill -9 loses nothing) and the disk with the next [`Store::sync`]; the source is told only
//! then. A power cut can take the last commits with it, but takes their positions too, and reading them again is harmless.

#[cfg(test)]
mod copy;
mod dead;
mod keys;
mod record;
mod rows;
pub mod settings;
mod store;
#[cfg(test)]
mod tests;
mod values;
mod versions;
mod windows;
mod working;

#[cfg(test)]
pub use copy::Copied;
pub use dead::{DeadCause, DeadEvent, DeadLetter, LetterFilter, Marked};
pub use keys::{Half, RowKey};
pub use record::{DocumentNames, DocumentRecord, DocumentRecords, LaneRecord, MovedRow, Provisional, RowRecord};
pub use rows::{RowChange, Rows, Slot, Text};
pub use store::{StateError, Store};
pub use values::{ValueChanges, Values};
pub use windows::{CellKey, Shown, ShownDocument, ValueKey, WindowEffects};
pub use working::{Effects, PipelineState};
