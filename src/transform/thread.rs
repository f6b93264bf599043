//! Where a guest runs: on a thread that drives no futures.

use std::panic;
use std::thread;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Runs `work`, which may wait.
///
/// Wasmtime's WASI waits by `Handle::block_on` when a guest prints, and that panics on a thread that drives futures: a guest
/// must not be able to do that to us. A runtime of many threads gives this one free for as long as it takes; one of a single
/// thread (a simulation) cannot, so there the work has a thread of its own, for some 50 µs.
pub fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::CurrentThread) => thread::scope(|scope| {
            let joined = scope.spawn(work).join();
            joined.unwrap_or_else(|cause| panic::resume_unwind(cause))
        }),
        _ => block_in_place(work),
    }
}

#[cfg(test)]
mod tests {
    use super::apart;

    fn waits() -> u32 {
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.block_on(async { 7 }),
            Err(_) => 7,
        }
    }

    #[test]
    fn work_may_wait_outside_of_a_runtime() {
        assert_eq!(apart(waits), 7);
    }

    #[tokio::test]
    async fn work_may_wait_on_a_runtime_of_one_thread() {
        assert_eq!(apart(waits), 7);
        assert_eq!(tokio::task::spawn_blocking(|| apart(waits)).await.unwrap(), 7);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn work_may_wait_on_a_runtime_of_many_threads() {
        assert_eq!(apart(waits), 7);
        assert_eq!(tokio::task::spawn_blocking(|| apart(waits)).await.unwrap(), 7);
    }
}
