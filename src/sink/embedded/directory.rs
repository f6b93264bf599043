//! The disk below tantivy: nothing is named by a commit before it is durable.

use std::collections::HashSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tantivy::directory::error::{DeleteError, LockError, OpenDirectoryError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, Directory, DirectoryLock, FileHandle, Lock, MmapDirectory, TerminatingWrite, WatchCallback, WatchHandle, WritePtr,
};

/// The file that says which segments are committed.
const META: &str = "meta.json";
/// The file that lists all files of the index.
const MANAGED: &str = ".managed.json";
/// Files made durable at a time: enough to share one commit of the file system's journal.
const SYNCS_AT_A_TIME: usize = 8;
/// Letters of a segment's name.
const SEGMENT_NAME_LETTERS: usize = 32;

/// A folder whose files are made durable together, when a commit is about to name them.
///
/// Tantivy's own folder waits for the disk some twenty times in a commit (for each file, and for the list of files before
/// each of them), yet not after the last step, the renaming of `meta.json`: a commit could be lost with the power after
/// it was answered. This one waits for all files at once, and after that step too.
#[derive(Clone)]
pub struct CommitDirectory {
    files: MmapDirectory,
    dir: PathBuf,
    pending: Arc<Mutex<Pending>>,
}

/// What has been written and may not be on the disk.
#[derive(Default)]
struct Pending {
    files: Vec<File>,
    managed: Option<Vec<u8>>,
    /// The disk has failed us: what it has of these files is not known, and no commit may name them.
    is_broken: bool,
}

impl CommitDirectory {
    /// The folder `dir`, which exists.
    pub fn open(dir: &Path) -> Result<Self, OpenDirectoryError> {
        Ok(Self { files: MmapDirectory::open(dir)?, dir: dir.to_owned(), pending: Arc::default() })
    }

    fn commit(&self, meta: &[u8]) -> io::Result<()> {
        let (files, managed) = {
            let mut pending = lock(&self.pending);
            if pending.is_broken {
                return Err(io::Error::other("an earlier commit has failed"));
            }
            // Until all is done. A merge may end meanwhile, and must not commit what this one could not.
            pending.is_broken = true;
            (std::mem::take(&mut pending.files), pending.managed.take())
        };
        sync(&files)?;
        if let Some(managed) = managed {
            self.files.atomic_write(Path::new(MANAGED), &managed)?;
        }
        self.files.sync_directory()?;
        self.files.atomic_write(Path::new(META), meta)?;
        self.files.sync_directory()?;
        lock(&self.pending).is_broken = false;
        Ok(())
    }
}

/// Removes what a killed process has left: segments that no list names, because the list is written with the commit. The
/// caller holds the lock on the index. What cannot be removed only takes room.
pub fn remove_orphans(dir: &Path, managed: &HashSet<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let segment = name.split_once('.').map_or("", |(segment, _)| segment);
        let is_segment = segment.len() == SEGMENT_NAME_LETTERS && segment.bytes().all(|byte| byte.is_ascii_hexdigit());
        if (is_segment && !managed.contains(Path::new(&*name))) || name.starts_with(".tmp") {
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

impl Directory for CommitDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.files.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.files.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.files.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let file = OpenOptions::new().write(true).create_new(true).open(self.dir.join(path)).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => OpenWriteError::FileAlreadyExists(path.to_owned()),
            _ => OpenWriteError::wrap_io_error(error, path.to_owned()),
        })?;
        Ok(BufWriter::new(Box::new(PendingFile { file: Some(file), pending: self.pending.clone() })))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        match lock(&self.pending).managed.clone() {
            Some(managed) if path == Path::new(MANAGED) => Ok(managed),
            _ => self.files.atomic_read(path),
        }
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        if path == Path::new(MANAGED) {
            lock(&self.pending).managed = Some(data.to_vec());
            return Ok(());
        }
        if path == Path::new(META) { self.commit(data) } else { self.files.atomic_write(path, data) }
    }

    /// Done with the commit, where it matters.
    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.files.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.files.watch(callback)
    }
}

impl fmt::Debug for CommitDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CommitDirectory").field(&self.dir).finish()
    }
}

/// A file being written, which joins the pending ones when it is complete.
struct PendingFile {
    file: Option<File>,
    pending: Arc<Mutex<Pending>>,
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().map_or(Err(io::ErrorKind::BrokenPipe.into()), |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TerminatingWrite for PendingFile {
    fn terminate_ref(&mut self, _: AntiCallToken) -> io::Result<()> {
        lock(&self.pending).files.extend(self.file.take());
        Ok(())
    }
}

fn sync(files: &[File]) -> io::Result<()> {
    for some in files.chunks(SYNCS_AT_A_TIME) {
        std::thread::scope(|scope| {
            let syncs: Vec<_> = some.iter().map(|file| scope.spawn(|| file.sync_data())).collect();
            syncs.into_iter().try_for_each(|sync| sync.join().unwrap_or_else(|_| Err(io::Error::other("a thread has stopped"))))
        })?;
    }
    Ok(())
}

fn lock(pending: &Mutex<Pending>) -> MutexGuard<'_, Pending> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}
