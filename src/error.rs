//! What can go wrong, by what must be done about it.
//!
//! Every room has an error type of its own that says *where*; this is the one table that maps all of them to a policy.

use std::fmt;

/// What the pipeline does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something is down or busy: wait and try again, for as long as it takes.
    Unavailable,
    /// This record cannot be used: it becomes a dead letter, the rest goes on.
    Refused,
    /// A person must change something: the pipeline stops and says what.
    Misconfigured,
    /// What is stored cannot be trusted: the pipeline stops and settles nothing.
    Corrupt,
    /// A mistake of ours.
    Bug,
}

impl Kind {
    /// Whether trying the same again may help.
    pub fn is_retried(self) -> bool {
        self == Kind::Unavailable
    }

    /// The word used in logs, metrics and the HTTP API.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Unavailable => "unavailable",
            Kind::Refused => "refused",
            Kind::Misconfigured => "misconfigured",
            Kind::Corrupt => "corrupt",
            Kind::Bug => "bug",
        }
    }
}

/// An error as it crosses a room's border: its kind, and one sentence that says what broke and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// What is to be done about it.
    pub kind: Kind,
    /// One sentence in lower case that fits after "failed: ".
    pub message: String,
}

impl Failure {
    /// Something is down or busy.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { kind: Kind::Unavailable, message: message.into() }
    }

    /// A person must change something; the message says what.
    pub fn misconfigured(message: impl Into<String>) -> Self {
        Self { kind: Kind::Misconfigured, message: message.into() }
    }

    /// What is stored cannot be trusted.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self { kind: Kind::Corrupt, message: message.into() }
    }

    /// A mistake of ours.
    pub fn bug(message: impl Into<String>) -> Self {
        Self { kind: Kind::Bug, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
