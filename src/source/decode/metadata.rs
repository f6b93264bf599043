//! What a message says about its change beside the rows: the envelope's `source`, or the fields and headers that
//! `ExtractNewRecordState` adds (`add.fields`, `add.headers`).

use super::shape::Envelope;
use crate::event::Message;
use crate::event::fields::{Fields, bare, find};

/// Values without quotes, escapes as they stand; a later reader of a field makes of it what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Metadata<T> {
    pub connector: Option<T>,
    /// The connector's `topic.prefix`.
    pub name: Option<T>,
    pub database: Option<T>,
    pub schema: Option<T>,
    pub table: Option<T>,
    /// `true`, `false`, `first`, `last`, `incremental`…
    pub snapshot: Option<T>,
    pub lsn: Option<T>,
    /// Whether the message has a place for an LSN, be it null: then it comes from Postgres.
    pub has_lsn: bool,
    /// `["<end of the last commit>","<lsn>"]`, each of them a number as text or null.
    pub sequence: Option<T>,
    pub file: Option<T>,
    pub position: Option<T>,
    pub row: Option<T>,
    /// When the database committed.
    pub source_ts_ms: Option<T>,
    /// When the connector handled it.
    pub event_ts_ms: Option<T>,
    pub operation: Option<T>,
    pub deleted: Option<T>,
}

impl<'a> Metadata<&'a str> {
    /// What an envelope says.
    pub fn of_envelope(envelope: &Envelope<'a>) -> Self {
        let mut metadata = Self::default();
        for field in Fields::of(envelope.source) {
            metadata.note_source(field.name, bare(field.value));
        }
        metadata.with(envelope)
    }

    /// What the source says, and what stands beside it.
    pub fn with(self, envelope: &Envelope<'a>) -> Self {
        Self { event_ts_ms: envelope.ts_ms, operation: Some(envelope.operation), ..self }
    }

    /// What an unwrapped row says in the fields added to it, and the runs of fields that it has beside them; no runs where
    /// nothing was added.
    ///
    /// Users of the unwrapped form want no `__deleted` in their documents. The rest is copied as it stands, so no digit is
    /// lost; a row without added fields is not copied.
    pub fn of_row(row: &'a str) -> (Self, Option<Vec<&'a str>>) {
        let (mut metadata, mut has_added) = (Self::default(), false);
        let mut runs: Vec<(usize, usize)> = Vec::new();
        let mut is_running = false;
        for field in Fields::of(row) {
            let is_added = metadata.note_of_row(field.name, bare(field.value));
            match runs.last_mut() {
                _ if is_added => has_added = true,
                Some((_, end)) if is_running => *end = field.end,
                _ => runs.push((field.start, field.end)),
            }
            is_running = !is_added;
        }
        (metadata, has_added.then(|| runs.into_iter().filter_map(|(start, end)| row.get(start..end)).collect()))
    }

    /// Fills what is still missing from the headers added by the unwrap transform; the last of a name counts.
    pub fn add_headers(&mut self, message: &'a Message) {
        let mut of_headers = Self::default();
        for (name, value) in &message.headers {
            let Some(added) = name.strip_prefix("__").and_then(Added::of) else { continue };
            let value = value.as_ref().and_then(|value| std::str::from_utf8(value).ok());
            of_headers.note_added(added, value.and_then(header_value));
        }
        self.fill_from(of_headers);
    }

    /// Whether this row was read from a table instead of the log.
    pub fn is_snapshot(&self) -> bool {
        self.snapshot.map_or(self.operation == Some("r"), |snapshot| snapshot != "false")
    }

    fn fill_from(&mut self, other: Self) {
        let mine = *self;
        *self = Self {
            connector: mine.connector.or(other.connector),
            name: mine.name.or(other.name),
            database: mine.database.or(other.database),
            schema: mine.schema.or(other.schema),
            table: mine.table.or(other.table),
            snapshot: mine.snapshot.or(other.snapshot),
            lsn: mine.lsn.or(other.lsn),
            has_lsn: mine.has_lsn || other.has_lsn,
            sequence: mine.sequence.or(other.sequence),
            file: mine.file.or(other.file),
            position: mine.position.or(other.position),
            row: mine.row.or(other.row),
            source_ts_ms: mine.source_ts_ms.or(other.source_ts_ms),
            event_ts_ms: mine.event_ts_ms.or(other.event_ts_ms),
            operation: mine.operation.or(other.operation),
            deleted: mine.deleted.or(other.deleted),
        };
    }
}

