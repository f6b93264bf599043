//! Lines for Rowmill's log. Natively they go to the standard error, which `cargo test` shows for failed tests.

/// Says what went well; seldom of use in a transform: it is called for every row.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message.as_ref());
}

/// For finding faults: shown only when the host's log is set to show it.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message.as_ref());
}

/// Says what is odd but could be dealt with.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message.as_ref());
}

/// Says what went wrong. A change that cannot be used is better rejected: the reason then stays with it.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message.as_ref());
}

#[derive(Debug)]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Where a line comes from is told by the host: it knows the pipeline and the module.
#[cfg(target_arch = "wasm32")]
fn write(level: Level, message: &str) {
    use crate::bindings::wasi::logging::logging;
    let level = match level {
        Level::Debug => logging::Level::Debug,
        Level::Info => logging::Level::Info,
        Level::Warn => logging::Level::Warn,
        Level::Error => logging::Level::Error,
    };
    logging::log(level, "", message);
}

#[cfg(not(target_arch = "wasm32"))]
fn write(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}
