//! `rowmill test`: a module run on recorded events, its outputs shown or held against what is expected.

mod compare;
mod json;
mod run;
mod windows;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{DONE, FAILED, INTERRUPTED, WRONG, failed, say};
use crate::source::decode::settings::Format;
use crate::transform::Engine;
use run::Setup;

/// How often `--watch` looks at the files; a file that changed is taken two looks after it was written.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// What to run on what.
#[derive(Clone, Debug, Args)]
pub struct TestOptions {
    /// The module: a component, or a core module for WASI preview 1
    module: PathBuf,
    /// The events: lines of `kcat -J`, values, or {"key": …, "value": …}
    #[arg(long)]
    events: PathBuf,
    /// `transform.config`, as JSON
    #[arg(long, default_value = "{}", value_parser = config)]
    config: Value,
    /// Compare with these outputs, field by field, and fail when they differ
    #[arg(long)]
    expect: Option<PathBuf>,
    /// Write the outputs to the file of --expect (without it: `expected.jsonl` beside the events)
    #[arg(long)]
    update: bool,
    /// Run again whenever one of the files changes
    #[arg(long)]
    watch: bool,
    /// What the events are: those of Debezium, or plain rows
    #[arg(long, value_enum, default_value_t = EventFormat::Debezium)]
    format: EventFormat,
    /// Of a module of the world `aggregate`: count in tumbling windows so long; without it, all events together
    #[arg(long, value_parser = humantime::parse_duration)]
    window: Option<Duration>,
    /// Pass the rows before, as `transform.before` does
    #[arg(long)]
    before: bool,
    /// How long one call may run
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Memory that the module may grow to
    #[arg(long, default_value = "64MiB")]
    memory: ByteSize,
}

/// What the values of the events are.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum EventFormat {
    Debezium,
    Json,
}

fn config(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))
}

/// Runs once, or for ever with `--watch`.
pub async fn test(options: TestOptions) -> u8 {
    let engine = match Engine::new(cache_dir().as_deref()).or_else(|_| Engine::new(None)) {
        Ok(engine) => engine,
        Err(failure) => return failed(failure),
    };
    if !options.watch {
        return once(&engine, &options);
    }
    loop {
        let seen = signature(&options);
        once(&engine, &options);
        eprintln!("rowmill: waiting for a change (Ctrl-C ends)");
        tokio::select! {
            () = changed(&options, seen) => eprintln!(),
            _ = tokio::signal::ctrl_c() => return INTERRUPTED,
        }
    }
}

fn once(engine: &Engine, options: &TestOptions) -> u8 {
    let setup = Setup {
        module: options.module.clone(),
        config: options.config.clone(),
        format: match options.format {
            EventFormat::Debezium => Format::Debezium,
            EventFormat::Json => Format::Json,
        },
        before: options.before,
        window: options.window,
        timeout: options.timeout,
        memory_bytes: usize::try_from(options.memory.as_u64()).unwrap_or(usize::MAX),
    };
    let lines = match read(&options.events).and_then(|events| run::run(engine, &setup, &events)) {
        Ok(lines) => lines,
        Err(message) => return failed(message),
    };
    match (options.update, &options.expect) {
        (true, expect) => update(&expect.clone().unwrap_or_else(|| options.events.with_file_name("expected.jsonl")), &lines),
        (false, Some(expect)) => compare(expect, &lines),
        (false, None) => {
            lines.iter().for_each(say);
            DONE
        }
    }
}

fn update(path: &Path, lines: &[String]) -> u8 {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    match std::fs::write(path, text) {
        Ok(()) => {
            eprintln!("rowmill: {} outputs written to {}", lines.len(), path.display());
            DONE
        }
        Err(error) => failed(format!("{} cannot be written: {error}", path.display())),
    }
}

fn compare(path: &Path, lines: &[String]) -> u8 {
    let expected = match std::fs::read_to_string(path) {
        Ok(expected) => expected,
        Err(error) => {
            failed(format!("{} cannot be read: {error}; write it with --update", path.display()));
            return WRONG;
        }
    };
    match compare::differences(&expected, lines) {
        Ok(differences) if differences.is_empty() => {
            eprintln!("rowmill: {} outputs, as expected", lines.len());
            DONE
        }
        Ok(differences) => {
            differences.iter().for_each(|difference| say(difference.trim_end()));
            let (count, path) = (differences.len(), path.display());
            let plural = if count == 1 { "" } else { "s" };
            eprintln!("rowmill: {count} event{plural} came out otherwise than {path} says; accept that with --update");
            FAILED
        }
        Err(wrong) => failed(format!("{}: {wrong}", path.display())),
    }
}

fn read(events: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(events).map_err(|error| format!("the events {} cannot be read: {error}", events.display()))
}

/// Where compiled code is kept: an interpreted guest compiles for seconds.
fn cache_dir() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("rowmill").join("compiled"))
}

type Signature = Vec<Option<(SystemTime, u64)>>;

fn signature(options: &TestOptions) -> Signature {
    let read = options.expect.iter().filter(|_| !options.update);
    let files = [&options.module, &options.events].into_iter().chain(read);
    files.map(|path| std::fs::metadata(path).ok().and_then(|file| Some((file.modified().ok()?, file.len())))).collect()
}

/// Returns when the files are not as they were, and all of them are there and written to the end.
async fn changed(options: &TestOptions, seen: Signature) {
    let mut last = seen.clone();
    loop {
        tokio::time::sleep(WATCH_INTERVAL).await;
        let now = signature(options);
        let is_settled = now == std::mem::replace(&mut last, now.clone());
        if is_settled && now != seen && now.iter().all(Option::is_some) {
            return;
        }
    }
}