impl<T: Copy> Metadata<T> {
    /// Notes a field of an unwrapped row, and tells whether it was added to it.
    pub fn note_of_row(&mut self, name: &str, value: Option<T>) -> bool {
        let added = name.strip_prefix("__").and_then(Added::of);
        let is_added = added.is_some();
        added.into_iter().for_each(|added| self.note_added(added, value));
        is_added
    }

    fn note_added(&mut self, added: Added<'_>, value: Option<T>) {
        match added {
            Added::Operation => self.operation = value,
            Added::Deleted => self.deleted = value,
            Added::EventTime => self.event_ts_ms = value,
            Added::Source(name) => self.note_source(name, value),
            Added::Other => {}
        }
    }

    /// Notes a field of the envelope's source.
    pub fn note_source(&mut self, name: &str, value: Option<T>) {
        match name {
            "connector" => self.connector = value,
            "name" => self.name = value,
            "db" => self.database = value,
            "schema" => self.schema = value,
            "table" | "collection" => self.table = value,
            "snapshot" => self.snapshot = value,
            "lsn" => (self.lsn, self.has_lsn) = (value, true),
            "sequence" => self.sequence = value,
            "file" => self.file = value,
            "pos" => self.position = value,
            "row" => self.row = value,
            "ts_ms" => self.source_ts_ms = value,
            _ => {}
        }
    }

    /// The same with other values; `to` gives none for null.
    pub fn map<U>(&self, to: impl Fn(T) -> Option<U>) -> Metadata<U> {
        Metadata {
            connector: self.connector.and_then(&to),
            name: self.name.and_then(&to),
            database: self.database.and_then(&to),
            schema: self.schema.and_then(&to),
            table: self.table.and_then(&to),
            snapshot: self.snapshot.and_then(&to),
            lsn: self.lsn.and_then(&to),
            has_lsn: self.has_lsn,
            sequence: self.sequence.and_then(&to),
            file: self.file.and_then(&to),
            position: self.position.and_then(&to),
            row: self.row.and_then(&to),
            source_ts_ms: self.source_ts_ms.and_then(&to),
            event_ts_ms: self.event_ts_ms.and_then(&to),
            operation: self.operation.and_then(&to),
            deleted: self.deleted.and_then(&to),
        }
    }
}

impl<T> Default for Metadata<T> {
    fn default() -> Self {
        Self {
            connector: None,
            name: None,
            database: None,
            schema: None,
            table: None,
            snapshot: None,
            lsn: None,
            has_lsn: false,
            sequence: None,
            file: None,
            position: None,
            row: None,
            source_ts_ms: None,
            event_ts_ms: None,
            operation: None,
            deleted: None,
        }
    }
}

/// A field or header that the unwrap transform has added, by its name without the `__` before it.
enum Added<'a> {
    Operation,
    Deleted,
    EventTime,
    Source(&'a str),
    /// Known, and of no use here.
    Other,
}

impl<'a> Added<'a> {
    /// None for what is a column: people have columns like `__v` and `__typename`, so only Debezium's own names count.
    fn of(name: &'a str) -> Option<Self> {
        match name {
            "op" => Some(Added::Operation),
            "deleted" => Some(Added::Deleted),
            "ts_ms" => Some(Added::EventTime),
            "ts_us" | "ts_ns" => Some(Added::Other),
            "connector" | "name" | "db" | "schema" | "table" | "collection" | "snapshot" | "lsn" | "sequence" | "file" | "pos" | "row" => {
                Some(Added::Source(name))
            }
            "version" | "txId" | "xmin" | "gtid" | "server_id" | "thread" | "query" | "scn" | "commit_scn" | "commit_lsn"
            | "change_lsn" | "event_serial_no" | "origin" | "origin_lsn" | "ord" => Some(Added::Other),
            _ => match name.strip_prefix("source_") {
                Some(name) => Some(Added::Source(name)),
                None => name.starts_with("transaction_").then_some(Added::Other),
            },
        }
    }
}

/// The value of a header: plain text (Kafka's SimpleHeaderConverter), or what the JsonConverter makes of it.
fn header_value(text: &str) -> Option<&str> {
    let text = text.trim();
    match find(text, "payload") {
        Some(payload) => bare(payload),
        None => bare(text),
    }
}

/// An object of runs of fields.
pub(super) fn joined<'a>(runs: impl Iterator<Item = &'a str>, bytes_max: usize) -> String {
    let mut text = String::with_capacity(bytes_max);
    text.push('{');
    for run in runs {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(run);
    }
    text.push('}');
    text
}
