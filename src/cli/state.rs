//! `rowmill state`: what is remembered of a row, and what transforms keep.

use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use super::{DONE, FAILED, failed, load, say};
use crate::error::Failure;
use crate::state::{Rows, Store, Values};

/// What to look at.
#[derive(Debug, Subcommand)]
pub enum Look {
    /// What is remembered of one row: version, documents, and the row itself where rows are kept
    Get {
        /// The table, as `schema.table`
        table: String,
        /// The row's key as text: `42`, or `north|7` for several columns
        key: String,
        /// Only this pipeline
        #[arg(long)]
        pipeline: Option<String>,
    },
    /// Where the reading of every lane stands
    Positions,
    /// What the transform of a pipeline keeps in its store
    Store {
        /// The pipeline
        pipeline: String,
        /// Only this key
        key: Option<String>,
        /// How many entries, in no particular order
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
}

/// Opens the state beside whoever runs on it, and shows one JSON object a line.
pub fn state(config: &Path, look: &Look) -> u8 {
    let plan = match load(config) {
        Ok(plan) => plan,
        Err(wrong) => return wrong,
    };
    let shown = Store::open_read_only(&plan.state.dir).map_err(Failure::from).and_then(|store| show(&store, look));
    match shown {
        Ok(lines) if lines.is_empty() => {
            eprintln!("rowmill: nothing is remembered of that");
            FAILED
        }
        Ok(lines) => {
            lines.iter().for_each(say);
            DONE
        }
        Err(failure) => failed(failure),
    }
}

fn show(store: &Store, look: &Look) -> Result<Vec<serde_json::Value>, Failure> {
    let mut lines = Vec::new();
    for (name, _) in store.pipelines()? {
        let Some(state) = store.existing_pipeline(&name)? else { continue };
        match look {
            Look::Positions => {
                for (lane, record) in state.positions()? {
                    lines.push(json!({"pipeline": name, "lane": &*lane, "position": record.position}));
                }
            }
            Look::Get { pipeline: Some(wanted), .. } | Look::Store { pipeline: wanted, .. } if *wanted != name => {}
            Look::Store { key, limit, .. } => lines.extend(kept(state.values(), key.as_ref(), *limit)?),
            Look::Get { table, key, .. } => {
                let (row, mut rows) = (state.key(table, key), Rows::default());
                state.want(&mut rows, row.clone(), None);
                state.fetch(&mut rows)?;
                let Some(record) = rows.record(&row) else { continue };
                let text = state.row_text(&rows, &row)?;
                let row: Option<serde_json::Value> = text.and_then(|text| serde_json::from_str(&text).ok());
                let documents = record.documents.iter().map(|document| {
                    json!({"index": document.index(), "id": document.id(), "routing": document.routing(),
                           "version": document.version.0, "live": document.is_live})
                });
                lines.push(json!({
                    "pipeline": name, "table": table, "key": key,
                    "version": {"first": record.version.first, "second": record.version.second},
                    "deleted_ms": record.deleted_ms, "documents": documents.collect::<Vec<_>>(), "row": row,
                }));
            }
        }
    }
    Ok(lines)
}

/// Entries of a store, a line each.
fn kept(values: &Values, key: Option<&String>, limit: usize) -> Result<Vec<serde_json::Value>, Failure> {
    let keys = match key {
        Some(key) => vec![key.clone()],
        None => values.keys(0, limit)?.into_iter().map(|(_, key)| key).take(limit).collect(),
    };
    let mut lines = Vec::new();
    for key in keys {
        let Some(value) = values.get(&key)? else { continue };
        lines.push(match std::str::from_utf8(&value) {
            Ok(text) => json!({"key": key, "value": text}),
            Err(_) => json!({"key": key, "bytes": value.iter().map(|byte| format!("{byte:02x}")).collect::<String>()}),
        });
    }
    Ok(lines)
}
