//! What the loop is told while it is at work, and what it tells.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::faults::fates;
use super::{Bench, Fate, MemorySink, Scripted, envelope, row};
use crate::event::{Action, DocumentVersion, Write};
use crate::limits::{COMMIT_INTERVAL, INDEXES_KNOWN_MAX};
use crate::pipeline::control::{Control, Ended};
use crate::pipeline::reload::Swap;
use crate::pipeline::status::RunState;
use crate::sink::WriteError;
use crate::state::settings::Keep;
use crate::transform::Transformer;

/// A sink that is down for longer than any test waits.
fn dead_sink() -> Arc<MemorySink> {
    let down = || WriteError::Unavailable { reason: "unreachable", message: "connection refused".to_owned(), after: None };
    fates((0..100_000).map(|_| Fate::Failed(down())).collect())
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_heeded_while_the_sink_is_down() {
    for truncates in [false, true] {
        let mut bench = Bench::new(Keep::Versions, MemorySink::default());
        bench.change(0, "c", 100, 1, row(1, "x"));
        bench.run().await.unwrap();
        bench.sink = dead_sink();
        let (operation, key) = if truncates { ("t", Value::Null) } else { ("u", serde_json::json!({"id": 1})) };
        bench.put(0, key, Some(envelope(operation, 200, 1, row(1, "y"))), &[]);
        let store = bench.store();
        let (control, told) = watch::channel(Control::default());
        let source = Scripted { stays: true, ..Scripted::new([bench.unread(&store)]) };
        let runner = bench.runner(&store, Box::new(source), told);
        let later = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            control.send_modify(|control| control.restarts += 1);
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            ended = tokio::time::timeout(Duration::from_secs(600), runner.run()) => ended,
            () = later => unreachable!(),
        };
        assert_eq!(ended, Ok(Ok(Ended::Restart)), "truncates: {truncates}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_batch_grows_while_the_sink_is_busy_also_behind_a_delete() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    bench.batch_documents = 5;
    bench.sink = dead_sink();
    for id in 1..=100 {
        bench.change(0, if id % 2 == 0 { "d" } else { "c" }, 100 + id, id, row(id, "x"));
    }
    let store = bench.store();
    let (control, told) = watch::channel(Control::default());
    let source = Scripted { stays: true, ..Scripted::new(bench.messages.iter().map(|message| vec![message.clone()])) };
    let runner = bench.runner(&store, Box::new(source), told);
    let progress = runner.progress.clone();
    let ended = tokio::time::timeout(Duration::from_secs(60), runner.run()).await;
    assert!(ended.is_err(), "the sink is down");
    let received = progress.snapshot().lanes[0].received.unwrap();
    // Two batches at work (the first ones left as soon as anything had come), and one that is full.
    assert!((7..=15).contains(&received), "{received}");
    drop(control);
}

#[tokio::test(start_paused = true)]
async fn a_pause_finishes_what_is_at_work_and_a_resume_goes_on() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    for id in 1..=9 {
        bench.change(0, "c", 100 + id, id, row(id, "x"));
    }
    let store = bench.store();
    let (control, told) = watch::channel(Control { is_paused: true, ..Control::default() });
    let source = Scripted { stays: true, ..Scripted::new([bench.messages.clone()]) };
    let runner = bench.runner(&store, Box::new(source), told);
    let progress = runner.progress.clone();
    let teller = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(progress.snapshot().state, RunState::Paused);
        assert_eq!(bench.sink.bodies().len(), 0);
        control.send_modify(|control| control.is_paused = false);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(progress.snapshot().state, RunState::Running);
        assert_eq!(bench.sink.bodies().len(), 9);
        control.send_modify(|control| (control.is_paused, control.is_draining) = (true, true));
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = tokio::time::timeout(Duration::from_secs(60), runner.run()) => ended,
        () = teller => unreachable!(),
    };
    assert_eq!(ended, Ok(Ok(Ended::Drained)));
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_applies_nothing_while_there_is_something_is_waiting() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    bench.change(0, "c", 100, 1, row(1, "x"));
    // The answer never comes, and nothing says that anything is wrong.
    bench.sink = fates(vec![Fate::AppliedAndLost]);
    let store = bench.store();
    let (control, told) = watch::channel(Control::default());
    let ends = vec![(bench.messages[0].lane.clone(), 1)];
    let source = Scripted { stays: true, ends, ..Scripted::new([bench.messages.clone()]) };
    let runner = bench.runner(&store, Box::new(source), told);
    let progress = runner.progress.clone();
    let ended = tokio::time::timeout(Duration::from_secs(3600), runner.run()).await;
    assert!(ended.is_err());
    let snapshot = progress.snapshot();
    assert_eq!((snapshot.state, snapshot.lag_events), (RunState::Waiting, Some(1)));
    assert!(snapshot.reason.is_some());
    drop(control);
}

#[tokio::test(start_paused = true)]
async fn deletes_never_wait_and_others_wait_for_company() {
    for (operation, wait) in [("c", 2), ("d", 0)] {
        let mut bench = Bench::new(Keep::Versions, MemorySink::default());
        bench.change(0, operation, 100, 1, row(1, "x"));
        let store = bench.store();
        let (control, told) = watch::channel(Control::default());
        let source = Scripted { stays: true, ..Scripted::new([bench.messages.clone()]) };
        let mut runner = bench.runner(&store, Box::new(source), told);
        runner.batch.max_wait = Duration::from_secs(2);
        runner.ends = Some(vec![(bench.messages[0].lane.clone(), 1)]);
        let started = tokio::time::Instant::now();
        assert_eq!(runner.run().await, Ok(Ended::CaughtUp));
        assert_eq!(started.elapsed().as_secs(), wait, "{operation}");
        drop(control);
    }
}

