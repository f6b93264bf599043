//! The queue between the thread that polls and the pipeline.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::Failure;
use crate::event::{Lane, Message};
use crate::limits::{SOURCE_QUEUE_BYTES_MAX, SOURCE_QUEUE_MESSAGES_MAX};
use crate::source::Arrival;

/// Messages given at a time, where more wait.
const ARRIVAL_MESSAGES: usize = 500;

/// What the reader's thread has for the pipeline's task.
///
/// It takes everything, for what was polled must be kept: the bound is that the reader asks for room before it polls on.
#[derive(Default)]
pub(super) struct Handover {
    queue: Mutex<Queue>,
    /// Told when something was taken.
    taken: Condvar,
    /// Told when something was given.
    given: Notify,
}

#[derive(Default)]
struct Queue {
    arrivals: VecDeque<Arrival>,
    messages: usize,
    bytes: usize,
    failure: Option<Failure>,
    closed: bool,
}

impl Handover {
    /// Adds messages; they join those that already wait.
    pub(super) fn give(&self, messages: Vec<Message>) {
        let mut queue = self.lock();
        queue.messages += messages.len();
        queue.bytes += messages.iter().map(Message::size_bytes).sum::<usize>();
        match queue.arrivals.back_mut() {
            // A few join those that wait; many would only be copied.
            Some(Arrival::Messages(waiting)) if waiting.len() + messages.len() <= ARRIVAL_MESSAGES => waiting.extend(messages),
            _ => queue.arrivals.push_back(Arrival::Messages(messages)),
        }
        drop(queue);
        self.given.notify_one();
    }

    /// Says that a lane has nothing more before `position`.
    pub(super) fn pass(&self, lane: Lane, position: u64) {
        self.lock().arrivals.push_back(Arrival::Passed { lane, position });
        self.given.notify_one();
    }

    /// Says why there will be nothing more. What waits is still given first.
    pub(super) fn fail(&self, failure: Failure) {
        self.lock().failure.get_or_insert(failure);
        self.given.notify_one();
    }

    /// Why there will be nothing more, if so.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    /// Drops what waits of lanes that are no longer ours: whoever has them now reads it again.
    pub(super) fn forget(&self, is_gone: impl Fn(&str) -> bool) {
        let mut queue = self.lock();
        let arrivals = std::mem::take(&mut queue.arrivals);
        (queue.messages, queue.bytes) = (0, 0);
        for arrival in arrivals {
            match arrival {
                Arrival::Messages(mut messages) => {
                    messages.retain(|message| !is_gone(&message.lane));
                    queue.messages += messages.len();
                    queue.bytes += messages.iter().map(Message::size_bytes).sum::<usize>();
                    if !messages.is_empty() {
                        queue.arrivals.push_back(Arrival::Messages(messages));
                    }
                }
                Arrival::Passed { lane, .. } if is_gone(&lane) => {}
                other => queue.arrivals.push_back(other),
            }
        }
        drop(queue);
        self.taken.notify_all();
    }

    /// Takes what has waited longest; waits for it. Cancel safe: nothing is awaited once something was taken.
    pub(super) async fn take(&self) -> Result<Arrival, Failure> {
        loop {
            if let Some(result) = self.try_take() {
                return result;
            }
            self.given.notified().await;
        }
    }

    /// Waits at most `patience` for room; whether there is some now.
    pub(super) fn room_within(&self, patience: Duration) -> bool {
        let queue = self.lock();
        let waited = self.taken.wait_timeout_while(queue, patience, |queue| queue.is_full() && !queue.closed);
        let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !queue.is_full()
    }

    /// Lets a reader that waits for room go.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.taken.notify_all();
    }

    /// Messages and bytes that wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> (usize, usize) {
        let queue = self.lock();
        (queue.messages, queue.bytes)
    }

    fn try_take(&self) -> Option<Result<Arrival, Failure>> {
        let mut queue = self.lock();
        let Some(arrival) = queue.arrivals.pop_front() else { return queue.failure.clone().map(Err) };
        if let Arrival::Messages(messages) = &arrival {
            queue.messages -= messages.len();
            queue.bytes -= messages.iter().map(Message::size_bytes).sum::<usize>();
        }
        drop(queue);
        self.taken.notify_all();
        Some(Ok(arrival))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn is_full(&self) -> bool {
        self.messages >= SOURCE_QUEUE_MESSAGES_MAX || self.bytes >= SOURCE_QUEUE_BYTES_MAX
    }
}
