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

use crate::event::Message;
use crate::source::file::format::Reading;
use crate::source::file::lines::Splitter;
use crate::source::file::settings::LineFormat;

/// The messages of a whole recording with the lines they stand on, from 1. What a line is shows in the first one.
pub fn recorded(text: &[u8]) -> Vec<(u64, Message)> {
    let mut splitter = Splitter::new(0, 0);
    let mut lines = splitter.feed(text);
    lines.extend(splitter.finish());
    lines.retain(|line| !line.is_blank());
    let is_kcat = lines.first().is_some_and(|line| format::is_kcat(&line.text));
    let format = if is_kcat { LineFormat::Kcat } else { LineFormat::Debezium };
    let mut reading = Reading::new(format, "recorded".into(), "recorded".into());
    lines.iter().map(|line| (line.number + 1, reading.message(line))).collect()
}
