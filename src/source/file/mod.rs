//! Events from a file, one on each line.
//!
//! - Enters: the lines of one file, which may still be written to.
//! - Leaves: [`crate::event::Message`]s of one lane, the file's path; a position is the byte after a line.
//! - Keeps true: every line that is not blank becomes a message; one that is not what the format says is handed on whole,
//!   so that decoding makes a dead letter of it.
//! - Never: a line of a followed file taken before its line break is there; more of a line in memory than a message may hold.

mod format;
mod lines;
pub mod settings;
mod source;
mod tail;
#[cfg(test)]
mod tests;
