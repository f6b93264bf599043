//! What guests keep: staged, committed, forgotten, listed, and how large it is said to be.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof};

use super::super::values::{filed, place_and_key};
use super::{open, row, stage_and_commit};
use crate::state::{Effects, PipelineState, StateError, Text, ValueChanges, Values};

fn effects(entries: &[(&str, Option<&str>)], grown: i64) -> Effects {
    let bytes = |value: &Option<&str>| value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
    let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), bytes(value))).collect();
    Effects { values: ValueChanges { entries, grown }, ..Effects::default() }
}

fn seen(values: &Values, key: &str) -> Option<String> {
    values.get(key).unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

/// All there is, by pages of `limit`.
fn all(values: &Values, limit: usize) -> BTreeMap<String, String> {
    let (mut all, mut from) = (BTreeMap::new(), Some(0));
    while let Some(start) = from {
        let page = values.keys(start, limit).unwrap();
        assert!(page.is_sorted());
        from = page.last().and_then(|(place, _)| place.checked_add(1));
        for (place, key) in page {
            assert_eq!(place, Values::place(&key));
            let value = seen(values, &key).unwrap();
            assert_eq!(all.insert(key, value), None, "listed twice");
        }
    }
    all
}

#[test]
fn a_batch_is_seen_by_the_next_one_and_kept_only_when_it_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut state = store.pipeline("p", "auto").unwrap();
    let values = state.values().clone();
    let (one, two) = (effects(&[("a", Some("1")), ("b", Some("1"))], 10), effects(&[("a", Some("2")), ("b", None)], -3));
    state.stage(1, &one);
    assert_eq!((seen(&values, "a").as_deref(), values.bytes(), values.bytes_committed()), (Some("1"), 10, 0));
    state.stage(2, &two);
    state.commit(1, one).unwrap();
    assert_eq!((seen(&values, "a").as_deref(), seen(&values, "b")), (Some("2"), None), "the newer batch is still staged");
    assert_eq!((values.bytes(), values.bytes_committed()), (7, 10));
    // The second batch fails: what holds is the last commit.
    drop((state, values));
    let mut state = store.pipeline("p", "auto").unwrap();
    let values = state.values().clone();
    assert_eq!((seen(&values, "a").as_deref(), seen(&values, "b").as_deref(), values.bytes()), (Some("1"), Some("1"), 10));
    stage_and_commit(&mut state, 1, two);
    drop((state, values, store));
    let values = open(dir.path()).pipeline("p", "auto").unwrap().values().clone();
    assert_eq!((all(&values, 9), values.bytes()), (BTreeMap::from([("a".to_owned(), "2".to_owned())]), 7), "after a restart");
}

#[test]
fn pipelines_do_not_see_what_others_keep() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut states: Vec<PipelineState> = ["p", "q"].map(|name| store.pipeline(name, "auto").unwrap()).into();
    for (state, value) in states.iter_mut().zip(["of p", "of q"]) {
        stage_and_commit(state, 1, effects(&[("", Some(value)), (value, Some(""))], 5));
    }
    for (state, value) in states.iter().zip(["of p", "of q"]) {
        let expected = BTreeMap::from([(String::new(), value.to_owned()), (value.to_owned(), String::new())]);
        assert_eq!((all(state.values(), 1), state.values().bytes()), (expected, 5));
    }
}

#[test]
fn the_store_moves_with_rows_and_positions() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut state = store.pipeline("p", "auto").unwrap();
    let effects = Effects { values: effects(&[("a", Some("1"))], 9).values, ..row(&state, "1", 1, Text::Kept) };
    state.stage(1, &effects);
    let before = store.db.latest_sequence_number();
    state.commit(1, effects).unwrap();
    assert_eq!(store.db.get_updates_since(before).unwrap().count(), 1, "one entry of the write-ahead log");
    // As after kill -9.
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap).filter(|file| file.file_name() != "LOCK") {
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let state = open(copy.path()).pipeline("p", "auto").unwrap();
    assert_eq!((super::seen(&state, "1").0, seen(state.values(), "a").as_deref(), state.values().bytes()), (Some(1), Some("1"), 9));
}

/// Batches of writes, and how many of them are committed when they are looked at.
fn batches() -> impl Strategy<Value = Vec<Vec<(u8, bool)>>> {
    vec(vec((0..40_u8, prop_oneof![2 => Just(true), 1 => Just(false)]), 0..20), 0..6)
}

fn check_listing(dir: &Path, name: &str, batches: &[Vec<(u8, bool)>], committed: usize, limit: usize) {
    let store = open(dir);
    let mut state = store.pipeline(name, "auto").unwrap();
    let mut model = BTreeMap::new();
    let mut at_work = Vec::new();
    for (number, batch) in (1..).zip(batches) {
        let written: BTreeMap<String, Option<String>> =
            batch.iter().map(|(key, is_put)| (key.to_string(), is_put.then(|| number.to_string()))).collect();
        let entries: Vec<(&str, Option<&str>)> = written.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        let effects = effects(&entries, 0);
        state.stage(number, &effects);
        at_work.push((number, effects));
        model.extend(written);
    }
    for (number, effects) in at_work.into_iter().take(committed) {
        state.commit(number, effects).unwrap();
    }
    let expected: BTreeMap<String, String> = model.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    assert_eq!(all(state.values(), limit), expected);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    #[test]
    fn pages_are_of_what_is_committed_with_what_is_staged_over_it(batches in batches(), committed in 0..6_usize, limit in 1..30_usize) {
        let dir = tempfile::tempdir().unwrap();
        check_listing(dir.path(), "p", &batches, committed, limit);
    }
}

proptest::proptest! {
    #[test]
    fn entries_are_filed_apart_and_by_their_places(pipelines: (u32, u32), a in ".{0,6}", b in ".{0,6}") {
        let (left, right) = (filed(pipelines.0, &a), filed(pipelines.1, &b));
        prop_assert_eq!(left == right, pipelines.0 == pipelines.1 && a == b);
        prop_assert_eq!(place_and_key(&left), Ok((Values::place(&a), a.clone())));
        prop_assert!(left.len() > 4, "the size stands under the number alone");
        if pipelines.0 == pipelines.1 {
            prop_assert_eq!(left.cmp(&right), (Values::place(&a), &a).cmp(&(Values::place(&b), &b)));
        }
    }

    #[test]
    fn any_bytes_are_an_entry_or_damaged(bytes in vec(any::<u8>(), 0..30)) {
        match place_and_key(&bytes) {
            Ok((_, key)) => prop_assert!(bytes.ends_with(key.as_bytes())),
            Err(error) => prop_assert!(matches!(error, StateError::Corrupt(_))),
        }
    }
}
