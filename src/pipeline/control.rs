//! What the loop of a pipeline is told, and how it ends.

/// What a pipeline is told to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Read no further.
    pub is_paused: bool,
    /// Finish what is at work and end.
    pub is_draining: bool,
    /// Raised to have the pipeline started anew.
    pub restarts: u64,
    /// Raised when dead letters were marked to be replayed.
    pub replays: u64,
}

/// How a run of the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything that was there at the start, or all of a source that has an end, is durable.
    CaughtUp,
    /// It was told to end.
    Drained,
    /// It is to be started anew.
    Restart,
}
