//! What a message says about its change beside the rows: the envelope's `source`, or the fields and headers that
//! `ExtractNewRecordState` adds (`add.fields`, `add.headers`).

use std::borrow::Cow;

use crate::event::Message;
use crate::event::fields::{Fields, bare, find};

/// Values without quotes, escapes as they stand; a later reader of a field makes of it what it needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Metadata<'a> {
    pub connector: Option<&'a str>,
    /// The connector's `topic.prefix`.
    pub name: Option<&'a str>,
    pub database: Option<&'a str>,
    pub schema: Option<&'a str>,
    pub table: Option<&'a str>,
    /// `true`, `false`, `first`, `last`, `incremental`…
    pub snapshot: Option<&'a str>,
    pub lsn: Option<&'a str>,
    /// Whether the message has a place for an LSN, be it null: then it comes from Postgres.
    pub has_lsn: bool,
    /// `["<end of the last commit>","<lsn>"]`, each of them a number as text or null.
    pub sequence: Option<&'a str>,
    pub file: Option<&'a str>,
    pub position: Option<&'a str>,
    pub row: Option<&'a str>,
    /// When the database committed.
    pub source_ts_ms: Option<&'a str>,
    /// When the connector handled it.
    pub event_ts_ms: Option<&'a str>,
    pub operation: Option<&'a str>,
    pub deleted: Option<&'a str>,
}

impl<'a> Metadata<'a> {
    /// What the `source` object of an envelope says.
    pub fn of_source(source: &'a str) -> Self {
        let mut metadata = Self::default();
        for field in Fields::of(source) {
            metadata.note_source(field.name, bare(field.value));
        }
        metadata
    }

    /// What an unwrapped row says in the fields added to it, and the row without them.
    ///
    /// Users of the unwrapped form want no `__deleted` in their documents. The rest is copied as it stands, so no digit is
    /// lost; a row without added fields is not copied.
    pub fn of_row(row: &'a str) -> (Self, Cow<'a, str>) {
        let mut metadata = Self::default();
        let mut kept: Option<String> = None;
        let mut run: Option<(usize, usize)> = None;
        for field in Fields::of(row) {
            let added = field.name.strip_prefix("__").and_then(Added::of);
            match added {
                None => run = Some((run.map_or(field.start, |(start, _)| start), field.end)),
                Some(added) => {
                    metadata.note_added(added, bare(field.value));
                    let text = kept.get_or_insert_with(|| start_of_row(row));
                    append(text, row, run.take());
                }
            }
        }
        let Some(mut text) = kept else { return (metadata, Cow::Borrowed(row)) };
        append(&mut text, row, run);
        text.push('}');
        (metadata, Cow::Owned(text))
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

    fn note_added(&mut self, added: Added<'_>, value: Option<&'a str>) {
        match added {
            Added::Operation => self.operation = value,
            Added::Deleted => self.deleted = value,
            Added::EventTime => self.event_ts_ms = value,
            Added::Source(name) => self.note_source(name, value),
            Added::Other => {}
        }
    }

    fn note_source(&mut self, name: &str, value: Option<&'a str>) {
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

fn start_of_row(row: &str) -> String {
    let mut text = String::with_capacity(row.len());
    text.push('{');
    text
}

fn append(text: &mut String, row: &str, run: Option<(usize, usize)>) {
    let Some(fields) = run.and_then(|(start, end)| row.get(start..end)) else { return };
    if text.len() > 1 {
        text.push(',');
    }
    text.push_str(fields);
}
