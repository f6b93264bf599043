//! Why lines could not be written, by what must be done about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::Failure;
use crate::sink::WriteError;

/// Lines that may not be on the disk.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The disk is full, or broken, or away.
    #[error("cannot write to {}: {reason}", .path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// There can be no such file, whenever it is tried.
    #[error("cannot write to {}: {reason}; change the sink's path, or make the folder writable", .path.display())]
    Path {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Standard output cannot be written; who was to read it has gone.
    #[error("cannot write to standard output: {0}; start again with a reader, or give the sink a path")]
    Stdout(String),
    /// The thread that wrote was stopped.
    #[error("the write was stopped: {0}")]
    Stopped(String),
}

impl FileError {
    /// Sorts what the system said by whether waiting may help.
    pub fn of(path: &Path, error: &io::Error) -> Self {
        use io::ErrorKind::{InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
        let (path, reason) = (path.to_owned(), error.to_string());
        match error.kind() {
            NotFound | PermissionDenied | IsADirectory | NotADirectory | ReadOnlyFilesystem | InvalidInput => Self::Path { path, reason },
            _ => Self::Disk { path, reason },
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let message = error.to_string();
        match error {
            FileError::Disk { .. } | FileError::Stopped(_) => Failure::unavailable(message),
            FileError::Path { .. } | FileError::Stdout(_) => Failure::misconfigured(message),
        }
    }
}

impl From<FileError> for WriteError {
    fn from(error: FileError) -> Self {
        let message = error.to_string();
        match error {
            FileError::Disk { .. } => WriteError::Unavailable { reason: "disk", message, after: None },
            FileError::Stopped(_) => WriteError::Unavailable { reason: "stopped", message, after: None },
            FileError::Path { .. } | FileError::Stdout(_) => WriteError::Misconfigured { remedy: message },
        }
    }
}
