//! `wasi:logging`: lines of the guest among ours, bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::limits::{GUEST_LAST_WORDS_BYTES_MAX, GUEST_LOG_LINE_BYTES_MAX, GUEST_LOG_LINES_MAX};
use crate::transform::host::Guest;
use crate::transform::metrics::TransformMetrics;
use crate::transform::words::one_line;
use crate::transform::world::wasi::logging::logging::{Host, Level};

/// How many more lines are passed on. Shared by the instances of one transform, so that a guest that fails and is called again
/// for each change of its batch has one share for all of it.
#[derive(Clone, Debug, Default)]
pub struct LogLines(Arc<AtomicU32>);

impl LogLines {
    /// A new batch begins, with a share of its own.
    pub fn renew(&self) {
        self.0.store(GUEST_LOG_LINES_MAX, Ordering::Relaxed);
    }

    /// Takes one of the share; false when there is none left.
    pub fn take(&self) -> bool {
        self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// The guest's log.
pub struct Log {
    metrics: TransformMetrics,
    lines: LogLines,
    last_error: Option<String>,
}

impl Log {
    /// A log that has said nothing.
    pub fn new(metrics: TransformMetrics, lines: LogLines) -> Self {
        Self { metrics, lines, last_error: None }
    }

    /// Forgets the errors of the call before.
    pub fn begin_call(&mut self) {
        self.last_error = None;
    }

    /// The last line of this call that told of an error: a panic's message, where an SDK logs it.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.clone()
    }
}

impl Host for Guest {
    fn log(&mut self, level: Level, context: String, message: String) {
        if matches!(level, Level::Error | Level::Critical) {
            self.log.last_error = Some(one_line(&message, GUEST_LAST_WORDS_BYTES_MAX));
        }
        if !self.log.lines.take() {
            self.log.metrics.count_dropped_line();
            return;
        }
        let pipeline = &**self.log.metrics.pipeline();
        // A line break or an escape sequence of the guest's must not look like a line of ours.
        let context = one_line(&context, 64);
        let message = one_line(&message, GUEST_LOG_LINE_BYTES_MAX);
        match level {
            Level::Trace => tracing::trace!(target: "rowmill::guest", pipeline, context, "{message}"),
            Level::Debug => tracing::debug!(target: "rowmill::guest", pipeline, context, "{message}"),
            Level::Info => tracing::info!(target: "rowmill::guest", pipeline, context, "{message}"),
            Level::Warn => tracing::warn!(target: "rowmill::guest", pipeline, context, "{message}"),
            Level::Error | Level::Critical => tracing::error!(target: "rowmill::guest", pipeline, context, "{message}"),
        }
    }
}
