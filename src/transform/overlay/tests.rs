//! What a guest reads of its own writes, what is kept of them, and where it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use expect_test::{Expect, expect};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, prop_oneof};

use super::{KeyValues, Overlay, Written, entry_bytes};
use crate::error::Failure;
use crate::limits::{GUEST_STORE_KEY_BYTES_MAX, GUEST_STORE_PAGE_KEYS_MAX, GUEST_STORE_VALUE_BYTES_MAX, GUEST_STORE_WRITES_MAX};
use crate::transform::MemoryStore;

const ROOM: u64 = 1 << 30;

fn store(entries: &[(&str, &str)]) -> MemoryStore {
    let store = MemoryStore::new(ROOM);
    let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), Some(Bytes::copy_from_slice(value.as_bytes())))).collect();
    store.apply(Written { entries, grown: 0 });
    store
}

/// With a call begun.
fn overlay(base: impl KeyValues + 'static) -> Overlay {
    let mut overlay = Overlay::new(Arc::new(base));
    overlay.begin_call();
    overlay
}

fn next_call(overlay: &mut Overlay) {
    assert_eq!(overlay.end_call(), Ok(false));
    overlay.begin_call();
}

fn text(overlay: &mut Overlay, key: &str) -> Option<String> {
    overlay.get(key).unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn set(overlay: &mut Overlay, key: &str, value: &str) {
    overlay.set(key, value.as_bytes().to_vec()).unwrap();
}

#[test]
fn a_call_reads_its_writes_and_they_count_if_it_went_well() {
    let mut overlay = overlay(store(&[("a", "base"), ("b", "base")]));
    set(&mut overlay, "a", "kept");
    assert_eq!(overlay.increment("n", 2), Ok(2));
    assert!(overlay.has_written());
    overlay.keep();
    next_call(&mut overlay);
    assert!(!overlay.has_written());
    set(&mut overlay, "a", "forgotten");
    overlay.delete("b").unwrap();
    assert_eq!(overlay.increment("n", 5), Ok(7));
    assert_eq!((text(&mut overlay, "a").as_deref(), text(&mut overlay, "b")), (Some("forgotten"), None));
    overlay.forget();
    next_call(&mut overlay);
    assert_eq!((text(&mut overlay, "a").as_deref(), text(&mut overlay, "b").as_deref()), (Some("kept"), Some("base")));
    assert_eq!(overlay.increment("n", 1), Ok(3));
    overlay.keep();
    let written = overlay.into_written();
    let entries: BTreeMap<_, _> = written.entries.into_iter().collect();
    assert_eq!(entries, BTreeMap::from([("a".into(), Some("kept".into())), ("n".into(), Some("3".into()))]));
    assert_eq!(written.grown, i64::try_from(entry_bytes("n", b"3")).unwrap(), "`a` is as long as it was");
}

#[test]
fn what_is_not_there_is_deleted_without_a_trace() {
    let mut overlay = overlay(store(&[]));
    overlay.delete("a").unwrap();
    overlay.delete_many(&["b".to_owned(), "c".to_owned()]).unwrap();
    assert!(!overlay.has_written());
}

#[test]
fn a_counter_is_decimal_text_and_anything_else_is_left_alone() {
    let mut overlay = overlay(store(&[("max", "18446744073709551615"), ("word", "many"), ("negative", "-1"), ("empty", "")]));
    assert_eq!((overlay.increment("new", 7), text(&mut overlay, "new").as_deref()), (Ok(7), Some("7")));
    for (key, delta, expected) in [
        ("max", 1, expect!["the counter would pass 2^64 - 1"]),
        ("word", 1, expect!["the value is no counter: it must be a whole number as decimal text"]),
        ("negative", 1, expect!["the value is no counter: it must be a whole number as decimal text"]),
        ("empty", 0, expect!["the value is no counter: it must be a whole number as decimal text"]),
    ] {
        expected.assert_eq(&overlay.increment(key, delta).unwrap_err());
    }
    assert_eq!(overlay.increment("max", 0), Ok(u64::MAX));
    assert_eq!(text(&mut overlay, "word").as_deref(), Some("many"));
}

fn check<T: std::fmt::Debug>(answer: Result<T, String>, expected: Expect) {
    expected.assert_eq(&answer.unwrap_err());
}

#[test]
fn what_is_too_large_is_refused_and_costs_nothing() {
    let mut overlay = overlay(store(&[]));
    let key = "k".repeat(GUEST_STORE_KEY_BYTES_MAX);
    let value = vec![0; GUEST_STORE_VALUE_BYTES_MAX];
    overlay.set(&key, value.clone()).unwrap();
    assert_eq!(overlay.get(&key).unwrap().unwrap().len(), value.len());
    check(overlay.set(&format!("{key}k"), Vec::new()), expect!["a key of 1025 bytes: 1024 are allowed"]);
    check(overlay.get(&format!("{key}k")), expect!["a key of 1025 bytes: 1024 are allowed"]);
    check(overlay.set("k", vec![0; 64 << 20]), expect!["a value of 67108864 bytes: 1048576 are allowed, so keep it in parts"]);
    check(overlay.get_many(&vec![String::new(); 10_001]), expect!["10001 keys at once: 10000 are allowed"]);
    check(overlay.set_many(vec![(String::new(), Vec::new()); 10_001]), expect!["10001 keys at once: 10000 are allowed"]);
    check(overlay.delete_many(&vec![String::new(); 10_001]), expect!["10001 keys at once: 10000 are allowed"]);
    check(overlay.get_many(&vec![key.clone(); 16]), expect!["the values are larger than 16.0 MiB together: ask for fewer"]);
    assert_eq!(overlay.get_many(&[key, "none".to_owned()]).unwrap()[1], None);
    assert_eq!(overlay.end_call(), Ok(false), "the call has not failed for it");
}

#[test]
fn a_call_that_writes_without_end_has_failed_whatever_it_makes_of_the_error() {
    let mut writing = overlay(store(&[]));
    for _ in 0..GUEST_STORE_WRITES_MAX {
        set(&mut writing, "same", "x");
    }
    check(writing.delete("same"), expect!["this call has written too much to the store"]);
    assert!(writing.set("other", Vec::new()).is_err());
    assert_eq!(writing.end_call(), Ok(true));
    writing.forget();
    writing.begin_call();
    set(&mut writing, "same", "the next call has its own share");
    assert_eq!(writing.end_call(), Ok(false));

    let mut filling = overlay(store(&[]));
    let fits = (0..100).take_while(|key| filling.set(&key.to_string(), vec![0; GUEST_STORE_VALUE_BYTES_MAX]).is_ok()).count();
    assert_eq!((fits, filling.end_call()), (15, Ok(true)), "16 MiB, with keys and places");
}

#[test]
fn a_full_store_takes_what_does_not_make_it_larger() {
    let base = MemoryStore::new(3 * entry_bytes("k", b"1234"));
    let mut overlay = overlay(base.clone());
    for key in ["a", "b", "c"] {
        set(&mut overlay, key, "1234");
    }
    overlay.keep();
    next_call(&mut overlay);
    let full = expect!["the store is full (207 B): delete what is not needed any more, or raise transform.store"];
    check(overlay.set("d", Vec::new()), full);
    check(
        overlay.set("a", b"12345".to_vec()),
        expect!["the store is full (207 B): delete what is not needed any more, or raise transform.store"],
    );
    set(&mut overlay, "a", "4321");
    overlay.delete("b").unwrap();
    set(&mut overlay, "d", "1234");
    overlay.keep();
    base.apply(overlay.into_written());
    assert_eq!(base.bytes(), base.bytes_max());
    // Less is allowed now than there is.
    let smaller = MemoryStore::new(1);
    smaller.apply(Written { entries: vec![("a".to_owned(), Some("1234".into()))], grown: 0 });
    let mut overlay = Overlay::new(Arc::new(smaller));
    overlay.begin_call();
    set(&mut overlay, "a", "12");
    assert!(overlay.increment("a", 100).is_err());
    overlay.delete("a").unwrap();
}

#[test]
fn it_is_closed_between_calls() {
    let mut overlay = Overlay::new(Arc::new(store(&[("a", "1")])));
    check(overlay.get("a"), expect!["the store is open while changes are transformed, and not in init"]);
    for closed in [overlay.set("a", Vec::new()), overlay.delete("a"), overlay.increment("a", 1).map(drop), overlay.keys(None).map(drop)] {
        assert!(closed.is_err());
    }
    overlay.begin_call();
    assert!(overlay.get("a").is_ok());
    overlay.end_call().unwrap();
    assert!(overlay.get("a").is_err());
}

/// Keys share places, and some cannot be read.
struct Coarse(BTreeSet<String>);

impl KeyValues for Coarse {
    fn place(&self, key: &str) -> u64 {
        if key == "last" { u64::MAX } else { key.parse::<u64>().unwrap_or(0) / 700 }
    }

    fn get(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        if key == "unreadable" { Err(Failure::unavailable("no disk")) } else { Ok(self.0.get(key).map(|_| Bytes::new())) }
    }

    fn keys(&self, from: u64, limit: usize) -> Result<Vec<(u64, String)>, Failure> {
        let mut keys: Vec<_> = self.0.iter().map(|key| (self.place(key), key.clone())).filter(|(place, _)| *place >= from).collect();
        keys.sort();
        let last = keys.get(limit - 1).map(|(place, _)| *place);
        keys.retain(|(place, _)| last.is_none_or(|last| *place <= last));
        Ok(keys)
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn bytes_max(&self) -> u64 {
        ROOM
    }
}

#[test]
fn what_cannot_be_read_fails_the_batch_and_not_the_guest() {
    let mut overlay = overlay(Coarse(BTreeSet::new()));
    check(overlay.get("unreadable"), expect!["the store cannot be read"]);
    set(&mut overlay, "a", "x");
    assert_eq!(overlay.end_call(), Err(Failure::unavailable("no disk")));
}

/// All keys, with something done before each page but the first.
fn walk(overlay: &mut Overlay, mut between: impl FnMut(&mut Overlay)) -> Vec<String> {
    let (mut keys, mut cursor) = overlay.keys(None).unwrap();
    while cursor.is_some() {
        between(overlay);
        let (more, next) = overlay.keys(cursor).unwrap();
        assert!(!more.is_empty() || next.is_none(), "an empty page is the end");
        keys.extend(more);
        cursor = next;
    }
    keys
}

#[test]
fn an_empty_stretch_is_not_the_end() {
    let all: BTreeSet<String> = (0..5_000).map(|key| key.to_string()).chain(["last".to_owned()]).collect();
    let mut overlay = overlay(Coarse(all));
    for key in 0..4_999 {
        overlay.delete(&key.to_string()).unwrap();
    }
    assert_eq!(walk(&mut overlay, |_| ()), ["4999", "last"]);
}

/// Numbers as keys, and whether they are put or deleted.
fn writes(count: usize) -> impl Strategy<Value = Vec<(u16, bool)>> {
    vec((0..4_000_u16, prop_oneof![3 => Just(true), 1 => Just(false)]), 0..count)
}

fn write(overlay: &mut Overlay, writes: &[(u16, bool)]) {
    for (key, is_put) in writes {
        let key = key.to_string();
        if *is_put { overlay.set(&key, Vec::new()).unwrap() } else { overlay.delete(&key).unwrap() }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn whoever_goes_from_page_to_page_sees_all_that_stays_once(
        is_coarse: bool, base in vec(0..4_000_u16, 0..4_000), kept in writes(2_000), called in writes(2_000), between in vec(writes(300), 6)
    ) {
        let keys: BTreeSet<String> = base.iter().map(u16::to_string).collect();
        let mut overlay = if is_coarse {
            overlay(Coarse(keys.clone()))
        } else {
            overlay(store(&keys.iter().map(|key| (key.as_str(), "")).collect::<Vec<_>>()))
        };
        write(&mut overlay, &kept);
        overlay.keep();
        next_call(&mut overlay);
        write(&mut overlay, &called);
        let mut model = keys;
        for (key, is_put) in kept.iter().chain(&called) {
            if *is_put { model.insert(key.to_string()) } else { model.remove(&key.to_string()) };
        }
        let mut seen = walk(&mut overlay, |_| ());
        seen.sort();
        assert_eq!(seen, model.iter().cloned().collect::<Vec<_>>());
        // Now with writes between the pages: of what they touch nothing is promised.
        let mut all_between = between.iter();
        let touched: BTreeSet<String> = between.iter().flatten().map(|(key, _)| key.to_string()).collect();
        let mut seen = walk(&mut overlay, |overlay| write(overlay, all_between.next().map_or(&[], Vec::as_slice)));
        seen.retain(|key| !touched.contains(key));
        seen.sort();
        assert_eq!(seen, model.difference(&touched).cloned().collect::<Vec<_>>());
    }

    #[test]
    fn what_a_batch_adds_to_the_size_is_what_it_adds(
        base in vec(0..20_u8, 0..20), calls in vec((proptest::bool::ANY, vec((0..20_u8, 0..6_u8, 0..9_usize), 0..9)), 0..9)
    ) {
        let store = store(&[]);
        let entry = |key: &u8| (key.to_string(), Some(Bytes::from_static(b"12345")));
        store.apply(Written { entries: base.iter().map(entry).collect(), grown: 0 });
        let before = store.bytes();
        let mut overlay = overlay(store.clone());
        for (is_kept, acts) in calls {
            for (key, act, length) in acts {
                let key = key.to_string();
                match act {
                    0 => overlay.delete(&key).unwrap(),
                    1 => drop(overlay.increment(&key, 9)),
                    2 => overlay.set_many(vec![(key.clone(), vec![b'1'; length]), (key, vec![b'2'; length / 2])]).unwrap(),
                    _ => overlay.set(&key, vec![b'3'; length]).unwrap(),
                }
            }
            if is_kept { overlay.keep() } else { overlay.forget() }
            next_call(&mut overlay);
        }
        let written = overlay.into_written();
        let grown = written.grown;
        store.apply(written);
        assert_eq!(before.checked_add_signed(grown), Some(store.bytes()));
    }
}

#[test]
fn a_page_is_as_long_as_it_is_to_be() {
    let keys: Vec<String> = (0..2_500).map(|key| key.to_string()).collect();
    let mut overlay = overlay(store(&keys.iter().map(|key| (key.as_str(), "")).collect::<Vec<_>>()));
    let (first, cursor) = overlay.keys(None).unwrap();
    let (second, cursor) = overlay.keys(cursor).unwrap();
    let (third, cursor) = overlay.keys(cursor).unwrap();
    assert_eq!((first.len(), second.len(), third.len(), cursor), (GUEST_STORE_PAGE_KEYS_MAX, GUEST_STORE_PAGE_KEYS_MAX, 500, None));
}