#[tokio::test(start_paused = true)]
async fn the_names_of_indexes_that_a_guest_makes_up_are_not_held_for_ever() {
    let bench = Bench::new(Keep::Versions, MemorySink::default());
    let (_control, control) = watch::channel(Control::default());
    let deliverer = bench.runner(&bench.store(), Box::new(Scripted::new([])), control).deliverer;
    let write = |number: usize| {
        let (index, version) = (format!("orders-{number}").into(), DocumentVersion(1));
        Write { index, id: "1".into(), routing: None, version, action: Action::Delete }
    };
    let most = INDEXES_KNOWN_MAX;
    for (writes, prepared) in
        [((0..most).collect(), most), (vec![0], most), (vec![most], most + 1), (vec![most], most + 1), (vec![0], most + 2)]
    {
        deliverer.deliver(&writes.into_iter().map(write).collect::<Vec<_>>()).await.unwrap();
        assert_eq!(*bench.sink.prepared.lock().unwrap(), prepared);
    }
}

#[tokio::test(start_paused = true)]
async fn what_must_wait_does_not_keep_the_rest_of_its_batch() {
    let bench = Bench::new(Keep::Versions, MemorySink::default());
    let (_control, control) = watch::channel(Control::default());
    let deliverer = bench.runner(&bench.store(), Box::new(Scripted::new([])), control).deliverer;
    let write =
        |id: &'static str, action| Write { index: "items".into(), id: id.into(), routing: None, version: DocumentVersion(1), action };
    let writes = [write("1", Action::Delete), write("2", Action::Index("{}".into())), write("3", Action::Index("{}".into()))];
    let (answered, may_follow) = tokio::sync::oneshot::channel::<()>();
    let may_follow = async { may_follow.await.unwrap() };
    let mut delivery = std::pin::pin!(deliverer.deliver_in_parts(&writes, &[0], may_follow));
    assert!(tokio::time::timeout(Duration::from_secs(9), &mut delivery).await.is_err());
    assert_eq!((bench.sink.bodies().len(), *bench.sink.writes.lock().unwrap()), (2, 2), "the delete waits");
    answered.send(()).unwrap();
    assert_eq!(delivery.await.unwrap().len(), 3);
    assert_eq!(*bench.sink.writes.lock().unwrap(), 3);
}

/// Twenty rows, each a batch of its own.
fn twenty_batches() -> Bench {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    bench.batch_documents = 1;
    for id in 1..=20 {
        bench.change(0, "c", 100 + id, id, row(id, "x"));
    }
    bench
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_is_committed_together_a_tenth_of_a_second_later() {
    let bench = twenty_batches();
    let store = bench.store();
    let (_control, told) = watch::channel(Control::default());
    let source = Scripted { stays: true, ..Scripted::new(bench.messages.iter().map(|message| vec![message.clone()])) };
    let runner = bench.runner(&store, Box::new(source), told);
    let looks = async {
        tokio::time::sleep(COMMIT_INTERVAL / 2).await;
        let (written, uncommitted) = (bench.sink.live().len(), bench.unread(&store).len());
        tokio::time::sleep(COMMIT_INTERVAL).await;
        (written, uncommitted, bench.unread(&store).len())
    };
    let (written, uncommitted, left) = tokio::select! {
        ended = runner.run() => panic!("{ended:?}"),
        looked = looks => looked,
    };
    assert_eq!((written, left), (20, 0));
    // The first may have come at the time of a commit.
    assert!(uncommitted >= 15, "{uncommitted}");
}

#[tokio::test(start_paused = true)]
async fn a_truncate_takes_what_was_answered_just_before_it() {
    let mut bench = twenty_batches();
    bench.put(0, Value::Null, Some(envelope("t", 200, 1, Value::Null)), &[]);
    bench.change(0, "c", 300, 21, row(21, "after"));
    assert_eq!(bench.run().await, Ok(Ended::CaughtUp));
    assert_eq!(bench.sink.bodies().into_keys().collect::<Vec<_>>(), ["items/21"]);
}

#[tokio::test(start_paused = true)]
async fn new_code_serves_when_what_is_answered_is_committed() {
    let bench = twenty_batches();
    let store = bench.store();
    let (_control, told) = watch::channel(Control::default());
    let source = Scripted { stays: true, ..Scripted::new(bench.messages.iter().map(|message| vec![message.clone()])) };
    let mut runner = bench.runner(&store, Box::new(source), told);
    let (swaps, taken) = mpsc::channel(1);
    runner.swaps = taken;
    let swapped = async {
        tokio::time::sleep(COMMIT_INTERVAL / 2).await;
        let uncommitted = bench.unread(&store).len();
        let (done, is_done) = oneshot::channel();
        swaps.send(Swap { transformer: Transformer::Row, done }).await.ok().unwrap();
        is_done.await.unwrap();
        (uncommitted, bench.unread(&store).len())
    };
    let (uncommitted, left) = tokio::select! {
        ended = runner.run() => panic!("{ended:?}"),
        swapped = swapped => swapped,
    };
    assert!(uncommitted > 0);
    assert_eq!(left, 0);
}
