//! What leaves for a sink.

use std::sync::Arc;

use bytestring::ByteString;

use crate::event::{DocumentVersion, JsonText};

/// One thing for a sink to do, with the version that makes a repeat harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The index (for an emitted message: its topic).
    pub index: Arc<str>,
    /// The document's id (for an emitted message: its key).
    pub id: ByteString,
    /// Custom routing, where the transform gave one.
    pub routing: Option<ByteString>,
    /// Applied only when it is above what the sink has.
    pub version: DocumentVersion,
    /// What to do.
    pub action: Action,
}

/// What a sink is asked to do with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write this document, whole.
    Index(JsonText),
    /// Remove the document.
    Delete,
    /// Send this on.
    Emit(JsonText),
}

impl Action {
    /// The word used in metrics and in the file sink's lines.
    pub fn as_str(&self) -> &'static str {
        match self {
            Action::Index(_) => "index",
            Action::Delete => "delete",
            Action::Emit(_) => "emit",
        }
    }
}

impl Write {
    /// About what it takes in a request.
    pub fn size_bytes(&self) -> usize {
        let body = match &self.action {
            Action::Index(body) | Action::Emit(body) => body.len(),
            Action::Delete => 0,
        };
        // The action line beside the names: `{"index":{"_index":"","_id":"","version":…,"version_type":"external"}}`.
        body + self.index.len() + self.id.len() + 96
    }
}
