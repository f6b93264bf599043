//! What goes out: a document, a reference to one, a message.

use crate::error::{Result, reject};
use serde::Serialize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A document to be written. Its version is the host's affair, its id by default the row's key, its index by default
/// the pipeline's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Document {
    pub(crate) id: Option<String>,
    pub(crate) index: Option<String>,
    pub(crate) routing: Option<String>,
    pub(crate) body: String,
}

impl Document {
    /// The document with this body: anything that serializes to a JSON object.
    ///
    /// # Errors
    /// When it does not serialize, or is no object.
    pub fn new<T: Serialize + ?Sized>(body: &T) -> Result<Self> {
        let body = to_text(body)?;
        if body.starts_with('{') { Ok(Self::from_text(body)) } else { Err(reject("a document must be a JSON object")) }
    }

    /// The document with this JSON text, which is not looked at: one object.
    pub fn from_text(body: impl Into<String>) -> Self {
        Document { id: None, index: None, routing: None, body: body.into() }
    }

    /// Sets the id.
    pub fn id(mut self, id: impl ToString) -> Self {
        self.id = Some(id.to_string());
        self
    }

    /// Sets the index.
    pub fn index(mut self, index: impl Into<String>) -> Self {
        self.index = Some(index.into());
        self
    }

    /// Sets the routing value: documents with the same one share a shard.
    pub fn routing(mut self, routing: impl ToString) -> Self {
        self.routing = Some(routing.to_string());
        self
    }

    /// The body's JSON text.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The body's JSON text, taken out.
    #[must_use]
    pub fn into_body(self) -> String {
        self.body
    }
}

/// A document to be deleted. Seldom needed: what a row produced before and does not produce now, the host deletes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct DocumentRef {
    pub(crate) id: Option<String>,
    pub(crate) index: Option<String>,
    pub(crate) routing: Option<String>,
}

impl DocumentRef {
    /// The document whose id is the row's key, in the pipeline's index.
    pub fn of_row() -> Self {
        Self::default()
    }

    /// Sets the id.
    pub fn id(mut self, id: impl ToString) -> Self {
        self.id = Some(id.to_string());
        self
    }

    /// Sets the index.
    pub fn index(mut self, index: impl Into<String>) -> Self {
        self.index = Some(index.into());
        self
    }

    /// Sets the routing value the document was written with.
    pub fn routing(mut self, routing: impl ToString) -> Self {
        self.routing = Some(routing.to_string());
        self
    }
}

/// Something to be sent on, apart from the documents.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Message {
    pub(crate) topic: String,
    pub(crate) key: Option<String>,
    pub(crate) body: String,
}

impl Message {
    /// A message to this topic: anything that serializes to JSON.
    ///
    /// # Errors
    /// When it does not serialize.
    pub fn new<T: Serialize + ?Sized>(topic: impl Into<String>, body: &T) -> Result<Self> {
        Ok(Message { topic: topic.into(), key: None, body: to_text(body)? })
    }

    /// Sets the key: messages with the same one stay in order.
    pub fn key(mut self, key: impl ToString) -> Self {
        self.key = Some(key.to_string());
        self
    }
}

/// Documents of one transform are of like size: room for the last one spares the next its growing.
fn to_text<T: Serialize + ?Sized>(body: &T) -> Result<String> {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    /// One huge document must not make every later one reserve as much.
    const ROOM_BYTES_MAX: usize = 16 * 1024;
    let mut text = Vec::with_capacity(LAST.load(Ordering::Relaxed));
    serde_json::to_writer(&mut text, body)?;
    LAST.store(text.len().min(ROOM_BYTES_MAX), Ordering::Relaxed);
    Ok(String::from_utf8(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_an_object() {
        assert_eq!(Document::new(&[1]).unwrap_err().reason(), "a document must be a JSON object");
        assert_eq!(Document::new("text").unwrap_err().reason(), "a document must be a JSON object");
        let empty = std::collections::BTreeMap::<String, u8>::new();
        assert_eq!(Document::new(&empty).unwrap().id(7).routing("a").body(), "{}");
    }
}
