//! Every item of the contract once. Built, it is kept in `tests/guests` with the version it was built against: what is there must run for
//! as long as the first number of the version stays.

#![cfg(target_arch = "wasm32")]
use rowmill_transform::bindings::rowmill::transform::metrics;
use rowmill_transform::bindings::rowmill::transform::types::{Action, Change, Document, DocumentRef, Message, Operation, Output};
use rowmill_transform::bindings::wasi::config::store as config;
use rowmill_transform::bindings::wasi::keyvalue::{atomics, batch, store};
use rowmill_transform::bindings::wasi::logging::logging::{Level, log};
use rowmill_transform::bindings::{self, Guest};

struct Contract;

impl Guest for Contract {
    fn init(text: String) -> Result<(), String> {
        let all = config::get_all().map_err(|error| format!("{error:?}"))?.len();
        let greeting = config::get("greeting").map_err(|error| format!("{error:?}"))?.unwrap_or_default();
        log(Level::Info, "contract", &format!("{greeting}: {all} fields in {text}"));
        if greeting.is_empty() { Err("setting `greeting` is missing".to_owned()) } else { Ok(()) }
    }

    fn transform(changes: Vec<Change>) -> Result<Vec<Output>, String> {
        metrics::count("changes", changes.len() as u64);
        metrics::gauge("last", changes.last().map_or(0.0, |change| change.ts_ms as f64));
        changes.into_iter().zip(0..).map(|(change, place)| Ok(Output { change: place, action: action(change)? })).collect()
    }
}

fn action(change: Change) -> Result<Action, String> {
    let (id, index, routing) = (Some("7".to_owned()), Some("other".to_owned()), Some("a".to_owned()));
    Ok(match change.operation {
        Operation::Create => Action::Index(Document { id, index, routing, body: kept(&change).map_err(|error| format!("{error:?}"))? }),
        Operation::Update | Operation::Refresh => Action::Index(Document { id: None, index: None, routing: None, body: shown(&change) }),
        Operation::Delete => Action::Delete(DocumentRef { id, index, routing }),
        Operation::Read if change.after.is_none() => Action::Reject("a row that is not there".to_owned()),
        Operation::Read => Action::Emit(Message { topic: "read".to_owned(), key: Some(change.key.clone()), body: shown(&change) }),
    })
}

/// All that a change holds.
fn shown(change: &Change) -> String {
    let Change { source, table, key, before, after, version, ts_ms, .. } = change;
    let null = || "null".to_owned();
    let (before, after) = (before.clone().unwrap_or_else(null), after.clone().unwrap_or_else(null));
    let version = format!("[{},{}]", version.first, version.second);
    format!(
        "{{\"source\":\"{source}\",\"table\":\"{table}\",\"key\":{key},\"before\":{before},\"after\":{after},\"version\":{version},\"ts_ms\":{ts_ms}}}"
    )
}

/// Every call of the store.
fn kept(change: &Change) -> Result<String, store::Error> {
    let bucket = store::open("default")?;
    bucket.set("last", change.key.as_bytes())?;
    let count = atomics::increment(&bucket, "count", 1)?;
    batch::set_many(&bucket, &[("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())])?;
    let many = batch::get_many(&bucket, &["a".to_owned(), "none".to_owned()])?.iter().flatten().count();
    batch::delete_many(&bucket, &["a".to_owned()])?;
    bucket.delete("b")?;
    let (exists, keys) = (bucket.exists("last")?, bucket.list_keys(None)?.keys);
    let last = bucket.get("last")?.map_or(0, |last| last.len());
    Ok(format!("{{\"count\":{count},\"many\":{many},\"exists\":{exists},\"keys\":{},\"last\":{last}}}", keys.len()))
}

bindings::export!(Contract with_types_in bindings);
