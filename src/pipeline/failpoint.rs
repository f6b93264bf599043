//! Named places where a simulated life may end. Outside tests nothing is left of them.

/// A place in the loop, in the order of a batch's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failpoint {
    /// The source gave something; it is not decoded yet.
    Received,
    /// The gate has let the batch's changes through.
    Gated,
    /// The user's code has run.
    Transformed,
    /// A request is about to leave.
    BeforeSink,
    /// The sink has answered a request.
    AfterSink,
    /// A batch has all its answers and is not committed.
    Answered,
    /// A batch is committed.
    Committed,
    /// Between two steps of emptying a table.
    TruncateStep,
    /// What is committed is about to be made durable.
    BeforeSync,
    /// What is committed is durable; the source does not know.
    AfterSync,
    /// The source knows.
    Settled,
    /// The state knows what of windows is about to be shown.
    Announced,
}

impl Failpoint {
    /// The loop passes here.
    #[cfg(not(test))]
    #[inline]
    pub const fn pass(self) {}
}

#[cfg(test)]
pub use armed::{Killed, arm, disarm};

#[cfg(test)]
mod armed {
    use std::cell::RefCell;

    use super::Failpoint;

    thread_local! {
        static ARMED: RefCell<Option<Armed>> = const { RefCell::new(None) };
    }

    struct Armed {
        death: Option<(Failpoint, u32)>,
        died: Option<Failpoint>,
        watcher: Box<dyn FnMut(Failpoint)>,
    }

    /// What a loop that died at a failpoint panics with.
    pub struct Killed;

    /// Has this thread's loop die when it passes a failpoint for the nth time, and tells `watcher` of every pass.
    pub fn arm(death: Option<(Failpoint, u32)>, watcher: impl FnMut(Failpoint) + 'static) {
        ARMED.set(Some(Armed { death, died: None, watcher: Box::new(watcher) }));
    }

    /// Nothing happens at the failpoints from now on. Gives where the loop has died.
    pub fn disarm() -> Option<Failpoint> {
        ARMED.take()?.died
    }

    impl Failpoint {
        /// Those that every pipeline passes.
        pub const ALL: [Failpoint; 11] = [
            Failpoint::Received,
            Failpoint::Gated,
            Failpoint::Transformed,
            Failpoint::BeforeSink,
            Failpoint::AfterSink,
            Failpoint::Answered,
            Failpoint::Committed,
            Failpoint::TruncateStep,
            Failpoint::BeforeSync,
            Failpoint::AfterSync,
            Failpoint::Settled,
        ];

        /// The loop passes here, or dies here.
        pub fn pass(self) {
            if ARMED.with_borrow_mut(|armed| armed.as_mut().is_some_and(|armed| armed.kills_at(self))) {
                // Without the panic hook: a death that was asked for is no news.
                std::panic::resume_unwind(Box::new(Killed));
            }
        }
    }

    impl Armed {
        fn kills_at(&mut self, point: Failpoint) -> bool {
            (self.watcher)(point);
            // What is dead does nothing more: other deliveries of its thread may still come by.
            if self.died.is_some() {
                return true;
            }
            let Some((at, passes)) = self.death.as_mut().filter(|(at, _)| *at == point) else { return false };
            *passes = passes.saturating_sub(1);
            self.died = (*passes == 0).then_some(*at);
            self.died.is_some()
        }
    }
}
