//! Messages of a form met before are read faster, and to the same.
//!
//! `PROPTEST_CASES=1000000 cargo test --release --lib decode::tests::known` looks longer.

use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof};
use proptest::sample::{Index, select};
use serde_json::value::RawValue;

use super::mutate::SWAPS;
use super::mutations::{all, any_damages, damaged};
use super::properties::{any_json, every_decoder};
use super::{FORMS, decode, decoder, message, postgres, recorded};
use crate::event::Message;
use crate::event::fields::depth;
use crate::limits;
use crate::source::decode::form::Forms;
use crate::source::decode::{DecodeError, Decoded, Decoder, LaneMemory, value};

/// Texts that are JSON, nearly so, or not at all.
fn any_text() -> impl Strategy<Value = String> {
    let strings = r#""([a-zé☃ ]|\\[\\"/bfnrtu0x]|\\u[0-9a-fA-FgG]{4}|[\x00-\x20\x7f\n]){0,20}["\\]?"#;
    let json = prop_oneof![
        strings,
        "-?(0|[0-9]{1,20})(\\.[0-9]{0,20})?([eE][+-]?[0-9]{0,3})?",
        "(null|true|false|nul|True|tru|falsy)",
        select(SWAPS).prop_map(str::to_owned),
        any_json().prop_map(|json| json.to_string()),
        "[{}\\[\\]\",:\\\\0-9a-z.é -]{0,40}",
    ];
    (json, any::<Index>(), "[{}\\[\\]\",:\\\\0-9 \x00-\x1fue.+-]{0,2}", any::<bool>()).prop_map(|(mut text, at, more, is_damaged)| {
        let mut place = at.index(text.len() + 1);
        while !text.is_char_boundary(place) {
            place -= 1;
        }
        if is_damaged {
            text.insert_str(place, &more);
        }
        text
    })
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

proptest::proptest! {
    #[test]
    fn a_value_is_what_serde_json_takes_for_one(text in any_text(), rest in "[,}\\] ].{0,20}|") {
        let whole = format!("{text}{rest}");
        let length = value::length(whole.as_bytes());
        if let Some(length) = length {
            prop_assert!(is_json(&whole[..length]), "{whole:?} to {length}");
        }
        if is_json(&text) && text.trim_ascii() == text {
            prop_assert_eq!(length, Some(text.len()));
        }
    }

    /// What was read before must not be seen from outside, neither in what the message says nor in what the lane remembers.
    #[test]
    fn forms_met_before_change_nothing(event: Index, damages in any_damages(), by: Index, snapshot_lsn in select(&[0, 26_511_232][..])) {
        let original = &all()[event.index(all().len())];
        let memory = LaneMemory { snapshot_lsn, ..LaneMemory::default() };
        let damaged = damaged(original, &damages);
        // Every second time as nearly everyone has it.
        let decoders = every_decoder();
        let by = by.index(decoders.len() * 2);
        let cold = || decoders[if by < decoders.len() { by } else { 0 }].clone();
        let mut warm = cold();
        for message in [original, original, &damaged, &damaged, original] {
            let (mut of_warm, mut of_cold) = (memory.clone(), memory.clone());
            let (found, expected) = (warm.decode(message, &mut of_warm), cold().decode(message, &mut of_cold));
            prop_assert_eq!(found, expected);
            prop_assert_eq!(of_warm, of_cold);
        }
    }
}

/// Decodes the message and tells whether its key and its value were of known forms.
fn decode_with(decoder: &mut Decoder, message: &Message) -> (Result<Decoded, DecodeError>, (bool, bool)) {
    let before = (decoder.keys.credit, decoder.values.credit);
    let decoded = decoder.decode(message, &mut LaneMemory::default());
    let is_known = |before, after| after == before + limits::FORM_LEARN_HITS;
    (decoded, (is_known(before.0, decoder.keys.credit), is_known(before.1, decoder.values.credit)))
}

#[test]
fn the_second_message_of_a_form_is_not_read_in_full() {
    let envelope = |source: &str, id: u32, rest: &str| {
        let row = format!(r#"{{"id":{id},"name":"é\n{id}","tags":[{id},{{}}],"n":-{id}.50}}"#);
        let value = postgres(source, &format!(r#""before":null,"after":{row},"transaction":null,{rest}"#));
        message(Some(&format!(r#"{{"id":{id}}}"#)), Some(&value), &[])
    };
    let mut warm = decoder();
    let first = envelope(r#""lsn":7,"sequence":"[\"6\",\"7\"]","xmin":null,"ts_ms":5"#, 1, r#""op":"c","ts_ms":6"#);
    assert_eq!(decode_with(&mut warm, &first).1, (false, false));
    for (source, id, rest, is_known) in [
        (r#""lsn":8,"sequence":"[null,\"8\"]","xmin":null,"ts_ms":-1"#, 22, r#""op":"u","ts_ms":"7""#, true),
        (r#""lsn":true,"sequence":"","xmin":null,"ts_ms":1e5"#, 22, r#""op":"r","ts_ms":{}"#, true),
        (r#""lsn":8,"sequence":"[\"8\",\"8\"]","xmin":1,"ts_ms":5"#, 3, r#""op":"u","ts_ms":6"#, false),
        (r#""lsn":8,"sequence":"[\"8\",\"8\"]","xmin":null,"ts_ms":5"#, 3, r#""op":"t","ts_ms":6"#, false),
        (r#""lsn":8,"sequence":"[\"8\",\"8\"]","xmin":null,"ts_ms":05"#, 3, r#""op":"u","ts_ms":6"#, false),
        (r#""lsn":8,"sequence":"[\"8\",\"8\"]","xmin":null,"ts_ms":5"#, 3, r#""op":"u","ts_ms":6 "#, false),
    ] {
        let (message, mut decoder) = (envelope(source, id, rest), warm.clone());
        assert_eq!(decode_with(&mut decoder, &message), (decode(&message), (true, is_known)), "{source} {rest}");
    }
}

/// MongoDB's rows are texts, and so values of their form: where anything else stands, it is judged as ever.
#[test]
fn a_row_that_is_a_value_is_judged_anew() {
    let envelope = |after: &str| {
        let source = r#"{"connector":"mongodb","name":"m","db":"d","collection":"c"}"#;
        message(None, Some(&format!(r#"{{"op":"c","before":null,"after":{after},"source":{source}}}"#)), &[])
    };
    let mut warm = decoder();
    for (after, is_known) in [
        (r#""{\"_id\":1}""#, false),
        (r#""{\"_id\":2}""#, true),
        ("5", false),
        ("null", false),
        ("[1]", false),
        (r#"{"_id":3}"#, true),
        (r#""{""#, true),
    ] {
        let (message, mut decoder) = (envelope(after), warm.clone());
        let (decoded, (_, was_known)) = decode_with(&mut decoder, &message);
        assert_eq!((decoded, was_known), (decode(&message), is_known), "{after}");
        let _ = warm.decode(&envelope(r#""{}""#), &mut LaneMemory::default());
    }
}

/// Of what a real Debezium sends, hardly anything has to be read in full.
#[test]
fn recorded_envelopes_are_of_few_forms() {
    for form in &FORMS[..2] {
        let (mut decoder, mut read_in_full, mut all) = (decoder(), 0, 0);
        for message in recorded(form).iter().filter(|message| message.lane.contains("stock")) {
            let (_, (_, is_known)) = decode_with(&mut decoder, message);
            (read_in_full, all) = (read_in_full + usize::from(!is_known), all + 1);
        }
        assert!(all > 10 && read_in_full * 2 < all, "{form}: {read_in_full} of {all}");
    }
}

/// Another topic may have rows that look the same and are of another table.
#[test]
fn a_form_is_of_one_topic() {
    let value = r#"{"op":"c","before":null,"after":{"id":1},"source":{"connector":"postgresql","lsn":1}}"#;
    let mut decoder = decoder();
    for topic in ["a.s.t", "b.s.u", "a.s.t"] {
        let mut message: Message = message(Some(r#"{"id":1}"#), Some(value), &[]);
        message.origin.topic = topic.into();
        assert_eq!(decoder.decode(&message, &mut LaneMemory::default()), decode(&message));
    }
}

/// However many shapes messages have, what is remembered of them is bounded.
#[test]
fn forms_are_bounded() {
    let mut decoder = decoder();
    for number in 0..1_000 {
        let value = postgres(r#""lsn":1"#, &format!(r#""op":"c","before":null,"after":{{"id":1,"c{number}":1}}"#));
        for topic in [0, number] {
            let mut message = message(Some(&format!(r#"{{"id":1{}}}"#, " ".repeat(number))), Some(&value), &[]);
            message.origin.topic = format!("shop.public.{topic}").into();
            assert_eq!(decoder.decode(&message, &mut LaneMemory::default()), decode(&message));
        }
        assert!(decoder.values.known.len().max(decoder.keys.known.len()) <= limits::FORMS_MAX);
    }
    let of_first = decoder.values.known.iter().filter(|form| form.is_of(&"shop.public.0".into()));
    assert!(of_first.count() <= limits::FORMS_OF_TOPIC_MAX);
}

#[test]
fn a_value_may_lie_so_deep_that_its_message_does_not_lie_too_deep() {
    let nested = format!("{}{}", "[".repeat(124), "]".repeat(124));
    assert_eq!((depth(&nested), value::length(nested.as_bytes())), (124, Some(248)));
    assert_eq!(value::length(format!("[{nested}]").as_bytes()), None);
}

/// Learning takes time, and is of use only where forms come again.
#[test]
fn what_is_hardly_ever_of_use_is_hardly_ever_learned() {
    let (mut forms, topic) = (Forms::<()>::default(), "t".into());
    let learned = |forms: &mut Forms<()>, text: &str, messages: usize| {
        let is_learned = |_: &usize| {
            let is_known = forms.find(text, &topic, |(), _| Some(())).is_some();
            let is_learned = !is_known && forms.is_learning();
            is_learned.then(|| forms.learn("1", &topic, &[], |_| Some(())));
            is_learned
        };
        (0..messages).filter(is_learned).count()
    };
    assert!((1_000..1_100).contains(&learned(&mut forms, "2", 64_000)));
    assert!(learned(&mut forms, "2", 64) <= 1);
    assert_eq!(learned(&mut forms, "1", 16), 0, "known");
    assert_eq!(learned(&mut forms, "2", 1), 1);
}

/// What looks like a message met before, and would be misread by its form.
#[test]
fn nonsense_is_judged_as_if_nothing_had_been_met() {
    let of = |rest: &str| postgres(r#""lsn":7"#, rest);
    for (key, first, second) in [
        (r#"{"id":1}"#, of(r#""op":"u","before":{"id":1},"after":{"id":1}"#), of(r#""op":"d","before":{"id":2},"after":{"id":1}"#)),
        (
            r#"{"id":1,"k":2}"#,
            of(r#""op":"u","before":null,"after":{"id":1,"id":1,"k":2}"#),
            of(r#""op":"u","before":null,"after":{"id":1,"id":9,"k":2}"#),
        ),
        (
            r#"{"id":1}"#,
            of(r#""op":"u","b\u0065fore":{"id":1},"after":{"id":1},"before2":1"#),
            of(r#""op":"u","b\u0065fore":5,"after":{"id":1},"before2":1"#),
        ),
    ] {
        let (first, second) = (message(Some(key), Some(&first), &[]), message(Some(key), Some(&second), &[]));
        let mut decoder = decoder();
        assert_eq!(decode_with(&mut decoder, &first).0, decode(&first));
        assert_eq!(decode_with(&mut decoder, &second).0, decode(&second));
    }
}
