//! Rows that are read into memory before they are asked for.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Effects, RowChange, RowRecord, Rows, Text, open, record};
use crate::state::PipelineState;

const ROWS: u64 = 20_000;

/// A change to version `first` of row `id`; every seventh version is a delete.
fn change(state: &PipelineState, id: u64, first: u64) -> RowChange {
    let deleted_ms = first.is_multiple_of(7).then_some(1);
    RowChange { key: state.key("public.t", &id.to_string()), record: RowRecord { deleted_ms, ..record(first) }, text: Text::Kept }
}

/// The records of some rows as the next batch sees them, and how many were looked up for that.
fn look_at(state: &mut PipelineState, ids: &[u64]) -> (Vec<Option<RowRecord>>, usize) {
    let mut rows = Rows::default();
    let keys: Vec<_> = ids.iter().map(|id| state.key("public.t", &id.to_string())).collect();
    for key in &keys {
        state.want(&mut rows, key.clone(), Some(u64::MAX));
    }
    let looked_up = state.fetch(&mut rows).unwrap();
    state.read_ahead(looked_up).unwrap();
    (keys.iter().map(|key| rows.record(key).cloned()).collect(), looked_up)
}

#[test]
fn a_new_process_knows_all_rows_after_few_were_looked_up_and_none_as_it_was_before() {
    for seed in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let mut chance = StdRng::seed_from_u64(seed);
        let mut versions: BTreeMap<u64, u64> = (0..ROWS).map(|id| (id, 1 + id % 9)).collect();
        {
            let store = open(dir.path());
            let mut state = store.pipeline("p", "auto").unwrap();
            let rows = versions.iter().map(|(id, first)| change(&state, *id, *first)).collect();
            let effects = Effects { rows, ..Effects::default() };
            state.stage(1, &effects);
            state.commit(1, effects).unwrap();
        }
        let store = open(dir.path());
        let mut state = store.pipeline("p", "auto").unwrap();
        // Batches overlap: what is read ahead while one is staged is older than that.
        let (mut waiting, mut looked_up, mut last) = (Vec::new(), 0, 0);
        for batch in 2..400 {
            // Some are new.
            let ids: Vec<u64> = (0..20).map(|_| chance.random_range(0..ROWS + 2_000)).collect();
            let expected: Vec<_> = ids.iter().map(|id| versions.get(id).map(|first| change(&state, *id, *first).record)).collect();
            let (found, count) = look_at(&mut state, &ids);
            let first_parts = |records: Vec<Option<RowRecord>>| {
                records.into_iter().map(|record| record.map(|record| (record.version.first, record.deleted_ms))).collect::<Vec<_>>()
            };
            assert_eq!(first_parts(found), first_parts(expected), "seed {seed}, batch {batch}");
            (looked_up, last) = (looked_up + count, if count > 0 { batch } else { last });
            let mut rows: BTreeMap<u64, RowChange> = BTreeMap::new();
            for id in ids.into_iter().filter(|id| id % 3 > 0) {
                let first = versions.get(&id).copied().unwrap_or(0) + chance.random_range(1..3);
                versions.insert(id, first);
                rows.insert(id, change(&state, id, first));
            }
            let effects = Effects { rows: rows.into_values().collect(), ..Effects::default() };
            state.stage(batch, &effects);
            waiting.push((batch, effects));
            if waiting.len() > 3 || chance.random_bool(0.3) {
                for (batch, effects) in waiting.drain(..) {
                    state.commit(batch, effects).unwrap();
                }
            }
        }
        assert!(looked_up > 20 && looked_up < 2_500, "{looked_up} of 7,960 were looked up, the last in batch {last}");
    }
}

#[test]
fn nothing_makes_room_for_what_nobody_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = open(dir.path());
        let mut state = store.pipeline("p", "auto").unwrap();
        let rows = (0..100_000).map(|id| change(&state, id, 1)).collect();
        let effects = Effects { rows, ..Effects::default() };
        state.stage(1, &effects);
        state.commit(1, effects).unwrap();
    }
    // Room for some 30,000.
    let store = open(dir.path());
    let mut state = store.pipeline("p", "auto").unwrap();
    let often: Vec<u64> = (0..100).map(|id| id * 1_000 + 1).collect();
    assert_eq!(look_at(&mut state, &often).1, 100);
    for id in 0..400 {
        look_at(&mut state, &[id * 200]);
    }
    assert_eq!(look_at(&mut state, &often).1, 0);
    assert!(!store.cache.has_room());
}
