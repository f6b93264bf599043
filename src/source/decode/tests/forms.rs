//! The four forms were recorded from one run of one database, so they must tell the same story.
//!
//! Events are paired by table, key, operation and LSN (rows of snapshots: without, for every connector took
//! its own). Every column is compared strictly, as text, but for five of `public.products`, which the forms encode
//! differently by their settings: `price` and `any_number` (`decimal.handling.mode` precise, string, double) and
//! `available_on`, `opens_at`, `updated_at` (`time.precision.mode` adaptive, isostring, connect). Those are compared by value.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::{decode_all, recorded};
use crate::event::time;
use crate::event::{Change, Operation};
use crate::source::decode::Decoded;

type Place = (String, String, &'static str, Option<u64>);
type Row = BTreeMap<String, Box<RawValue>>;

#[test]
fn an_envelope_says_the_same_with_and_without_schema() {
    let (plain, schemas) = (changes("envelope_plain"), changes("envelope_schemas"));
    assert!(plain.keys().eq(schemas.keys()));
    assert_eq!(plain.len(), 89);
    for (place, one) in &plain {
        let other = &schemas[place];
        assert_eq!((&one.before, &one.after, &one.moved, &one.key), (&other.before, &other.after, &other.moved, &other.key), "{place:?}");
        // Until the first commit after its own snapshot, versions count from that.
        if place.3.is_some_and(|lsn| lsn > 26_526_304) && one.operation != Operation::Read {
            assert_eq!((one.version, one.ts_ms), (other.version, other.ts_ms), "{place:?}");
        }
    }
}

#[test]
fn the_unwrapped_forms_have_the_rows_of_the_envelope() {
    let plain = changes("envelope_plain");
    for (form, expected) in [("unwrap_rewrite", 82), ("unwrap_tombstone", 81)] {
        let unwrapped = changes(form);
        for (place, change) in &unwrapped {
            let reference = &plain[place];
            assert_eq!((&change.key, &change.moved, change.operation), (&reference.key, &reference.moved, reference.operation));
            compare(form, place, reference.after.as_deref(), change.after.as_deref());
            if change.operation == Operation::Delete && form == "unwrap_rewrite" {
                compare(form, place, reference.before.as_deref(), change.before.as_deref());
            }
        }
        // What is missing: the incremental snapshot, which has no version there, and (tombstone) the delete without a key.
        let missing: Vec<_> = plain.keys().filter(|place| !unwrapped.contains_key(*place)).collect();
        let without_key = |place: &Place| place.0 == "public.no_key" && place.2 == "delete" && form == "unwrap_tombstone";
        let incremental = |place: &Place| place.2 == "read" && place.3.is_some();
        assert!(missing.iter().all(|place| incremental(place) || without_key(place)), "{missing:?}");
        assert_eq!(unwrapped.len(), expected);
    }
}

fn changes(form: &str) -> BTreeMap<Place, Change> {
    let mut changes = BTreeMap::new();
    for decoded in decode_all(&recorded(form)) {
        let Ok(Decoded::Change(change)) = decoded else { continue };
        let lsn = match change.operation {
            Operation::Read if form.starts_with("unwrap") || change.version.second == 0 => None,
            Operation::Read => Some(0),
            _ => Some(change.version.second),
        };
        let place = (change.table.to_string(), change.key_id().to_owned(), change.operation.as_str(), lsn);
        assert!(changes.insert(place, change).is_none());
    }
    changes
}

fn compare(form: &str, place: &Place, reference: Option<&str>, row: Option<&str>) {
    let (Some(reference), Some(row)) = (reference, row) else { return assert_eq!(reference, row, "{place:?}") };
    let (reference, row): (Row, Row) = (serde_json::from_str(reference).unwrap(), serde_json::from_str(row).unwrap());
    assert!(reference.keys().eq(row.keys()), "{place:?}");
    for (column, expected) in &reference {
        let (expected, value) = (expected.get(), row[column].get());
        let same = match column.as_str() {
            _ if expected == "null" => value == "null",
            "price" => decimal_matches(form, &decimal(expected, 2), value),
            "any_number" => decimal_matches(form, &variable_decimal(expected), value),
            "available_on" | "opens_at" | "updated_at" => time_matches(form, column, expected.parse().unwrap(), value),
            _ => expected == value,
        };
        assert!(same, "{form} {place:?} {column}: {expected} {value}");
    }
}

fn decimal_matches(form: &str, expected: &str, value: &str) -> bool {
    match form {
        "unwrap_rewrite" => value == format!("\"{expected}\""),
        _ => value.parse::<f64>().unwrap() == expected.parse::<f64>().unwrap(),
    }
}

fn time_matches(form: &str, column: &str, expected: i64, value: &str) -> bool {
    const DAY_MICROS: i64 = 86_400_000_000;
    match (form, column, expected, value) {
        // What has no place in a calendar: infinity, and the 15th of March 44 BC.
        ("unwrap_rewrite", "updated_at", i64::MAX, value) => value == "\"+292278994-08-16T23:00:00Z\"",
        ("unwrap_tombstone", "updated_at", i64::MAX, value) => value == "9223372036825200000",
        ("unwrap_rewrite", "available_on", ..0, value) => value.starts_with("\"-00"),
        ("unwrap_rewrite", "available_on", ..) => micros(value) == expected * DAY_MICROS,
        ("unwrap_rewrite", "opens_at", ..) => micros(&value.replacen('"', "\"1970-01-01T", 1)) == expected,
        ("unwrap_rewrite", ..) => micros(value) == expected,
        (_, "available_on", ..) => value.parse() == Ok(expected),
        _ => value.parse() == Ok(expected / 1_000),
    }
}

fn micros(value: &str) -> i64 {
    let (ms, ns) = time::parse(value.trim_matches('"')).unwrap();
    (ms * 1_000 + ns / 1_000) as i64
}

fn variable_decimal(value: &str) -> String {
    let value: Value = serde_json::from_str(value).unwrap();
    decimal(value["value"].as_str().unwrap(), value["scale"].as_u64().unwrap() as usize)
}

/// Base64 of a two's complement, as decimal digits.
fn decimal(value: &str, scale: usize) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in value.trim_matches('"').bytes().filter(|letter| *letter != b'=') {
        bits = bits << 6 | LETTERS.iter().position(|known| *known == letter).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    let start = if bytes[0] & 0x80 == 0 { 0_i128 } else { -1 };
    let unscaled = bytes.iter().fold(start, |number, byte| number << 8 | i128::from(*byte));
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}{}{fraction}", if scale > 0 { "." } else { "" })
}
