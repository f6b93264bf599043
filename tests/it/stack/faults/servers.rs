//! A set of servers of one's own, which may be killed without spoiling another test.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread::JoinHandle;

use crate::support::{repository, signal, succeed};

/// Servers that go, with all they hold, when this is dropped.
pub struct Servers {
    dir: tempfile::TempDir,
    environment: Vec<(String, String)>,
    urls: BTreeMap<String, String>,
}

impl Servers {
    /// Brings them up; `environment` is for the script.
    pub fn up(names: &[&str], environment: &[(&str, String)]) -> Self {
        // Below the folder of `tests/stack/with-servers`, which takes down what a killed test leaves there.
        let below = std::env::var_os("ROWMILL_STACK_RUN").map_or_else(std::env::temp_dir, PathBuf::from);
        let dir = tempfile::Builder::new().prefix("private-").tempdir_in(below).unwrap();
        // The servers drop to another user, who must be able to reach their folders.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let ports =
            ["KAFKA", "KAFKA_CONTROLLER", "KAFKA_PROXIED", "OPENSEARCH_2"].map(|name| (format!("STACK_PORT_{name}"), "0".to_owned()));
        let told = environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let mut servers = Self { dir, environment: ports.into_iter().chain(told).collect(), urls: BTreeMap::new() };
        let lines = succeed(servers.script().arg("up").args(names));
        servers.urls = lines.lines().filter_map(|line| line.split_once(' ')).map(|(name, url)| (name.to_owned(), url.to_owned())).collect();
        servers
    }

    /// Where a server is.
    pub fn url(&self, name: &str) -> &str {
        &self.urls[name]
    }

    /// A file of the run folder.
    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(file)).unwrap()
    }

    /// Sends a signal to a server: `-KILL`, `-STOP`, `-CONT`.
    pub fn signal(&self, name: &str, what: &str) {
        signal(self.read(&format!("{name}/pid")).trim().parse().unwrap(), what);
    }

    /// Starts a server again that was killed: where it was, with what it had. The thread ends when it is ready.
    pub fn revive(&self, name: &str) -> JoinHandle<()> {
        let mut command = self.script();
        command.arg("up").arg(name);
        std::thread::spawn(move || {
            succeed(&mut command);
        })
    }

    fn script(&self) -> Command {
        let mut command = Command::new(repository("tests/stack/stack"));
        command.env("ROWMILL_STACK_RUN", self.dir.path()).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for name in self.urls.keys() {
            // One that is stopped could not end.
            let pid = std::fs::read_to_string(self.dir.path().join(name).join("pid")).unwrap_or_default();
            let _ = Command::new("kill").args(["-CONT", pid.trim()]).output();
        }
        let _ = self.script().arg("wipe").output();
    }
}
