//! Dead letters played again: what was mended is applied, what is newer stays, and what still fails keeps its number.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::faults::named_documents;
use super::{Bench, Fate, MISSING, MemorySink, envelope, moved, row};
use crate::event::{Change, JsonText};
use crate::pipeline::control::Ended;
use crate::sink::WriteError;
use crate::state::LetterFilter;
use crate::state::settings::Keep;
use crate::transform::{Outcome, Output, Target};

impl Bench {
    /// Marks all dead letters, and runs the pipeline.
    async fn replay_all(&self) {
        let store = self.store();
        assert!(!store.pipeline("test", "auto").unwrap().mark_replays(&LetterFilter::default()).unwrap().ids.is_empty());
        drop(store);
        assert_eq!(self.run().await, Ok(Ended::CaughtUp));
    }

    /// The same documents behind another behaviour.
    fn change_sink(&mut self, sink: MemorySink) {
        let documents = std::mem::take(&mut *self.sink.documents.lock().unwrap());
        self.sink = Arc::new(MemorySink { documents: documents.into(), ..sink });
    }

    /// Number, stage and times replayed of every dead letter.
    fn letters(&self) -> Vec<(u64, String, u32)> {
        self.dead().into_iter().map(|letter| (letter.id, letter.stage, letter.replays)).collect()
    }
}

