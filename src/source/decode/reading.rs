//! One message on its way to a change.

use std::borrow::Cow;
use std::sync::Arc;

use super::metadata::Metadata;
use super::names::Names;
use super::schema::Schemas;
use super::settings::Format;
use super::shape::{Envelope, Shape, shape};
use super::version::{Facts, Versions};
use super::{Decoded, LaneMemory, key, text};
use crate::event::fields::{is_object, plain};
use crate::event::{Change, JsonText, Key, Message, Moved, Operation, Version};

/// One message, what helps to read it, and what has been found out: the latter is what a dead letter tells.
pub(super) struct Reading<'a> {
    pub message: &'a Message,
    pub format: Format,
    pub versions: &'a Versions,
    pub names: &'a mut Names,
    pub schemas: &'a mut Schemas,
    pub lane: &'a mut LaneMemory,
    /// What the lane remembered before this message.
    pub deleted_key: Option<u64>,
    pub key: Option<Key>,
    pub table: Option<Arc<str>>,
    pub version: Option<Version>,
}

/// What became of a row, in the words of any form.
struct Row<'a> {
    operation: Operation,
    before: Option<JsonText>,
    after: Option<JsonText>,
    /// The row's text that must agree with the key.
    text: Option<&'a str>,
}

impl Reading<'_> {
    /// Reads the message; the reason when it cannot be read.
    pub fn run(&mut self) -> Result<Decoded, String> {
        if let Some(bytes) = &self.message.key {
            self.key = key::read(bytes, self.schemas)?;
        }
        let Some(bytes) = &self.message.value else { return self.tombstone() };
        let whole = JsonText::new(text::text(bytes, "value")?);
        let key = self.key.as_ref().map(|key| key.json.as_str());
        match shape(&whole, key, self.format, self.schemas)? {
            Shape::Null => self.tombstone(),
            Shape::Aside(what) => Ok(Decoded::Ignored(what)),
            Shape::Envelope(envelope) => self.envelope(&whole, &envelope),
            Shape::Row(row) => self.row(&whole, row),
        }
    }

    fn envelope(&mut self, whole: &JsonText, envelope: &Envelope<'_>) -> Result<Decoded, String> {
        let metadata =
            Metadata { event_ts_ms: envelope.ts_ms, operation: Some(envelope.operation), ..Metadata::of_source(envelope.source) };
        let table = self.names.table(&metadata, &self.message.origin.topic);
        self.table = Some(Arc::clone(&table));
        let operation = operation(envelope.operation)?;
        let is_delete = operation == Some(Operation::Delete);
        let text = if is_delete { envelope.before } else { envelope.after };
        let facts = Facts { message: self.message, metadata: &metadata, envelope: Some(envelope), row: text, is_delete };
        let version = self.find_version(&facts)?;
        let Some(operation) = operation else { return Ok(Decoded::Truncate { table, version }) };
        let before = envelope.before.map(|row| row_text(whole, row)).transpose()?;
        let after = envelope.after.filter(|_| !is_delete).map(|row| row_text(whole, row)).transpose()?;
        if !is_delete && after.is_none() {
            return Err("the row after the change is missing (for MongoDB set capture.mode to change_streams_update_full)".to_owned());
        }
        self.change(&metadata, version, Row { operation, before, after, text })
    }

    fn row(&mut self, whole: &JsonText, row: &str) -> Result<Decoded, String> {
        let (mut metadata, kept) = match self.format {
            Format::Json => (Metadata::default(), Cow::Borrowed(row)),
            Format::Debezium => Metadata::of_row(row),
        };
        if self.format == Format::Debezium {
            metadata.add_headers(self.message);
        }
        self.table = Some(self.names.table(&metadata, &self.message.origin.topic));
        let operation = match metadata.deleted {
            Some("true") => Some(Operation::Delete),
            // A row without any word about what happened to it is what it is now.
            _ => metadata.operation.map_or(Ok(Some(Operation::Update)), operation)?,
        };
        let operation = operation.ok_or_else(|| "the message is a truncate and has a row".to_owned())?;
        let is_delete = operation == Operation::Delete;
        let facts = Facts { message: self.message, metadata: &metadata, envelope: None, row: Some(row), is_delete };
        let version = self.find_version(&facts)?;
        let kept = match kept {
            Cow::Borrowed(row) => whole.part(row),
            Cow::Owned(row) => JsonText::from(row),
        };
        let (before, after) = if is_delete { (Some(kept), None) } else { (None, Some(kept)) };
        self.change(&metadata, version, Row { operation, before, after, text: Some(row) })
    }

    /// A key without a value: a delete where a version is to be had, else the shadow of the delete before it, or all that is
    /// left of a delete that was compacted away.
    fn tombstone(&mut self) -> Result<Decoded, String> {
        let Some(key) = self.key.clone() else { return Ok(Decoded::Ignored("tombstone")) };
        let mut metadata = Metadata::default();
        if self.format == Format::Debezium {
            metadata.add_headers(self.message);
        }
        let table = self.names.table(&metadata, &self.message.origin.topic);
        self.table = Some(Arc::clone(&table));
        let facts = Facts { message: self.message, metadata: &metadata, envelope: None, row: None, is_delete: true };
        if let Some(version) = self.versions.find(&facts, self.lane)? {
            self.version = Some(version);
            return self.change(&metadata, version, Row { operation: Operation::Delete, before: None, after: None, text: None });
        }
        if self.deleted_key == Some(key::hash(self.message, &key)) {
            return Ok(Decoded::Ignored("tombstone"));
        }
        Ok(Decoded::Tombstone { table, key })
    }

    fn find_version(&mut self, facts: &Facts<'_>) -> Result<Version, String> {
        let version = self.versions.find(facts, self.lane)?.ok_or_else(|| self.versions.missing(facts))?;
        self.version = Some(version);
        Ok(version)
    }

    fn change(&mut self, metadata: &Metadata<'_>, version: Version, row: Row<'_>) -> Result<Decoded, String> {
        if let (Some(key), Some(text)) = (&self.key, row.text) {
            key::compare(key, text)?;
        }
        let at = metadata.lsn.and_then(|lsn| lsn.parse().ok()).map_or(version, |lsn| Version::new(lsn, lsn));
        let other_key = |header| self.message.header(header).and_then(key::read_header);
        let moved = match row.operation {
            Operation::Delete => other_key("__debezium.newkey").map(|key| Moved::To { key, at }),
            _ => other_key("__debezium.oldkey").map(|key| Moved::From { key, at }),
        };
        let topic = &self.message.origin.topic;
        let table = self.table.clone().unwrap_or_else(|| self.names.table(metadata, topic));
        let times = [metadata.source_ts_ms, metadata.event_ts_ms];
        Ok(Decoded::Change(Change {
            operation: row.operation,
            source: self.names.source(metadata, topic),
            table,
            key: self.key.take(),
            before: row.before,
            after: row.after,
            version,
            ts_ms: times.into_iter().flatten().find_map(|time| time.parse().ok()).unwrap_or(self.message.timestamp_ms),
            origin: self.message.origin.clone(),
            moved,
        }))
    }
}

/// The operation of Debezium's letter; none for a truncate.
fn operation(letter: &str) -> Result<Option<Operation>, String> {
    match letter {
        "c" => Ok(Some(Operation::Create)),
        "u" => Ok(Some(Operation::Update)),
        "d" => Ok(Some(Operation::Delete)),
        "r" => Ok(Some(Operation::Read)),
        "t" => Ok(None),
        _ => Err("the operation is none of c, u, d, r, t and m".to_owned()),
    }
}

/// A row as part of the message; MongoDB's rows are strings of JSON, and are taken out of their quotes.
fn row_text(whole: &JsonText, row: &str) -> Result<JsonText, String> {
    if is_object(row) {
        return Ok(whole.part(row));
    }
    let inner = plain(row);
    match text::json(&inner, "row")? {
        json if is_object(json) => Ok(JsonText::from(json)),
        _ => Err("a row of the envelope is no object".to_owned()),
    }
}
