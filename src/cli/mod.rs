//! The commands: one file each.
//!
//! - Enters: arguments.
//! - Leaves: an exit code: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted.
//! - Keeps true: results go to stdout, everything else to stderr; an error is one sentence that says what to do.
//! - Never: logic that an embedding program would miss; that is the library's.

pub mod bench;
pub mod check;
pub mod dead;
pub mod demo;
pub mod logging;
pub mod new;
pub mod reload;
pub mod run;
mod running;
pub mod state;
pub mod test;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Everything done.
pub const DONE: u8 = 0;
/// Something failed.
pub const FAILED: u8 = 1;
/// Wrong usage or configuration.
pub const WRONG: u8 = 2;
/// Ended by Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// Turns database rows into search documents and keeps a search index true to the database.
#[derive(Debug, Parser)]
#[command(name = "rowmill", version, max_term_width = 120)]
pub struct Invocation {
    /// How to log.
    #[command(flatten)]
    pub logging: logging::LogOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the pipelines of a configuration
    Run {
        /// The configuration file
        config: PathBuf,
        /// Stop once every source has been read to where it ended at the start, and all is durable
        #[arg(long)]
        until_caught_up: bool,
    },
    /// Show every problem of a configuration at once
    Check {
        /// The configuration file
        config: PathBuf,
    },
    /// Have a running instance read its configuration again, and show what that changes
    Reload {
        /// The configuration file
        config: PathBuf,
        /// Only show what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// Run the embedded shop: recorded and live change events, two transforms, an embedded index, a dashboard
    Demo(demo::DemoOptions),
    /// Begin a transform: a folder with a function to write, events to try it on, and a Makefile
    New(new::NewOptions),
    /// Run a module on recorded events, and show or compare what it makes of them
    Test(test::TestOptions),
    /// Look at dead letters, play them again, or drop them
    Dead {
        /// The configuration file
        config: PathBuf,
        /// What to do
        #[command(subcommand)]
        command: dead::Dead,
    },
    /// Look at what is remembered
    State {
        /// The configuration file
        config: PathBuf,
        /// What to look at
        #[command(subcommand)]
        look: state::Look,
    },
    /// Measure this machine
    Bench(bench::BenchOptions),
}

/// Reads the arguments. An error has been shown already.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, ExitCode> {
    Invocation::try_parse_from(arguments).map_err(|error| {
        // Help and version are errors too, of a kind that goes to stdout with 0.
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(WRONG))
    })
}

/// Carries out a command.
pub async fn dispatch(invocation: Invocation) -> ExitCode {
    ExitCode::from(match invocation.command {
        Command::Run { config, until_caught_up } => run::run(&config, until_caught_up).await,
        Command::Check { config } => check::check(&config),
        Command::Reload { config, dry_run } => reload::reload(&config, dry_run).await,
        Command::Demo(options) => demo::demo(options).await,
        Command::New(options) => new::new(&options),
        Command::Test(options) => test::test(options).await,
        Command::Dead { config, command } => dead::dead(&config, &command).await,
        Command::State { config, look } => state::state(&config, &look),
        Command::Bench(options) => bench::bench(options).await,
    })
}

/// Says what went wrong, on stderr.
pub fn fail(message: &str) -> ExitCode {
    eprintln!("rowmill: {message}");
    ExitCode::from(FAILED)
}

/// As [`fail`], for the commands.
fn failed(message: impl std::fmt::Display) -> u8 {
    eprintln!("rowmill: {message}");
    FAILED
}

/// A line of results, on stdout. Whoever reads may have heard enough (`| head`): that harms nothing.
fn say(line: impl std::fmt::Display) {
    if let Err(error) = writeln!(io::stdout(), "{line}")
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        failed(format!("the results cannot be written: {error}"));
    }
}

/// Loads a configuration, or shows all of its problems.
fn load(config: &std::path::Path) -> Result<crate::config::Plan, u8> {
    crate::config::load(config).map_err(|problems| {
        for problem in &problems {
            eprintln!("{problem}");
        }
        let plural = if problems.len() == 1 { "" } else { "s" };
        eprintln!("rowmill: {} problem{plural} in {}", problems.len(), config.display());
        WRONG
    })
}
