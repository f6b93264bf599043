//! Lines as they are written, what a crash leaves of them, and disks that take none.

use std::io::{self, Write as _};
use std::sync::Arc;

use crate::clock::Clock;
use crate::event::{Action, DocumentVersion, Write};
use crate::sink::file::client::{Lines, Storage, Tail};
use crate::sink::file::{FileSink, request};
use crate::sink::{Sink, SinkContext, Verdict, WriteError};

fn write(id: &str, version: u64, action: Action) -> Write {
    Write { index: "shop".into(), id: id.into(), routing: None, version: DocumentVersion(version), action }
}

#[test]
fn a_write_is_one_line_with_the_body_as_it_came() {
    let index = |body: &str| Action::Index(body.into());
    for (write, line) in [
        (
            write("1", 7, index(r#"{"price": 12.50,"big":12345678901234567890.10}"#)),
            r#"{"action":"index","index":"shop","id":"1","version":7,"body":{"price": 12.50,"big":12345678901234567890.10}}"#,
        ),
        (write("a\"b\n", 8, Action::Delete), r#"{"action":"delete","index":"shop","id":"a\"b\n","version":8}"#),
        (write("k", 9, Action::Emit("[1]".into())), r#"{"action":"emit","index":"shop","id":"k","version":9,"body":[1]}"#),
        (
            Write { routing: Some("eu".into()), ..write("1", 7, index("{}")) },
            r#"{"action":"index","index":"shop","id":"1","version":7,"routing":"eu","body":{}}"#,
        ),
        (
            write("1", 7, index("{\n  \"a b\": \"x \\\" \\\\\", \r\n \"c\": 1.0 }")),
            r#"{"action":"index","index":"shop","id":"1","version":7,"body":{"a b":"x \" \\","c":1.0}}"#,
        ),
    ] {
        let text = String::from_utf8(request::lines(&[write])).unwrap();
        assert_eq!(text, format!("{line}\n"));
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
}

#[tokio::test]
async fn lines_are_appended_and_what_a_crash_left_is_mended() {
    let whole = "{\"action\":\"delete\",\"index\":\"shop\",\"id\":\"0\",\"version\":1}\n";
    for (before, kept) in [
        (String::new(), String::new()),
        (whole.to_owned(), whole.to_owned()),
        (format!("{whole}{{\"action\":\"ind"), whole.to_owned()),
        (format!("{whole}{{\"act"), whole.to_owned()),
        ("{\"action\":\"index\"".to_owned(), String::new()),
        (format!("{whole}{{\"action\":\"index\",\"body\":\"{}", "x".repeat(200_000)), whole.to_owned()),
        ("not ours".to_owned(), "not ours\n".to_owned()),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.jsonl");
        std::fs::write(&path, before).unwrap();
        let sink = FileSink::new(Lines::file(path.clone()));
        sink.prepare(&[]).await.unwrap();
        let verdicts = sink.write(&[write("1", 1, Action::Delete), write("2", 2, Action::Delete)]).await.unwrap();
        assert_eq!(verdicts, [Verdict::Stored, Verdict::Stored]);
        let added = String::from_utf8(request::lines(&[write("1", 1, Action::Delete), write("2", 2, Action::Delete)])).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), kept + &added);
    }
}

#[tokio::test]
async fn a_full_disk_is_waited_for_and_a_wrong_path_is_not() {
    let full = FileSink::new(Lines::file("/dev/full".into()));
    let error = full.write(&[write("1", 1, Action::Delete)]).await.unwrap_err();
    assert!(matches!(error, WriteError::Unavailable { reason: "disk", .. }), "{error}");

    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("missing/out.jsonl")] {
        let sink = FileSink::new(Lines::file(path));
        let error = sink.write(&[write("1", 1, Action::Delete)]).await.unwrap_err();
        assert!(matches!(error, WriteError::Misconfigured { .. }), "{error}");
        assert_eq!(sink.prepare(&[]).await.unwrap_err().kind, crate::error::Kind::Misconfigured);
    }
}

/// A file on a disk with `room` bytes left.
struct SmallDisk {
    contents: Vec<u8>,
    room: usize,
    may_cut: bool,
}

impl io::Write for SmallDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room - self.contents.len());
        self.contents.extend_from_slice(&bytes[..taken]);
        if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Storage for &mut SmallDisk {
    fn sync(&mut self) -> io::Result<()> {
        self.flush()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if !self.may_cut {
            return Err(io::ErrorKind::Other.into());
        }
        self.contents.truncate(length as usize);
        Ok(())
    }
}

#[test]
fn half_a_line_never_stays() {
    for may_cut in [true, false] {
        let mut disk = SmallDisk { contents: Vec::new(), room: 10, may_cut };
        let mut tail = Tail::new(&mut disk, Some(0));
        tail.append(b"first\n").unwrap();
        tail.append(b"second\n").unwrap_err();
        let left: &[u8] = if may_cut { b"first\n" } else { b"first\nseco" };
        assert_eq!(tail.storage().contents, left);

        tail.storage().room = 100;
        tail.storage().may_cut = true;
        tail.append(b"second\n").unwrap();
        assert_eq!(disk.contents, b"first\nsecond\n");
    }
}

#[tokio::test]
async fn settings_name_a_file_or_standard_output() {
    let text = "[a]\npath = \"out.jsonl\"\nindex = \"{table}\"\n[b]\npath = \"-\"\n[c]\n";
    let document: toml_edit::Document<&str> = toml_edit::Document::parse(text).unwrap();
    let source = crate::settings::Source::new(text, "/conf", &|_| None);
    let root = crate::settings::Section::root(&source, document.as_table());
    let read: Vec<_> = ["a", "b", "c"].iter().map(|name| super::settings::read(&root.section(name))).collect();
    expect_test::expect![[r#"FileSinkSettings { path: Some("/conf/out.jsonl"), index: Some("{table}") }"#]]
        .assert_eq(&format!("{:?}", read[0]));
    expect_test::expect![[r#"FileSinkSettings { path: None, index: None }"#]].assert_eq(&format!("{:?}", read[1]));
    assert_eq!(source.problems().len(), 1, "{:?}", source.problems());
    let context = SinkContext { pipeline: "p".into(), clock: Clock::system(), dir: "/nowhere".into() };
    let sink: Arc<dyn Sink> = read[1].open(&context).await.unwrap();
    sink.prepare(&[]).await.unwrap();
    assert_eq!(sink.requests_in_flight(), 1);
}
