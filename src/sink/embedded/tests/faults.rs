//! Documents that are refused, folders that cannot be used, kills, a full disk.

use std::fmt;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{Directory, DirectoryLock, FileHandle, Lock, WatchCallback, WatchHandle, WritePtr};

use super::{START_MS, all, index, sink_in, sink_with, write};
use crate::error::{Failure, Kind};
use crate::sink::embedded::directory::CommitDirectory;
use crate::sink::embedded::index::{EmbeddedIndex, IndexOptions};
use crate::sink::embedded::search::page;
use crate::sink::embedded::value::StrictKind;
use crate::sink::search::{Condition, Filter, SearchRequest};
use crate::sink::{Sink, Verdict, WriteError};

#[tokio::test]
async fn a_strict_field_refuses_the_document_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let strict =
        [("price", StrictKind::Number), ("added", StrictKind::Date), ("maker.active", StrictKind::Boolean), ("title", StrictKind::Text)];
    let strict = Arc::new(strict.into_iter().map(|(field, kind)| (field.to_owned(), kind)).collect());
    let sink = sink_with(dir.path(), IndexOptions { strict, ..IndexOptions::default() });
    let mut verdicts = String::new();
    for (version, body) in [
        json!({"price": 1, "added": "2026-01-24", "maker": {"active": true}, "title": "x"}),
        json!({"price": "12.50", "added": "2026-01-24T10:00:00Z"}),
        json!({"price": [1, null, 2.5]}),
        json!({"price": "cheap"}),
        json!({"price": [1, "cheap"]}),
        json!({"price": {"amount": 1}}),
        json!({"price": true}),
        json!({"added": 1769250600}),
        json!({"added": "yesterday"}),
        json!({"maker": {"active": "yes"}}),
        json!({"title": 7}),
    ]
    .iter()
    .enumerate()
    {
        verdicts += &format!("{:?}\n", write(&sink, &[index("1", 1 + version as u64, body)]).await[0]);
    }
    expect_test::expect![[r#"
        Stored
        Stored
        Stored
        Refused("failed to parse field [price] of type [number]: the value is \"cheap\"")
        Refused("failed to parse field [price] of type [number]: the value is \"cheap\"")
        Refused("failed to parse field [price] of type [number]: the object is {\"amount\":1}")
        Refused("failed to parse field [price] of type [number]: the value is true")
        Refused("failed to parse field [added] of type [date]: the value is 1769250600")
        Refused("failed to parse field [added] of type [date]: the value is \"yesterday\"")
        Refused("failed to parse field [maker.active] of type [boolean]: the value is \"yes\"")
        Refused("failed to parse field [title] of type [text]: the value is 7")
    "#]]
    .assert_eq(&verdicts);
    assert_eq!(all(&sink).await, [("1".to_owned(), 3, json!({"price": [1, null, 2.5]}))]);
}

#[tokio::test]
async fn a_field_may_change_its_kind_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink_in(dir.path());
    for (id, price) in [json!(10), json!("12.5"), json!("on request"), json!({"amount": 3}), json!(null), json!(true)].iter().enumerate() {
        assert_eq!(write(&sink, &[index(&id.to_string(), 1, json!({ "price": price }))]).await, [Verdict::Stored]);
    }
    assert_eq!(all(&sink).await.len(), 6);
    let found = async |condition| {
        let filters = vec![Filter { field: "price".into(), condition }];
        let sort = Some(("price".to_owned(), true));
        let found = super::search(&sink, &SearchRequest { filters, sort, limit: 10, ..SearchRequest::default() }).await;
        found.hits.into_iter().map(|hit| hit.id).collect::<Vec<_>>()
    };
    assert_eq!(found(Condition::Equals("on request".into())).await, ["2"]);
    assert_eq!(found(Condition::Equals("true".into())).await, ["5"]);
    assert_eq!(found(Condition::Between { from: Some("5".into()), to: None }).await, ["1", "0"]);
}

#[tokio::test]
async fn odd_documents_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink_in(dir.path());
    let deep = format!("{}1{}", "{\"a\":".repeat(500), "}".repeat(500));
    let wide: serde_json::Map<_, _> = (0..3000).map(|number| (format!("f{number}"), json!(format!("word{number}")))).collect();
    let long = json!({"text": "x".repeat(1 << 20), "words": "w ".repeat(50_000)}).to_string();
    let bodies = [
        "{}".to_owned(),
        r#"{"huge":1e999,"tiny":1e-999,"long":0.1234567890123456789012345678901234567890}"#.to_owned(),
        r#"{"half":"\ud800","nul":"a\u0000b","\u0000":1,"\\.":"x"}"#.to_owned(),
        r#"{"twice":1,"twice":"two"}"#.to_owned(),
        r#"{"lists":[[[1,[2]],[]],"3"]}"#.to_owned(),
        deep,
        serde_json::Value::Object(wide).to_string(),
        long,
    ];
    for (id, body) in bodies.iter().enumerate() {
        assert_eq!(write(&sink, &[index(&id.to_string(), 1, body)]).await, [Verdict::Stored], "{id}");
        let found = super::search(&sink, &SearchRequest { limit: 10, ..SearchRequest::default() }).await;
        assert!(found.hits.iter().any(|hit| hit.document.get() == body), "{id}");
    }
    // Found by its words, though there was no room for its field.
    let request = SearchRequest { query: Some("word2999".into()), limit: 10, ..SearchRequest::default() };
    assert_eq!(super::search(&sink, &request).await.total, 1);
}

