//! Keys in every form, and broken ones.

use bytes::Bytes;
use proptest::prelude::prop_assert_eq;
use serde_json::{Map, Value};

use crate::event::Key;
use crate::source::decode::key;

fn read(text: &str) -> Result<Option<Key>, String> {
    read_bytes(text.as_bytes())
}

fn read_bytes(bytes: &[u8]) -> Result<Option<Key>, String> {
    key::read(&Bytes::copy_from_slice(bytes), &"t".into(), &mut key::Keys::default())
}

#[test]
fn a_key_is_read_in_every_form() {
    for (text, id, json) in [
        (r#"{"id":42}"#, "42", r#"{"id":42}"#),
        (r#" {"id": 42} "#, "42", r#"{"id": 42}"#),
        (r#"{"id":"4\"2\n☃"}"#, "4\"2\n☃", r#"{"id":"4\"2\n☃"}"#),
        (r#"{"id":12345678901234567890.10}"#, "12345678901234567890.10", r#"{"id":12345678901234567890.10}"#),
        (r#"{"id":true}"#, "true", r#"{"id":true}"#),
        (r#"{"id":null}"#, "null", r#"{"id":null}"#),
        (r#"{"id":{"scale":1,"value":"AA=="}}"#, r#"{"scale":1,"value":"AA=="}"#, r#"{"id":{"scale":1,"value":"AA=="}}"#),
        (r#"{"w":"no|rth","p":7}"#, r"no\|rth|7", r#"{"w":"no|rth","p":7}"#),
        (r#"{"schema":{"type":"struct","fields":[]},"payload":{"id":42}}"#, "42", r#"{"id":42}"#),
        (r#"{"schema":{"type":"int32"},"payload":42}"#, "42", "42"),
        (r#"{"schema":"public","payload":"x"}"#, "public|x", r#"{"schema":"public","payload":"x"}"#),
        ("42", "42", "42"),
        (r#""a\"b""#, "a\"b", r#""a\"b""#),
        ("order-42", "order-42", r#""order-42""#),
        ("0042", "0042", r#""0042""#),
        ("say \"hi\"", "say \"hi\"", r#""say \"hi\"""#),
        ("", "", r#""""#),
    ] {
        let key = read(text).unwrap().unwrap();
        assert_eq!((&*key.id, key.json.as_str()), (id, json));
    }
    assert_eq!(read("null"), Ok(None));
    assert_eq!(read(r#"{"schema":{"type":"struct"},"payload":null}"#), Ok(None));
}

#[test]
fn a_broken_key_is_not_taken_for_a_text() {
    for (bytes, reason) in [
        (&b"{\"id\":4"[..], "the message key is JSON that ends too early, at line 1 column 7"),
        (b"{}", "the message key is an object without columns"),
        (b"\xff\xfe", "the message key is not UTF-8 text"),
        (b"\0\0\0\0\x01x", "the message key is Avro or Protobuf of a schema registry: set the connector's key.converter to JsonConverter"),
    ] {
        assert_eq!(read_bytes(bytes), Err(reason.to_owned()));
    }
}

#[test]
fn key_and_row_must_agree_on_the_columns_they_share() {
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(100));
    for (key, row, reason) in [
        (r#"{"id":1}"#, r#"{"id":1}"#, None),
        (r#"{"id":1}"#, r#"{"name":"x"}"#, None),
        (r#"{"id":1}"#, r#"{"id":"1"}"#, None),
        (r#"{"id":"é"}"#, r#"{"id":"\u00e9"}"#, None),
        (r#"{"id":1}"#, r#"{"name":{"id":2},"id":1}"#, None),
        ("1", r#"{"id":2}"#, None),
        (r#"{"id":1}"#, r#"{"id":2}"#, Some("the message key says id=1, the row says id=2")),
        (r#"{"id":"a\nb"}"#, r#"{"id":"a\u0000b"}"#, Some("the message key says id=a b, the row says id=a b")),
        (r#"{"a":1,"b":2}"#, r#"{"a":1,"b":null}"#, Some("the message key says b=2, the row says b=null")),
    ] {
        assert_eq!(key::compare(&read(key).unwrap().unwrap(), row).err().as_deref(), reason);
    }
    let reason = key::compare(&read(&long).unwrap().unwrap(), r#"{"id":2}"#).unwrap_err();
    assert_eq!(reason, format!("the message key says id={}…, the row says id=2", "x".repeat(64)));
}

proptest::proptest! {
    #[test]
    fn any_columns_become_the_id_of_their_values(values in proptest::collection::vec("\\PC{0,8}|[\"\\\\|\n\u{1}]{0,4}", 1..4)) {
        let columns: Map<String, Value> = values.iter().enumerate().map(|(place, v)| (format!("c{place}"), v.clone().into())).collect();
        let text = Value::Object(columns).to_string();
        let key = read(&text).unwrap().unwrap();
        let expected = Key::id_of(values.iter().map(String::as_str));
        prop_assert_eq!(&*key.id, expected.as_str());
        prop_assert_eq!(key.json.as_str(), text.as_str());
    }

    #[test]
    fn a_header_may_hold_any_text_unescaped_but_for_quotes(value in "[^\"\\\\]{0,20}") {
        let key = key::read_header(&format!("{{\"id\":\"{value}\"}}")).unwrap();
        prop_assert_eq!(&*key.id, value.as_str());
    }

    #[test]
    fn any_text_is_a_key_or_an_error(text in "\\PC*") {
        if let Ok(Some(key)) = read(&text) {
            serde_json::from_str::<Value>(&key.json).unwrap();
        }
    }
}
