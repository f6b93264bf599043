//! Looks at a file that may grow, be replaced or be cut short.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::limits::FILE_READ_BYTES;
use crate::source::file::lines::{Line, Splitter};

/// A file being read, by blocking calls.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    follow: bool,
    /// Where to begin.
    start: u64,
    open: Option<(File, Splitter)>,
}

/// What one look at the file gave.
#[derive(Debug)]
pub(super) enum Step {
    /// These lines; none where a piece completes no line.
    Lines(Vec<Line>),
    /// A followed file was replaced or truncated: these are the last lines of the old one, the new one is read from its start.
    Anew(Option<Line>),
    /// Nothing new in a followed file.
    Idle,
    /// The end of a file that is not followed.
    End(Option<Line>),
}

impl Tail {
    /// Will read from byte `start`, which is where a line ended.
    pub(super) fn new(path: PathBuf, follow: bool, start: u64) -> Self {
        Self { path, follow, start, open: None }
    }

    /// Reads a piece.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        let (file, splitter) = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(open(&self.path, self.start, self.follow)?),
        };
        let mut piece = Vec::new();
        let taken = Read::by_ref(file).take(FILE_READ_BYTES as u64).read_to_end(&mut piece)?;
        if taken > 0 {
            return Ok(Step::Lines(splitter.feed(&piece)));
        }
        if !self.follow {
            return Ok(Step::End(splitter.finish()));
        }
        if !is_replaced(&self.path, &file.metadata()?, splitter.read())? {
            return Ok(Step::Idle);
        }
        let last = splitter.finish();
        (self.open, self.start) = (None, 0);
        Ok(Step::Anew(last))
    }
}

/// Where a file ends: its length; in a followed one, where its last whole line ends.
pub(super) fn end(path: &Path, follow: bool) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut end = file.metadata()?.len();
    if !follow {
        return Ok(end);
    }
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(FILE_READ_BYTES as u64);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        Read::by_ref(&mut file).take(end - start).read_to_end(&mut block)?;
        if let Some(place) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn open(path: &Path, position: u64, follow: bool) -> io::Result<(File, Splitter)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if position > length {
        tracing::warn!(path = %path.display(), position, length, "the file is shorter than what was read of it: it is read from its start");
        return Ok((file, Splitter::new(0, 0)));
    }
    let (number, start) = line_at(&mut file, position, follow)?;
    file.seek(SeekFrom::Start(start))?;
    Ok((file, Splitter::new(number, start)))
}

/// The line to go on with at `position`: its number and where it starts.
///
/// A position is the end of a line, and mostly behind its line break. It is not where the file ended without one: when
/// more has been written there since, that line was torn, and is read again as a whole.
fn line_at(file: &mut File, position: u64, follow: bool) -> io::Result<(u64, u64)> {
    let (mut number, mut start, mut at) = (0, 0, 0);
    let mut block = Vec::new();
    while at < position {
        block.clear();
        let wanted = (position - at).min(FILE_READ_BYTES as u64);
        let taken = Read::by_ref(file).take(wanted).read_to_end(&mut block)? as u64;
        if taken == 0 {
            break;
        }
        for (place, _) in block.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            number += 1;
            start = at + place as u64 + 1;
        }
        at += taken;
    }
    if start == position {
        return Ok((number, start));
    }
    let mut next = [0];
    match file.read(&mut next)? {
        0 if !follow => Ok((number + 1, position)),
        1 if next == *b"\n" => Ok((number + 1, position + 1)),
        _ => Ok((number, start)),
    }
}

/// Whether the path now names another file than the one that is open, or the same but shorter.
fn is_replaced(path: &Path, open: &Metadata, read: u64) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) != (open.dev(), open.ino()) || named.len() < read),
        // Between the two halves of a rotation: the old file may still be written to.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