#[tokio::test]
async fn a_folder_in_use_and_a_broken_one_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink_in(dir.path());
    write(&sink, &[index("1", 1, r#"{"a":"b"}"#)]).await;
    let other = sink_in(dir.path());
    let in_use = other.prepare(&["shop".into()]).await.unwrap_err();
    assert_eq!(in_use.kind, Kind::Misconfigured, "{in_use}");
    assert!(in_use.message.contains("in use by another process"), "{in_use}");
    drop(sink);
    other.prepare(&["shop".into()]).await.unwrap();
    drop(other);

    let shop = dir.path().join("shop");
    let meta = std::fs::read_to_string(shop.join("meta.json")).unwrap();
    for broken in ["", "{", &meta.replace("\\\"format\\\":1", "\\\"format\\\":2"), &meta.replace("\"_version\"", "\"_edition\"")] {
        assert_ne!(broken, meta);
        std::fs::write(shop.join("meta.json"), broken).unwrap();
        expect_corrupt(dir.path(), broken).await;
    }
    std::fs::write(shop.join("meta.json"), meta).unwrap();
    for file in std::fs::read_dir(&shop).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|ending| ending == "idx" || ending == "fast" || ending == "store") {
            let good = std::fs::read(&file).unwrap();
            std::fs::write(&file, &good[..good.len() / 2]).unwrap();
            expect_corrupt(dir.path(), &file.display().to_string()).await;
            std::fs::remove_file(&file).unwrap();
            expect_corrupt(dir.path(), &file.display().to_string()).await;
            std::fs::write(&file, &good).unwrap();
        }
    }
    assert_eq!(all(&sink_in(dir.path())).await.len(), 1);
}

async fn expect_corrupt(dir: &Path, what: &str) {
    let failure: Failure = sink_in(dir).prepare(&["shop".into()]).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Corrupt, "{what}: {failure}");
    assert!(failure.message.contains("remove that folder"), "{failure}");
}

/// Set in a process that is there to be killed: where it writes.
const KILLED_IN: &str = "ROWMILL_TEST_KILLED_IN";

/// Not a test but the other process of the one below.
#[test]
fn writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(KILLED_IN) else { return };
    let shop = EmbeddedIndex::new(dir.into(), IndexOptions { memory_bytes: 16 << 20, ..IndexOptions::default() });
    for version in 1.. {
        let writes: Vec<_> = (0..50).map(|id| index(&id.to_string(), version, json!({ format!("f{version}"): "word" }))).collect();
        shop.apply(&writes, START_MS).unwrap();
        println!("\nstored {version}");
    }
}

#[test]
fn what_was_answered_outlives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    for kills_at in [1, 2, 13, 30] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sink::embedded::tests::faults::writes_until_it_is_killed", "--nocapture"])
            .env(KILLED_IN, dir.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = io::BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let stored = lines.filter_map(|line| line.strip_prefix("stored ")?.parse::<u64>().ok()).nth(kills_at - 1).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::write(dir.path().join("0123456789abcdef0123456789abcdef.idx"), "torn").unwrap();
        let shop = EmbeddedIndex::new(dir.path().to_owned(), IndexOptions::default());
        let found = page(&shop.view().unwrap(), &SearchRequest { limit: 100, ..SearchRequest::default() }).unwrap();
        assert_eq!(found.hits.len(), 50);
        let version = found.hits[0].version.unwrap();
        assert!(version >= stored && found.hits.iter().all(|hit| hit.version == Some(version)), "whole commits: {version} {stored}");
        assert!(shop.view().unwrap().mapping.field(&format!("f{version}")).is_ok(), "the mapping is of the same commit");
        assert!(!dir.path().join("0123456789abcdef0123456789abcdef.idx").exists(), "what no commit names is removed");
        // A new process finds all of it stale, and goes on above.
        let stale = [index("0", version, "{}"), index("49", stored, "{}")];
        assert_eq!(shop.apply(&stale, START_MS).unwrap(), [Verdict::Stale, Verdict::Stale]);
    }
}

/// While it is set, nothing can be written.
static DISK_IS_FULL: AtomicBool = AtomicBool::new(false);

#[test]
fn a_full_disk_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let storage = |dir: &Path| -> tantivy::Result<Box<dyn Directory>> { Ok(Box::new(SmallDisk(CommitDirectory::open(dir)?))) };
    let shop = EmbeddedIndex::new(dir.path().to_owned(), IndexOptions { storage, ..IndexOptions::default() });
    shop.apply(&[index("1", 1, r#"{"a":"one"}"#)], START_MS).unwrap();
    DISK_IS_FULL.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let error = shop.apply(&[index("2", 1, r#"{"b":"two"}"#)], START_MS).unwrap_err();
        let error = WriteError::from(error);
        assert!(matches!(error, WriteError::Unavailable { reason: "disk", .. }), "{error}");
        assert_eq!(shop.view().unwrap().searcher.num_docs(), 1, "what is there can still be searched");
    }
    DISK_IS_FULL.store(false, Ordering::SeqCst);
    let verdicts = shop.apply(&[index("2", 1, r#"{"b":"two"}"#), index("1", 1, "{}")], START_MS).unwrap();
    assert_eq!(verdicts, [Verdict::Stored, Verdict::Stale]);
    assert_eq!(shop.view().unwrap().searcher.num_docs(), 2);
    assert!(shop.view().unwrap().mapping.field("b").is_ok());
}

#[derive(Clone)]
struct SmallDisk(CommitDirectory);

impl fmt::Debug for SmallDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmallDisk")
    }
}

fn room() -> io::Result<()> {
    if DISK_IS_FULL.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

impl Directory for SmallDisk {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.0.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.0.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.0.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        room().map_err(|error| OpenWriteError::wrap_io_error(error, PathBuf::from(path)))?;
        self.0.open_write(path)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.0.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        room()?;
        self.0.atomic_write(path, data)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.0.sync_directory()
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.0.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.0.watch(callback)
    }
}
