//! Which tombstones are news, and what they become.

use super::{decoder, message, postgres, settings};
use crate::event::{Operation, Version};
use crate::source::decode::settings::{Format, VersionFrom};
use crate::source::decode::{Decoded, Decoder, LaneMemory};

const DELETE: &str = r#""op":"d","before":{"id":1},"after":null"#;
const CREATE: &str = r#""op":"c","before":null,"after":{"id":1}"#;
const IGNORED: &str = "ignored";

/// What becomes of messages of one lane, each `(key, value or none)`.
fn told(decoder: &mut Decoder, messages: &[(Option<&str>, Option<&str>)], headers: &[(&str, &str)]) -> Vec<&'static str> {
    let mut lane = LaneMemory::default();
    let word = |decoded| match decoded {
        Decoded::Change(change) => change.operation.as_str(),
        Decoded::Tombstone { .. } => "tombstone",
        Decoded::Truncate { .. } => "truncate",
        Decoded::Ignored("tombstone") => IGNORED,
        Decoded::Ignored(what) => what,
    };
    messages.iter().map(|(key, value)| decoder.decode(&message(*key, *value, headers), &mut lane).map_or("error", word)).collect()
}

#[test]
fn a_tombstone_is_news_only_when_its_delete_was_not_seen() {
    let (delete, create) = (postgres(r#""lsn":9"#, DELETE), postgres(r#""lsn":9"#, CREATE));
    let (delete, create) = (Some(delete.as_str()), Some(create.as_str()));
    let (one, two) = (Some(r#"{"id":1}"#), Some(r#"{"id":2}"#));
    for (messages, expected) in [
        (&[(one, delete), (one, None)][..], &["delete", IGNORED][..]),
        (&[(one, delete), (one, None), (one, None)], &["delete", IGNORED, IGNORED]),
        (&[(one, delete), (two, None)], &["delete", "tombstone"]),
        (&[(one, delete), (one, create), (one, None)], &["delete", "create", "tombstone"]),
        (&[(one, delete), (one, Some("broken")), (one, None)], &["delete", "error", "tombstone"]),
        (&[(one, None), (one, None)], &["tombstone", IGNORED]),
        (&[(one, Some("null"))], &["tombstone"]),
        (&[(one, Some(r#"{"schema":{"type":"struct"},"payload":null}"#))], &["tombstone"]),
        (&[(None, None)], &[IGNORED]),
        (&[(Some("null"), Some("null"))], &[IGNORED]),
        (&[(Some("{"), None)], &["error"]),
    ] {
        assert_eq!(told(&mut decoder(), messages, &[]), expected);
    }
}

#[test]
fn a_tombstone_with_a_version_is_a_delete() {
    let one = Some(r#"{"id":1}"#);
    for (version, headers, expected) in [
        (VersionFrom::Auto, &[("__op", "d"), ("__source_lsn", "9")][..], "delete"),
        (VersionFrom::Auto, &[("__op", "d")], "tombstone"),
        (VersionFrom::Offset, &[], "delete"),
        (VersionFrom::Header("v".to_owned()), &[("v", "9")], "delete"),
        (VersionFrom::Header("v".to_owned()), &[], "tombstone"),
        (VersionFrom::Field("source.ts_ms".to_owned()), &[("__source_ts_ms", "9")], "delete"),
        (VersionFrom::Field("at".to_owned()), &[], "tombstone"),
        (VersionFrom::Header("v".to_owned()), &[("v", "soon")], "error"),
    ] {
        let mut decoder = Decoder::new(settings(Format::Debezium, version));
        assert_eq!(told(&mut decoder, &[(one, None)], headers), [expected]);
    }
}

#[test]
fn a_delete_by_tombstone_has_all_there_is_to_say() {
    let headers = [("__op", "d"), ("__source_lsn", "9"), ("__source_ts_ms", "5"), ("__debezium.newkey", r#"{"id":2}"#)];
    let decoded = decoder().decode(&message(Some(r#"{"id":1}"#), None, &headers), &mut LaneMemory::default());
    let Ok(Decoded::Change(change)) = decoded else { panic!("{decoded:?}") };
    assert_eq!((change.operation, change.version, change.ts_ms), (Operation::Delete, Version::new(9, 9), 5));
    assert_eq!((&*change.table, &*change.source, change.key_id()), ("public.products", "shop", "1"));
    assert!(change.moved.is_some() && change.before.is_none() && change.after.is_none());
}

#[test]
fn the_same_key_of_another_topic_is_another_row() {
    let mut lane = LaneMemory::default();
    let delete = postgres(r#""lsn":9"#, DELETE);
    let (key, mut decoder) = (Some(r#"{"id":1}"#), decoder());
    decoder.decode(&message(key, Some(&delete), &[]), &mut lane).unwrap();
    let mut other = message(key, None, &[]);
    other.origin.topic = "shop.public.orders".into();
    assert!(matches!(decoder.decode(&other, &mut lane), Ok(Decoded::Tombstone { table, .. }) if &*table == "public.orders"));
}