/// A guest that takes no row with the word `bad` in it.
fn without_bad(change: &Change) -> Outcome {
    match change.after.as_deref() {
        Some(after) if after.contains("bad") => Err("the row is bad".to_owned()),
        Some(after) => Ok(vec![Output::Index { target: Target::default(), body: JsonText::from(after) }]),
        None => Ok(Vec::new()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_makes_the_documents_that_a_sink_or_a_transform_had_refused() {
    for keep in [Keep::Versions, Keep::Rows] {
        let mut bench = Bench::new(keep, MemorySink { refused: Some("heavy"), ..MemorySink::default() });
        bench.guest = Some(without_bad);
        bench.change(0, "c", 100, 1, row(1, "good"));
        bench.change(0, "u", 200, 1, row(1, "bad"));
        bench.change(0, "c", 201, 2, row(2, "heavy"));
        bench.run().await.unwrap();
        assert_eq!(bench.letters(), [(2, "sink".to_owned(), 0), (1, "transform".to_owned(), 0)]);

        bench.replay_all().await;
        assert_eq!(bench.letters(), [(2, "sink".to_owned(), 1), (1, "transform".to_owned(), 1)], "nothing is mended yet");

        bench.change_sink(MemorySink::default());
        bench.guest = None;
        bench.replay_all().await;
        let live = bench.sink.live();
        assert_eq!(live["items/1"], (200 << 8, row(1, "bad").to_string()), "{keep:?}");
        assert_eq!(live["items/2"].1, row(2, "heavy").to_string(), "{keep:?}");
        assert!(bench.letters().is_empty(), "{keep:?}");
        bench.change(0, "u", 202, 2, row(2, "light"));
        bench.run().await.unwrap();
        assert_eq!(bench.sink.live()["items/2"], (202 << 8, row(2, "light").to_string()), "a later change wins over any replay");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_never_overwrites_what_is_newer() {
    for newer in ["u", "d"] {
        let mut bench = Bench::new(Keep::Rows, MemorySink::default());
        bench.guest = Some(without_bad);
        bench.change(0, "c", 100, 1, row(1, "bad"));
        // The next of the same transaction, which only the second part of the version tells apart.
        let mut tie = envelope(newer, 100, 1, row(1, "newer"));
        tie["source"]["sequence"] = json!("[\"100\",\"101\"]");
        tie["source"]["lsn"] = json!(101);
        bench.put(0, json!({"id": 1}), Some(tie), &[]);
        bench.run().await.unwrap();
        bench.guest = None;
        let before = bench.sink.live();
        bench.replay_all().await;
        assert_eq!((bench.sink.live(), bench.letters()), (before, vec![]), "{newer}: the letter has been overtaken, and goes");
    }
}

#[tokio::test(start_paused = true)]
async fn the_letter_of_a_refused_body_is_that_of_the_last_change_that_wanted_it() {
    for batch_documents in [1, 3] {
        let mut bench = Bench::new(Keep::Versions, MemorySink { refused: Some("heavy"), ..MemorySink::default() });
        bench.batch_documents = batch_documents;
        bench.change(0, "c", 100, 1, row(1, "heavy"));
        // Worked out before the refusal of the first is known, and found unchanged.
        bench.change(0, "u", 200, 1, row(1, "heavy"));
        bench.run().await.unwrap();
        let versions: Vec<u64> = bench.dead().iter().filter_map(|letter| Some(letter.version?.first)).collect();
        assert_eq!(versions.first(), Some(&200), "batches of {batch_documents}: {versions:?}");
        bench.change_sink(MemorySink::default());
        bench.replay_all().await;
        assert_eq!(bench.sink.bodies()["items/1"], row(1, "heavy").to_string(), "batches of {batch_documents}");
        assert!(bench.letters().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_decoded_is_judged_by_the_version_it_would_have_had() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    let first_after_snapshot = |name: &str| {
        let mut envelope = envelope("u", 50, 1, row(1, name));
        envelope["source"]["sequence"] = json!("[null,\"50\"]");
        envelope
    };
    let snapshot = |lsn: u64| {
        let mut envelope = envelope("r", lsn, 9, row(9, "snapshot"));
        envelope["source"]["snapshot"] = json!("true");
        envelope["source"]["sequence"] = json!(json!([null, lsn.to_string()]).to_string());
        envelope
    };
    bench.put(0, json!({"id": 9}), Some(snapshot(100)), &[]);
    // A key that contradicts its row: mended below, as a newer version of this program might.
    bench.put(0, json!({"id": 2}), Some(first_after_snapshot("first")), &[]);
    bench.change(0, "u", 300, 1, row(1, "now"));
    bench.put(0, json!({"id": 9}), Some(snapshot(1_000)), &[]);
    bench.run().await.unwrap();
    assert_eq!(bench.letters(), [(1, "decode".to_owned(), 0)]);
    let letter = bench.dead().remove(0);
    let mut mended = letter.clone();
    let crate::state::DeadCause::Event(event) = &mut mended.cause else { panic!("{letter:?}") };
    event.key = Some(json!({"id": 1}).to_string().into());
    {
        let store = bench.store();
        let mut state = store.pipeline("test", "auto").unwrap();
        state.commit(99, crate::state::Effects { dead: vec![mended], ..Default::default() }).unwrap();
    }
    bench.replay_all().await;
    // With what the lane knows today it would be (1000, 50), and win.
    assert_eq!(bench.sink.live()["items/1"], (300 << 8, row(1, "now").to_string()));
    assert!(bench.letters().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_replay_has_the_values_that_its_event_lacked_and_those_that_moved() {
    fn no_moved_row(change: &Change) -> Outcome {
        if change.key_id() == "2" { Err("not now".to_owned()) } else { without_bad(change) }
    }
    let mut bench = moved(false);
    bench.guest = Some(no_moved_row);
    bench.run().await.unwrap();
    let about: Vec<Option<String>> = bench.dead().into_iter().map(|letter| letter.key).collect();
    assert_eq!(about, [Some("2".to_owned()), Some("2".to_owned())], "the create, and the refresh when the old row was final");
    bench.change(0, "u", 400, 2, json!({"id": 2, "name": "c", "text": MISSING}));
    bench.run().await.unwrap();
    bench.guest = None;
    bench.replay_all().await;
    let document: Value = serde_json::from_str(&bench.sink.bodies()["items/2"]).unwrap();
    assert_eq!(document, json!({"id": 2, "name": "c", "text": "new"}));
    assert!(bench.letters().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_delete_is_sent_again_by_its_replay() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    bench.guest = Some(named_documents);
    bench.change(0, "c", 100, 1, json!({"id": 1, "documents": ["a", "b"]}));
    bench.run().await.unwrap();
    bench.change_sink(MemorySink { refuses_deletes: true, ..MemorySink::default() });
    bench.change(0, "d", 200, 1, Value::Null);
    bench.run().await.unwrap();
    assert_eq!((bench.letters().len(), bench.sink.bodies().len()), (1, 2));
    bench.change_sink(MemorySink::default());
    bench.replay_all().await;
    assert!(bench.sink.bodies().is_empty() && bench.letters().is_empty());
}

#[tokio::test(start_paused = true)]
async fn letters_reach_a_sink_of_their_own_before_their_batch_counts_as_done() {
    let mut bench = Bench::new(Keep::Versions, MemorySink { refused: Some("heavy"), ..MemorySink::default() });
    bench.guest = Some(without_bad);
    bench.change(0, "c", 100, 1, row(1, "heavy"));
    bench.put(0, json!({"id": 2}), Some(json!("no row")), &[]);
    bench.change(0, "c", 102, 3, row(3, "bad"));
    bench.change(0, "c", 103, 4, row(4, "good"));
    let down = || WriteError::Unavailable { reason: "unreachable", message: "connection refused".to_owned(), after: None };
    let script = (0..1_000).map(|_| down()).collect::<std::collections::VecDeque<_>>();
    bench.letters_sink = Some(Arc::new(MemorySink { script: script.into(), ..MemorySink::default() }));
    let cut_off = tokio::time::timeout(Duration::from_secs(600), bench.run()).await;
    assert!(cut_off.is_err() && bench.letters().is_empty(), "it waits, and nothing of the batch is committed");

    let sink = Arc::new(MemorySink::default());
    *sink.requests.lock().unwrap() = [Fate::AppliedAndLost].into();
    bench.letters_sink = Some(sink.clone());
    let cut_off = tokio::time::timeout(Duration::from_secs(600), bench.run()).await;
    assert!(cut_off.is_err() && bench.letters().is_empty(), "sent, and not known to be");
    assert_eq!(bench.run().await, Ok(Ended::CaughtUp));
    let sent = sink.bodies();
    let ids: Vec<&str> = sent.keys().map(String::as_str).collect();
    assert_eq!(ids, [0, 1, 2].map(|offset| format!("letters/test/shop.public.items/0@{offset}")), "once each, though sent twice");
    let letter: Value = serde_json::from_str(&sent["letters/test/shop.public.items/0@2"]).unwrap();
    assert_eq!((&letter["pipeline"], &letter["reason"], &letter["key"]), (&json!("test"), &json!("the row is bad"), &json!("3")));
    assert_eq!(bench.letters().len(), 3, "and they are kept as well");
}
