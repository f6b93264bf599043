//! The modules of one pipeline on disk: which serves, and which served before.
//!
//! So a module that was uploaded is served again after a restart, until the configured file changes; and rolling back needs no build.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::limits;

const LEDGER: &str = "modules.json";

/// A folder of modules with a list of those that served.
#[derive(Clone, Debug)]
pub struct Shelf {
    dir: PathBuf,
}

/// A module that served, or serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedModule {
    /// SHA-256 of its bytes, in hexadecimal.
    pub hash: String,
    /// `file`, `upload` or `rollback`.
    pub from: String,
    /// When it began to serve, in milliseconds since 1970.
    pub since_ms: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Ledger {
    /// Hash of the configured file when something was last decided: a file that has changed since is the newest word.
    configured: Option<String>,
    /// The newest last.
    served: Vec<ServedModule>,
}

impl Shelf {
    /// The shelf in this folder, which need not be there yet.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The module that is to serve, where it is not the configured file, whose hash is `configured`.
    pub fn instead_of(&self, configured: &str) -> Result<Option<Vec<u8>>, Failure> {
        let ledger = self.ledger()?;
        match ledger.served.last() {
            Some(last) if ledger.configured.as_deref() == Some(configured) && last.hash != configured => self.bytes(&last.hash),
            _ => Ok(None),
        }
    }

    /// Hash of the configured file when something was last decided.
    pub fn configured(&self) -> Result<Option<String>, Failure> {
        Ok(self.ledger()?.configured)
    }

    /// Notes that a module serves from now on; one that serves already changes nothing.
    pub fn serves(&self, module: ServedModule, bytes: &[u8], configured: &str) -> Result<(), Failure> {
        let mut ledger = self.ledger()?;
        ledger.configured = Some(configured.to_owned());
        self.write(&format!("{}.wasm", module.hash), bytes)?;
        if ledger.served.last().is_none_or(|last| last.hash != module.hash) {
            ledger.served.push(module);
        }
        let beyond = ledger.served.len().saturating_sub(limits::MODULES_KEPT);
        let gone: Vec<ServedModule> = ledger.served.drain(..beyond).collect();
        let text =
            serde_json::to_vec_pretty(&ledger).map_err(|error| Failure::bug(format!("the list of modules cannot be written: {error}")))?;
        self.write(LEDGER, &text)?;
        for module in gone.iter().filter(|module| ledger.served.iter().all(|kept| kept.hash != module.hash)) {
            // What stays behind is only room.
            let _ = fs::remove_file(self.dir.join(format!("{}.wasm", module.hash)));
        }
        Ok(())
    }

    /// Those that served, the newest first.
    pub fn served(&self) -> Result<Vec<ServedModule>, Failure> {
        let mut served = self.ledger()?.served;
        served.reverse();
        Ok(served)
    }

    /// The newest module that is not the one with this hash.
    pub fn before(&self, hash: &str) -> Result<Option<Vec<u8>>, Failure> {
        // Not the one that was rolled back from: rolling back twice goes two steps.
        let served = self.served()?;
        let place = served.iter().rposition(|module| module.hash == hash).map_or(0, |place| place + 1);
        served.get(place).map_or(Ok(None), |module| self.bytes(&module.hash))
    }

    /// The module with this hash; none where it is not kept any more.
    pub fn bytes(&self, hash: &str) -> Result<Option<Vec<u8>>, Failure> {
        let path = self.dir.join(format!("{hash}.wasm"));
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unavailable(&path, &error)),
        }
    }

    fn ledger(&self) -> Result<Ledger, Failure> {
        let path = self.dir.join(LEDGER);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Ledger::default()),
            Err(error) => return Err(unavailable(&path, &error)),
        };
        serde_json::from_slice(&text)
            .map_err(|error| Failure::corrupt(format!("the list of modules {} is damaged ({error}): remove it", path.display())))
    }

    /// Whole or not at all.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let (path, draft) = (self.dir.join(name), self.dir.join(format!("{name}.new")));
        let written = fs::create_dir_all(&self.dir).and_then(|()| fs::write(&draft, bytes)).and_then(|()| fs::rename(&draft, &path));
        written.map_err(|error| unavailable(&path, &error))
    }
}

fn unavailable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::unavailable(format!("{} cannot be read or written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{ServedModule, Shelf};
    use crate::limits::MODULES_KEPT;

    fn module(hash: &str) -> ServedModule {
        ServedModule { hash: hash.to_owned(), from: "upload".to_owned(), since_ms: 1 }
    }

    #[test]
    fn what_served_last_serves_again_until_the_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(dir.path().join("p"));
        assert_eq!(shelf.instead_of("file"), Ok(None));
        shelf.serves(module("file"), b"file", "file").unwrap();
        assert_eq!(shelf.instead_of("file"), Ok(None), "the file itself");
        shelf.serves(module("upload"), b"upload", "file").unwrap();
        assert_eq!(shelf.instead_of("file"), Ok(Some(b"upload".to_vec())));
        assert_eq!(shelf.instead_of("file 2"), Ok(None), "the file is newer");
    }

    #[test]
    fn each_step_back_is_one_further_and_only_so_many_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(dir.path().to_owned());
        let hashes: Vec<String> = (0..MODULES_KEPT + 2).map(|number| format!("m{number}")).collect();
        for hash in &hashes {
            shelf.serves(module(hash), hash.as_bytes(), "m0").unwrap();
        }
        let served: Vec<String> = shelf.served().unwrap().into_iter().map(|module| module.hash).collect();
        assert_eq!(served, hashes.iter().rev().take(MODULES_KEPT).cloned().collect::<Vec<_>>());
        let (last, second, third) = (&hashes[hashes.len() - 1], &hashes[hashes.len() - 2], &hashes[hashes.len() - 3]);
        assert_eq!(shelf.before(last), Ok(Some(second.clone().into_bytes())));
        shelf.serves(module(second), second.as_bytes(), "m0").unwrap();
        assert_eq!(shelf.before(second), Ok(Some(third.clone().into_bytes())), "not back to what was left");
        let oldest = shelf.served().unwrap().pop().unwrap();
        assert_eq!(shelf.before(&oldest.hash), Ok(None));
    }
}
