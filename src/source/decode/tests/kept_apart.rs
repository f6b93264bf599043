//! Rows whose columns are named like Debezium's own fields stay rows, and Debezium's records are known for what they are.

use super::{change, decode, decoder, message, postgres, settings};
use crate::event::{Moved, Operation, Version};
use crate::source::decode::settings::{Format, VersionFrom};
use crate::source::decode::{Decoded, Decoder, LaneMemory};

const KEY: Option<&str> = Some(r#"{"id":1}"#);

#[test]
fn an_ordinary_row_is_not_mistaken() {
    for row in [
        r#"{"id":1,"op":"c","status":"BEGIN","schema":"s","payload":{"a":1},"before":null,"after":{"id":2}}"#,
        r#"{"id":1,"op":"c","source":"postgresql","before":"x","after":"y"}"#,
        r#"{"id":1,"op":"c","source":{"scale":1,"value":"AA=="},"before":null,"after":null}"#,
        r#"{"op":"c","source":null,"before":null,"after":null}"#,
        r#"{"op":"close","source":{"x":1},"before":null,"after":null}"#,
        r#"{"op":"c","source":{"x":1},"before":1,"after":2}"#,
        r#"{"op":"c","source":{"connector":"x"}}"#,
        r#"{"op":"m","source":{"connector":"x"},"message":"hello"}"#,
        r#"{"schema":"public","payload":"text"}"#,
        r#"{"schema":null,"payload":null}"#,
        r#"{"schema":null,"payload":1}"#,
        r#"{"schema":{"kind":"struct"},"payload":{"id":1}}"#,
        r#"{"schema":{"type":"struct"},"payload":{"id":1},"id":1}"#,
        r#"{"status":"BEGIN","id":1}"#,
        r#"{"status":"BEGIN","id":1,"event_count":2,"data_collections":null,"note":"x"}"#,
        r#"{"status":"OPEN","id":1,"event_count":2,"data_collections":null}"#,
        r#"{"ts_ms":1}"#,
        r#"{"ddl":"x","databaseName":"y","source":"z"}"#,
        r#"{"__v":3,"__typename":"Product"}"#,
    ] {
        let mut decoder = Decoder::new(settings(Format::Debezium, VersionFrom::Offset));
        let decoded = decoder.decode(&message(KEY, Some(row), &[]), &mut LaneMemory::default());
        let Ok(Decoded::Change(change)) = decoded else { panic!("{row}: {decoded:?}") };
        assert_eq!((change.operation, change.after.as_deref()), (Operation::Update, Some(row)));
    }
}

#[test]
fn debezium_speaks_of_more_than_rows() {
    let wrapped = |payload: &str| format!(r#"{{"schema":{{"type":"struct","fields":[]}},"payload":{payload}}}"#);
    for (key, value, what) in [
        (r#"{"serverName":"shop"}"#, r#"{"ts_ms":1}"#, "heartbeat"),
        (r#"{"id":"1:2"}"#, r#"{"status":"BEGIN","id":"1:2","event_count":null,"data_collections":null,"ts_ms":3}"#, "transaction"),
        (r#"{"id":"1:2"}"#, r#"{"status":"END","id":"1:2","event_count":1,"data_collections":[]}"#, "transaction"),
        (r#"{"prefix":"app"}"#, r#"{"op":"m","source":{"connector":"postgresql"},"message":{"prefix":"app"}}"#, "logical message"),
        (
            r#"{"databaseName":"shop"}"#,
            r#"{"source":{"connector":"mysql"},"ts_ms":1,"databaseName":"shop","schemaName":null,"ddl":"CREATE TABLE t (id INT)","tableChanges":[]}"#,
            "schema change",
        ),
    ] {
        assert_eq!(decode(&message(Some(key), Some(value), &[])), Ok(Decoded::Ignored(what)));
        assert_eq!(decode(&message(Some(&wrapped(key)), Some(&wrapped(value)), &[])), Ok(Decoded::Ignored(what)));
    }
}

#[test]
fn a_truncate_has_a_table_and_a_version() {
    let value = postgres(r#""lsn":9,"sequence":"[\"8\",\"9\"]""#, r#""op":"t","before":null,"after":null"#);
    let truncate = Decoded::Truncate { table: "public.products".into(), version: Version::new(9, 9) };
    assert_eq!(decode(&message(None, Some(&value), &[])), Ok(truncate));
}

#[test]
fn what_unwrap_added_is_read_and_removed() {
    for (row, after) in [
        (r#"{"id":1,"n":1.50,"__deleted":"false","__op":"u","__source_lsn":9}"#, r#"{"id":1,"n":1.50}"#),
        (r#"{"__op":"u","id":1,"__lsn":9,"__v":2, "n" : 1e3 ,"__deleted":false}"#, r#"{"id":1,"__v":2, "n" : 1e3}"#),
        (r#"{"__op":"u","__source_lsn":9,"__source_txId":7,"__transaction_id":"1:2"}"#, "{}"),
        (
            r#"{ "id" : 1, "__op":"u", "__lsn":9, "__table":"products", "__schema":"public", "__name":"shop", "__ts_ms":5 }"#,
            r#"{"id" : 1}"#,
        ),
    ] {
        let change = change(&message(KEY, Some(row), &[]));
        assert_eq!((change.operation, change.after.as_deref()), (Operation::Update, Some(after)));
        assert_eq!((change.version, &*change.table, &*change.source), (Version::new(9, 9), "public.products", "shop"));
    }
}

#[test]
fn table_and_source_are_named_by_the_message_or_by_its_topic() {
    let envelope = |source: &str| format!(r#"{{"op":"c","before":null,"after":{{"id":1}},"source":{{{source}}},"ts_ms":1}}"#);
    for (topic, value, table, source) in [
        ("a.b.c", envelope(r#""connector":"postgresql","name":"pg","db":"d","schema":"s","table":"t","lsn":1"#), "s.t", "pg"),
        ("x", envelope(r#""connector":"mysql","name":"my","db":"d","schema":null,"table":"t","file":"b.1","pos":1,"row":0"#), "d.t", "my"),
        ("x", envelope(r#""connector":"sqlserver","name":"ms","db":"d","schema":"dbo","table":"t""#), "dbo.t", "ms"),
        ("x", envelope(r#""connector":"mongodb","name":"mo","db":"d","collection":"c""#), "d.c", "mo"),
        ("x", envelope(r#""connector":"postgresql","name":"pg","schema":"a\"b","table":"t\u0041","lsn":1"#), "a\"b.tA", "pg"),
        ("x.y.s.t", r#"{"id":1,"__lsn":1}"#.to_owned(), "s.t", "x.y"),
        ("x.s.t", r#"{"id":1,"__lsn":1,"__table":"t","__schema":"other"}"#.to_owned(), "other.t", "x"),
        ("routed", r#"{"id":1,"__lsn":1,"__table":"t"}"#.to_owned(), "t", "routed"),
        ("s.t", r#"{"id":1,"__lsn":1}"#.to_owned(), "s.t", "s.t"),
        ("t", r#"{"id":1,"__lsn":1}"#.to_owned(), "t", "t"),
    ] {
        let mut message = message(KEY, Some(&value), &[]);
        message.origin.topic = topic.into();
        let change = change(&message);
        assert_eq!((&*change.table, &*change.source), (table, source), "{value}");
    }
}

#[test]
fn plain_json_is_a_row_whatever_it_looks_like() {
    let mut decoder = Decoder::new(settings(Format::Json, VersionFrom::Auto));
    let mut lane = LaneMemory::default();
    let row = postgres(r#""lsn":9"#, r#""op":"d","before":null,"after":null,"__deleted":"true""#);
    let Ok(Decoded::Change(change)) = decoder.decode(&message(None, Some(&row), &[("__op", "d")]), &mut lane) else { panic!() };
    assert_eq!((change.operation, change.after.as_deref(), change.key), (Operation::Update, Some(&*row), None));
    assert_eq!((change.version, change.ts_ms, &*change.table), (Version::new(7, 0), 1_000, "public.products"));
    let Ok(Decoded::Change(change)) = decoder.decode(&message(KEY, None, &[]), &mut lane) else { panic!() };
    assert_eq!((change.operation, change.version), (Operation::Delete, Version::new(7, 0)));
}

/// MongoDB's rows are strings of JSON.
#[test]
fn a_row_in_quotes_is_taken_out_of_them() {
    let value = r#"{"op":"c","before":null,"after":"{\"_id\":{\"$oid\":\"5\"},\"n\":1.50}","updateDescription":null,
        "source":{"connector":"mongodb","name":"m","db":"d","collection":"c"}}"#;
    let change = change(&message(Some(r#"{"id":"{\"$oid\":\"5\"}"}"#), Some(value), &[]));
    assert_eq!(change.after.as_deref(), Some(r#"{"_id":{"$oid":"5"},"n":1.50}"#));
    assert_eq!((change.key_id(), change.version), (r#"{"$oid":"5"}"#, Version::new(7, 0)));
}

#[test]
fn a_changed_key_links_both_halves() {
    let delete = postgres(r#""lsn":9"#, r#""op":"d","before":{"id":1},"after":null"#);
    let create = postgres(r#""lsn":9"#, r#""op":"c","before":null,"after":{"id":1}"#);
    for (value, header, id) in [
        (&delete, ("__debezium.newkey", r#"{"id":2}"#), Some("2")),
        (&create, ("__debezium.oldkey", r#"{"schema":{"type":"struct"},"payload":{"id":2}}"#), Some("2")),
        (&create, ("__debezium.oldkey", "{\"id\":\"a\u{1}b\tc\"}"), Some("a\u{1}b\tc")),
        (&create, ("__debezium.oldkey", r#"{"id":NaN}"#), None),
        (&create, ("__debezium.newkey", r#"{"id":2}"#), None),
    ] {
        let moved = change(&message(KEY, Some(value), &[header])).moved;
        let other = moved.map(|moved| match *moved {
            Moved::To { key, .. } => (key.id.to_string(), true),
            Moved::From { key, .. } => (key.id.to_string(), false),
        });
        assert_eq!(other, id.map(|id| (id.to_owned(), value == &delete)));
    }
}

/// A column that comes or goes with a schema change is there or not; nothing else has to be known.
#[test]
fn rows_before_and_after_a_schema_change_are_told_as_they_are() {
    let mut decoder = decoder();
    let mut lane = LaneMemory::default();
    for (lsn, row) in [(1, r#"{"id":1}"#), (2, r#"{"id":1,"vendor":null}"#), (3, r#"{"id":"1","maker":"x"}"#)] {
        let value = postgres(&format!(r#""lsn":{lsn}"#), &format!(r#""op":"u","before":null,"after":{row}"#));
        let Ok(Decoded::Change(change)) = decoder.decode(&message(KEY, Some(&value), &[]), &mut lane) else { panic!() };
        assert_eq!(change.after.as_deref(), Some(row));
    }
}
