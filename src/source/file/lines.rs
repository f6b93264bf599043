//! From the bytes of a file to lines, none of them larger than a message may be.

use bytes::Bytes;

use crate::limits::{DEAD_LETTER_SHOWN_BYTES_MAX, MESSAGE_BYTES_MAX};

/// One line, without its line break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Number of the line, from 0.
    pub(super) number: u64,
    /// The byte after the line and its break.
    pub(super) end: u64,
    /// The line. Of one that is longer than a message may be, only as much as a list of dead letters shows.
    pub(super) text: Bytes,
}

impl Line {
    /// Whether there is nothing on it.
    pub(super) fn is_blank(&self) -> bool {
        self.text.iter().all(u8::is_ascii_whitespace)
    }
}

/// Cuts what is read, in pieces of any size, into lines.
#[derive(Debug)]
pub(super) struct Splitter {
    /// Number of the line that is being read.
    number: u64,
    /// The byte up to which everything was taken in.
    read: u64,
    /// What has been read of the line so far.
    pending: Vec<u8>,
    /// The line is longer than a message may be: the rest of it is passed over.
    is_too_long: bool,
    bytes_max: usize,
}

impl Splitter {
    /// Begins at the line of that number, which starts at byte `start`.
    pub(super) fn new(number: u64, start: u64) -> Self {
        Self::bounded(number, start, MESSAGE_BYTES_MAX)
    }

    /// As [`Splitter::new`], with a bound of the caller's for one line.
    pub(super) fn bounded(number: u64, start: u64, bytes_max: usize) -> Self {
        Self { number, read: start, pending: Vec::new(), is_too_long: false, bytes_max }
    }

    /// The byte up to which everything was taken in.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Takes in the next piece; gives the lines that it completes.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.read += part.len() as u64;
            match part.strip_suffix(b"\n") {
                Some(text) => {
                    self.keep(text);
                    lines.push(self.cut());
                }
                None => self.keep(part),
            }
        }
        lines
    }

    /// The last line of a file that ends without a line break.
    pub(super) fn finish(&mut self) -> Option<Line> {
        let is_empty = self.pending.is_empty() && !self.is_too_long;
        if is_empty { None } else { Some(self.cut()) }
    }

    fn keep(&mut self, text: &[u8]) {
        if self.is_too_long {
            return;
        }
        if self.pending.len() + text.len() > self.bytes_max {
            let missing = DEAD_LETTER_SHOWN_BYTES_MAX.saturating_sub(self.pending.len()).min(text.len());
            self.pending.extend(text.iter().take(missing));
            self.pending.truncate(DEAD_LETTER_SHOWN_BYTES_MAX);
            self.pending.shrink_to_fit();
            self.is_too_long = true;
        } else {
            self.pending.extend_from_slice(text);
        }
    }

    fn cut(&mut self) -> Line {
        let text = self.pending.strip_suffix(b"\r").unwrap_or(&self.pending);
        let line = Line { number: self.number, end: self.read, text: Bytes::copy_from_slice(text) };
        self.number += 1;
        self.pending.clear();
        self.is_too_long = false;
        line
    }
}
