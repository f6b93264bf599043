//! What the module keeps, where changes are replayed, refused or rejected, and how large it is said to be.

use std::time::Duration;

use tokio::sync::watch;

use super::{Bench, MemorySink, Scripted, row};
use crate::event::{Change, JsonText};
use crate::pipeline::control::{Control, Ended};
use crate::state::LetterFilter;
use crate::state::settings::Keep;
use crate::transform::{Outcome, Output, Overlay, Target, entry_bytes};

/// The row is the document; it counts first, and then takes no row with the word `bad` in it.
fn counting(change: &Change, store: &mut Overlay) -> Outcome {
    store.increment("called", 1)?;
    store.set(change.key_id(), change.version.first.to_string().into_bytes())?;
    match change.after.as_deref() {
        Some(after) if after.contains("bad") => Err("the row is bad".to_owned()),
        Some(after) => Ok(vec![Output::Index { target: Target::default(), body: JsonText::from(after) }]),
        None => Ok(Vec::new()),
    }
}

/// The same when nothing is bad any more.
fn counting_all(change: &Change, store: &mut Overlay) -> Outcome {
    counting(change, store).or_else(|_| Ok(Vec::new()))
}

impl Bench {
    fn kept(&self, key: &str) -> Option<String> {
        let state = self.store().pipeline("test", "auto").unwrap();
        state.values().get(key).unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap())
    }

    async fn replay(&self) {
        self.store().pipeline("test", "auto").unwrap().mark_replays(&LetterFilter::default()).unwrap();
        assert_eq!(self.run().await, Ok(Ended::CaughtUp));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_rejected_counts_once_it_is_taken_and_what_a_sink_refused_counts_again() {
    for keep in [Keep::Versions, Keep::Rows] {
        let mut bench = Bench::new(keep, MemorySink { refused: Some("heavy"), ..MemorySink::default() });
        bench.keeping = Some(counting);
        bench.change(0, "c", 100, 1, row(1, "good"));
        bench.change(0, "c", 200, 2, row(2, "bad"));
        bench.change(0, "u", 300, 1, row(1, "bad"));
        bench.change(0, "c", 400, 3, row(3, "good"));
        assert_eq!(bench.run().await, Ok(Ended::CaughtUp));
        assert_eq!(bench.kept("called").as_deref(), Some("2"));
        assert_eq!((bench.kept("1").as_deref(), bench.kept("2")), (Some("100"), None));
        bench.replay().await;
        assert_eq!(bench.kept("called").as_deref(), Some("2"), "rejected again");
        bench.keeping = Some(counting_all);
        bench.replay().await;
        assert_eq!(bench.kept("called").as_deref(), Some("4"));
        assert_eq!((bench.kept("1").as_deref(), bench.kept("2").as_deref()), (Some("300"), Some("200")));
        bench.change(0, "c", 500, 4, row(4, "heavy"));
        assert_eq!(bench.run().await, Ok(Ended::CaughtUp));
        assert_eq!(bench.kept("called").as_deref(), Some("5"), "the module took it");
        bench.replay().await;
        assert_eq!(bench.kept("called").as_deref(), Some("6"), "it was asked again");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_stale_is_not_asked_and_what_a_truncate_took_has_kept_nothing() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    bench.keeping = Some(counting);
    bench.put(1, serde_json::Value::Null, Some(super::envelope("t", 200, 0, serde_json::Value::Null)), &[]);
    assert_eq!(bench.run().await, Ok(Ended::CaughtUp));
    // Read after the truncate of its table, beside one that came after it.
    bench.change(0, "c", 150, 1, row(1, "withdrawn"));
    bench.change(0, "c", 300, 2, row(2, "new"));
    bench.change(0, "u", 300, 2, row(2, "again"));
    assert_eq!(bench.run().await, Ok(Ended::CaughtUp));
    assert_eq!((bench.kept("called").as_deref(), bench.kept("1"), bench.kept("2").as_deref()), (Some("1"), None, Some("300")));
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_read_again_counts_nothing_twice_also_where_a_table_has_no_key() {
    /// A document for each change, named by its row.
    fn of_keyless(_: &Change, store: &mut Overlay) -> Outcome {
        let number = store.increment("called", 1)?;
        let target = Target { id: Some(number.to_string().into()), ..Target::default() };
        Ok(vec![Output::Index { target, body: JsonText::from("{}") }])
    }
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    bench.keeping = Some(of_keyless);
    for lsn in 1..=4 {
        bench.put(0, serde_json::Value::Null, Some(super::envelope("c", 100 * lsn, lsn, row(lsn, "x"))), &[]);
        bench.change(1, "c", 100 * lsn, lsn, row(lsn, "x"));
    }
    let store = bench.store();
    let all = bench.unread(&store);
    // From the start once more, while batches are at work; the end of the lanes comes only then.
    let source = Scripted::new([all[..6].to_vec(), all.clone(), all.clone()]);
    let (_control, control) = watch::channel(Control::default());
    assert_eq!(bench.runner(&store, Box::new(source), control).run().await, Ok(Ended::CaughtUp));
    drop(store);
    assert_eq!(bench.kept("called").as_deref(), Some("8"));
}

#[tokio::test(start_paused = true)]
async fn the_size_of_the_store_is_shown() {
    let mut bench = Bench::new(Keep::Versions, MemorySink::default());
    bench.keeping = Some(counting);
    bench.change(0, "c", 100, 1, row(1, "good"));
    let store = bench.store();
    let source = Scripted { stays: true, ..Scripted::new([bench.unread(&store)]) };
    let (_control, control) = watch::channel(Control::default());
    let runner = bench.runner(&store, Box::new(source), control);
    let shown = runner.metrics.guest_store_bytes.clone();
    assert!(tokio::time::timeout(Duration::from_secs(5), runner.run()).await.is_err(), "the source does not end");
    assert_eq!(u64::try_from(shown.get()).unwrap(), entry_bytes("called", b"1") + entry_bytes("1", b"100"));
}
