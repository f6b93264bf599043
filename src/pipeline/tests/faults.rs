//! Failures in the middle: what a run that broke off leaves behind, and what the sink does out of turn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Bench, Fate, MISSING, MemorySink, Scripted, envelope, moved, row};
use crate::error::Kind;
use crate::event::{Change, JsonText};
use crate::pipeline::control::{Control, Ended};
use crate::sink::WriteError;
use crate::state::settings::Keep;
use crate::transform::{Outcome, Output, Target};

/// A document for each name in the row's `documents`, with the row as its body.
pub(super) fn named_documents(change: &Change) -> Outcome {
    let Some(after) = change.after.as_ref().filter(|_| !change.is_delete()) else { return Ok(Vec::new()) };
    let row: Value = serde_json::from_str(after).map_err(|error| error.to_string())?;
    let names = row["documents"].as_array().cloned().unwrap_or_default();
    let document = |name: &Value| Output::Index {
        target: Target { id: name.as_str().map(Into::into), ..Target::default() },
        body: JsonText::from(&**after),
    };
    Ok(names.iter().map(document).collect())
}

pub(super) fn with_documents(id: u64, names: &[&str]) -> Value {
    json!({"id": id, "documents": names})
}

fn sink_with(requests: Vec<Fate>) -> MemorySink {
    MemorySink { requests: Mutex::new(requests.into()), ..MemorySink::default() }
}

fn unreachable() -> Fate {
    Fate::Failed(WriteError::Unavailable { reason: "unreachable", message: "connection refused".to_owned(), after: None })
}

#[tokio::test(start_paused = true)]
async fn no_orphan_documents_after_a_run_that_failed_between_two_commits() {
    let stop = WriteError::Misconfigured { remedy: "change the password".to_owned() };
    let mut bench = Bench::new(Keep::Versions, sink_with(vec![Fate::Answered, Fate::Answered, Fate::Answered, Fate::Failed(stop)]));
    bench.batch_documents = 1;
    bench.guest = Some(named_documents);
    let store = bench.store();
    let run = async |bench: &Bench| {
        let (_control, control) = watch::channel(Control::default());
        bench.runner(&store, bench.source(&store), control).run().await
    };
    bench.change(0, "c", 100, 1, with_documents(1, &["a"]));
    assert_eq!(run(&bench).await, Ok(Ended::CaughtUp));
    // Both are worked out before the first is committed; the second is not.
    bench.change(0, "u", 200, 1, with_documents(1, &["b"]));
    bench.change(0, "u", 300, 1, with_documents(1, &["c"]));
    assert_eq!(run(&bench).await.unwrap_err().kind, Kind::Misconfigured);
    // The same process goes on, with all that it holds in memory.
    assert_eq!(run(&bench).await, Ok(Ended::CaughtUp));
    assert_eq!(bench.sink.bodies().keys().collect::<Vec<_>>(), ["items/c"]);
}

