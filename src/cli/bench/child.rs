//! The measured process, and what the kernel says of it (Linux).

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::Instant;

/// How often the child is looked at: what happens after the last look is not counted, so the error is below this.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A `rowmill run` of its own.
pub struct Child {
    process: tokio::process::Child,
    started: Instant,
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
}

impl Child {
    /// Starts this very binary on a configuration.
    pub fn start(config: &Path, until_caught_up: bool) -> Result<Self, String> {
        let binary = std::env::current_exe().map_err(|error| format!("this binary cannot be found: {error}"))?;
        let mut command = Command::new(binary);
        command.arg("run").arg(config).args(until_caught_up.then_some("--until-caught-up"));
        command.env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()));
        command.stdin(Stdio::null()).kill_on_drop(true);
        let process = command.spawn().map_err(|error| format!("rowmill run cannot be started: {error}"))?;
        Ok(Self { process, started: Instant::now() })
    }

    /// Waits for its end, and gives what it took.
    pub async fn finish(mut self) -> Result<Finished, String> {
        let mut finished = Finished::default();
        loop {
            if let Some(id) = self.process.id() {
                look(id, &mut finished);
            }
            match tokio::time::timeout(LOOK_INTERVAL, self.process.wait()).await {
                Err(_) => {}
                Ok(status) => {
                    finished.seconds = self.started.elapsed().as_secs_f64();
                    return ended_well(status.map_err(|error| error.to_string())?).map(|()| finished);
                }
            }
        }
    }

    /// Tells it to drain, and waits for its end.
    pub async fn stop(mut self) -> Result<(), String> {
        if let Some(id) = self.process.id() {
            let killed = Command::new("kill").arg("-TERM").arg(id.to_string()).status().await;
            killed.map_err(|error| format!("the child cannot be told to end: {error}"))?;
        }
        ended_well(self.process.wait().await.map_err(|error| error.to_string())?)
    }
}

fn ended_well(status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(format!("the measured `rowmill run` failed ({status}); its words are above")) }
}

/// Reads `/proc/ID/stat` (fields 14 and 15: CPU time in hundredths of a second) and `/proc/ID/status` (`VmHWM`).
fn look(id: u32, finished: &mut Finished) {
    const TICKS_PER_SECOND: f64 = 100.0;
    if let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat"))
        && let Some((_, fields)) = stat.rsplit_once(") ")
    {
        let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        finished.cpu_seconds = finished.cpu_seconds.max(ticks as f64 / TICKS_PER_SECOND);
    }
    if let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/status")) {
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse::<u64>().ok());
        finished.peak_memory_bytes = finished.peak_memory_bytes.max(kib.unwrap_or(0) << 10);
    }
}
