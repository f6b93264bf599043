//! From what the guest asked for, and what the row produced before, to what the sink is to write. Plain functions.

use std::collections::HashMap;
use std::sync::Arc;

use bytestring::ByteString;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::event::{Action, Change, DocumentVersion, JsonText, Operation, Version, Write};
use crate::limits;
use crate::pipeline::work::Sourced;
use crate::state::{DocumentNames, DocumentRecord, RowRecord};
use crate::transform::{Output, Target};

/// How far a document with provisional values stands below its place: a life of the process that ended before its commit may
/// have written it, and the next one, which reads the lanes in another order, must win with the settled values. More than a
/// row moves in one transaction.
pub const PROVISIONAL_DROP: u64 = 16;

/// The pipeline's index for each topic and table.
#[derive(Clone, Debug)]
pub struct IndexNames {
    template: String,
    /// Where it is the same for all.
    fixed: Option<Arc<str>>,
    names: HashMap<(Arc<str>, Arc<str>), Arc<str>>,
}

impl IndexNames {
    /// Names by the sink's template; without one, the topic's name in lower case.
    pub fn new(template: Option<&str>) -> Self {
        let template = template.unwrap_or("{topic}").to_owned();
        Self { fixed: (!template.contains('{')).then(|| template.as_str().into()), template, names: HashMap::new() }
    }

    /// Whether the same index serves all tables.
    pub fn fixed(&self) -> Option<&str> {
        self.fixed.as_deref()
    }

    /// The index of a change.
    pub fn of(&mut self, change: &Change) -> Arc<str> {
        if let Some(fixed) = &self.fixed {
            return fixed.clone();
        }
        let place = (change.origin.topic.clone(), change.table.clone());
        let template = &self.template;
        // Who puts names of tables into messages may make up as many as he likes.
        if self.names.len() >= limits::NAMES_SHARED_MAX && !self.names.contains_key(&place) {
            self.names.clear();
        }
        let name = self.names.entry(place).or_insert_with_key(|(topic, table)| {
            let (schema, name) = table.rsplit_once('.').unwrap_or(("", table));
            let filled = template.replace("{topic}", topic).replace("{schema}", schema).replace("{table}", name);
            // Search servers take no capitals in an index's name.
            filled.to_lowercase().into()
        });
        name.clone()
    }
}

/// Works out the writes of one change, and brings what is remembered of its row up to date.
///
/// What the row produced before and does not produce now is deleted. A delete of a row that nothing is known of deletes
/// the document of the row's own key: the state may have been lost since it was written. Where the row was known, what it
/// produced is known too, and a document of that id is another row's.
///
/// Adds them to `writes`, and says how many documents are as they were written last.
pub fn plan(
    change: &Change,
    outputs: Vec<Output>,
    record: Option<&mut RowRecord>,
    index: &Arc<str>,
    source: &Sourced,
    writes: &mut Vec<Write>,
) -> u64 {
    let mut keyless = RowRecord::default();
    let lineage = record.unwrap_or(&mut keyless);
    lineage.documents.retain(|document| document.is_live || !document.version.is_surpassed_by(change.version));
    let mut planner = Planner { change, index, lineage, is_provisional: source.is_provisional, writes, unchanged: 0 };
    let outputs = match <[Output; 1]>::try_from(outputs) {
        // As nearly all changes are: nothing else can be left behind.
        Ok([Output::Index { target, body }]) if planner.is_the_only(&target) => {
            planner.put_at((!planner.lineage.documents.is_empty()).then_some(0), &target, Some(body));
            return planner.unchanged;
        }
        Ok(only) => only.into(),
        Err(outputs) => outputs,
    };
    let has_outputs = !outputs.is_empty();
    let mut wanted: SmallVec<[Target; 1]> = SmallVec::new();
    for output in outputs {
        match output {
            Output::Index { target, body } => {
                planner.write(&target, Some(body));
                wanted.push(target);
            }
            Output::Delete { target } => {
                planner.write(&target, None);
                wanted.push(target);
            }
            Output::Emit { topic, key, body } => planner.emit(topic, key, body),
            // Nothing for a sink: the windows have it.
            Output::Measure(_) => {}
        }
    }
    let orphans = planner.orphans(&wanted);
    for orphan in &orphans {
        planner.write(orphan, None);
    }
    if change.is_delete() && !source.is_known && !has_outputs && orphans.is_empty() && change.key.is_some() {
        planner.write(&Target::default(), None);
    }
    planner.unchanged
}

