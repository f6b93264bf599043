//! One message on its way to a change.

use std::sync::Arc;

use super::key::Keys;
use super::known::{self, Known, Values};
use super::metadata::{Metadata, joined};
use super::names::Names;
use super::settings::Format;
use super::shape::{Envelope, Shape, shape};
use super::version::{Facts, Versions};
use super::{Decoded, LaneMemory, key, text};
use crate::event::fields::{is_object, plain, whole_number};
use crate::event::{Change, JsonText, Key, Message, Moved, Operation, Version};

/// One message, what helps to read it, and what has been found out: the latter is what a dead letter tells.
pub(super) struct Reading<'a> {
    pub message: &'a Message,
    pub format: Format,
    pub versions: &'a Versions,
    pub names: &'a mut Names,
    pub keys: &'a mut Keys,
    pub values: &'a mut Values,
    pub lane: &'a mut LaneMemory,
    /// What the lane remembered before this message.
    pub deleted_key: Option<u64>,
    pub key: Option<Key>,
    pub table: Option<Arc<str>>,
    pub source: Option<Arc<str>>,
    /// Whether the row is known to say the same as the key.
    pub has_key: bool,
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
            self.key = key::read(bytes, &self.message.origin.topic, self.keys)?;
        }
        let Some(bytes) = &self.message.value else { return self.tombstone() };
        let whole = JsonText::new(text::text(bytes, "value")?);
        match known::read(self.values, &whole, &self.message.origin.topic, self.key.as_ref()) {
            Some(Known::Envelope { envelope, metadata, table, source, has_key }) => {
                (self.table, self.source, self.has_key) = (Some(table), Some(source), has_key);
                return self.envelope(&whole, &envelope, &metadata);
            }
            Some(Known::Row { row, metadata, kept, has_key }) => {
                self.has_key = has_key;
                return self.row(&whole, row, metadata, kept);
            }
            None => {}
        }
        let key = self.key.as_ref().map(|key| key.json.as_str());
        match shape(&whole, key, self.format)? {
            Shape::Null => self.tombstone(),
            Shape::Aside(what) => Ok(Decoded::Ignored(what)),
            Shape::Envelope(envelope) => self.unknown_envelope(&whole, &envelope),
            Shape::Row(row) => self.unknown_row(&whole, row),
        }
    }

    /// An envelope that is of no known form, or whose form is none to be known.
    fn unknown_envelope(&mut self, whole: &JsonText, envelope: &Envelope<'_>) -> Result<Decoded, String> {
        let (metadata, topic) = (Metadata::of_envelope(envelope), &self.message.origin.topic);
        self.table = Some(self.names.table(&metadata, topic));
        let decoded = self.envelope(whole, envelope, &metadata)?;
        if let Decoded::Change(change) = &decoded {
            known::learn_envelope(self.values, whole, envelope, change);
        }
        Ok(decoded)
    }

    fn envelope(&mut self, whole: &JsonText, envelope: &Envelope<'_>, metadata: &Metadata<&str>) -> Result<Decoded, String> {
        let operation = operation(envelope.operation)?;
        let is_delete = operation == Some(Operation::Delete);
        let text = if is_delete { envelope.before } else { envelope.after };
        let facts = Facts { message: self.message, metadata, envelope: Some(envelope), row: text, is_delete };
        let version = self.find_version(&facts)?;
        let Some(operation) = operation else {
            let table = self.table_name(metadata);
            return Ok(Decoded::Truncate { table, version });
        };
        let before = envelope.before.map(|row| row_text(whole, row)).transpose()?;
        let after = envelope.after.filter(|_| !is_delete).map(|row| row_text(whole, row)).transpose()?;
        if !is_delete && after.is_none() {
            return Err("the row after the change is missing (for MongoDB set capture.mode to change_streams_update_full)".to_owned());
        }
        self.change(metadata, version, Row { operation, before, after, text })
    }

    /// A row that is of no known form, or whose form is none to be known.
    fn unknown_row(&mut self, whole: &JsonText, row: &str) -> Result<Decoded, String> {
        let (metadata, runs) = match self.format {
            Format::Json => (Metadata::default(), None),
            Format::Debezium => Metadata::of_row(row),
        };
        let decoded = self.row(whole, row, metadata, runs.map(|runs| joined(runs.into_iter(), row.len())))?;
        if let Decoded::Change(change) = &decoded {
            known::learn_row(self.values, whole, row, self.format, change);
        }
        Ok(decoded)
    }

    fn row<'a>(&mut self, whole: &JsonText, row: &'a str, of_row: Metadata<&'a str>, kept: Option<String>) -> Result<Decoded, String> {
        let message = self.message;
        let mut metadata: Metadata<&str> = of_row;
        if self.format == Format::Debezium {
            metadata.add_headers(message);
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
        let kept = kept.map_or_else(|| whole.part(row), JsonText::from);
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

    fn table_name(&mut self, metadata: &Metadata<&str>) -> Arc<str> {
        self.table.clone().unwrap_or_else(|| self.names.table(metadata, &self.message.origin.topic))
    }

    fn find_version(&mut self, facts: &Facts<'_>) -> Result<Version, String> {
        let version = self.versions.find(facts, self.lane)?.ok_or_else(|| self.versions.missing(facts))?;
        self.version = Some(version);
        Ok(version)
    }

    fn change(&mut self, metadata: &Metadata<&str>, version: Version, row: Row<'_>) -> Result<Decoded, String> {
        if let (Some(key), Some(text), false) = (&self.key, row.text, self.has_key) {
            key::compare(key, text)?;
        }
        let at = metadata.lsn.and_then(whole_number).map_or(version, |lsn| Version::new(lsn, lsn));
        let other_key = |header| self.message.header(header).and_then(key::read_header);
        let moved: Option<Box<Moved>> = match row.operation {
            Operation::Delete => other_key("__debezium.newkey").map(|key| Moved::To { key, at }.into()),
            _ => other_key("__debezium.oldkey").map(|key| Moved::From { key, at }.into()),
        };
        let topic = &self.message.origin.topic;
        let source = self.source.take().unwrap_or_else(|| self.names.source(metadata, topic));
        let times = [metadata.source_ts_ms, metadata.event_ts_ms];
        Ok(Decoded::Change(Change {
            operation: row.operation,
            source,
            table: self.table_name(metadata),
            key: self.key.take(),
            before: row.before,
            after: row.after,
            version,
            ts_ms: times.into_iter().flatten().find_map(whole_number).unwrap_or(self.message.timestamp_ms),
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
