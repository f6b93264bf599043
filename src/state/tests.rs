//! What is remembered, and what is refused.

mod ahead;
mod codecs;
mod letters;
mod values;

use std::path::Path;
use std::time::Duration;

use super::settings::StateSettings;
use super::{
    DeadCause, DeadLetter, DocumentRecord, Effects, LaneRecord, LetterFilter, MovedRow, PipelineState, RowChange, RowRecord, Rows,
    StateError, Store, Text,
};
use crate::clock::Clock;
use crate::event::{DocumentVersion, JsonText, Lane, Version};

const START_MS: u64 = 1_790_000_000_000;

fn settings(dir: &Path) -> StateSettings {
    StateSettings { dir: dir.to_owned(), tombstone_retention: Duration::from_secs(3600), cache_bytes: 1 << 20 }
}

fn open(dir: &Path) -> Store {
    Store::open(&settings(dir), &Clock::system()).unwrap()
}

fn record(first: u64) -> RowRecord {
    let document =
        DocumentRecord { version: DocumentVersion(first << 8), body_hash: Some(first), is_live: true, ..DocumentRecord::default() };
    RowRecord { version: Version::new(first, 0), documents: smallvec::smallvec![document], ..RowRecord::default() }
}

/// Effects on row `id` of one table.
fn row(state: &PipelineState, id: &str, first: u64, text: Text) -> Effects {
    Effects { rows: vec![RowChange { key: state.key("public.t", id), record: record(first), text }], ..Effects::default() }
}

fn put(text: &str) -> Text {
    Text::Put(JsonText::from(text))
}

/// First part of the version of row `id`, and its text, as the next batch would see them.
fn seen(state: &PipelineState, id: &str) -> (Option<u64>, Option<String>) {
    let (key, mut rows) = (state.key("public.t", id), Rows::default());
    assert_eq!(state.want(&mut rows, key.clone(), None), state.want(&mut rows, key.clone(), None));
    state.fetch(&mut rows).unwrap();
    let text = state.row_text(&rows, &key).unwrap().map(|text| text.to_string());
    (rows.record(&key).map(|record| record.version.first), text)
}

fn stage_and_commit(state: &mut PipelineState, batch: u64, effects: Effects) {
    state.stage(batch, &effects);
    state.commit(batch, effects).unwrap();
}

fn letter(reason: &str) -> DeadLetter {
    DeadLetter {
        id: 0,
        at_ms: 1,
        stage: "decode".to_owned(),
        reason: reason.to_owned(),
        origin: ("t".to_owned(), 0, 7),
        table: None,
        key: None,
        version: None,
        replays: 0,
        cause: DeadCause::TooLarge,
    }
}

#[test]
fn a_batch_is_seen_by_the_next_one_and_kept_only_when_it_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut state = store.pipeline("p", "auto").unwrap();
    let (one, two) = (row(&state, "1", 1, put("a")), row(&state, "1", 2, Text::Kept));
    state.stage(1, &one);
    assert_eq!(seen(&state, "1"), (Some(1), Some("a".to_owned())));
    state.stage(2, &two);
    assert_eq!(seen(&state, "1"), (Some(2), Some("a".to_owned())), "the text of a batch under way is not forgotten");
    state.commit(1, one).unwrap();
    assert_eq!(seen(&state, "1"), (Some(2), Some("a".to_owned())), "the newer batch is still staged");
    // The second batch fails: what holds is the last commit, also for the cache that both have in common.
    let state = store.pipeline("p", "auto").unwrap();
    assert_eq!(seen(&state, "1"), (Some(1), Some("a".to_owned())));
}

#[test]
fn what_is_committed_outlives_cache_and_process() {
    let dir = tempfile::tempdir().unwrap();
    for (what, cache_bytes) in [("with a cache", 1 << 20), ("with hardly any", 1)] {
        let store = Store::open(&StateSettings { cache_bytes, ..settings(dir.path()) }, &Clock::system()).unwrap();
        let mut state = store.pipeline(what, "auto").unwrap();
        for id in 0..100 {
            let effects = row(&state, &id.to_string(), id, put(&id.to_string()));
            stage_and_commit(&mut state, id, effects);
        }
        let removed = row(&state, "7", 200, Text::Removed);
        stage_and_commit(&mut state, 200, removed);
        for id in (0..100).filter(|id| *id != 7) {
            assert_eq!(seen(&state, &id.to_string()), (Some(id), Some(id.to_string())), "{what}");
        }
        drop((state, store));
        let state = open(dir.path()).pipeline(what, "auto").unwrap();
        assert_eq!(seen(&state, "7"), (Some(200), None), "{what}");
        assert_eq!(seen(&state, "8"), (Some(8), Some("8".to_owned())), "{what}");
    }
}

