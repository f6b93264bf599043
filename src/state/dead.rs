use serde::{Deserialize, Serialize};

use crate::event::Version;

/// An event that was set aside, with all that is needed to find it, mend it and play it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its number in the pipeline, from 1.
    pub id: u64,
    /// When it was set aside, in milliseconds since 1970.
    pub at_ms: u64,
    /// What refused it: `decode`, `transform` or `sink`.
    pub stage: String,
    /// One sentence.
    pub reason: String,
    /// Where it stood.
    pub topic: String,
    /// Where it stood.
    pub partition: i32,
    /// Where it stood.
    pub offset: u64,
    /// `schema.table`, where that is known.
    pub table: Option<String>,
    /// The row's key, where it could be read.
    pub key: Option<String>,
    /// The event's version, where it could be read.
    pub version: Option<Version>,
    /// The event's value as it came (text that is not UTF-8 is shown as best it can be); cut when it is very long.
    pub value: Option<String>,
}
