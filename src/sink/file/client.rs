//! Where the lines go: a file, whose torn last line is mended, or standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::sink::file::verdict::FileError;

/// How our lines begin: only a torn line that is ours is taken away.
const LINE_START: &[u8] = b"{\"action\":\"";
/// How much of the end of a file is read at a time to find its last line break.
const TAIL_STEP_BYTES: u64 = 64 << 10;

/// One place that takes whole lines, and takes them again after an error.
pub enum Lines {
    /// Standard output.
    Stdout,
    /// A file, opened when it is first needed.
    File {
        /// Where it is.
        path: PathBuf,
        /// None: not yet opened, or to be opened again after an error.
        tail: Option<Tail<File>>,
    },
}

impl Lines {
    /// Standard output.
    pub fn stdout() -> Self {
        Self::Stdout
    }

    /// The file at `path`, made when it is not there.
    pub fn file(path: PathBuf) -> Self {
        Self::File { path, tail: None }
    }

    /// Opens the file and mends what a crash has left of a last line.
    pub fn open(&mut self) -> Result<(), FileError> {
        match self {
            Self::File { path, tail } if tail.is_none() => {
                *tail = Some(open(path).map_err(|error| FileError::of(path, &error))?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Appends whole lines, and returns when they are on the disk.
    pub fn append(&mut self, text: &[u8]) -> Result<(), FileError> {
        self.open()?;
        match self {
            Self::Stdout => print(text).map_err(|error| FileError::Stdout(error.to_string())),
            Self::File { path, tail: Some(tail) } => tail.append(text).map_err(|error| FileError::of(path, &error)),
            Self::File { tail: None, .. } => Ok(()),
        }
    }
}

/// What [`Tail`] needs of a file; a test supplies one that fails.
pub trait Storage: Write {
    /// Waits until everything is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file off.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Storage for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// The end of a file, where lines are appended.
pub struct Tail<S> {
    storage: S,
    /// Up to here all lines are whole; none for what is no regular file (a pipe), which can neither be cut nor synced.
    good_length: Option<u64>,
    /// A write has failed: what stands after the good length must go before the next one.
    torn: bool,
}

impl<S: Storage> Tail<S> {
    /// The end of a file whose lines are whole up to `good_length`.
    pub fn new(storage: S, good_length: Option<u64>) -> Self {
        Self { storage, good_length, torn: false }
    }

    /// Appends all of `text` or, for who reads later, nothing.
    pub fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let Some(good_length) = self.good_length else {
            self.storage.write_all(text)?;
            return self.storage.flush();
        };
        if self.torn {
            self.storage.cut(good_length)?;
            self.torn = false;
        }
        if let Err(error) = self.storage.write_all(text).and_then(|()| self.storage.sync()) {
            // The cut is tried at once, so that nobody reads half a line while we wait; should it fail too, the next
            // append begins with it.
            self.torn = self.storage.cut(good_length).is_err();
            return Err(error);
        }
        self.good_length = Some(good_length + text.len() as u64);
        Ok(())
    }

    /// The file below.
    #[cfg(test)]
    pub fn storage(&mut self) -> &mut S {
        &mut self.storage
    }
}

fn open(path: &Path) -> io::Result<Tail<File>> {
    let is_new = !path.exists();
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(Tail::new(file, None));
    }
    if is_new {
        // The name itself must outlive a power cut.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
    }
    let length = mend(&mut file)?;
    Ok(Tail::new(file, Some(length)))
}

/// Takes away a last line of ours without its end (nobody was told that it is there); ends one that is not ours. Gives
/// the length.
fn mend(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let start = last_line_start(file, length)?;
    if start == length {
        return Ok(length);
    }
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(LINE_START.len() as u64).read_to_end(&mut head)?;
    if LINE_START.starts_with(&head) {
        file.set_len(start)?;
        file.sync_data()?;
        return Ok(start);
    }
    file.write_all(b"\n")?;
    file.sync_data()?;
    Ok(length + 1)
}

/// Where the last line without a line break starts; the length when the last line has its break.
fn last_line_start(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(TAIL_STEP_BYTES);
        let mut part = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.take(end - start).read_to_end(&mut part)?;
        if let Some(place) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn print(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text)?;
    stdout.flush()
}