#[test]
fn state_and_position_move_together() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut state = store.pipeline("p", "auto").unwrap();
    let lane = Lane::from("t/0");
    let position = LaneRecord { position: 9, memory: b"m".to_vec() };
    let note = MovedRow::Left { row: "{}".to_owned(), provisional: None, at_ms: START_MS };
    let effects = Effects {
        moved: vec![(state.key("public.t", "2"), Some(note.clone()))],
        floors: vec![("public.t".into(), Version::new(5, 5))],
        positions: vec![(lane.clone(), position.clone())],
        dead: vec![letter("bad")],
        ..row(&state, "1", 1, put("a"))
    };
    state.stage(1, &effects);
    let fresh = |store: &Store| {
        let mut state = store.pipeline("p", "auto").unwrap();
        let moved = state.moved(&state.key("public.t", "2")).unwrap();
        let floor = state.floor(&"public.t".into()).unwrap();
        (seen(&state, "1"), moved, floor, state.positions().unwrap(), state.dead_letters(&LetterFilter::default(), 9).unwrap().len())
    };
    assert_eq!(fresh(&store), ((None, None), None, None, vec![], 0), "nothing before the commit");
    let before = store.db.latest_sequence_number();
    state.commit(1, effects).unwrap();
    let writes = store.db.get_updates_since(before).unwrap();
    assert_eq!(writes.count(), 1, "one entry of the write-ahead log: after a crash there is all of it or nothing");
    let all = ((Some(1), Some("a".to_owned())), Some(note), Some(Version::new(5, 5)), vec![(lane, position)], 1);
    assert_eq!(fresh(&store), all, "everything after it");
    // Without a sync or an orderly end, as after kill -9: the write-ahead log has it as a whole.
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap).filter(|file| file.file_name() != "LOCK") {
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    assert_eq!(fresh(&open(copy.path())), all, "and in a copy of the directory");
}

#[test]
fn pipelines_are_kept_apart_also_when_all_are_new_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    const PIPELINES: u32 = 160;
    const THREADS: u32 = 8;
    let start = std::sync::Barrier::new(THREADS as usize);
    let (store_of, start) = (&store, &start);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for name in (0..PIPELINES).filter(|name| name % THREADS == thread) {
                    start.wait();
                    let mut state = store_of.pipeline(&format!("p{name}"), "auto").unwrap();
                    let effects = row(&state, "1", u64::from(name) + 1, put("x"));
                    stage_and_commit(&mut state, 1, effects);
                }
            });
        }
    });
    let mut numbers: Vec<u32> = store.pipelines().unwrap().into_iter().map(|(_, number)| number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=PIPELINES).collect::<Vec<u32>>());
    for name in 0..PIPELINES {
        let state = store.existing_pipeline(&format!("p{name}")).unwrap().unwrap();
        assert_eq!(seen(&state, "1").0, Some(u64::from(name) + 1), "p{name}");
    }
    assert!(matches!(store.pipeline("p1", "offset"), Err(StateError::Misfit(_))), "another unit of versions");
}

#[test]
fn what_ties_with_a_row_in_memory_is_held_against_all_that_is_known_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut state = store.pipeline("p", "auto").unwrap();
    let mut effects = row(&state, "1", 5, Text::Kept);
    effects.rows[0].record.version.second = 3;
    stage_and_commit(&mut state, 1, effects);
    let key = state.key("public.t", "1");
    let versions = |wanted: &[Option<u64>]| -> Version {
        let mut rows = Rows::default();
        let slots: Vec<_> = wanted.iter().map(|first| state.want(&mut rows, key.clone(), *first)).collect();
        state.fetch(&mut rows).unwrap();
        rows.record_at(slots[0]).unwrap().version
    };
    assert_eq!(versions(&[Some(6)]), Version::new(5, 0), "the cache leaves the second part open");
    for wanted in [&[Some(5)][..], &[None], &[Some(6), Some(5)], &[Some(4), None]] {
        assert_eq!(versions(wanted), Version::new(5, 3), "{wanted:?}");
    }
}

