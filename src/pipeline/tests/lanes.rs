//! Lanes that go back, several lanes of one table, and what is told of all rows at once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::crashes::live;
use super::faults::{named_documents, with_documents};
use super::{Bench, Fate, MemorySink, Scripted, envelope, row};
use crate::error::Failure;
use crate::event::Lane;
use crate::pipeline::control::{Control, Ended};
use crate::state::settings::Keep;

async fn run(bench: &Bench, source: Scripted) -> Result<Ended, Failure> {
    let (_control, control) = watch::channel(Control::default());
    bench.runner(&bench.store(), Box::new(source), control).run().await
}

#[tokio::test(start_paused = true)]
async fn a_lone_tombstone_read_again_deletes_nothing_newer() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    bench.change(0, "c", 100, 1, row(1, "first life"));
    bench.put(0, json!({"id": 1}), None, &[]);
    bench.change(0, "c", 200, 1, row(1, "second life"));
    // A rebalance: the lane starts again at its stored position while what was read is still at work.
    for (what, read) in [
        ("in flight", vec![bench.messages.clone(), bench.messages.clone()]),
        ("one arrival", vec![[bench.messages.clone(), bench.messages.clone()].concat()]),
    ] {
        assert_eq!(run(&bench, Scripted::new(read)).await, Ok(Ended::CaughtUp));
        assert_eq!(bench.sink.bodies().get("items/1"), Some(&row(1, "second life").to_string()), "{what}");
        bench.dir = tempfile::tempdir().unwrap();
        bench.sink = std::sync::Arc::default();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_read_again_is_not_set_back() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    for id in 1..=3 {
        bench.change(0, "c", 100 + id, id, row(id, "x"));
    }
    let again = bench.messages[..1].to_vec();
    assert_eq!(run(&bench, Scripted::new([bench.messages.clone(), again])).await, Ok(Ended::CaughtUp));
    let positions = bench.store().pipeline("test", "auto").unwrap().positions().unwrap();
    // Or a crash now would have the next life count the last two once more, where events are counted.
    assert_eq!(positions.iter().map(|(_, record)| record.position).collect::<Vec<_>>(), [3]);
}

#[tokio::test(start_paused = true)]
async fn an_old_truncate_read_again_never_lowers_the_floor() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    let truncate = |lsn| envelope("t", lsn, 0, Value::Null);
    bench.put(0, Value::Null, Some(truncate(400)), &[]);
    bench.put(0, Value::Null, Some(truncate(200)), &[]);
    bench.change(1, "c", 300, 9, row(9, "emptied away"));
    bench.run().await.unwrap();
    assert_eq!(bench.sink.bodies().len(), 0);
    bench.put(0, Value::Null, Some(truncate(210)), &[]);
    bench.change(1, "c", 310, 8, row(8, "emptied away too"));
    bench.run().await.unwrap();
    assert_eq!(bench.sink.bodies().len(), 0, "after a restart");
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_left_in_the_index_goes_with_a_truncate_that_is_read_before_it_next_time() {
    for (what, lsn) in [("an earlier transaction", 100), ("the truncate's own, where document versions tie", 200)] {
        let mut bench = Bench::new(Keep::Versions, MemorySink::default());
        bench.guest = Some(named_documents);
        bench.change(0, "c", lsn, 1, with_documents(1, &["1", "a"]));
        bench.put(1, Value::Null, Some(envelope("t", 200, 0, Value::Null)), &[]);
        let [row, truncate] = bench.messages.clone().try_into().unwrap();
        *bench.sink.requests.lock().unwrap() = [Fate::AppliedAndLost].into();
        let store = bench.store();
        assert_eq!(live(&bench, &store, vec![vec![row.clone()]], Duration::from_secs(9)).await, None, "{what}");
        assert_eq!(bench.sink.bodies().len(), 2, "{what}");
        assert!(live(&bench, &store, vec![vec![truncate], vec![row]], Duration::from_secs(9)).await.is_some(), "{what}");
        assert_eq!(bench.sink.bodies(), BTreeMap::new(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn lanes_of_one_table_have_positions_of_their_own() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    for id in 1..=9 {
        bench.change((id % 3) as i32, "c", 100 + id, id, row(id, "x"));
    }
    bench.run().await.unwrap();
    let mut positions: Vec<u64> = bench.settled.lock().unwrap().iter().map(|(_, position)| *position).collect();
    positions.sort_unstable();
    assert_eq!(positions, [3, 3, 3]);
    assert_eq!(bench.sink.bodies().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn until_caught_up_reads_a_lane_that_was_made_anew_and_is_shorter() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    for id in 1..=5 {
        bench.change(0, "c", 100 + id, id, row(id, "x"));
    }
    bench.run().await.unwrap();
    bench.messages.clear();
    bench.change(0, "c", 900, 6, row(6, "from the new file"));
    let store = bench.store();
    let ends = vec![(bench.messages[0].lane.clone(), 1)];
    let source = Scripted { stays: true, ends: ends.clone(), ..Scripted::new([bench.messages.clone()]) };
    let (_control, control) = watch::channel(Control::default());
    let mut runner = bench.runner(&store, Box::new(source), control);
    runner.ends = Some(ends);
    assert_eq!(runner.run().await, Ok(Ended::CaughtUp));
    assert!(bench.sink.bodies().contains_key("items/6"));
}

#[tokio::test(start_paused = true)]
async fn until_caught_up_ends_at_once_where_there_is_nothing() {
    let bench = Bench::new(Keep::Versions, MemorySink::default());
    let store = bench.store();
    for ends in [vec![], vec![(Lane::from("shop.public.items/0"), 0)]] {
        let source = Scripted { stays: true, ..Scripted::new([]) };
        let (_control, control) = watch::channel(Control::default());
        let mut runner = bench.runner(&store, Box::new(source), control);
        runner.ends = Some(ends);
        assert_eq!(runner.run().await, Ok(Ended::CaughtUp));
    }
}
