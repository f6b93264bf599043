//! The last bytes a guest printed: where toolchains leave a panic's message.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::limits::{GUEST_LAST_WORDS_BYTES_MAX, GUEST_STDERR_BYTES_MAX};
use crate::transform::words::one_line;

/// Bytes taken at a time, as other WASI hosts do.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// Standard output and standard error of a guest, of which only the end is kept.
#[derive(Clone, Default)]
pub struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    /// Forgets what was printed.
    pub fn clear(&self) {
        self.bytes().clear();
    }

    /// What was printed, on one line, without what a Rust panic says about backtraces.
    pub fn sentence(&self) -> String {
        let bytes: Vec<u8> = self.bytes().iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("note: ") && !line.trim().is_empty()).collect();
        one_line(&lines.join(" "), GUEST_LAST_WORDS_BYTES_MAX)
    }

    fn keep(&self, written: &[u8]) {
        let mut bytes = self.bytes();
        bytes.extend(written);
        let excess = bytes.len().saturating_sub(GUEST_STDERR_BYTES_MAX);
        bytes.drain(..excess);
    }

    fn bytes(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for Tail {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Tail {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// Only WASI 0.3 asks for this, which is not given.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

impl OutputStream for Tail {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.keep(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[async_trait]
impl Pollable for Tail {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::Tail;
    use crate::limits::GUEST_STDERR_BYTES_MAX;

    #[test]
    fn a_panic_reads_as_one_sentence() {
        let tail = Tail::default();
        tail.keep(b"\nthread '<unnamed>' panicked at src/lib.rs:3:5:\nno price\nnote: run with `RUST_BACKTRACE=1`\n");
        assert_eq!(tail.sentence(), "thread '<unnamed>' panicked at src/lib.rs:3:5: no price");
        tail.clear();
        assert_eq!(tail.sentence(), "");
    }

    #[test]
    fn only_the_end_is_kept() {
        let tail = Tail::default();
        for _ in 0..10 {
            tail.keep(&[b'x'; GUEST_STDERR_BYTES_MAX]);
        }
        tail.keep(b"end");
        assert_eq!(tail.bytes().len(), GUEST_STDERR_BYTES_MAX);
    }
}