/// Works out what deletes all that a change may have written before its table's truncate, at that version, was read.
///
/// The change is planned as it was then, so that the deletes stand above its writes also in a tie.
pub fn withdraw(
    change: &Change,
    outputs: Vec<Output>,
    record: Option<&mut RowRecord>,
    index: &Arc<str>,
    source: &Sourced,
    at: Version,
    writes: &mut Vec<Write>,
) -> u64 {
    let Some(record) = record else { return 0 };
    plan(change, outputs, Some(record), index, source, &mut Vec::new());
    let delete = Change { operation: Operation::Delete, before: None, after: None, version: at, moved: None, ..change.clone() };
    plan(&delete, Vec::new(), Some(record), index, source, writes)
}

/// The writes of one change on the way.
struct Planner<'a> {
    change: &'a Change,
    index: &'a Arc<str>,
    lineage: &'a mut RowRecord,
    is_provisional: bool,
    writes: &'a mut Vec<Write>,
    unchanged: u64,
}

impl Planner<'_> {
    /// Whether this is the row's own document, and the row had no other.
    fn is_the_only(&self, target: &Target) -> bool {
        let Target { id, index: None, routing: None } = target else { return false };
        let is_own = id.is_none() || id.as_deref() == self.change.key.as_ref().map(|key| &*key.id);
        is_own && self.lineage.documents.iter().all(|document| document.names.is_none())
    }

    /// Plans one write (a delete without a body), unless the sink has the very same document.
    fn write(&mut self, target: &Target, body: Option<JsonText>) {
        self.leave_other_routings(target);
        self.put(target, body);
    }

    fn put(&mut self, target: &Target, body: Option<JsonText>) {
        let place = self.lineage.documents.iter().position(|document| self.is_same(document, target) && has_routing(document, target));
        self.put_at(place, target, body);
    }

    /// The same, where it is known which of the documents it is.
    fn put_at(&mut self, place: Option<usize>, target: &Target, body: Option<JsonText>) {
        let last = place.and_then(|place| self.lineage.documents.get(place));
        let body_hash = body.as_ref().map(|body| xxh3_64(body.as_bytes()));
        if last.is_some_and(|last| last.is_live && body_hash.is_some() && last.body_hash == body_hash) {
            self.unchanged += 1;
            return;
        }
        // Sinks that know no routing, and shards that two routings share, have one document of that id.
        let others = || self.lineage.documents.iter().filter(|document| self.is_same(document, target));
        let last = last.filter(|_| self.lineage.documents.len() == 1).or_else(|| others().max_by_key(|document| document.version));
        let version = DocumentVersion::after(self.change.version, last.map(|last| last.version));
        let is_lowered = self.is_provisional && last.is_none_or(|last| last.is_lowered || last.version < lowered(version));
        let key = self.change.key.as_ref().map(|key| &*key.id);
        let record = DocumentRecord {
            names: names_of(target, key),
            version,
            is_lowered,
            // What may not be the last word is written again once it is.
            body_hash: body_hash.filter(|_| !self.is_provisional),
            is_live: body.is_some(),
        };
        let version = written(&record);
        match place.and_then(|place| self.lineage.documents.get_mut(place)) {
            Some(known) => *known = record,
            None => self.lineage.documents.push(record),
        }
        self.writes.push(Write {
            index: target.index.as_ref().map_or_else(|| self.index.clone(), |index| Arc::from(&**index)),
            id: target.id.clone().or_else(|| self.change.key.as_ref().map(|key| key.id.clone())).unwrap_or_default(),
            routing: target.routing.clone(),
            version,
            action: body.map_or(Action::Delete, Action::Index),
        });
    }

    fn emit(&mut self, topic: String, key: Option<String>, body: JsonText) {
        self.writes.push(Write {
            index: topic.into(),
            id: key.map_or_else(|| self.change.key_id().into(), ByteString::from),
            routing: None,
            version: DocumentVersion::after(self.change.version, None),
            action: Action::Emit(body),
        });
    }

    /// Deletes a document where it was routed to before: first, so that the write is the last word wherever both meet.
    fn leave_other_routings(&mut self, target: &Target) {
        let is_left = |document: &&DocumentRecord| document.is_live && self.is_same(document, target) && !has_routing(document, target);
        let left: Vec<Target> = self.lineage.documents.iter().filter(is_left).map(target_of).collect();
        for old in &left {
            self.put(old, None);
        }
    }

    /// What the row has produced and is not wanted any more.
    fn orphans(&self, wanted: &[Target]) -> Vec<Target> {
        let is_wanted =
            |document: &DocumentRecord| wanted.iter().any(|target| self.is_same(document, target) && has_routing(document, target));
        self.lineage.documents.iter().filter(|document| document.is_live && !is_wanted(document)).map(target_of).collect()
    }

    /// Whether both name one document, be it by name or by default.
    fn is_same(&self, document: &DocumentRecord, target: &Target) -> bool {
        let key = self.change.key.as_ref().map(|key| &*key.id);
        let index = |name: Option<&str>| name.unwrap_or(self.index) == target.index.as_deref().unwrap_or(self.index);
        index(document.index()) && document.id().or(key) == target.id.as_deref().or(key)
    }
}