#[test]
fn of_batches_that_are_committed_together_the_last_word_on_a_row_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut state = store.pipeline("p", "auto").unwrap();
    let batches =
        [("1", 1, put("a")), ("2", 1, put("b")), ("1", 2, Text::Kept), ("2", 2, Text::Removed), ("3", 1, put("c")), ("3", 2, put("d"))];
    let mut together = Vec::new();
    for (number, (id, first, text)) in (1..).zip(batches) {
        let effects = Effects {
            positions: vec![("t/0".into(), LaneRecord { position: number, memory: Vec::new() })],
            ..row(&state, id, first, text)
        };
        assert!(effects.may_wait());
        state.stage(number, &effects);
        together.push(effects);
    }
    let after = |text: Option<&str>| (Some(2), text.map(str::to_owned));
    let rows = [("1", after(Some("a"))), ("2", after(None)), ("3", after(Some("d")))];
    for (id, wanted) in &rows {
        assert_eq!(seen(&state, id), *wanted, "{id}, staged");
    }
    state.commit_together(6, together).unwrap();
    for (id, wanted) in &rows {
        assert_eq!(seen(&state, id), *wanted, "{id}, in memory");
    }
    drop((state, store));
    let state = open(dir.path()).pipeline("p", "auto").unwrap();
    for (id, wanted) in &rows {
        assert_eq!(seen(&state, id), *wanted, "{id}, on disk");
    }
    assert_eq!(state.positions().unwrap()[0].1.position, 6);
    let dead = Effects { dead: vec![letter("no")], ..Effects::default() };
    assert!(!dead.may_wait(), "a dead letter is there before its event is forgotten");
}

#[test]
fn live_rows_are_those_of_the_table_that_are_there_and_old_enough() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut state = store.pipeline("p", "auto").unwrap();
    let deleted = RowRecord { deleted_ms: Some(1), ..record(1) };
    let change = |table: &str, id: &str, record: RowRecord| RowChange { key: state.key(table, id), record, text: Text::Kept };
    let rows = vec![
        change("public.t", "1", record(1)),
        change("public.t", "2", deleted),
        change("public.t", "3", record(3)),
        change("public.t", "4", record(9)),
        change("public.tt", "5", record(1)),
        change("public.", "6", record(1)),
    ];
    stage_and_commit(&mut state, 1, Effects { rows, ..Effects::default() });
    let ids = |from: Option<&str>, limit| -> Vec<String> {
        let from = from.map(|id| state.key("public.t", id));
        let rows = state.live_rows("public.t", Version::new(5, 0), from.as_ref(), limit).unwrap();
        rows.into_iter().map(|(key, _)| key.id().to_owned()).collect()
    };
    assert_eq!(ids(None, 9), ["1", "3"]);
    assert_eq!(ids(None, 1), ["1"]);
    assert_eq!(ids(Some("2"), 9), ["3"]);
}

#[test]
fn tombstones_go_with_a_compaction_after_their_retention_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let store = open(dir.path());
    let mut state = store.pipeline("p", "auto").unwrap();
    // RocksDB compacts on threads of its own, where no test can stop the clock: so they were deleted in the past.
    let ages = [("old", 61, false), ("young", 59, true)];
    let note = |at_ms| MovedRow::Awaited { id: "2".to_owned(), key: "{}".to_owned(), left: None, at_ms };
    let mut effects = row(&state, "there", 1, put("a"));
    for (id, minutes, _) in ages {
        let then = clock.now_ms() - minutes * 60_000;
        let record = RowRecord { deleted_ms: Some(then), ..record(1) };
        effects.rows.push(RowChange { key: state.key("public.t", id), record, text: Text::Removed });
        effects.moved.push((state.key("public.t", id), Some(note(then))));
    }
    stage_and_commit(&mut state, 1, effects);
    store.compact();
    store.cache.clear();
    for (id, _, is_kept) in ages {
        assert_eq!(seen(&state, id).0.is_some(), is_kept, "{id}");
        assert_eq!(state.moved(&state.key("public.t", id)).unwrap().is_some(), is_kept, "the note under {id}");
    }
    assert_eq!(seen(&state, "there"), (Some(1), Some("a".to_owned())), "what is there stays");
}

