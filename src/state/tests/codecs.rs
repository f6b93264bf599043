//! Keys in the order of what they stand for, and records that come back or are said to be damaged.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof};
use proptest::sample::Index;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::{DocumentVersion, Version};
use crate::state::keys::{Half, RowKey, named, number_of, numbered, table_prefix};
use crate::state::record::{Provisional, decode, encode};
use crate::state::{DeadLetter, DocumentNames, DocumentRecord, LaneRecord, MovedRow, RowRecord, StateError};

fn any_version() -> impl Strategy<Value = Version> {
    // Small ones meet each other, large ones fill all bytes.
    let part = || prop_oneof![0..3_u64, 254..258_u64, any::<u64>()];
    (part(), part()).prop_map(|(first, second)| Version::new(first, second))
}

fn any_half() -> impl Strategy<Value = Half> {
    prop_oneof![Just(Half::Left), Just(Half::Awaited)]
}

fn any_provisional() -> impl Strategy<Value = Provisional> {
    (".{0,6}", any_version(), vec(".{0,6}", 0..3)).prop_map(|(from, at, columns)| Provisional { from, at, columns })
}

fn any_document() -> impl Strategy<Value = DocumentRecord> {
    let names = (option::of(".{0,6}"), option::of(".{0,6}"), option::of(".{0,6}"));
    (names, any::<u64>(), any::<Option<u64>>(), any::<(bool, bool, bool)>()).prop_map(|((index, id, routing), version, body_hash, is)| {
        let (is_live, is_lowered, is_named) = is;
        let [index, id, routing] = [index, id, routing].map(|name| name.map(String::into_boxed_str));
        let names = is_named.then(|| DocumentNames { index, id, routing }.into());
        DocumentRecord { names, version: DocumentVersion(version), is_lowered, body_hash, is_live }
    })
}

fn any_row() -> impl Strategy<Value = RowRecord> {
    (any_version(), any::<Option<u64>>(), vec(any_document(), 0..3), option::of(any_provisional())).prop_map(
        |(version, deleted_ms, documents, provisional)| RowRecord {
            version,
            deleted_ms,
            documents: documents.into(),
            provisional: provisional.map(Box::new),
            measured: Vec::new(),
        },
    )
}

fn any_moved() -> impl Strategy<Value = MovedRow> {
    let left = (".{0,20}", option::of(any_provisional()), any::<u64>()).prop_map(|(row, provisional, at_ms)| MovedRow::Left {
        row,
        provisional: provisional.map(Box::new),
        at_ms,
    });
    let awaited = (".{0,6}", ".{0,9}", option::of(any_version()), any::<u64>()).prop_map(|(id, key, left, at_ms)| MovedRow::Awaited {
        id,
        key,
        left,
        at_ms,
    });
    prop_oneof![left, awaited]
}

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(record: &T) {
    assert_eq!(&decode::<T>("record", &encode(record).unwrap()).unwrap(), record);
}

/// A record, or the word that it is damaged; and a record that was read can be written.
fn is_read_or_corrupt<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    match decode::<T>("record", bytes) {
        Ok(record) => comes_back(&record),
        Err(error) => assert!(matches!(&error, StateError::Corrupt(reason) if reason.starts_with("a record in the state cannot be read"))),
    }
}

fn every_record_is_read_or_corrupt(bytes: &[u8]) {
    is_read_or_corrupt::<RowRecord>(bytes);
    is_read_or_corrupt::<MovedRow>(bytes);
    is_read_or_corrupt::<LaneRecord>(bytes);
    is_read_or_corrupt::<DeadLetter>(bytes);
    is_read_or_corrupt::<Version>(bytes);
    is_read_or_corrupt::<(u32, String)>(bytes);
}

proptest::proptest! {
    #[test]
    fn numbers_stand_in_their_order(pipelines in (0..3_u32, 0..3_u32), a in prop_oneof![0..300_u64, any::<u64>()], b in prop_oneof![0..300_u64, any::<u64>()]) {
        let (left, right) = (numbered(pipelines.0, a), numbered(pipelines.1, b));
        prop_assert_eq!(left.cmp(&right), (pipelines.0, a).cmp(&(pipelines.1, b)));
        prop_assert_eq!(number_of(&left), Some(a));
    }

    #[test]
    fn pipelines_keep_apart_what_has_one_name(pipelines: (u32, u32), a in ".{0,6}", b in ".{0,6}") {
        let same = pipelines.0 == pipelines.1;
        prop_assert_eq!(named(pipelines.0, &a) == named(pipelines.1, &b), same && a == b);
        let is_within = named(pipelines.0, &a).starts_with(&pipelines.1.to_be_bytes());
        prop_assert_eq!(is_within, same);
    }

    /// What a truncate walks over is its table: no key of a table whose name begins so.
    #[test]
    fn a_table_holds_its_own_rows_only(a in "[a-c.]{1,4}", b in "[a-c.]{1,4}", id in ".{0,4}") {
        prop_assert_eq!(RowKey::new(7, &b, &id).as_bytes().starts_with(&table_prefix(7, &a)), a == b);
    }

    #[test]
    fn notes_of_moves_are_told_apart_and_stand_in_the_order_of_versions(
        ids in ("[a|\u{0}]{0,3}.{0,18}", "[a|\u{0}]{0,3}.{0,18}"), versions in (any_version(), any_version()), halves in (any_half(), any_half())
    ) {
        let key = |id: &str, version, half| RowKey::new(1, "t", id).moving(version, half);
        let (left, right) = (key(&ids.0, versions.0, halves.0), key(&ids.1, versions.1, halves.1));
        prop_assert_eq!(left == right, (&ids.0, versions.0, halves.0) == (&ids.1, versions.1, halves.1));
        let right = key(&ids.0, versions.1, halves.1);
        let place = |version, half| (version, half == Half::Awaited);
        prop_assert_eq!(left.cmp(&right), place(versions.0, halves.0).cmp(&place(versions.1, halves.1)));
    }

    #[test]
    fn any_bytes_are_a_key_without_harm(bytes in vec(any::<u8>(), 0..40)) {
        prop_assert!(RowKey::from_bytes(&bytes).id().len() <= bytes.len());
        prop_assert_eq!(number_of(&bytes).is_some(), bytes.len() == 12);
    }

    #[test]
    fn records_come_back(row in any_row(), moved in any_moved(), position: u64, memory in vec(any::<u8>(), 0..20)) {
        comes_back(&row);
        comes_back(&moved);
        comes_back(&LaneRecord { position, memory });
    }

    #[test]
    fn any_bytes_are_a_record_or_damaged(bytes in vec(any::<u8>(), 0..80)) {
        every_record_is_read_or_corrupt(&bytes);
    }

    #[test]
    fn damaged_records_are_read_or_said_to_be(row in any_row(), moved in any_moved(), at in any::<Index>(), kind in 0..4_u8, byte: u8) {
        for mut bytes in [encode(&row).unwrap(), encode(&moved).unwrap()] {
            let place = at.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                2 => drop(bytes.remove(place)),
                // A length of 2^63 and more.
                _ => drop(bytes.splice(place..place, [0xff; 9])),
            }
            every_record_is_read_or_corrupt(&bytes);
        }
    }
}
