//! What the tests from outside share: the command as a process, files, and waiting for something to become true.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary under test.
pub fn rowmill() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rowmill"));
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A module built by `make -C transforms`.
pub fn module(name: &str) -> String {
    let path = repository(&format!("transforms/target/modules/{name}.wasm"));
    assert!(path.exists(), "{} is not there: run `make -C transforms`", path.display());
    path.display().to_string()
}

/// A port for a server that must be told one. It is not of those that the system gives to whoever asks for any: with hundreds of clients at
/// work one of them would have it before the server is up.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let tries = std::iter::repeat_with(|| {
        let number = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        10_000 + (number % 8_000) as u16
    });
    tries.take(8_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// Runs a command to its end; its output is shown when it fails a later check.
pub fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    eprintln!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    output
}

/// Runs a command that must succeed, and gives its stdout.
pub fn succeed(command: &mut Command) -> String {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until `look` gives something; fails with `what` when that takes too long.
#[expect(clippy::disallowed_methods, reason = "other processes live in real time")]
pub fn wait_for<T>(what: &str, longest: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + longest;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < until, "waited {longest:?} for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "other processes live in real time")]
pub fn now_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Lets time pass: how long a fault lasts, never a wait for something.
#[expect(clippy::disallowed_methods, reason = "other processes live in real time")]
pub fn pass(time: Duration) {
    std::thread::sleep(time);
}

/// Now, to tell how long something took.
#[expect(clippy::disallowed_methods, reason = "other processes live in real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// A running `rowmill`, killed when dropped.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    /// Starts it and collects its stderr.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("  rowmill: {line}");
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line of its log that holds `part`.
    pub fn wait_for_line(&mut self, part: &str) -> String {
        wait_for(&format!("a line with {part:?}"), Duration::from_secs(60), || {
            self.seen.extend(self.lines.try_iter());
            self.seen.iter().find(|line| line.contains(part)).cloned()
        })
    }

    /// Whether its log holds `part` by now.
    pub fn has_said(&mut self, part: &str) -> bool {
        self.seen.extend(self.lines.try_iter());
        self.seen.iter().any(|line| line.contains(part))
    }

    /// How many lines of its log hold `part` by now.
    pub fn count(&mut self, part: &str) -> usize {
        self.seen.extend(self.lines.try_iter());
        self.seen.iter().filter(|line| line.contains(part)).count()
    }

    /// Its log by now.
    pub fn log(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.join("\n")
    }

    /// Where its HTTP side listens.
    pub fn url(&mut self) -> String {
        let line = self.wait_for_line("listening on http://");
        let (_, address) = line.split_once("listening on ").unwrap();
        address.split_whitespace().next().unwrap().to_owned()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM and waits for its end.
    pub fn terminate(mut self) -> ExitStatus {
        signal(self.child.id(), "-TERM");
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process of ours.
pub fn signal(process: u32, signal: &str) {
    succeed(Command::new("kill").arg(signal).arg(process.to_string()));
}

/// An HTTP request by curl: status and body.
pub fn http(method: &str, url: &str, body: Option<&str>) -> (u16, String) {
    let mut command = Command::new("curl");
    command.args(["-s", "--max-time", "30", "-X", method, "-w", "\n%{http_code}", url]);
    if let Some(body) = body {
        command.args(["-H", "Content-Type: application/json", "--data-binary", body]);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
    (status.parse().unwrap_or(0), body.to_owned())
}

/// The same with a body of bytes.
pub fn http_bytes(method: &str, url: &str, body: &[u8]) -> (u16, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), body).unwrap();
    http(method, url, Some(&format!("@{}", file.path().display())))
}

/// A GET that must answer with JSON.
pub fn get_json(url: &str) -> Value {
    let (status, body) = http("GET", url, None);
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{url}: {status} {error}: {body}"))
}

/// The lines of a JSON-lines file.
pub fn json_lines(path: &Path) -> Vec<Value> {
    let mut text = String::new();
    if let Ok(mut file) = std::fs::File::open(path) {
        file.read_to_string(&mut text).unwrap();
    }
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}
