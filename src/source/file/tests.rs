//! Lines become messages, and a file may grow, be replaced or be missing.

mod properties;

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use toml_edit::Document;

use crate::clock::Clock;
use crate::error::Kind;
use crate::event::Message;
use crate::limits::{DEAD_LETTER_SHOWN_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::settings::{Section, Source as File};
use crate::source::file::lines::{Line, Splitter};
use crate::source::file::settings::{FileSourceSettings, LineFormat, read_settings};
use crate::source::file::source::FileSource;
use crate::source::{Arrival, Source, SourceContext, StoredPositions};

const PATIENCE: Duration = Duration::from_secs(30);

struct Positions(HashMap<String, u64>);

impl StoredPositions for Positions {
    fn position(&self, lane: &str) -> Option<u64> {
        self.0.get(lane).copied()
    }
}

fn settings(path: &Path, format: LineFormat, follow: bool) -> FileSourceSettings {
    FileSourceSettings { path: path.to_owned(), name: "events".into(), format, topic: "given".into(), follow }
}

fn open(settings: FileSourceSettings, position: u64) -> FileSource {
    let positions = if position == 0 { HashMap::new() } else { HashMap::from([("events".to_owned(), position)]) };
    let context = SourceContext { pipeline: "p".to_owned(), positions: Arc::new(Positions(positions)), clock: Clock::system() };
    FileSource::new(settings, &context)
}

async fn next(source: &mut FileSource) -> Arrival {
    tokio::time::timeout(PATIENCE, source.next()).await.expect("something arrives").unwrap()
}

async fn messages(source: &mut FileSource, count: usize) -> Vec<Message> {
    let mut read = Vec::new();
    while read.len() < count {
        match next(source).await {
            Arrival::Messages(messages) => read.extend(messages),
            Arrival::Passed { .. } | Arrival::Anew { .. } => {}
            Arrival::Finished => break,
        }
    }
    read
}

async fn all(settings: FileSourceSettings, position: u64) -> Vec<Message> {
    messages(&mut open(settings, position), usize::MAX).await
}

fn value(message: &Message) -> &str {
    std::str::from_utf8(message.value.as_deref().unwrap_or_default()).unwrap()
}

fn values(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(value).collect()
}

fn append(path: &Path, text: &str) {
    std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// A folder with one file of that text.
fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn of_a_line_longer_than_a_message_only_what_a_dead_letter_keeps_is_kept() {
    for (bytes, kept) in [(MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX), (MESSAGE_BYTES_MAX + 1, DEAD_LETTER_SHOWN_BYTES_MAX)] {
        let mut splitter = Splitter::new(0, 0);
        let piece = vec![b'x'; 1 << 20];
        (0..MESSAGE_BYTES_MAX >> 20).for_each(|_| assert!(splitter.feed(&piece).is_empty()));
        let lines = splitter.feed(&[&vec![b'x'; bytes - MESSAGE_BYTES_MAX], &b"\nnext\n"[..]].concat());
        let lengths: Vec<usize> = lines.iter().map(|line| line.text.len()).collect();
        assert_eq!((lengths, splitter.read()), (vec![kept, 4], bytes as u64 + 6));
    }
}

#[test]
fn pieces_of_any_size_give_the_same_lines() {
    let text = "one\n\ntwo\r\nthree";
    let line = |number, end, text: &'static str| Line { number, end, text: Bytes::from_static(text.as_bytes()) };
    let expected = [line(0, 4, "one"), line(1, 5, ""), line(2, 10, "two"), line(3, 15, "three")];
    for size in 1..=text.len() {
        let mut splitter = Splitter::new(0, 0);
        let mut lines: Vec<Line> = text.as_bytes().chunks(size).flat_map(|piece| splitter.feed(piece)).collect();
        lines.extend(splitter.finish());
        assert_eq!(lines, expected, "in pieces of {size}");
    }
}

#[test]
fn a_line_too_long_for_a_message_is_cut_and_the_next_is_whole() {
    for size in [1, 7, 100_000] {
        let mut splitter = Splitter::bounded(0, 0, 100_000);
        let text = format!("{}\nshort\n", "x".repeat(200_000));
        let lines: Vec<Line> = text.as_bytes().chunks(size).flat_map(|piece| splitter.feed(piece)).collect();
        assert_eq!(lines.iter().map(|line| (line.text.len(), line.end)).collect::<Vec<_>>(), [(64 << 10, 200_001), (5, 200_007)]);
    }
}

#[tokio::test]
async fn lines_become_messages() {
    let kcat = LineFormat::Kcat;
    let debezium = LineFormat::Debezium;
    let header = |name: &str, value: Option<&'static str>| (Box::from(name), value.map(|value| Bytes::from_static(value.as_bytes())));
    for (format, line, topic, offset, key, value, headers) in [
        (
            kcat,
            r#"{"topic":"t","partition":3,"offset":7,"tstype":"create","ts":5,"broker":1,"headers":["a","1","a",null],"key":"{\"id\":1}","payload":"{\"x\":\"ä\"}"}"#,
            "t",
            7,
            Some(r#"{"id":1}"#),
            Some(r#"{"x":"ä"}"#),
            vec![header("a", Some("1")), header("a", None)],
        ),
        (kcat, r#"{"topic":"t","partition":0,"offset":8,"key":"k","payload":null}"#, "t", 8, Some("k"), None, vec![]),
        (kcat, r#"{"topic":"t","partition":0,"offset":8,"key":null,"payload":{"x": 1}}"#, "t", 8, None, Some(r#"{"x": 1}"#), vec![]),
        (kcat, r#"{"after":{"x":1}}"#, "given", 0, None, Some(r#"{"after":{"x":1}}"#), vec![]),
        (kcat, "torn {", "given", 0, None, Some("torn {"), vec![]),
        (debezium, r#"{"before":null,"after":{"x":1}}"#, "given", 0, None, Some(r#"{"before":null,"after":{"x":1}}"#), vec![]),
        (debezium, r#"{"key":{"id":1},"value":{"x":1.10}}"#, "given", 0, Some(r#"{"id":1}"#), Some(r#"{"x":1.10}"#), vec![]),
        (debezium, r#"{"key":"{\"id\":1}","value":"{\"x\":1}"}"#, "given", 0, Some(r#"{"id":1}"#), Some(r#"{"x":1}"#), vec![]),
        (
            debezium,
            r#"{"topic":"t","headers":{"h":"v","n":null},"key":1,"value":null}"#,
            "t",
            0,
            Some("1"),
            None,
            vec![header("h", Some("v")), header("n", None)],
        ),
        (debezium, r#"{"key":null,"value":{}}"#, "given", 0, None, Some("{}"), vec![]),
        (debezium, r#"{"key":1,"value":2,"id":3}"#, "given", 0, None, Some(r#"{"key":1,"value":2,"id":3}"#), vec![]),
        (debezium, "not JSON", "given", 0, None, Some("not JSON"), vec![]),
    ] {
        let (_folder, path) = written(line);
        let read = all(settings(&path, format, false), 0).await;
        let [message] = read.as_slice() else { panic!("{line}: {read:?}") };
        assert_eq!((&*message.origin.topic, message.origin.offset), (topic, offset), "{line}");
        assert_eq!(message.key.as_deref(), key.map(str::as_bytes), "{line}");
        assert_eq!(message.value.as_deref(), value.map(str::as_bytes), "{line}");
        assert_eq!((message.position, &message.headers), (line.len() as u64, &headers), "{line}");
    }
}

#[tokio::test]
async fn a_line_that_is_not_text_is_handed_on_as_it_is() {
    let (_folder, path) = written("");
    std::fs::write(&path, b"\xff\xfe\n").unwrap();
    let read = all(settings(&path, LineFormat::Debezium, false), 0).await;
    assert_eq!(read[0].value.as_deref(), Some(&b"\xff\xfe"[..]));
}

#[tokio::test]
async fn reads_on_after_any_line() {
    for text in ["1\n\n2\n3\n", "1\r\n2\r\n3", "1\n2\n3\n\n \n"] {
        let (_folder, path) = written(text);
        let whole = all(settings(&path, LineFormat::Debezium, false), 0).await;
        assert_eq!(values(&whole), ["1", "2", "3"]);
        for (read, message) in whole.iter().enumerate() {
            let rest = all(settings(&path, LineFormat::Debezium, false), message.position).await;
            assert_eq!(rest, whole[read + 1..], "{text:?} from {}", message.position);
        }
    }
}

#[tokio::test]
async fn a_last_line_without_a_line_break_is_read_again_once_there_is_more_of_it() {
    for (more, expected) in [("", vec![]), ("\n", vec![]), ("\n3\n", vec!["3"]), ("2\n3\n", vec!["22", "3"])] {
        let (_folder, path) = written("1\n2");
        append(&path, more);
        let read = all(settings(&path, LineFormat::Debezium, false), 3).await;
        assert_eq!(values(&read), expected, "{more:?}");
    }
}

#[tokio::test]
async fn a_file_shorter_than_its_position_is_read_from_its_start() {
    let (_folder, path) = written("1\n2\n");
    assert_eq!(values(&all(settings(&path, LineFormat::Debezium, false), 100).await), ["1", "2"]);
}

#[tokio::test]
async fn what_is_missing_or_no_file_is_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("missing"), folder.path().to_owned()] {
        let failure = open(settings(&path, LineFormat::Kcat, false), 0).next().await.unwrap_err();
        assert_eq!(failure.kind, Kind::Misconfigured);
        assert!(failure.message.starts_with(&format!("cannot read {}: ", path.display())), "{failure}");
    }
}

#[tokio::test]
async fn the_end_is_where_reading_will_come_to() {
    for (text, whole, followed) in [("", 0, 0), ("1\n2", 3, 2), ("1\n2\n", 4, 4), ("torn", 4, 0)] {
        let (_folder, path) = written(text);
        for (follow, end) in [(false, whole), (true, followed)] {
            let source = open(settings(&path, LineFormat::Debezium, follow), 0);
            assert_eq!(source.ends().await.unwrap(), [("events".into(), end)], "{text:?} follow {follow}");
        }
    }
}

#[tokio::test]
async fn a_followed_file_is_waited_for_and_its_lines_come_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut source = open(settings(&path, LineFormat::Debezium, true), 0);
    assert!(tokio::time::timeout(Duration::from_millis(1), source.next()).await.is_err());
    append(&path, "1\n2");
    assert_eq!(values(&messages(&mut source, 1).await), ["1"]);
    assert!(tokio::time::timeout(Duration::from_millis(1), source.next()).await.is_err(), "a torn line waits");
    append(&path, "2\n3\n");
    let read = messages(&mut source, 2).await;
    assert_eq!(values(&read), ["22", "3"]);
    assert_eq!(read.iter().map(|message| message.position).collect::<Vec<_>>(), [5, 7]);
    assert_eq!((source.newest(), source.trouble()), (vec![("events".into(), 7)], None));
}

#[tokio::test]
async fn a_missing_followed_file_is_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = open(settings(&folder.path().join("events.jsonl"), LineFormat::Debezium, true), 0);
    while source.trouble().is_none() {
        assert!(tokio::time::timeout(Duration::from_millis(1), source.next()).await.is_err());
    }
    assert!(source.trouble().unwrap().starts_with("waiting for "));
}

#[tokio::test]
async fn a_followed_file_may_be_rotated_or_truncated() {
    for truncate in [false, true] {
        let (folder, path) = written("long first line\nto");
        let mut source = open(settings(&path, LineFormat::Debezium, true), 0);
        assert_eq!(values(&messages(&mut source, 1).await), ["long first line"]);
        if truncate {
            std::fs::write(&path, "new\n").unwrap();
        } else {
            std::fs::rename(&path, folder.path().join("old")).unwrap();
            append(&folder.path().join("old"), "rn");
            append(&path, "new\n");
        }
        let read = messages(&mut source, 2).await;
        assert_eq!(values(&read), if truncate { ["to", "new"] } else { ["torn", "new"] });
        assert_eq!(read[1].position, 4);
    }
}

#[tokio::test]
async fn a_dropped_next_loses_nothing() {
    let text: String = (0..200_000).map(|number| format!("{number}\n")).collect();
    let (_folder, path) = written(&text);
    let mut source = open(settings(&path, LineFormat::Debezium, false), 0);
    let mut read = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_micros(100), source.next()).await {
            Ok(Ok(Arrival::Messages(messages))) => read.extend(messages.iter().map(|message| value(message).to_owned())),
            Ok(other) => break assert_eq!(other, Ok(Arrival::Finished)),
            Err(_) => {}
        }
    }
    assert_eq!(read, (0..200_000).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn settings_are_read_with_their_problems() {
    let parse = |text: &str| {
        let document = Document::parse(text.to_owned()).unwrap();
        let file = File::new(text, "/etc/rowmill", &|_| None);
        let root = Section::root(&file, document.as_table());
        let settings = read_settings(&root);
        drop(root);
        (settings, file.problems().iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let (settings, problems) = parse("path = 'a.jsonl'");
    assert_eq!(problems, [""; 0]);
    assert_eq!((settings.path.as_path(), &*settings.name, &*settings.topic), (Path::new("/etc/rowmill/a.jsonl"), "a.jsonl", "a.jsonl"));
    assert_eq!((settings.format, settings.follow), (LineFormat::Debezium, false));
    let (settings, _) = parse("path = 'a'\nformat = 'kcat'\nfollow = true\ntopic = 'db.public.products'");
    assert_eq!((settings.format, settings.follow, &*settings.topic), (LineFormat::Kcat, true, "db.public.products"));
    for (text, problem) in [
        ("", "line 1: path is missing: it has no default"),
        ("path = 'a'\nformat = 'json'", "line 2: format must be one of \"debezium\", \"kcat\""),
        ("path = 'a'\nfolow = true", "line 2: folow is not a known key: did you mean `follow`?"),
    ] {
        assert_eq!(parse(text).1, [problem], "{text}");
    }
}
