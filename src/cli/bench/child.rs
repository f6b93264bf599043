//! The measured process, and what the kernel says of it (Linux).

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::Instant;

use super::BenchOptions;
use super::null_bulk::NullBulk;

/// How often the child is looked at: what happens after the last look is not counted, so the error is below this.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A peer that has written nothing for so long has written everything.
const QUIET: Duration = Duration::from_secs(5);

/// What it fetches and compiles is on disk by then.
const FIRST_ANSWER: Duration = Duration::from_secs(120);

/// How long a child may take to end when it is told to.
const LAST_BREATH: Duration = Duration::from_secs(30);

/// A process of its own, with its children.
pub struct Child {
    process: tokio::process::Child,
    started: Instant,
    taken: Finished,
}

/// What it took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Finished {
    /// From start to end.
    pub seconds: f64,
    /// User and system time of all its threads.
    pub cpu_seconds: f64,
    /// Largest resident set.
    pub peak_memory_bytes: u64,
    /// The largest part of it that is no file's.
    pub peak_own_memory_bytes: u64,
}

impl Child {
    /// Starts this very binary on a configuration.
    pub fn start(config: &Path, until_caught_up: bool) -> Result<Self, String> {
        let binary = std::env::current_exe().map_err(|error| format!("this binary cannot be found: {error}"))?;
        let mut command = Command::new(binary);
        command.arg("run").arg(config).args(until_caught_up.then_some("--until-caught-up"));
        command.env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()));
        Self::spawn(command).map_err(|error| format!("rowmill run cannot be started: {error}"))
    }

    /// Starts another program, which is told where to read and where to write, and by its environment what the events are.
    pub fn start_peer(program: &Path, arguments: &[&str], options: &BenchOptions) -> Result<Self, String> {
        let mut command = Command::new(program);
        // What it says is not our result.
        command.args(arguments).stdout(std::io::stderr());
        let transform = options.module.as_deref().and_then(Path::file_stem).unwrap_or_default();
        command.env("ROWMILL_BENCH_SCHEMA", options.schema.to_string()).env("ROWMILL_BENCH_TRANSFORM", transform);
        Self::spawn(command).map_err(|error| format!("{} cannot be started: {error}", program.display()))
    }

    fn spawn(mut command: Command) -> std::io::Result<Self> {
        let started = Instant::now();
        let process = command.stdin(Stdio::null()).kill_on_drop(true).spawn()?;
        Ok(Self { process, started, taken: Finished::default() })
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// CPU time until now.
    pub fn cpu_seconds(&mut self) -> f64 {
        if let Some(id) = self.process.id() {
            look(id, &mut self.taken);
        }
        self.taken.cpu_seconds
    }

    /// Waits for its end, and gives what it took.
    pub async fn finish(mut self) -> Result<Finished, String> {
        loop {
            self.cpu_seconds();
            if let Ok(status) = tokio::time::timeout(LOOK_INTERVAL, self.process.wait()).await {
                self.taken.seconds = self.started.elapsed().as_secs_f64();
                return ended_well(status.map_err(|error| error.to_string())?).map(|()| self.taken);
            }
        }
    }

    /// Waits until it writes no more, ends it, and gives what it took until its last answer.
    pub async fn finish_when_quiet(mut self, sink: &NullBulk, documents: u64) -> Result<Finished, String> {
        let (mut requests, mut taken) = (0, self.taken);
        loop {
            self.cpu_seconds();
            if sink.requests() > requests {
                (requests, taken) = (sink.requests(), self.taken);
            }
            if let Ok(status) = tokio::time::timeout(LOOK_INTERVAL, self.process.wait()).await {
                return Err(format!("the peer ended by itself ({})", status.map_err(|error| error.to_string())?));
            }
            let Some((_, last)) = sink.answers() else {
                if self.started.elapsed() > FIRST_ANSWER {
                    return Err(format!("the peer wrote nothing within {FIRST_ANSWER:?}"));
                }
                continue;
            };
            // A pause before everything is there may be a collection of garbage.
            if sink.documents() >= documents && last.elapsed() > QUIET / 5 || last.elapsed() > QUIET {
                taken.seconds = last.duration_since(self.started).as_secs_f64();
                taken.peak_memory_bytes = self.taken.peak_memory_bytes;
                taken.peak_own_memory_bytes = self.taken.peak_own_memory_bytes;
                self.end().await?;
                return Ok(taken);
            }
        }
    }

    /// Tells it to drain, and waits for its end.
    pub async fn stop(self) -> Result<(), String> {
        ended_well(self.end().await?)
    }

    async fn end(mut self) -> Result<ExitStatus, String> {
        if let Some(id) = self.process.id() {
            let killed = Command::new("kill").arg("-TERM").arg(id.to_string()).status().await;
            killed.map_err(|error| format!("the child cannot be told to end: {error}"))?;
        }
        let ended = tokio::time::timeout(LAST_BREATH, self.process.wait()).await;
        ended.map_err(|_| format!("the child did not end within {LAST_BREATH:?}"))?.map_err(|error| error.to_string())
    }
}

fn ended_well(status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(format!("the measured process failed ({status}); its words are above")) }
}

/// Reads of a process and its children `/proc/ID/stat` (fields 14 to 17: CPU time in hundredths of a second, its own and that of
/// children that have ended) and `/proc/ID/status`.
fn look(id: u32, taken: &mut Finished) {
    const TICKS_PER_SECOND: f64 = 100.0;
    let (mut ticks, mut peak, mut own) = (0, 0, 0);
    let mut family = vec![id];
    while let Some(id) = family.pop() {
        if let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat"))
            && let Some((_, fields)) = stat.rsplit_once(") ")
        {
            ticks += fields.split(' ').skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
        }
        if let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/status")) {
            peak += kib(&status, "VmHWM:") << 10;
            own += kib(&status, "RssAnon:") << 10;
        }
        // Children are noted under the thread that started them, the first as a rule.
        if let Ok(children) = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")) {
            family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    taken.cpu_seconds = taken.cpu_seconds.max(ticks as f64 / TICKS_PER_SECOND);
    taken.peak_memory_bytes = taken.peak_memory_bytes.max(peak);
    taken.peak_own_memory_bytes = taken.peak_own_memory_bytes.max(own);
}

fn kib(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
