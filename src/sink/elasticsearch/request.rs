//! From writes to one bulk request. Plain functions on data.

use std::io::Write as _;

use bytes::Bytes;

use super::indexes::{encoded, name_problem};
use crate::event::{Action, Write};
use crate::limits;

/// The only parts of a bulk's answer that we read, named so that the server does not send the others.
const ANSWER_PARTS: &str = "filter_path=errors,items.*.status,items.*.error";

/// A bulk request, ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Bulk {
    /// Path and query; none when every write was refused, and there is nothing to send.
    pub path: Option<String>,
    /// Two lines for each document, one for each delete.
    pub body: Bytes,
    /// Which of the writes are not in it, by place in rising order, and why.
    pub refused: Vec<Refused>,
}

/// A write the servers would fail the whole request for.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its place among the writes.
    pub place: usize,
    /// One sentence.
    pub reason: String,
}

/// Builds the request in one buffer.
pub fn bulk(writes: &[Write]) -> Bulk {
    // One index for all of them is named once, in the path: a fifteenth of a small document's request.
    let common = writes.first().filter(|first| writes.iter().all(|write| write.index == first.index)).map(|first| &*first.index);
    let mut body = Vec::with_capacity(writes.iter().map(Write::size_bytes).sum());
    let mut refused = Vec::new();
    let mut index: Option<(&str, Option<&'static str>)> = None;
    for (place, write) in writes.iter().enumerate() {
        // Names are looked at once for a stretch of writes.
        let problem = match index {
            Some((last, problem)) if *last == *write.index => problem,
            _ => name_problem(&write.index),
        };
        index = Some((&write.index, problem));
        match refusal(write, problem) {
            Some(reason) => refused.push(Refused { place, reason }),
            None => push_write(&mut body, write, common.is_none()),
        }
    }
    let path = (!body.is_empty()).then(|| match common {
        Some(index) => format!("{}/_bulk?{ANSWER_PARTS}", encoded(index)),
        None => format!("_bulk?{ANSWER_PARTS}"),
    });
    Bulk { path, body: body.into(), refused }
}

fn refusal(write: &Write, name_problem: Option<&str>) -> Option<String> {
    if write.id.is_empty() {
        return Some("the document's id is empty: give it one in the transform".to_owned());
    }
    if write.id.len() > limits::DOCUMENT_ID_BYTES_MAX {
        let (length, most) = (write.id.len(), limits::DOCUMENT_ID_BYTES_MAX);
        return Some(format!("the document's id has {length} bytes, and {most} is the most: give it a shorter one in the transform"));
    }
    if write.version.0 > i64::MAX as u64 {
        return Some(format!("the document's version {} does not fit 63 bits", write.version));
    }
    if matches!(write.action, Action::Emit(_)) {
        return Some("a search server takes documents, not messages: use `index` in the transform, or another sink".to_owned());
    }
    name_problem.map(|problem| format!("no index can be named {:?}: {problem}", write.index))
}

fn push_write(body: &mut Vec<u8>, write: &Write, with_index: bool) {
    body.extend_from_slice(if write.action == Action::Delete { b"{\"delete\":{\"_id\":" } else { b"{\"index\":{\"_id\":" });
    push_text(body, &write.id);
    if with_index {
        body.extend_from_slice(b",\"_index\":");
        push_text(body, &write.index);
    }
    if let Some(routing) = &write.routing {
        body.extend_from_slice(b",\"routing\":");
        push_text(body, routing);
    }
    body.extend_from_slice(b",\"version\":");
    push_number(body, write.version.0);
    body.extend_from_slice(b",\"version_type\":\"external\"}}\n");
    if let Action::Index(document) = &write.action {
        push_on_one_line(body, document);
        body.push(b'\n');
    }
}

/// A line break in JSON can only stand between tokens (in a text it is written `\n`), where a blank says the same.
fn push_on_one_line(body: &mut Vec<u8>, document: &str) {
    let start = body.len();
    body.extend_from_slice(document.as_bytes());
    if memchr::memchr(b'\n', document.as_bytes()).is_some() {
        body.iter_mut().skip(start).filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
    }
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    body.push(b'"');
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        body.extend_from_slice(text.as_bytes());
    } else {
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => body.extend_from_slice(&[b'\\', byte]),
                0..b' ' => write_into(body, format_args!("\\u{byte:04x}")),
                _ => body.push(byte),
            }
        }
    }
    body.push(b'"');
}

