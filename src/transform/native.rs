//! Documents that were made without a border, checked as those of a guest are: what `rowmill bench guests` compares with.

use crate::event::Change;
use crate::transform::Outcome;
use crate::transform::batch::Batch;
use crate::transform::output::gather;
use crate::transform::world::rowmill::transform::types::{Action, Document, Output};

/// The outcome of each of `changes`, of documents with the place of their change. The error names a document that has none.
pub fn outcomes(changes: &[Change], documents: impl Iterator<Item = (u32, String)>) -> Result<Vec<Outcome>, String> {
    let output = |(change, body)| Output { change, action: Action::Index(Document { id: None, index: None, routing: None, body }) };
    let mut gathered = gather(changes.len(), documents.map(output).collect()).map_err(|fault| fault.message)?;
    Batch::Changes(changes).check_ids(&mut gathered.outcomes);
    Ok(gathered.outcomes)
}
