//! What a source gives: records, their lanes, and where they stood.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// One ordered stream of a source: a Kafka partition (`topic/3`), a file (its path).
pub type Lane = Arc<str>;

/// A record as a source gives it, before anyone has looked inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The stream it belongs to.
    pub lane: Lane,
    /// Where to read on after this message. Kafka: the next offset. File: the byte after the line.
    pub position: u64,
    /// Where it stood, for people.
    pub origin: Origin,
    /// When it was written to the topic, in milliseconds since 1970; 0 when not known.
    pub timestamp_ms: u64,
    /// The key as it came; none for a record without one.
    pub key: Option<Bytes>,
    /// The value as it came; none for a tombstone.
    pub value: Option<Bytes>,
    /// Headers in order; a name may stand more than once.
    pub headers: Vec<(Box<str>, Option<Bytes>)>,
}

impl Message {
    /// The last header of that name (Kafka's rule), as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(n, _)| &**n == name)?;
        std::str::from_utf8(value.as_ref()?).ok()
    }

    /// What it takes in memory, for the bounds of queues.
    pub fn size_bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(n, v)| n.len() + v.as_ref().map_or(0, Bytes::len)).sum();
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len) + headers + size_of::<Self>()
    }
}

/// Where a record stood at its source, as a person would look it up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Kafka topic, or the file's path for lines that name none.
    pub topic: Arc<str>,
    /// Partition; 0 for a file.
    pub partition: i32,
    /// Kafka offset, or the line's number from 0.
    pub offset: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.topic, self.partition, self.offset)
    }
}