fn push_number(body: &mut Vec<u8>, number: u64) {
    body.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn write_into(body: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory cannot fail.
    let _ = body.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::bulk;
    use crate::event::{Action, DocumentVersion, JsonText, Write};

    fn write(index: &str, id: &str, action: Action) -> Write {
        Write { index: index.into(), id: id.into(), routing: None, version: DocumentVersion(25_600), action }
    }

    fn document(json: &str) -> Action {
        Action::Index(JsonText::from(json))
    }

    fn text(body: &[u8]) -> &str {
        std::str::from_utf8(body).unwrap()
    }

    #[test]
    fn one_index_is_named_in_the_path() {
        let mut routed = write("p%", "2", document(r#"{"b":2}"#));
        routed.routing = Some("north\"".into());
        let bulk = bulk(&[write("p%", "1", document(r#"{"a":1.50}"#)), routed, write("p%", "3", Action::Delete)]);
        assert_eq!(bulk.path.unwrap(), "p%25/_bulk?filter_path=errors,items.*.status,items.*.error");
        expect_test::expect![[r#"
            {"index":{"_id":"1","version":25600,"version_type":"external"}}
            {"a":1.50}
            {"index":{"_id":"2","routing":"north\"","version":25600,"version_type":"external"}}
            {"b":2}
            {"delete":{"_id":"3","version":25600,"version_type":"external"}}
        "#]]
        .assert_eq(text(&bulk.body));
        assert!(bulk.refused.is_empty());
    }

    #[test]
    fn several_indexes_are_named_in_each_action() {
        let bulk = bulk(&[write("a", "1", document("{}")), write("b", "1", Action::Delete)]);
        assert_eq!(bulk.path.unwrap(), "_bulk?filter_path=errors,items.*.status,items.*.error");
        expect_test::expect![[r#"
            {"index":{"_id":"1","_index":"a","version":25600,"version_type":"external"}}
            {}
            {"delete":{"_id":"1","_index":"b","version":25600,"version_type":"external"}}
        "#]]
        .assert_eq(text(&bulk.body));
    }

    #[test]
    fn a_document_in_many_lines_becomes_one_line_that_means_the_same() {
        let pretty = "{\r\n  \"price\": 12345678901234567890.10,\n\t\"text\": \"a\\nb\"\n}\n";
        let bulk = bulk(&[write("a", "1", document(pretty))]);
        let lines: Vec<&str> = text(&bulk.body).split_terminator('\n').collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[1].contains("12345678901234567890.10"));
        let (before, after): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(pretty).unwrap(), serde_json::from_str(lines[1]).unwrap());
        assert_eq!(before, after);
    }

    #[test]
    fn what_would_fail_the_whole_request_is_refused_beforehand() {
        let long = "x".repeat(513);
        let just = "x".repeat(512);
        let mut too_new = write("a", "1", Action::Delete);
        too_new.version = DocumentVersion(1 << 63);
        let bulk = bulk(&[
            write("a", "", document("{}")),
            write("a", &just, document("{}")),
            write("a", &long, Action::Delete),
            write("a", "1", Action::Emit(JsonText::from("{}"))),
            write("A", "1", document("{}")),
            too_new,
        ]);
        assert_eq!(bulk.refused.iter().map(|refused| refused.place).collect::<Vec<_>>(), [0, 2, 3, 4, 5]);
        assert_eq!(text(&bulk.body).lines().count(), 2);
        assert!(bulk.refused.iter().all(|refused| refused.reason.len() < 200));
    }

    #[test]
    fn nothing_to_send_has_no_path() {
        assert_eq!(bulk(&[write("a", "", Action::Delete)]).path, None);
        assert_eq!(bulk(&[]).path, None);
    }

    proptest::proptest! {
        #[test]
        fn every_id_arrives_as_it_is(id in "\\PC{1,20}|[\\x00-\\x1f\"\\\\]{1,8}") {
            let bulk = bulk(&[write("a", &id, Action::Delete)]);
            let line: serde_json::Value = serde_json::from_slice(&bulk.body).unwrap();
            proptest::prop_assert_eq!(line["delete"]["_id"].as_str().unwrap(), id);
        }
    }
}
