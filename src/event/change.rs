//! What happened to a row, and what the row is and was.

use std::sync::Arc;

use crate::event::{JsonText, Key, Origin, Version};

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// It was inserted.
    Create,
    /// It was changed.
    Update,
    /// It was deleted.
    Delete,
    /// It was read from a snapshot.
    Read,
    /// It is as it was, but something it was built from has changed.
    Refresh,
}

impl Operation {
    /// The word of the guest's contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::Read => "read",
            Operation::Refresh => "refresh",
        }
    }
}

/// One change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub operation: Operation,
    /// The source's name: Debezium's `topic.prefix`, or the topic.
    pub source: Arc<str>,
    /// `schema.table` (MySQL: `database.table`).
    pub table: Arc<str>,
    /// The row's key; none for a table without one.
    pub key: Option<Key>,
    /// The row before the change, where it is known. For a delete under the default replica identity only the key
    /// columns are real.
    pub before: Option<JsonText>,
    /// The row after the change; none for a delete.
    pub after: Option<JsonText>,
    /// Its place in the history of the row.
    pub version: Version,
    /// When it was committed at the source, in milliseconds since 1970; 0 when not known.
    pub ts_ms: u64,
    /// Where it was read.
    pub origin: Origin,
    /// Set on both halves of a change of the primary key; aside, for it is rare.
    pub moved: Option<Box<Moved>>,
}

impl Change {
    /// Whether the row is gone after this.
    pub fn is_delete(&self) -> bool {
        self.operation == Operation::Delete
    }

    /// The key for people: its id, or a dash.
    pub fn key_id(&self) -> &str {
        self.key.as_ref().map_or("-", |key| &key.id)
    }
}

/// A change of the primary key arrives as a delete of the old key and a create of the new one.
///
/// `at` is the same on both halves and tells this move from others of its rows: the log position where there is one. Not
/// so their versions, which may differ where the lanes of the halves remember different snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// This delete: the row lives on under that key.
    To {
        /// The new key.
        key: Key,
        /// Which move.
        at: Version,
    },
    /// This create: the row came from that key.
    From {
        /// The old key.
        key: Key,
        /// Which move.
        at: Version,
    },
}

#[cfg(test)]
impl Change {
    /// A row that was inserted into a table without a key, for tests to change what they are about.
    pub fn inserted(after: impl Into<JsonText>) -> Self {
        Self {
            operation: Operation::Create,
            source: "s".into(),
            table: "public.t".into(),
            key: None,
            before: None,
            after: Some(after.into()),
            version: Version::new(1, 0),
            ts_ms: 0,
            origin: Origin { topic: "t".into(), partition: 0, offset: 0 },
            moved: None,
        }
    }
}