/// The version a document was written with. Its place is what the next ones are counted from: how many there are of a tie must not depend
/// on which of them were provisional, or the next life would count other versions.
fn written(document: &DocumentRecord) -> DocumentVersion {
    if document.is_lowered { lowered(document.version) } else { document.version }
}

fn lowered(version: DocumentVersion) -> DocumentVersion {
    DocumentVersion(version.0.saturating_sub(PROVISIONAL_DROP))
}

fn has_routing(document: &DocumentRecord, target: &Target) -> bool {
    document.routing() == target.routing.as_deref()
}

/// What is to be noted of a target. Whoever names the row's own key says what goes without saying.
fn names_of(target: &Target, key: Option<&str>) -> Option<Box<DocumentNames>> {
    let id = target.id.as_deref().filter(|id| Some(*id) != key);
    let is_named = id.is_some() || target.index.is_some() || target.routing.is_some();
    let names = || DocumentNames {
        index: target.index.as_deref().map(Box::from),
        id: id.map(Box::from),
        routing: target.routing.as_deref().map(Box::from),
    };
    is_named.then(|| names().into())
}

fn target_of(document: &DocumentRecord) -> Target {
    Target {
        id: document.id().map(ByteString::from),
        index: document.index().map(ByteString::from),
        routing: document.routing().map(ByteString::from),
    }
}

/// Takes back what was planned of a refused write of row `row`: the same body is to be tried again when it comes again, and a document that
/// was to be deleted may still be there. Says whether the document is planned to stay as it was refused.
pub fn take_back(record: &mut RowRecord, row: &str, refused: &Write) -> bool {
    let is_refused = |document: &&mut DocumentRecord| {
        let is_same_place = document.index().is_none_or(|index| index == &*refused.index)
            && document.id().unwrap_or(row) == &*refused.id
            && document.routing() == refused.routing.as_deref();
        // A later change that found the body unchanged left the version as it was.
        is_same_place && written(document) == refused.version
    };
    let mut documents = record.documents.iter_mut().filter(is_refused).peekable();
    let is_last_word = documents.peek().is_some();
    for document in documents {
        document.body_hash = None;
        document.is_live = true;
    }
    is_last_word
}

#[cfg(test)]
mod tests {
    use super::IndexNames;
    use crate::event::Change;
    use crate::limits::NAMES_SHARED_MAX;

    #[test]
    fn no_more_names_are_held_than_allowed_and_each_is_right() {
        let mut indexes = IndexNames::new(Some("{schema}-{table}"));
        for number in 0..NAMES_SHARED_MAX + 10 {
            let change = Change { table: format!("shop.T{number}").into(), ..Change::inserted("{}") };
            assert_eq!(*indexes.of(&change), *format!("shop-t{number}"));
            assert!(indexes.names.len() <= NAMES_SHARED_MAX);
        }
    }
}
