//! Only what is newer is applied, and what was stored stays.

use std::collections::BTreeMap;

use proptest::prelude::{Strategy, any};
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use super::{START_MS, all, delete, index, sink_in, write};
use crate::event::{Action, DocumentVersion, Write};
use crate::sink::embedded::index::{EmbeddedIndex, IndexOptions};
use crate::sink::{Sink, Verdict};

const STORED: Verdict = Verdict::Stored;
const STALE: Verdict = Verdict::Stale;

#[tokio::test]
async fn a_write_is_applied_only_when_it_is_newer() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink_in(dir.path());
    sink.prepare(&["shop".into()]).await.unwrap();
    for (writes, verdicts, left) in [
        (vec![index("1", 5, r#"{"a":1}"#)], vec![STORED], vec![("1", 5, json!({"a":1}))]),
        (vec![index("1", 5, r#"{"a":2}"#)], vec![STALE], vec![("1", 5, json!({"a":1}))]),
        (vec![index("1", 4, r#"{"a":3}"#), delete("1", 3)], vec![STALE, STALE], vec![("1", 5, json!({"a":1}))]),
        // Several versions in one call: the last one stays, and an older one among them changes nothing.
        (
            vec![index("1", 6, r#"{"a":4}"#), index("2", 1, "{}"), index("1", 8, r#"{"a":5}"#), index("1", 7, r#"{"a":6}"#)],
            vec![STORED, STORED, STORED, STALE],
            vec![("1", 8, json!({"a":5})), ("2", 1, json!({}))],
        ),
        (vec![delete("1", 9)], vec![STORED], vec![("2", 1, json!({}))]),
        // The tombstone holds older ones off.
        (vec![index("1", 8, r#"{"a":7}"#), delete("1", 9)], vec![STALE, STALE], vec![("2", 1, json!({}))]),
        (vec![delete("3", 4), index("3", 3, "{}")], vec![STORED, STALE], vec![("2", 1, json!({}))]),
        (vec![index("3", 2, "{}")], vec![STALE], vec![("2", 1, json!({}))]),
        (vec![index("1", 10, r#"{"a":8}"#), delete("2", 2)], vec![STORED, STORED], vec![("1", 10, json!({"a":8}))]),
        (vec![index("0", 0, "{}")], vec![STORED], vec![("0", 0, json!({})), ("1", 10, json!({"a":8}))]),
    ] {
        assert_eq!(write(&sink, &writes).await, verdicts, "{writes:?}");
        let left: Vec<_> = left.into_iter().map(|(id, version, body)| (id.to_owned(), version, body)).collect();
        assert_eq!(all(&sink).await, left, "after {writes:?}");
    }
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let body = "{ \"price\": 12.50,\n \"big\": 123456789012345678901234567890, \"name\": \"Caf\\u00e9\" }";
    let sink = sink_in(dir.path());
    write(&sink, &[index("1", 5, body), delete("2", 7)]).await;
    drop(sink);
    let sink = sink_in(dir.path());
    let found = super::search(&sink, &super::SearchRequest { query: Some("cafe".into()), limit: 1, ..Default::default() }).await;
    assert_eq!(found.hits[0].document.get(), body, "verbatim");
    assert_eq!(write(&sink, &[index("1", 5, "{}"), index("2", 6, "{}"), index("3", 1, "{}")]).await, [STALE, STALE, STORED]);
}

#[tokio::test]
async fn writes_go_to_the_index_they_name_and_are_answered_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink_in(dir.path());
    let to = |index: &str, write: Write| Write { index: index.into(), ..write };
    let long = "x".repeat(300);
    let writes = [
        to("Ärger/../b", index("1", 1, "{}")),
        index("1", 1, r#"{"a":"one"}"#),
        to(&long, index("1", 1, "{}")),
        to("Ärger/../b", index("1", 1, "{}")),
        index(&"i".repeat(513), 1, "{}"),
        index("4", 1, "[1]"),
        index("5", 1, "not json"),
        Write { action: Action::Emit("{}".into()), ..index("6", 1, "") },
        index("2", 1, "{}"),
    ];
    let verdicts = write(&sink, &writes).await;
    let words: Vec<String> = verdicts.iter().map(|verdict| format!("{verdict:?}").chars().take(60).collect()).collect();
    expect_test::expect![[r#"
        [
            "Stored",
            "Stored",
            "Refused(\"\\\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "Stale",
            "Refused(\"the id has 513 bytes: an id has at most 512\")",
            "Refused(\"the document is no JSON object: invalid type: seque",
            "Refused(\"the document is no JSON object: expected ident at l",
            "Refused(\"the embedded index holds documents: emit messages t",
            "Stored",
        ]
    "#]]
    .assert_debug_eq(&words);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing outside the folder");
    assert_eq!(all(&sink).await.len(), 2);
}

#[tokio::test]
async fn many_indexes_take_turns() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink_in(dir.path());
    let named = |number: usize, version| Write { index: format!("shop{number}").as_str().into(), ..index("1", version, "{}") };
    for number in (0..70).chain(0..3) {
        write(&sink, &[named(number, 1)]).await;
    }
    assert_eq!(sink.indexes.lock().unwrap().len(), 64);
    for number in 0..70 {
        assert_eq!(write(&sink, &[named(number, 1), named(number, 2)]).await, [STALE, STORED]);
    }
}

#[test]
fn tombstones_are_forgotten_after_a_week() {
    let dir = tempfile::tempdir().unwrap();
    let shop = EmbeddedIndex::new(dir.path().to_owned(), IndexOptions::default());
    let day = 24 * 60 * 60 * 1000;
    for (now_ms, writes, verdicts) in [
        (START_MS, vec![index("1", 5, "{}"), delete("2", 5)], vec![STORED, STORED]),
        (START_MS + 6 * day, vec![delete("3", 5), index("2", 4, "{}")], vec![STORED, STALE]),
        (START_MS + 8 * day, vec![index("4", 1, "{}")], vec![STORED]),
        (START_MS + 8 * day, vec![index("2", 4, "{}"), index("3", 4, "{}"), index("1", 5, "{}")], vec![STORED, STALE, STALE]),
    ] {
        assert_eq!(shop.apply(&writes, now_ms).unwrap(), verdicts);
    }
}

/// Any writes of a few ids, in any order, in calls of any size, with a restart in between: the highest version stays.
#[test]
fn the_highest_version_of_an_id_stays() {
    let one = (0..4u8, 0..12u64, any::<bool>());
    let calls = proptest::collection::vec(proptest::collection::vec(one, 1..6), 1..8);
    let mut runner = TestRunner::new(Config { cases: 16, failure_persistence: None, ..Config::default() });
    let checked = runner.run(&(calls, 0..8usize).prop_map(|drawn| drawn), |(calls, restart)| {
        let dir = tempfile::tempdir().unwrap();
        let open = || EmbeddedIndex::new(dir.path().to_owned(), IndexOptions { memory_bytes: 16 << 20, ..IndexOptions::default() });
        let mut shop = open();
        let mut highest: BTreeMap<u8, (u64, bool)> = BTreeMap::new();
        for (place, call) in calls.into_iter().enumerate() {
            if place == restart {
                drop(shop);
                shop = open();
            }
            let mut writes = Vec::new();
            let mut expected = Vec::new();
            for (id, version, is_delete) in call {
                let body = json!({"version": version});
                let write = if is_delete { delete(&id.to_string(), version) } else { index(&id.to_string(), version, body) };
                writes.push(Write { version: DocumentVersion(version), ..write });
                let is_newer = highest.get(&id).is_none_or(|(last, _)| *last < version);
                expected.push(if is_newer { STORED } else { STALE });
                if is_newer {
                    highest.insert(id, (version, is_delete));
                }
            }
            assert_eq!(shop.apply(&writes, START_MS).unwrap(), expected);
        }
        let request = super::SearchRequest { limit: 100, ..Default::default() };
        let page = crate::sink::embedded::search::page(&shop.view().unwrap(), &request).unwrap();
        let found: BTreeMap<String, u64> = page.hits.iter().map(|hit| (hit.id.clone(), hit.version.unwrap())).collect();
        let alive = highest.iter().filter(|(_, (_, is_delete))| !is_delete);
        assert_eq!(found, alive.map(|(id, (version, _))| (id.to_string(), *version)).collect());
        assert_eq!(found.len(), page.hits.len());
        Ok(())
    });
    checked.unwrap();
}
