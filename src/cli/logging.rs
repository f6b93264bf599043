//! How the process logs: `tracing` to stderr, levels by `RUST_LOG`.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// What is logged when `RUST_LOG` says nothing: our own news, and only the troubles of others. The index's segments and
/// the client's every reconnect are no news.
const DEFAULT_FILTER: &str = "info,tantivy=warn,librdkafka=warn,rdkafka=warn,wasmtime=warn,cranelift=warn";

/// The options every command has.
#[derive(Clone, Copy, Debug, Args)]
pub struct LogOptions {
    /// Text for people, or one JSON object a line; levels by RUST_LOG
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// What a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Starts logging, once for the process.
pub fn start(options: &LogOptions) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match options.log_format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
