//! Names of tables and sources: each made once, then shared.

use std::collections::HashSet;
use std::sync::Arc;

use super::metadata::Metadata;
use crate::event::fields::plain;
use crate::limits;

/// The names met so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    known: HashSet<Arc<str>>,
    joined: String,
}

impl Names {
    /// `schema.table`; `database.table` where tables have no schema (MySQL, MongoDB); the topic's where the message says
    /// neither.
    pub fn table(&mut self, metadata: &Metadata<&str>, topic: &str) -> Arc<str> {
        let Some(table) = metadata.table.filter(|table| !table.is_empty()) else { return self.table_of_topic(topic) };
        let qualifier = match metadata.connector {
            Some("mysql" | "mariadb" | "mongodb") => metadata.database,
            _ => metadata.schema.or(metadata.database),
        };
        match qualifier.filter(|qualifier| !qualifier.is_empty()) {
            Some(qualifier) => self.join(qualifier, table),
            // Unwrapped with the table's name only: the topic knows the rest, unless it was routed to another name.
            None => match segments(topic) {
                Some((_, qualifier, last)) if last == table => self.join(qualifier, table),
                _ => self.intern(table),
            },
        }
    }

    /// The last two parts of the topic's name; the whole of a name without parts.
    pub fn table_of_topic(&mut self, topic: &str) -> Arc<str> {
        match segments(topic) {
            Some((prefix, _, _)) if !prefix.is_empty() => self.intern(topic.get(prefix.len() + 1..).unwrap_or(topic)),
            _ => self.intern(topic),
        }
    }

    /// The connector's `topic.prefix`; where the message does not say it, what stands before the table in the topic's name.
    pub fn source(&mut self, metadata: &Metadata<&str>, topic: &str) -> Arc<str> {
        match (metadata.name, segments(topic)) {
            (Some(name), _) if !name.is_empty() => self.intern(name),
            (_, Some((prefix, _, _))) if !prefix.is_empty() => self.intern(prefix),
            _ => self.intern(topic),
        }
    }

    fn join(&mut self, qualifier: &str, table: &str) -> Arc<str> {
        let mut joined = std::mem::take(&mut self.joined);
        joined.clear();
        for name in [qualifier, ".", table] {
            match name.contains('\\') {
                false => joined.push_str(name),
                true => joined.push_str(&plain(&format!("\"{name}\""))),
            }
        }
        let name = self.intern(&joined);
        self.joined = joined;
        name
    }

    fn intern(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return Arc::clone(known);
        }
        if self.known.len() >= limits::NAMES_SHARED_MAX {
            self.known.clear();
        }
        let name: Arc<str> = name.into();
        self.known.insert(Arc::clone(&name));
        name
    }
}

/// The name's last two parts and what stands before them (empty where nothing does).
fn segments(topic: &str) -> Option<(&str, &str, &str)> {
    let (rest, last) = topic.rsplit_once('.')?;
    let (prefix, qualifier) = rest.rsplit_once('.').unwrap_or(("", rest));
    Some((prefix, qualifier, last))
}
