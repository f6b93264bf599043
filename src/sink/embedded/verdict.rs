//! What went wrong with an index, by what must be done about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::TantivyError;
use tantivy::directory::error::{LockError, OpenDirectoryError, OpenReadError, OpenWriteError};

use crate::error::Failure;
use crate::sink::WriteError;

/// An index that cannot be opened, read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IndexError {
    /// Another process writes there.
    #[error("the index in {} is in use by another process: stop it, or give this pipeline another dir", .dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder cannot be made, read or written, whenever it is tried.
    #[error("the index in {} cannot be used: {reason}; make the folder readable and writable, or set another dir", .dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// What is stored cannot be trusted.
    #[error(
        "the index in {} cannot be read: {reason}; remove that folder and the state of the pipeline, and it is built again from the source",
        .dir.display()
    )]
    Corrupt {
        /// The folder.
        dir: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk is full, or broken, or away.
    #[error("the index in {} cannot be written: {reason}", .dir.display())]
    Disk {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The thread at work was stopped.
    #[error("the work on the index was stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

impl IndexError {
    /// Sorts what tantivy says by what can be done about it.
    pub fn of(dir: &Path, error: &TantivyError) -> Self {
        let (dir, reason) = (dir.to_owned(), error.to_string());
        match error {
            TantivyError::LockFailure(LockError::LockBusy, _) => Self::InUse { dir },
            TantivyError::DataCorruption(_)
            | TantivyError::IncompatibleIndex(_)
            | TantivyError::SchemaError(_)
            | TantivyError::DeserializeError(_)
            | TantivyError::FieldNotFound(_)
            | TantivyError::OpenReadError(OpenReadError::FileDoesNotExist(_) | OpenReadError::IncompatibleIndex(_)) => {
                Self::Corrupt { dir, reason }
            }
            _ => match io_error(error) {
                Some(error) => Self::of_io(&dir, error),
                None => Self::Disk { dir, reason },
            },
        }
    }

    /// Sorts what the system says.
    pub fn of_io(dir: &Path, error: &io::Error) -> Self {
        use io::ErrorKind::{AlreadyExists, InvalidData, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem, UnexpectedEof};
        let (dir, reason) = (dir.to_owned(), error.to_string());
        match error.kind() {
            PermissionDenied | ReadOnlyFilesystem | NotADirectory | AlreadyExists => Self::Folder { dir, reason },
            InvalidData | UnexpectedEof | NotFound => Self::Corrupt { dir, reason },
            _ => Self::Disk { dir, reason },
        }
    }
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        let message = error.to_string();
        match error {
            IndexError::InUse { .. } | IndexError::Folder { .. } => Failure::misconfigured(message),
            IndexError::Corrupt { .. } => Failure::corrupt(message),
            IndexError::Disk { .. } | IndexError::Stopped { .. } => Failure::unavailable(message),
        }
    }
}

impl From<IndexError> for WriteError {
    fn from(error: IndexError) -> Self {
        let message = error.to_string();
        match error {
            IndexError::Disk { .. } => WriteError::Unavailable { reason: "disk", message, after: None },
            IndexError::Stopped { .. } => WriteError::Unavailable { reason: "stopped", message, after: None },
            IndexError::InUse { .. } | IndexError::Folder { .. } | IndexError::Corrupt { .. } => {
                WriteError::Misconfigured { remedy: message }
            }
        }
    }
}

fn io_error(error: &TantivyError) -> Option<&Arc<io::Error>> {
    match error {
        TantivyError::IoError(error)
        | TantivyError::LockFailure(LockError::IoError(error), _)
        | TantivyError::OpenReadError(OpenReadError::IoError { io_error: error, .. })
        | TantivyError::OpenWriteError(OpenWriteError::IoError { io_error: error, .. })
        | TantivyError::OpenDirectoryError(OpenDirectoryError::IoError { io_error: error, .. }) => Some(error),
        _ => None,
    }
}
