//! Every recorded event, and what it is read as.

use std::fmt::Write;

use expect_test::expect_file;

use super::{FORMS, decode_all, recorded};
use crate::event::{JsonText, Message, Moved};
use crate::source::decode::{DecodeError, Decoded};

#[test]
fn every_recorded_event_decodes_to_what_its_table_says() {
    for form in FORMS {
        let messages = recorded(form);
        let decoded = decode_all(&messages);
        let table: String = messages.iter().zip(&decoded).map(|(message, decoded)| line(message, decoded)).collect();
        let path = format!("{}/src/source/decode/tests/expected/{form}.txt", env!("CARGO_MANIFEST_DIR"));
        expect_file![path].assert_eq(&table);
    }
}

/// Rows are slices of their message, down to the address; only an unwrapped row loses what was added to it.
#[test]
fn rows_of_an_envelope_are_not_copied() {
    for form in ["envelope_plain", "envelope_schemas", "unwrap_tombstone"] {
        let messages = recorded(form);
        for (message, decoded) in messages.iter().zip(decode_all(&messages)) {
            let Ok(Decoded::Change(change)) = decoded else { continue };
            let value = message.value.as_ref().unwrap().as_ptr_range();
            for row in [&change.before, &change.after].into_iter().flatten() {
                assert!(value.contains(&row.as_ptr()), "{}", change.origin);
            }
        }
    }
}

fn line(message: &Message, decoded: &Result<Decoded, DecodeError>) -> String {
    let mut line = format!("{} {} ", message.lane, message.origin.offset);
    match decoded {
        Ok(Decoded::Change(change)) => {
            let moved = match change.moved.as_deref() {
                Some(Moved::To { key, .. }) => format!(" to:{}", key.id),
                Some(Moved::From { key, .. }) => format!(" from:{}", key.id),
                None => String::new(),
            };
            let (operation, version, ts_ms) = (change.operation.as_str(), change.version, change.ts_ms);
            let key = change.key.as_ref().map_or("-".to_owned(), |key| format!("{} {}", key.id, key.json.as_str()));
            write!(line, "{operation} {} {} {key} {version} {ts_ms}{moved}", change.source, change.table).unwrap();
            write!(line, " before={} after={}", digest(&change.before), digest(&change.after)).unwrap();
        }
        Ok(Decoded::Tombstone { table, key }) => write!(line, "tombstone {table} {}", key.id).unwrap(),
        Ok(Decoded::Truncate { table, version }) => write!(line, "truncate {table} {version}").unwrap(),
        Ok(Decoded::Ignored(what)) => write!(line, "ignored: {what}").unwrap(),
        Err(error) => {
            let (key, table) = (error.key.as_deref().unwrap_or("-"), error.table.as_deref().unwrap_or("-"));
            write!(line, "error {table} {key} {}: {}", error.version.map_or("-".to_owned(), |v| v.to_string()), error.reason).unwrap();
        }
    }
    line.push('\n');
    line
}

/// Length, FNV-1a and the start of a row: enough to hold every digit of it.
fn digest(row: &Option<JsonText>) -> String {
    let Some(row) = row else { return "-".to_owned() };
    let hash = row.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let start: String = row.chars().take(40).collect();
    format!("{}b:{hash:08x}:{start}", row.len())
}
