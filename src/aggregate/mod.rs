//! Windows, and what is counted in them. Plain functions on data.
//!
//! - Enters: measures (what a change counts for), and the time that lanes have reached.
//! - Leaves: aggregates of keys, the top of a window, rows to be shown.
//! - Keeps true: what is added and taken back leaves nothing; a window that is closed does not change.
//! - Never: I/O, async, the time of day; what is remembered is the state's affair.
//!
//! In reading order: `settings`, `fields` (measures without code), `shape` (which windows a time falls into), `counted` (the aggregate of one
//! key), `session` (windows that follow their events), `watermark` (how far time has come), `top` (who stands first), `row` (what is shown).

mod counted;
pub mod fields;
mod row;
mod session;
pub mod settings;
mod shape;
mod top;
mod watermark;

pub use counted::{Counted, Values};
pub use row::{Row, Span};
pub use session::{Session, Sessions};
pub use shape::Shape;
pub use top::Top;
pub use watermark::Watermark;

use serde::{Deserialize, Serialize};

/// What is remembered of one key of a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The lane it was counted from last, as a mark of it: whoever has that lane shows it. 0: none.
    pub lane: u32,
    /// What was counted.
    pub content: Content,
}

/// What was counted for one key of a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Content {
    /// The aggregate of a window that is the same for all keys.
    Window(Counted),
    /// All sessions of the key that are open.
    Sessions(Sessions),
}

impl Cell {
    /// What it takes in memory.
    pub fn size_bytes(&self) -> usize {
        match &self.content {
            Content::Window(counted) => counted.size_bytes(),
            Content::Sessions(sessions) => sessions.open.iter().map(Session::size_bytes).sum::<usize>() + 8 * sessions.shown.len(),
        }
    }
}
