//! Why a change cannot be used.

use std::fmt;

/// The reason for which a change is rejected. It becomes a dead letter; the other changes of the batch go on.
///
/// Any error of the standard kind turns into it by `?`; [`reject`] makes one from words.
pub struct Error {
    reason: String,
}

/// What a transform's function returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Rejects the change, with this reason: `return Err(reject("the price is negative"))`.
pub fn reject(reason: impl Into<String>) -> Error {
    Error { reason: reason.into() }
}

impl Error {
    /// What stands in the dead letter.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Puts words before the reason: where it happened.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Error { reason: format!("{place}: {}", self.reason) }
    }

    pub(crate) fn into_reason(self) -> String {
        self.reason
    }
}

// `Error` itself is not a `std::error::Error`, because that would forbid this conversion (as in anyhow).
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason.push_str(": ");
            reason.push_str(&cause.to_string());
            source = cause.source();
        }
        Error { reason }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_error_becomes_a_reason() {
        let failed = || -> Result<u8> { Ok("x".parse::<u8>()?) };
        assert_eq!(failed().unwrap_err().reason(), "invalid digit found in string");
        assert_eq!(reject("no").at("column `a`").reason(), "column `a`: no");
    }
}