#[test]
fn what_cannot_be_used_is_refused_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let refused = |dir: &Path| Store::open(&settings(dir), &clock).map(drop).unwrap_err();
    let store = open(dir.path());
    let error = refused(dir.path());
    assert!(matches!(error, StateError::InUse(_)) && error.to_string().contains("in use by another process"), "{error}");
    store.db.put_cf(store.family("meta").unwrap(), "format", postcard::to_stdvec(&u32::MAX).unwrap()).unwrap();
    drop(store);
    for error in [refused(dir.path()), Store::open_read_only(dir.path()).map(drop).unwrap_err()] {
        assert!(matches!(error, StateError::Newer(_)) && error.to_string().contains("newer version"), "{error}");
    }
    let old = tempfile::tempdir().unwrap();
    let store = open(old.path());
    store.db.put_cf(store.family("meta").unwrap(), "format", postcard::to_stdvec(&1_u32).unwrap()).unwrap();
    drop(store);
    let mut db = rocksdb::DB::open_cf(&rocksdb::Options::default(), old.path(), super::store::family::ALL).unwrap();
    db.drop_cf("cells").unwrap();
    drop(db);
    let error = Store::open_read_only(old.path()).map(drop).unwrap_err();
    assert!(matches!(error, StateError::Older(_)), "{error}");
    let error = refused(old.path());
    assert!(matches!(error, StateError::Older(_)) && error.to_string().contains("older version"), "{error}");
    let other = tempfile::tempdir().unwrap();
    let store = open(other.path());
    drop(store);
    let mut db = rocksdb::DB::open_cf(&rocksdb::Options::default(), other.path(), super::store::family::ALL).unwrap();
    db.create_cf("windows", &rocksdb::Options::default()).unwrap();
    drop(db);
    for error in [refused(other.path()), Store::open_read_only(other.path()).map(drop).unwrap_err()] {
        assert!(matches!(error, StateError::Newer(_)), "{error}");
    }
    let nothing = tempfile::tempdir().unwrap();
    let error = Store::open_read_only(nothing.path()).map(drop).unwrap_err();
    assert!(error.to_string().contains("there is no state"), "{error}");
}

#[test]
fn a_damaged_state_is_called_damaged_and_not_in_use() {
    let is_table = |path: &Path| path.extension().is_some_and(|ending| ending == "sst");
    let is_manifest = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("MANIFEST"));
    for (what, is_harmed) in [("a table", &is_table as &dyn Fn(&Path) -> bool), ("the manifest", &is_manifest)] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut state = store.pipeline("p", "auto").unwrap();
        let effects = row(&state, "1", 1, put("a"));
        stage_and_commit(&mut state, 1, effects);
        store.compact();
        drop((state, store));
        let files = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()).filter(|path| is_harmed(path));
        for path in files {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
            std::fs::write(&path, bytes).unwrap();
        }
        let opened = Store::open(&settings(dir.path()), &Clock::system());
        let read = opened.and_then(|store| {
            let state = store.pipeline("p", "auto")?;
            let mut rows = Rows::default();
            state.want(&mut rows, state.key("public.t", "1"), None);
            state.fetch(&mut rows)
        });
        let error = read.unwrap_err();
        assert!(matches!(error, StateError::Corrupt(_)), "{what}: {error:?}");
    }
    // What is wrong with the lock's file is no other process.
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("LOCK")).unwrap();
    let error = Store::open(&settings(dir.path()), &Clock::system()).map(drop).unwrap_err();
    assert!(matches!(error, StateError::Unavailable(_)), "{error:?}");
}

#[test]
fn the_state_can_be_looked_at_beside_its_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut state = store.pipeline("p", "auto").unwrap();
    let effects = row(&state, "1", 1, put("a"));
    stage_and_commit(&mut state, 1, effects);
    let reader = Store::open_read_only(dir.path()).unwrap();
    let looked = reader.existing_pipeline("p").unwrap().unwrap();
    assert_eq!(seen(&looked, "1"), (Some(1), Some("a".to_owned())));
    let effects = row(&state, "1", 2, put("b"));
    stage_and_commit(&mut state, 2, effects);
    assert_eq!(seen(&state, "1"), (Some(2), Some("b".to_owned())), "the writer goes on");
}

#[test]
fn memtables_find_places_and_new_rows_quickly() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path());
    let files = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path());
    let options = files.filter(|file| file.file_name().unwrap().to_string_lossy().starts_with("OPTIONS-")).max().unwrap();
    let told = std::fs::read_to_string(options).unwrap();
    let versions = told.split("[CFOptions ").find(|part| part.starts_with("\"versions\"")).unwrap();
    // Where the last key of a pipeline went in; and what is not there.
    for option in ["insert_with_hint_prefix_extractor=rocksdb.FixedPrefix.4", "whole_key_filtering=true", "prefix_bloom_size_ratio=0.02"] {
        assert!(versions.contains(&format!("memtable_{option}")), "{option}: {versions}");
    }
}
