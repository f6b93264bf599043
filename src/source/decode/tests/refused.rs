//! What cannot be read, and the sentence that says why.

use bytes::Bytes;

use super::{decode, message, postgres};

const KEY: Option<&str> = Some(r#"{"id":1}"#);

#[test]
fn what_cannot_be_read_is_refused_with_one_sentence() {
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    let pg = |rest: &str| postgres(r#""lsn":9"#, rest);
    for (value, reason) in [
        (b"".to_vec(), "the message value is empty"),
        (b" ".to_vec(), "the message value is empty"),
        (b"hello".to_vec(), "the message value is not JSON from line 1 column 1 on"),
        (b"{\"id\":1".to_vec(), "the message value is JSON that ends too early, at line 1 column 7"),
        (b"{\"id\":1} x".to_vec(), "the message value is not JSON from line 1 column 10 on"),
        (b"{\"id\":NaN}".to_vec(), "the message value is not JSON from line 1 column 7 on"),
        (b"{\"id\":01}".to_vec(), "the message value is not JSON from line 1 column 8 on"),
        (b"{\"id\":\"\x01\"}".to_vec(), "the message value is not JSON from line 1 column 7 on"),
        (b"{\"id\":\"\xff\"}".to_vec(), "the message value is not UTF-8 text"),
        (b"[1]".to_vec(), "the message value is JSON but no object: a row has named columns"),
        (b"1".to_vec(), "the message value is JSON but no object: a row has named columns"),
        (
            b"\0\0\0\0\x01".to_vec(),
            "the message value is Avro or Protobuf of a schema registry: set the connector's value.converter to JsonConverter",
        ),
        (deep.into_bytes(), "the message value is nested deeper than 127 levels"),
        (pg(r#""op":"c","op":"d","before":null,"after":{"id":1}"#).into(), "the envelope has the field op twice"),
        (pg(r#""op":"c","before":null,"after":{"id":1},"after":null"#).into(), "the envelope has the field after twice"),
        (pg(r#""op":"x","before":null,"after":{"id":1}"#).into(), "the operation is none of c, u, d, r, t and m"),
        (
            pg(r#""op":"c","before":{"id":1},"after":null"#).into(),
            "the row after the change is missing (for MongoDB set capture.mode to change_streams_update_full)",
        ),
        (pg(r#""op":"c","before":null,"after":"no row""#).into(), "the message row is not JSON from line 1 column 2 on"),
        (pg(r#""op":"c","before":null,"after":"[]""#).into(), "a row of the envelope is no object"),
    ] {
        let mut message = message(KEY, None, &[]);
        message.value = Some(Bytes::from(value));
        let error = decode(&message).unwrap_err();
        assert_eq!(error.reason, reason);
        assert_eq!((error.key.as_deref(), error.table.as_deref()), (Some("1"), Some("public.products")));
    }
}

#[test]
fn odd_but_true_values_are_handed_on_as_they_are() {
    let deep = format!("{}1{}", "[".repeat(125), "]".repeat(125));
    for value in [&"9".repeat(5_000), "1e999999", "-0.0", "1.10", r#""\ud83d\ude00""#, r#""[[[[{{{{""#, &deep] {
        let row = format!(r#"{{"id":1,"v":{value}}}"#);
        let envelope = postgres(r#""lsn":9"#, &format!(r#""op":"c","before":null,"after":{row}"#));
        assert_eq!(super::change(&message(KEY, Some(&envelope), &[])).after.as_deref(), Some(&*row));
    }
}
