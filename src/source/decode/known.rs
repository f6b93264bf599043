//! What the forms of values are made of, and how a message of a known form is read.

use std::sync::Arc;

use super::form::{Forms, Marks, Span};
use super::metadata::Metadata;
use super::settings::Format;
use super::shape::Envelope;
use crate::event::fields::{Fields, bare, find, is_object};
use crate::event::{Change, Key};

/// Fields of an envelope's source that hardly ever change in a topic, and those that say whose row it is: another value is
/// another form.
const FIXED: [&str; 8] = ["version", "connector", "name", "db", "schema", "table", "collection", "snapshot"];

/// Fields that a row may have and still be something else when it holds other values.
const DOUBTFUL: [&str; 3] = ["source", "event_count", "payload"];

/// The forms of values.
pub(super) type Values = Forms<Parts>;

/// A value of a known form.
pub(super) enum Known<'a> {
    Envelope {
        envelope: Envelope<'a>,
        metadata: Metadata<&'a str>,
        table: Arc<str>,
        source: Arc<str>,
        /// Whether the row is known to say the same as the key.
        has_key: bool,
    },
    Row {
        row: &'a str,
        metadata: Metadata<&'a str>,
        /// The row without what was added to it; none where nothing was.
        kept: Option<String>,
        /// Whether the row is known to say the same as the key.
        has_key: bool,
    },
}

/// Where the parts of a value are, and what all of its form have in common.
#[derive(Clone, Debug)]
pub(super) enum Parts {
    Envelope(EnvelopeParts),
    Row(RowParts),
}

#[derive(Clone, Debug)]
pub(super) struct EnvelopeParts {
    whole: Span,
    operation: Span,
    before: Option<Span>,
    after: Option<Span>,
    source: Span,
    ts_ms: Option<Span>,
    metadata: Metadata<Span>,
    table: Arc<str>,
    source_name: Arc<str>,
    /// In the row after the change, or, where this says so, before it.
    key: Option<(KeyInRow, bool)>,
}

#[derive(Clone, Debug)]
pub(super) struct RowParts {
    row: Span,
    metadata: Metadata<Span>,
    kept: Option<Vec<Span>>,
    key: Option<KeyInRow>,
}

/// A key as the row says it: what stands before each value, and where that value is in the row.
#[derive(Clone, Debug)]
struct KeyInRow(Vec<(Box<str>, Span)>);

/// What `text` is, checked, when its form is known; `key` is the message's.
pub(super) fn read<'t>(values: &mut Values, text: &'t str, topic: &Arc<str>, key: Option<&Key>) -> Option<Known<'t>> {
    values.find(text, topic, |parts, marks| match parts {
        Parts::Envelope(parts) => parts.read(marks, key),
        Parts::Row(parts) => parts.read(marks, key),
    })
}

/// Remembers the form of an envelope that was read in full to this change.
pub(super) fn learn_envelope(values: &mut Values, text: &str, envelope: &Envelope<'_>, change: &Change) {
    if !values.is_learning() {
        return;
    }
    let mut varying = Vec::new();
    for field in Fields::of(envelope.text) {
        match field.name {
            // Read as another name than it looks like.
            name if name.contains('\\') => return,
            "before" | "after" if is_object(field.value) => varying.extend(Fields::of(field.value).map(|column| column.value)),
            "source" => varying.extend(Fields::of(field.value).filter(|field| !is_fixed(field.name, field.value)).map(|field| field.value)),
            _ if field.value != "null" => varying.push(field.value),
            _ => {}
        }
    }
    values.learn(text, &change.origin.topic, &varying, |marks| EnvelopeParts::of(envelope, change, marks).map(Parts::Envelope));
}

/// Remembers the form of a row that was read in full to this change.
pub(super) fn learn_row(values: &mut Values, text: &str, row: &str, format: Format, change: &Change) {
    let is_doubtful = |name: &str| name.contains('\\') || DOUBTFUL.contains(&name);
    let is_heartbeat = Fields::of(row).all(|field| field.name == "ts_ms");
    if !values.is_learning() || is_heartbeat || Fields::of(row).any(|field| is_doubtful(field.name)) {
        return;
    }
    let is_added =
        |name: &str, value: &str| name.strip_prefix("__").is_some_and(|name| is_fixed(name.strip_prefix("source_").unwrap_or(name), value));
    let varying: Vec<&str> = Fields::of(row).filter(|field| !is_added(field.name, field.value)).map(|field| field.value).collect();
    values.learn(text, &change.origin.topic, &varying, |marks| RowParts::of(row, format, change, marks).map(Parts::Row));
}

fn is_fixed(name: &str, value: &str) -> bool {
    FIXED.contains(&name) || value == "null"
}

