//! Dead letters: numbered, bounded, marked, dropped.

use super::{DeadCause, DeadLetter, Effects, LetterFilter, PipelineState, StateError, letter, open, stage_and_commit};
use crate::state::settings::{DeadLetterBounds, WhenFull};
use crate::state::{DeadEvent, Marked};

fn all() -> LetterFilter {
    LetterFilter::default()
}

fn ids(state: &PipelineState) -> Vec<u64> {
    state.dead_letters(&all(), usize::MAX).unwrap().iter().map(|letter| letter.id).collect()
}

fn aside(count: usize) -> Effects {
    Effects { dead: vec![letter("x"); count], ..Effects::default() }
}

/// A letter that takes about so many bytes.
fn large(bytes: usize) -> DeadLetter {
    let event = DeadEvent {
        lane: "t/0".to_owned(),
        position: 1,
        timestamp_ms: 0,
        key: None,
        value: Some(vec![b'x'; bytes]),
        headers: Vec::new(),
        memory: Vec::new(),
        is_known: false,
    };
    DeadLetter { cause: DeadCause::Event(event.into()), ..letter("large") }
}

#[test]
fn dead_letters_are_numbered_through_and_the_oldest_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let bounds = DeadLetterBounds { max_count: 10, ..DeadLetterBounds::default() };
    let pipeline = |name: &str| store.pipeline(name, "auto").unwrap().with_dead_letters(bounds.clone());
    let (mut state, reader) = (pipeline("p"), pipeline("p"));
    for (batch, count, kept) in [(1, 4, 1..=4), (2, 6, 1..=10), (3, 3, 4..=13), (4, 25, 29..=38)] {
        stage_and_commit(&mut state, batch, aside(count));
        assert_eq!(ids(&reader), kept.rev().collect::<Vec<u64>>(), "a reader beside the writer sees the newest");
        assert_eq!(reader.dead_letters_count().unwrap(), ids(&reader).len() as u64);
    }
    assert!(pipeline("q").dead_letters(&all(), 9).unwrap().is_empty(), "each pipeline has its own");
    reader.drop_dead_letters(&all()).unwrap();
    drop((state, reader, store));
    let mut again = open(dir.path()).pipeline("p", "auto").unwrap();
    stage_and_commit(&mut again, 1, aside(1));
    assert_eq!(ids(&again), [39], "no number is given twice, not even after all were dropped");
}

#[test]
fn dead_letters_are_bounded_in_bytes_and_one_that_is_larger_than_all_loses_its_event() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = DeadLetterBounds { max_bytes: 10_000, ..DeadLetterBounds::default() };
    let mut state = open(dir.path()).pipeline("p", "auto").unwrap().with_dead_letters(bounds);
    for batch in 1..=5 {
        stage_and_commit(&mut state, batch, Effects { dead: vec![large(3_000)], ..Effects::default() });
    }
    assert_eq!(ids(&state), [5, 4, 3]);
    stage_and_commit(&mut state, 6, Effects { dead: vec![large(20_000)], ..Effects::default() });
    assert_eq!(ids(&state), [6, 5, 4, 3]);
    assert_eq!(state.dead_letters(&all(), 1).unwrap()[0].cause, DeadCause::TooLarge);
    let marked = Marked { ids: vec![3, 4, 5], not_kept: 1 };
    assert_eq!(state.mark_replays(&all()).unwrap(), marked, "there is nothing of it to replay");
}

#[test]
fn where_the_oldest_may_not_go_the_next_one_stops_the_pipeline_and_nothing_of_its_batch_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = DeadLetterBounds { max_count: 2, when_full: WhenFull::Stop, ..DeadLetterBounds::default() };
    let mut state = open(dir.path()).pipeline("p", "auto").unwrap().with_dead_letters(bounds);
    stage_and_commit(&mut state, 1, aside(2));
    let refused = state.commit(2, Effects { positions: vec![("t/0".into(), super::LaneRecord::default())], ..aside(1) });
    assert!(matches!(&refused, Err(StateError::Full(message)) if message.contains("t/0@7") && message.contains("restart")), "{refused:?}");
    assert_eq!((ids(&state), state.positions().unwrap().len()), (vec![2, 1], 0));
    state.drop_dead_letters(&LetterFilter { ids: vec![1], ..all() }).unwrap();
    state.commit(2, aside(1)).unwrap();
    assert_eq!(ids(&state), [3, 2]);
}

#[test]
fn a_mark_lasts_until_its_letter_was_replayed_and_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut state = store.pipeline("p", "auto").unwrap();
    stage_and_commit(&mut state, 1, Effects { dead: vec![large(1), large(1), large(1)], ..Effects::default() });
    assert!(!state.has_replays().unwrap());
    state.mark_replays(&LetterFilter { ids: vec![1, 3], ..all() }).unwrap();
    drop((state, store));

    let mut state = open(dir.path()).pipeline("p", "auto").unwrap();
    let marked: Vec<u64> = state.next_replays(9, 1 << 20).unwrap().iter().map(|letter| letter.id).collect();
    assert_eq!((marked, state.next_replays(9, 1).unwrap().len()), (vec![1, 3], 1), "also after a restart, and within bounds");
    let again = DeadLetter { id: 3, replays: 1, reason: "still".to_owned(), ..large(1) };
    stage_and_commit(&mut state, 2, Effects { dead: vec![again], replayed: vec![1, 3], ..Effects::default() });
    assert_eq!((ids(&state), state.has_replays().unwrap(), state.marked(&[1, 3]).unwrap()), (vec![3, 2], false, 0));
    assert_eq!((state.kept(&[1, 3]).unwrap(), state.kept(&[]).unwrap()), (1, 0));
    assert_eq!(state.dead_letters(&all(), 1).unwrap()[0].reason, "still");

    state.mark_replays(&all()).unwrap();
    state.drop_dead_letters(&LetterFilter { ids: vec![2], ..all() }).unwrap();
    assert_eq!(state.marked(&[2, 3]).unwrap(), 1, "what is dropped is not replayed");
    let dropped_meanwhile = DeadLetter { id: 2, ..large(1) };
    stage_and_commit(&mut state, 3, Effects { dead: vec![dropped_meanwhile], replayed: vec![2], ..Effects::default() });
    assert_eq!(ids(&state), [3], "what was dropped while it was replayed stays away");
}

#[test]
fn letters_are_meant_by_what_they_have() {
    let letter = DeadLetter { id: 7, table: Some("public.t".to_owned()), key: Some("5".to_owned()), ..letter("Price is no Number") };
    let text = |text: &str| Some(text.to_owned());
    for (filter, is_meant) in [
        (all(), true),
        (LetterFilter { ids: vec![6, 7], ..all() }, true),
        (LetterFilter { ids: vec![6], ..all() }, false),
        (LetterFilter { stage: text("decode"), table: text("public.t"), key: text("5"), topic: text("t"), ..all() }, true),
        (LetterFilter { table: text("public.t"), key: text("6"), ..all() }, false),
        (LetterFilter { table: text("t"), ..all() }, false),
        (LetterFilter { topic: text("public.t"), ..all() }, false),
        (LetterFilter { reason: text("price is NO"), ..all() }, true),
        (LetterFilter { reason: text("weight"), ..all() }, false),
    ] {
        assert_eq!(filter.matches(&letter), is_meant, "{filter:?}");
    }
}
