//! Between the generated types and ours: every text is moved, none is copied.

use crate::aggregate::{Measured, Measurement};
use crate::bindings::aggregate::rowmill::transform::windows;
use crate::bindings::rowmill::transform::types;
use crate::change::{Change, Operation, Version};
use crate::column::Decimal;
use crate::output::{Action, Output};
use crate::window::{Span, WindowRow};

pub use types::{Change as BoundChange, Output as BoundOutput};
pub use windows::{Measurement as BoundMeasurement, WindowRow as BoundWindowRow};

/// What the host passed.
pub fn lift(changes: Vec<types::Change>) -> Vec<Change> {
    changes.into_iter().map(Change::from).collect()
}

/// What the host passed to be rendered.
pub fn lift_rows(rows: Vec<windows::WindowRow>) -> Vec<WindowRow> {
    rows.into_iter().map(WindowRow::from).collect()
}

/// What is measured.
pub fn lower_measurements(measurements: Vec<Measurement>) -> Vec<windows::Measurement> {
    measurements.into_iter().map(windows::Measurement::from).collect()
}

/// What the host is to get.
pub fn lower(outputs: Vec<Output>) -> Vec<types::Output> {
    outputs.into_iter().map(types::Output::from).collect()
}

/// A panic traps, and the host sees no more than that: so say what it was before.
pub fn panics_to_log() {
    std::panic::set_hook(Box::new(|panic| crate::log::error(panic.to_string())));
}

impl From<types::Change> for Change {
    fn from(change: types::Change) -> Self {
        Change {
            operation: match change.operation {
                types::Operation::Create => Operation::Create,
                types::Operation::Update => Operation::Update,
                types::Operation::Delete => Operation::Delete,
                types::Operation::Read => Operation::Read,
                types::Operation::Refresh => Operation::Refresh,
            },
            source: change.source,
            table: change.table,
            key: change.key,
            before: change.before,
            after: change.after,
            version: Version { first: change.version.first, second: change.version.second },
            ts_ms: change.ts_ms,
        }
    }
}

impl From<Output> for types::Output {
    fn from(output: Output) -> Self {
        let action = match output.action {
            Action::Index(document) => types::Action::Index(types::Document {
                id: document.id,
                index: document.index,
                routing: document.routing,
                body: document.body,
            }),
            Action::Delete(document) => {
                types::Action::Delete(types::DocumentRef { id: document.id, index: document.index, routing: document.routing })
            }
            Action::Emit(message) => types::Action::Emit(types::Message { topic: message.topic, key: message.key, body: message.body }),
            Action::Reject(reason) => types::Action::Reject(reason),
        };
        types::Output { change: output.change, action }
    }
}

impl From<Measurement> for windows::Measurement {
    fn from(measurement: Measurement) -> Self {
        let measured = match measurement.measured {
            Measured::Counts(measure) => windows::Measured::Counts(windows::Measure {
                key: measure.key,
                time_ms: measure.time_ms,
                weight: measure.weight,
                distinct: measure.distinct,
            }),
            Measured::Reject(reason) => windows::Measured::Reject(reason),
        };
        windows::Measurement { change: measurement.change, measured }
    }
}

impl From<windows::WindowRow> for WindowRow {
    fn from(row: windows::WindowRow) -> Self {
        WindowRow {
            window: row.window.map(|span| Span { start_ms: span.start_ms, end_ms: span.end_ms }),
            key: row.key,
            rank: row.rank,
            is_final: row.is_final,
            count: row.count,
            sum: Decimal::of_host(row.sum),
            min: row.min.map(Decimal::of_host),
            max: row.max.map(Decimal::of_host),
            average: row.average.map(Decimal::of_host),
            distinct: row.distinct,
            score: row.score,
        }
    }
}
