//! What flows: messages in, changes in the middle, writes out.
//!
//! - Enters: nothing; these are the shapes every other room speaks in.
//! - Leaves: [`Message`] (from a source), [`Change`] (from decoding), [`Write`] (to a sink), and what they are made of.
//! - Keeps true: rows and documents stay the JSON text they came as; a version is compared only within one key.
//! - Never: I/O, async, a number parsed into a float.

mod change;
pub mod fields;
mod json;
mod key;
pub mod measure;
mod message;
pub mod time;
mod version;
mod write;

/// A hash map whose hash is quick on short keys, and still seeded: keys come from outside.
pub type QuickMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

pub use change::{Change, Moved, Operation};
pub use json::JsonText;
pub use key::Key;
pub use measure::Measure;
pub use message::{Lane, Message, Origin};
pub use version::{DocumentVersion, Version};
pub use write::{Action, Write};
