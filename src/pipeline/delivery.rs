//! A batch on its way to the sink, while the loop goes on.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::{JoinError, JoinHandle};

use crate::error::Failure;
use crate::pipeline::deliver::Answer;

/// What has been brought to the sink.
pub enum Delivered {
    /// The writes of a batch.
    Answered(Vec<Answer>),
    /// The dead letters of a batch that was answered before.
    LettersSent,
}

/// A delivery under way; it ends with the loop that started it.
pub struct Delivery(JoinHandle<Result<Delivered, Failure>>);

impl Delivery {
    /// Starts it in a task of its own.
    pub fn start(delivery: impl Future<Output = Result<Delivered, Failure>> + Send + 'static) -> Self {
        Self(tokio::spawn(delivery))
    }
}

impl Future for Delivery {
    type Output = Result<Result<Delivered, Failure>, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.0.abort();
    }
}
