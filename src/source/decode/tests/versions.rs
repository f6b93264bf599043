//! Where a version is read from, and what is said where there is none.

use super::{change, decode, message, postgres, settings};
use crate::event::Version;
use crate::event::time;
use crate::source::decode::settings::{Format, VersionFrom};
use crate::source::decode::{DecodeError, Decoded, Decoder, LaneMemory};

const KEY: Option<&str> = Some(r#"{"id":1}"#);
const CREATE: &str = r#""op":"c","before":null,"after":{"id":1,"at":"2026-11-21T04:52:27.851153Z","n":5},"ts_ms":30"#;
const DELETE: &str = r#""op":"d","before":{"id":1,"at":"1970-01-01T00:00:00Z","n":0},"after":null,"ts_ms":30"#;

fn version(from: VersionFrom, value: &str, headers: &[(&str, &str)]) -> Result<Version, DecodeError> {
    let mut decoder = Decoder::new(settings(Format::Debezium, from));
    match decoder.decode(&message(KEY, Some(value), headers), &mut LaneMemory::default())? {
        Decoded::Change(change) => Ok(change.version),
        other => panic!("not a change: {other:?}"),
    }
}

#[test]
fn postgres_has_pairs_that_grow_in_the_order_of_delivery() {
    for (source, expected) in [
        (r#""snapshot":"false","lsn":150,"sequence":"[\"100\",\"150\"]""#, (150, 150)),
        // A transaction that began before the last one committed.
        (r#""snapshot":"false","lsn":90,"sequence":"[\"100\",\"90\"]""#, (100, 90)),
        (r#""snapshot":"first","lsn":70,"sequence":"[null,\"70\"]""#, (70, 0)),
        (r#""snapshot":true,"lsn":70,"sequence":"[null,\"70\"]""#, (70, 0)),
        (r#""snapshot":"incremental","lsn":null,"sequence":"[\"80\",\"80\"]""#, (80, 80)),
        (r#""snapshot":"false","lsn":60,"sequence":"[null,\"60\"]""#, (60, 60)),
        (r#""snapshot":"false","lsn":60"#, (60, 60)),
        (r#""snapshot":"false","lsn":60,"sequence":null"#, (60, 60)),
    ] {
        assert_eq!(change(&message(KEY, Some(&postgres(source, CREATE)), &[])).version, Version::new(expected.0, expected.1), "{source}");
    }
}

#[test]
fn the_first_transaction_after_a_snapshot_counts_from_the_snapshot_and_from_nothing_newer() {
    let mut decoder = super::decoder();
    let mut lane = LaneMemory::default();
    for (source, expected) in [
        (r#""snapshot":"last","lsn":70,"sequence":"[null,\"70\"]""#, (70, 0)),
        (r#""snapshot":"false","lsn":60,"sequence":"[null,\"60\"]""#, (70, 60)),
        (r#""snapshot":"false","lsn":75,"sequence":"[null,\"75\"]""#, (75, 75)),
        (r#""snapshot":"false","lsn":200,"sequence":"[\"190\",\"200\"]""#, (200, 200)),
        // Sent again after a restart of the connector: it must not win over (200, 200).
        (r#""snapshot":"false","lsn":60,"sequence":"[null,\"60\"]""#, (60, 60)),
        // The connector lost its offsets and begins anew. The new snapshot stands where the last commit ended.
        (r#""snapshot":"true","lsn":190,"sequence":"[null,\"190\"]""#, (190, 0)),
        (r#""snapshot":"false","lsn":180,"sequence":"[null,\"180\"]""#, (190, 180)),
        (r#""snapshot":"false","lsn":220,"sequence":"[\"210\",\"220\"]""#, (220, 220)),
        // What came first after the old snapshot is sent again, be it behind a row of the new one: it must not win over that.
        (r#""snapshot":"true","lsn":190,"sequence":"[null,\"190\"]""#, (190, 0)),
        (r#""snapshot":"false","lsn":60,"sequence":"[null,\"60\"]""#, (60, 60)),
    ] {
        let decoded = decoder.decode(&message(KEY, Some(&postgres(source, CREATE)), &[]), &mut lane);
        let Ok(Decoded::Change(change)) = decoded else { panic!("{decoded:?}") };
        assert_eq!(change.version, Version::new(expected.0, expected.1), "{source}");
    }
    assert_eq!((lane.snapshot_lsn, lane.last_commit), (190, 210));
}

/// Else one row with a nonsense LSN would make dead letters of all that have no last commit after it.
#[test]
fn a_refused_row_of_a_snapshot_is_not_counted_from() {
    let mut decoder = super::decoder();
    let mut lane = LaneMemory { snapshot_lsn: 70, ..LaneMemory::default() };
    let nonsense = format!(r#""snapshot":"last","lsn":{0},"sequence":"[null,\"{0}\"]""#, Version::FIRST_MAX + 1);
    decoder.decode(&message(KEY, Some(&postgres(&nonsense, CREATE)), &[]), &mut lane).unwrap_err();
    assert_eq!(lane.snapshot_lsn, 70);
}

#[test]
fn a_row_that_was_read_is_of_a_snapshot_unless_its_source_says_it_is_not() {
    let read = CREATE.replace(r#""op":"c""#, r#""op":"r""#);
    for (snapshot, second) in [(r#""snapshot":"true""#, 0), (r#""snapshot":null"#, 0), (r#""db":"shop""#, 0), (r#""snapshot":"false""#, 70)]
    {
        let source = format!(r#"{snapshot},"lsn":70,"sequence":"[null,\"70\"]""#);
        assert_eq!(change(&message(KEY, Some(&postgres(&source, &read)), &[])).version, Version::new(70, second), "{snapshot}");
    }
}

#[test]
fn unwrapped_rows_have_what_was_added_to_them() {
    for (row, headers, expected) in [
        (r#"{"id":1,"__lsn":60}"#, &[][..], (60, 60)),
        (r#"{"id":1,"__op":"r","__source_lsn":60}"#, &[], (60, 60)),
        (r#"{"id":1,"__op":"u","__source_lsn":60,"__source_sequence":"[\"90\",\"60\"]"}"#, &[], (90, 60)),
        (r#"{"id":1,"__op":"r","__lsn":60,"__sequence":"[null,\"60\"]"}"#, &[], (60, 0)),
        (r#"{"id":1,"__op":"r","__source_lsn":null,"__source_sequence":"[\"90\",\"90\"]"}"#, &[], (90, 90)),
        (r#"{"id":1}"#, &[("__source_lsn", "60")], (60, 60)),
        (r#"{"id":1}"#, &[("__lsn", "\"60\""), ("__sequence", "[\"90\",\"60\"]")], (90, 60)),
        (r#"{"id":1}"#, &[("__lsn", r#"{"schema":{"type":"int64"},"payload":60}"#)], (60, 60)),
        (r#"{"id":1,"__source_file":"mysql-bin.000003","__source_pos":154,"__source_row":2}"#, &[], (3 << 32 | 154, 2)),
        (r#"{"id":1,"__connector":"sqlserver"}"#, &[], (7, 0)),
    ] {
        assert_eq!(change(&message(KEY, Some(row), headers)).version, Version::new(expected.0, expected.1), "{row}");
    }
}

#[test]
fn other_sources_have_their_own() {
    let envelope = |source: &str| format!(r#"{{"source":{{{source}}},{CREATE}}}"#);
    for (source, expected) in [
        (r#""connector":"mysql","db":"d","table":"t","file":"mysql-bin.000003","pos":154,"row":2"#, (3 << 32 | 154, 2)),
        (r#""connector":"mariadb","db":"d","table":"t","file":"bin.2","pos":4"#, (2 << 32 | 4, 0)),
        (r#""connector":"sqlserver","schema":"dbo","table":"t","change_lsn":"0:1:2""#, (7, 0)),
        (r#""connector":"mongodb","db":"d","collection":"t""#, (7, 0)),
    ] {
        assert_eq!(change(&message(KEY, Some(&envelope(source)), &[])).version, Version::new(expected.0, expected.1), "{source}");
    }
}

#[test]
fn the_settings_name_another_place() {
    let field = |name: &str| VersionFrom::Field(name.to_owned());
    let create = postgres(r#""lsn":60,"ts_ms":20,"sequence":"[\"90\",\"60\"]""#, CREATE);
    let delete = postgres(r#""lsn":60,"ts_ms":20"#, DELETE);
    let unwrapped = r#"{"id":1,"n":5,"__ts_ms":30,"__source_ts_ms":20}"#;
    for (from, value, expected) in [
        (VersionFrom::Lsn, &*create, (60, 60)),
        (VersionFrom::Offset, &create, (7, 0)),
        (VersionFrom::Header("v".to_owned()), &create, (33, 0)),
        (field("n"), &create, (5, 0)),
        (field("at"), &create, (1_795_236_747_851, 153_000)),
        (field("ts_ms"), &create, (30, 0)),
        (field("__ts_ms"), &create, (30, 0)),
        (field("source.ts_ms"), &create, (20, 0)),
        (field("__source_ts_ms"), &create, (20, 0)),
        (field("lsn"), &create, (60, 0)),
        (field("source.ts_ms"), &delete, (20, 0)),
        (field("n"), unwrapped, (5, 0)),
        (field("ts_ms"), unwrapped, (30, 0)),
        (field("__ts_ms"), unwrapped, (30, 0)),
        (field("source.ts_ms"), unwrapped, (20, 0)),
    ] {
        let found = version(from.clone(), value, &[("v", "33")]);
        assert_eq!(found, Ok(Version::new(expected.0, expected.1)), "{from:?} {value}");
    }
}

#[test]
fn without_a_version_the_reason_says_what_to_do() {
    let field = |name: &str| VersionFrom::Field(name.to_owned());
    let header = |name: &str| VersionFrom::Header(name.to_owned());
    let pg = |source: &str| postgres(source, CREATE);
    for (from, value, reason) in [
        (
            VersionFrom::Auto,
            r#"{"id":1}"#.to_owned(),
            "add op,source.lsn,source.sequence,source.ts_ms to the unwrap transform's add.fields",
        ),
        (
            VersionFrom::Auto,
            r#"{"id":1,"__op":"r","__source_lsn":null}"#.to_owned(),
            "add source.sequence to the unwrap transform's add.fields",
        ),
        (VersionFrom::Auto, pg(r#""lsn":"x""#), "the source.lsn is neither"),
        (VersionFrom::Auto, pg(r#""lsn":-1"#), "the source.lsn is neither"),
        (VersionFrom::Auto, pg(r#""lsn":1,"sequence":"1""#), "the source.sequence is neither"),
        (VersionFrom::Auto, pg(r#""lsn":36028797018963968"#), "the version 36028797018963968.36028797018963968 is above 36028797018963967"),
        (field("nope"), pg(r#""lsn":1"#), "the field nope, which the version is taken from, is missing or null"),
        (field("n"), postgres(r#""lsn":1"#, DELETE), "the deleted row has no n: set REPLICA IDENTITY FULL for its table"),
        (field("at"), postgres(r#""lsn":1"#, DELETE), "the deleted row has no at: set REPLICA IDENTITY FULL for its table"),
        (field("id"), r#"{"id":1.5}"#.to_owned(), "the field id is neither a whole number"),
        (header("v"), pg(r#""lsn":1"#), "the header v, which the version is taken from, is missing or null"),
    ] {
        let error = version(from, &value, &[]).unwrap_err();
        assert!(error.reason.contains(reason), "{}", error.reason);
        assert_eq!((error.key.as_deref(), error.table.as_deref()), (Some("1"), Some("public.products")));
    }
}

#[test]
fn a_contradiction_still_tells_its_version() {
    let value = postgres(r#""lsn":60"#, r#""op":"c","before":null,"after":{"id":2}"#);
    let error = decode(&message(KEY, Some(&value), &[])).unwrap_err();
    assert_eq!(error.reason, "the message key says id=1, the row says id=2");
    assert_eq!(error.version, Some(Version::new(60, 60)));
}

#[test]
fn times_are_read_as_people_write_them() {
    for (text, expected) in [
        ("1970-01-01T00:00:00Z", Some((0, 0))),
        ("2000-02-29", Some((951_782_400_000, 0))),
        ("2024-02-29Z", Some((1_709_164_800_000, 0))),
        ("2026-11-21T04:52:27.851153Z", Some((1_795_236_747_851, 153_000))),
        ("2026-11-21 04:52:27.851153", Some((1_795_236_747_851, 153_000))),
        ("2026-11-21T05:52:27.851153+01:00", Some((1_795_236_747_851, 153_000))),
        ("2026-11-21T02:22:27.851153-02:30", Some((1_795_236_747_851, 153_000))),
        ("2026-11-21T05:52:27+01", Some((1_795_236_747_000, 0))),
        ("1969-12-31T23:59:59Z", None),
        ("2026-13-01", None),
        ("2026-11-21T04:52", None),
        ("infinity", None),
        ("", None),
        ("20☃26-11-2", None),
    ] {
        assert_eq!(time::parse(text), expected, "{text}");
    }
}
