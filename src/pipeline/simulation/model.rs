//! What must be there at the end. Read this and believe the rest.
//!
//! A row is one document of its id, and a second one where it says `also`. A row that says `refused` is refused by the
//! sink: what it would have written stays as it was, what it produces no more goes. A row that says `rejected` is rejected
//! by the module, and all of its documents stay. Either is a dead letter.
//!
//! The index holds the row as it is in the database. *Which* module made a document is promised less firmly: one that ran
//! for a change that left the row as it now is. Not the newest one that did, because a crash between the sink's answer and
//! the commit has the same change run again: if another module runs then, the sink has that version already and keeps the
//! first body.
//!
//! Not promised, so the database here does not do it:
//! - an update that changes nothing within a tie: how often a tie was raised would depend on which module ran;
//! - a bad row on the first change after a truncate took it: read before the truncate, it leaves the older row's document;
//! - a bad change of a row whose out-of-line value is borrowed from its former key: the refresh that settles it is bad too.

use std::collections::BTreeMap;

use serde_json::Value;

use super::database::{Done, Step};
use crate::event::Version;

/// The index after some steps of the database.
#[derive(Debug, Default)]
pub struct Model {
    /// Documents by id.
    pub documents: BTreeMap<String, Document>,
    /// Changes that must be dead letters: the row's id and the change's version, with the row.
    pub dead: BTreeMap<(u64, Version), Value>,
}

/// A document that must be there: its row, and the changes that left the row so.
#[derive(Debug)]
pub struct Document {
    pub row: Value,
    pub changes: Vec<(u64, Version)>,
}

impl Model {
    pub fn after<'a>(steps: impl Iterator<Item = &'a Step>) -> Self {
        let mut model = Self::default();
        for Step { version, done, .. } in steps {
            match done {
                Done::Truncate => model.documents.clear(),
                Done::Delete(id) => model.documents.retain(|name, _| !belongs(name, *id)),
                Done::Put(id, row) => model.put(*id, row, *version),
            }
        }
        model
    }

    fn put(&mut self, id: u64, row: &Value, version: Version) {
        if row["is"] != "good" {
            self.dead.insert((id, version), row.clone());
        }
        if row["is"] == "rejected" {
            return;
        }
        let names = names(id, row);
        self.documents.retain(|name, _| !belongs(name, id) || names.contains(name));
        for name in names.into_iter().filter(|_| row["is"] == "good") {
            let document = self.documents.entry(name).or_insert_with(|| Document { row: row.clone(), changes: Vec::new() });
            if document.row != *row {
                *document = Document { row: row.clone(), changes: Vec::new() };
            }
            document.changes.push((id, version));
        }
    }
}

/// The ids of the documents of a row.
pub fn names(id: u64, row: &Value) -> Vec<String> {
    if row["also"] == true { vec![id.to_string(), format!("{id}-also")] } else { vec![id.to_string()] }
}

fn belongs(name: &str, id: u64) -> bool {
    name.split('-').next() == Some(&id.to_string())
}