impl EnvelopeParts {
    fn of(envelope: &Envelope<'_>, change: &Change, marks: Marks<'_, '_>) -> Option<Self> {
        let span = |part: Option<&str>| part.and_then(|part| marks.span(part));
        let mut metadata = Metadata::default();
        for field in Fields::of(envelope.source) {
            metadata.note_source(field.name, Some(marks.span(field.value)?));
        }
        // What they come to is known.
        (metadata.name, metadata.database, metadata.schema, metadata.table) = (None, None, None, None);
        let row = if change.is_delete() { envelope.before } else { envelope.after };
        let key = row.and_then(|row| KeyInRow::of(change.key.as_ref()?, row, marks));
        Some(Self {
            whole: marks.span(envelope.text)?,
            operation: marks.span(find(envelope.text, "op")?)?,
            before: span(envelope.before),
            after: span(envelope.after),
            source: marks.span(envelope.source)?,
            ts_ms: span(envelope.ts_ms),
            metadata,
            table: Arc::clone(&change.table),
            source_name: Arc::clone(&change.source),
            key: key.map(|key| (key, change.is_delete())),
        })
    }

    fn read<'t>(&self, marks: Marks<'_, 't>, key: Option<&Key>) -> Option<Known<'t>> {
        let part = |span: Span| marks.part(span);
        let operation = bare(part(self.operation)?).filter(|letter| matches!(*letter, "c" | "u" | "d" | "r"))?;
        // MongoDB's rows are values, so anything may stand there.
        let is_row = |row: &&str| row.starts_with(['{', '"']);
        let row = |span: Option<Span>| span.map_or(Some(None), |span| part(span).filter(is_row).map(Some));
        let envelope = Envelope {
            text: part(self.whole)?,
            operation,
            before: row(self.before)?,
            after: row(self.after)?,
            source: part(self.source)?,
            ts_ms: self.ts_ms.and_then(part),
        };
        let metadata = self.metadata.map(|span| bare(part(span)?)).with(&envelope);
        let has_key = match (&self.key, key) {
            (Some((in_row, in_before)), Some(key)) => *in_before == (operation == "d") && in_row.is(key, marks),
            _ => false,
        };
        Some(Known::Envelope { envelope, metadata, table: Arc::clone(&self.table), source: Arc::clone(&self.source_name), has_key })
    }
}

impl RowParts {
    fn of(row: &str, format: Format, change: &Change, marks: Marks<'_, '_>) -> Option<Self> {
        let (mut metadata, mut kept) = (Metadata::default(), None);
        if format == Format::Debezium {
            for field in Fields::of(row) {
                metadata.note_of_row(field.name, Some(marks.span(field.value)?));
            }
            let (_, runs) = Metadata::of_row(row);
            kept = runs.map(|runs| runs.into_iter().map(|run| marks.span(run)).collect::<Option<_>>());
        }
        let kept = kept.map_or(Some(None), |kept| kept.map(Some))?;
        let key = change.key.as_ref().and_then(|key| KeyInRow::of(key, row, marks));
        Some(Self { row: marks.span(row)?, metadata, kept, key })
    }

    fn read<'t>(&self, marks: Marks<'_, 't>, key: Option<&Key>) -> Option<Known<'t>> {
        let row = marks.part(self.row)?;
        let metadata = self.metadata.map(|span| bare(marks.part(span)?));
        let kept = self.kept.as_ref().map(|runs| super::metadata::joined(runs.iter().filter_map(|run| marks.part(*run)), row.len()));
        let has_key = matches!((&self.key, key), (Some(in_row), Some(key)) if in_row.is(key, marks));
        Some(Known::Row { row, metadata, kept, has_key })
    }
}

impl KeyInRow {
    fn of(key: &Key, row: &str, marks: Marks<'_, '_>) -> Option<Self> {
        let (mut columns, mut at) = (Vec::new(), 0);
        for column in Fields::of(&key.json) {
            let mut in_row = Fields::of(row).filter(|of_row| of_row.name == column.name);
            let (Some(only), None) = (in_row.next(), in_row.next()) else { return None };
            let before = key.json.get(at..column.end - column.value.len())?;
            columns.push((before.into(), marks.span(only.value)?));
            at = column.end;
        }
        (key.json.get(at..)? == "}").then_some(Self(columns))
    }

    /// Whether the key is exactly what the row says.
    fn is(&self, key: &Key, marks: Marks<'_, '_>) -> bool {
        let mut left = &*key.json;
        for (before, value) in &self.0 {
            let rest = left.strip_prefix(&**before).and_then(|rest| rest.strip_prefix(marks.part(*value)?));
            let Some(rest) = rest else { return false };
            left = rest;
        }
        left == "}"
    }
}