#[tokio::test(start_paused = true)]
async fn a_delete_is_not_overtaken_by_an_older_write_that_is_tried_again() {
    for (what, batch_documents, requests) in
        [("the request before it failed", 1, vec![unreachable()]), ("its own request was taken in part", 3, vec![Fate::PutOff(0)])]
    {
        let mut bench = Bench::new(Keep::Versions, MemorySink { forgets_deletes: true, ..sink_with(requests) });
        bench.batch_documents = batch_documents;
        bench.change(0, "c", 100, 1, row(1, "gone"));
        bench.change(0, "d", 200, 1, Value::Null);
        assert_eq!(bench.run().await, Ok(Ended::CaughtUp));
        assert_eq!(bench.sink.bodies(), BTreeMap::new(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_counts_once_and_is_one_dead_letter_however_many_of_its_documents_are_refused() {
    let mut bench = Bench::new(Keep::Versions, MemorySink { refused: Some("bad"), ..MemorySink::default() });
    bench.guest = Some(named_documents);
    bench.change(0, "c", 100, 1, json!({"id": 1, "documents": ["a", "b", "c"], "is": "bad"}));
    bench.change(0, "c", 101, 2, with_documents(2, &["d"]));
    let store = bench.store();
    let (_control, control) = watch::channel(Control::default());
    let runner = bench.runner(&store, bench.source(&store), control);
    let metrics = runner.metrics.clone();
    assert_eq!(runner.run().await, Ok(Ended::CaughtUp));
    drop(store);
    let totals = metrics.totals();
    assert_eq!((totals.events_applied, totals.events_dead, totals.documents_refused), (1, 1, 3));
    assert_eq!(bench.dead().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_rejected_change_never_stops_the_rest_and_its_next_version_goes_on() {
    fn rejecting(change: &Change) -> Outcome {
        if change.after.as_ref().is_some_and(|row| row.contains("bad")) { Err("no price".to_owned()) } else { named_documents(change) }
    }
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    bench.guest = Some(rejecting);
    bench.change(0, "c", 100, 1, with_documents(1, &["a"]));
    bench.change(0, "u", 200, 1, with_documents(1, &["bad"]));
    bench.change(0, "c", 300, 2, with_documents(2, &["b"]));
    bench.run().await.unwrap();
    assert_eq!(bench.sink.bodies().keys().collect::<Vec<_>>(), ["items/a", "items/b"], "what was there stays");
    let dead: Vec<_> = bench.dead().into_iter().map(|dead| (dead.stage, dead.reason, dead.origin.2, dead.key)).collect();
    assert_eq!(dead, [("transform".to_owned(), "no price".to_owned(), 1, Some("1".to_owned()))]);
    bench.change(0, "u", 400, 1, with_documents(1, &["c"]));
    bench.run().await.unwrap();
    assert_eq!(bench.sink.bodies().keys().collect::<Vec<_>>(), ["items/b", "items/c"]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_no_event() {
    let bench = moved(false);
    let store = bench.store();
    let (_control, control) = watch::channel(Control::default());
    let runner = bench.runner(&store, bench.source(&store), control);
    let metrics = runner.metrics.clone();
    assert_eq!(runner.run().await, Ok(Ended::CaughtUp));
    assert_eq!(metrics.totals().events_applied, bench.messages.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_a_day_is_tried_again_before() {
    let day = Some(Duration::from_secs(24 * 3600));
    let busy = WriteError::Overloaded { message: "busy".to_owned(), after: day };
    let mut bench = Bench::new(Keep::Versions, sink_with(vec![Fate::Failed(busy)]));
    bench.change(0, "c", 100, 1, row(1, "x"));
    let started = tokio::time::Instant::now();
    assert_eq!(bench.run().await, Ok(Ended::CaughtUp));
    assert!(started.elapsed() < Duration::from_secs(3600), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_row_that_produced_nothing_deletes_nothing() {
    /// Documents for products alone; the table of users is only there to be read.
    fn products(change: &Change) -> Outcome {
        if change.table.ends_with("users") { Ok(Vec::new()) } else { named_documents(change) }
    }
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    bench.guest = Some(products);
    let of_users = |operation: &str, lsn| {
        let mut envelope = envelope(operation, lsn, 5, row(5, "a user"));
        envelope["source"]["table"] = json!("users");
        envelope
    };
    bench.put(1, json!({"id": 5}), Some(of_users("c", 100)), &[]);
    bench.change(0, "c", 200, 5, with_documents(5, &["5"]));
    bench.put(1, json!({"id": 5}), Some(of_users("d", 300)), &[]);
    bench.put(1, json!({"id": 5}), Some(of_users("c", 400)), &[]);
    bench.put(1, json!({"id": 5}), Some(of_users("d", 500)), &[]);
    bench.run().await.unwrap();
    assert_eq!(bench.sink.bodies().keys().collect::<Vec<_>>(), ["items/5"]);
}

#[tokio::test(start_paused = true)]
async fn a_document_keeps_its_identity_when_it_is_named_in_another_way() {
    /// The routing is in the row; the id is named where the row says so.
    fn routed(change: &Change) -> Outcome {
        let Some(after) = &change.after else { return Ok(Vec::new()) };
        let row: Value = serde_json::from_str(after).map_err(|error| error.to_string())?;
        let text = |name: &str| row[name].as_str().map(Into::into);
        let target = Target { id: text("as"), index: text("in"), routing: text("to") };
        let deleted = row["delete"].as_str().map(|id| Output::Delete { target: Target { id: Some(id.into()), ..Target::default() } });
        Ok(deleted.into_iter().chain([Output::Index { target, body: JsonText::from(&**after) }]).collect())
    }
    for (what, rows) in [
        ("another routing", vec![json!({"id": 1, "to": "a"}), json!({"id": 1, "to": "b"})]),
        (
            "raised, then another routing",
            vec![json!({"id": 1, "to": "a"}), json!({"id": 1, "to": "a", "n": 2}), json!({"id": 1, "to": "b"})],
        ),
        ("raised, then its id is named", vec![json!({"id": 1}), json!({"id": 1, "n": 2}), json!({"id": 1, "as": "1"})]),
        ("raised, then its index is named", vec![json!({"id": 1}), json!({"id": 1, "n": 2}), json!({"id": 1, "in": "items"})]),
        ("deleted by name and written by default", vec![json!({"id": 1}), json!({"id": 1, "delete": "1", "n": 2})]),
    ] {
        let mut bench = Bench::new(Keep::Versions, MemorySink::default());
        bench.guest = Some(routed);
        let last = rows.last().unwrap().to_string();
        for (place, row) in rows.into_iter().enumerate() {
            // One transaction: only the second part of the version tells them apart.
            let mut envelope = envelope("u", 100 + place as u64, 1, row);
            envelope["source"]["sequence"] = json!(format!("[\"500\",\"{}\"]", 100 + place));
            bench.put(0, json!({"id": 1}), Some(envelope), &[]);
        }
        bench.run().await.unwrap();
        assert_eq!(bench.sink.bodies().get("items/1"), Some(&last), "{what}");
        // And it is one document: nothing is left of it after a delete.
        bench.change(0, "d", 900, 1, Value::Null);
        bench.run().await.unwrap();
        assert_eq!(bench.sink.bodies(), BTreeMap::new(), "{what}, deleted");
    }
}

#[tokio::test(start_paused = true)]
async fn a_placeholder_of_an_unknown_row_is_filled_as_soon_as_the_value_is_known() {
    let mut bench = Bench::new(Keep::Rows, MemorySink::default());
    let text = |text: &str| json!({"id": 1, "name": "n", "text": text});
    bench.change(0, "u", 100, 1, text(MISSING));
    bench.change(0, "u", 200, 1, text("long"));
    bench.change(0, "u", 300, 1, text(MISSING));
    bench.run().await.unwrap();
    assert_eq!(bench.sink.bodies()["items/1"], text("long").to_string());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_when_the_answer_is_lost_and_the_process_dies() {
    for batch_documents in 1..=4 {
        let mut bench = Bench::new(Keep::Versions, sink_with(vec![Fate::AppliedAndLost]));
        bench.guest = Some(named_documents);
        bench.change(0, "c", 100, 1, with_documents(1, &["a", "b"]));
        bench.change(0, "u", 200, 1, with_documents(1, &["b", "c"]));
        bench.change(0, "u", 300, 1, with_documents(1, &["c", "d"]));
        bench.change(0, "c", 400, 2, with_documents(2, &["e"]));
        bench.change(0, "d", 500, 2, Value::Null);
        let died = tokio::time::timeout(Duration::from_secs(60), bench.run()).await;
        assert!(died.is_err(), "the sink never answers");
        assert!(bench.settled.lock().unwrap().is_empty(), "nothing is settled before it is answered");
        bench.batch_documents = batch_documents;
        assert_eq!(bench.run().await, Ok(Ended::CaughtUp));
        let documents = bench.sink.bodies();
        assert_eq!(documents.keys().collect::<Vec<_>>(), ["items/c", "items/d"], "batches of {batch_documents}");
    }
}

/// Requests of a sink, so that a table of them reads well.
pub(super) fn fates(requests: Vec<Fate>) -> Arc<MemorySink> {
    Arc::new(MemorySink { requests: Mutex::new(VecDeque::from(requests)), ..MemorySink::default() })
}

#[tokio::test(start_paused = true)]
async fn a_sink_with_too_much_to_do_gets_fewer_and_then_smaller_requests_until_it_takes_them() {
    let busy = || Fate::Failed(WriteError::Overloaded { message: "busy".to_owned(), after: None });
    let late = || Fate::Failed(WriteError::Unavailable { reason: "timeout", message: "no answer".to_owned(), after: None });
    let mut bench = Bench::new(Keep::Versions, sink_with(vec![busy(), late(), busy(), Fate::PutOff(0)]));
    bench.batch_documents = 16;
    for id in 1..=32 {
        bench.change(0, "c", 100 + id, id, row(id, "x"));
    }
    let store = bench.store();
    let source = Scripted::new([bench.unread(&store)]);
    let (_control, control) = watch::channel(Control::default());
    let runner = bench.runner(&store, Box::new(source), control);
    let concurrency = runner.metrics.sink_concurrency.clone();
    runner.run().await.unwrap();
    drop(store);
    assert_eq!((bench.sink.bodies().len(), bench.dead().len()), (32, 0));
    // Two batches at a time come down to one, then to a half of it, and so on; the last of these puts off a single document.
    let sizes = bench.sink.sizes.lock().unwrap().clone();
    assert_eq!((sizes[0], sizes.iter().min()), (16, Some(&1)), "{sizes:?}");
    assert!(sizes.contains(&8) && sizes.contains(&4), "{sizes:?}");
    assert!(concurrency.get() <= 2.0);
}
