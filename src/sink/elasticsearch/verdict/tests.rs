//! What the answers of real servers mean, and answers that no server should give.

use std::time::Duration;

use serde_json::Value;

use super::{of_answer, of_refusals};
use crate::connect::http::HttpAnswer;
use crate::event::{Action, DocumentVersion, JsonText, Write};
use crate::sink::elasticsearch::request::Refused;
use crate::sink::{Verdict, WriteError};

/// Answers of real servers, one a line: `{"name":…,"status":…,"response":…}`.
pub(super) const SAMPLES: [(&str, &str); 3] = [
    ("opensearch-2", include_str!("../samples/opensearch-2.jsonl")),
    ("opensearch-3", include_str!("../samples/opensearch-3.jsonl")),
    ("elasticsearch-8", include_str!("../samples/elasticsearch-8.jsonl")),
];

pub(super) fn answer(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer { status, body: body.to_owned().into(), retry_after: Some(Duration::from_secs(3)), address: "http://s".into() }
}

pub(super) fn writes(kinds: &[&str]) -> Vec<Write> {
    let action = |kind: &str| if kind == "delete" { Action::Delete } else { Action::Index(JsonText::from("{}")) };
    let write = |kind: &&str| Write { index: "p".into(), id: "1".into(), routing: None, version: DocumentVersion(1), action: action(kind) };
    kinds.iter().map(write).collect()
}

/// The writes that an answer is about; one, where it does not say.
pub(super) fn writes_of(response: &Value) -> Vec<Write> {
    match response["items"].as_array() {
        Some(items) => writes(&items.iter().map(|item| item.as_object().unwrap().keys().next().unwrap().as_str()).collect::<Vec<_>>()),
        None => writes(&["index"]),
    }
}

fn told(outcome: Result<Vec<Verdict>, WriteError>) -> String {
    match outcome {
        Ok(verdicts) => verdicts.iter().map(|verdict| format!("{verdict:?}")).collect::<Vec<_>>().join("\n  "),
        Err(error) => format!("{error:?}"),
    }
}

#[track_caller]
fn check(server: &str, expected: expect_test::Expect) {
    let (_, samples) = SAMPLES.iter().find(|(name, _)| *name == server).unwrap();
    let mut found = String::new();
    for sample in samples.lines() {
        let sample: Value = serde_json::from_str(sample).unwrap();
        let (name, response) = (sample["name"].as_str().unwrap(), &sample["response"]);
        if name.starts_with("bulk-") || name.starts_with("queue-") {
            let answer = answer(sample["status"].as_u64().unwrap() as u16, &response.to_string());
            found.push_str(&format!("{name}\n  {}\n", told(of_answer(&answer, &writes_of(response), Vec::new()))));
        }
    }
    expected.assert_eq(&found);
}

#[test]
fn answers_of_opensearch_2() {
    check(
        "opensearch-2",
        expect_test::expect![[r#"
        bulk-external-first
          Stored
          Stored
          Stored
          Stored
        bulk-external-stale-mixed
          Stale
          Stale
          Stored
        bulk-delete-external
          Stale
          Stored
          Stored
        bulk-index-under-tombstone
          Stale
          Stale
          Stored
        bulk-malformed-doc
          Refused("mapper_parsing_exception: failed to parse field [id] of type [long] in document with id '20'. Preview of field's value: 'not-a-number' (illegal_argument_exception: For input string: \"not-a-number\")")
          Refused("strict_dynamic_mapping_exception: mapping set to strict, dynamic introduction of [nope] within [_doc] is not allowed")
          Refused("mapper_parsing_exception: failed to parse (json_e_o_f_exception: Unexpected end-of-input: expected close marker for Object (start marker at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 1]) at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 33])")
          Stored
          Refused("mapper_parsing_exception: failed to parse field [updated] of type [date] in document with id '24'. Preview of field's value: 'yesterday' (illegal_argument_exception: failed to parse date field [yesterday] with format [strict_date_optional_time||epoch_millis])")
        bulk-bad-action-line
          Split { message: "http://s answered 400: illegal_argument_exception: Malformed action/metadata line [1], expected one of [create, delete, index, update] but found [indexx]" }
        bulk-truncated-action-line
          Split { message: "http://s answered 400: json_e_o_f_exception: Unexpected end-of-input: expected close marker for Object (start marker at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 10]) at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 26]" }
        bulk-id-too-long
          Split { message: "http://s answered 400: action_request_validation_exception: Validation Failed: 1: id [xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" }
        bulk-missing-index-require-alias
          IndexMissing { index: "p" }
        bulk-write-block
          Retry("blocked")
          Stored
        bulk-read_only_allow_delete
          Retry("blocked")
          Retry("blocked")
        bulk-read_only
          Retry("blocked")
        bulk-closed-index
          Retry("closed")
        bulk-no-auto-create
          IndexMissing { index: "p" }
        queue-full-item
          Retry("429")
    "#]],
    );
}

#[test]
fn answers_of_opensearch_3() {
    check(
        "opensearch-3",
        expect_test::expect![[r#"
        bulk-external-first
          Stored
          Stored
          Stored
          Stored
        bulk-external-stale-mixed
          Stale
          Stale
          Stored
        bulk-delete-external
          Stale
          Stored
          Stored
        bulk-index-under-tombstone
          Stale
          Stale
          Stored
        bulk-malformed-doc
          Refused("mapper_parsing_exception: failed to parse field [id] of type [long] in document with id '20'. Preview of field's value: 'not-a-number' (illegal_argument_exception: For input string: \"not-a-number\")")
          Refused("strict_dynamic_mapping_exception: mapping set to strict, dynamic introduction of [nope] within [_doc] is not allowed")
          Refused("mapper_parsing_exception: failed to parse (json_e_o_f_exception: Unexpected end-of-input: expected close marker for Object (start marker at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 1]) at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 33])")
          Stored
          Refused("mapper_parsing_exception: failed to parse field [updated] of type [date] in document with id '24'. Preview of field's value: 'yesterday' (illegal_argument_exception: failed to parse date field [yesterday] with format [strict_date_optional_time||epoch_millis])")
        bulk-bad-action-line
          Split { message: "http://s answered 400: illegal_argument_exception: Malformed action/metadata line [1], expected one of [create, delete, index, update] but found [indexx]" }
        bulk-truncated-action-line
          Split { message: "http://s answered 400: json_e_o_f_exception: Unexpected end-of-input: expected close marker for Object (start marker at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 10]) at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 26]" }
        bulk-id-too-long
          Split { message: "http://s answered 400: action_request_validation_exception: Validation Failed: 1: id [xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" }
        bulk-missing-index-require-alias
          IndexMissing { index: "p" }
        bulk-write-block
          Retry("blocked")
          Stored
        bulk-read_only_allow_delete
          Retry("blocked")
          Retry("blocked")
        bulk-read_only
          Retry("blocked")
        bulk-closed-index
          Retry("closed")
        bulk-no-auto-create
          IndexMissing { index: "p" }
        queue-full-item
          Retry("429")
    "#]],
    );
}

#[test]
fn answers_of_elasticsearch_8() {
    check(
        "elasticsearch-8",
        expect_test::expect![[r#"
        bulk-external-first
          Stored
          Stored
          Stored
          Stored
        bulk-external-stale-mixed
          Stale
          Stale
          Stored
        bulk-delete-external
          Stale
          Stored
          Stored
        bulk-index-under-tombstone
          Stale
          Stale
          Stored
        bulk-malformed-doc
          Refused("document_parsing_exception: [1:8] failed to parse field [id] of type [long] in document with id '20'. Preview of field's value: 'not-a-number' (illegal_argument_exception: For input string: \"not-a-number\")")
          Refused("strict_dynamic_mapping_exception: [1:45] mapping set to strict, dynamic introduction of [nope] within [_doc] is not allowed")
          Refused("document_parsing_exception: [1:20] failed to parse: [1:33] Unexpected end of file")
          Stored
          Refused("document_parsing_exception: [1:23] failed to parse field [updated] of type [date] in document with id '24'. Preview of field's value: 'yesterday' (illegal_argument_exception: failed to parse date field [yesterday] with format [strict_date_optional_time||epoch_millis])")
        bulk-bad-action-line
          Split { message: "http://s answered 400: illegal_argument_exception: Malformed action/metadata line [1], expected field [create], [delete], [index] or [update] but found [indexx]" }
        bulk-truncated-action-line
          Split { message: "http://s answered 400: x_content_e_o_f_exception: [1:26] Unexpected end of file (json_e_o_f_exception: Unexpected end-of-input: expected close marker for Object (start marker at [Source: (byte[])\"{\"index\":{\"_index\":\"p_v1\"\"; line: 1, column: 10]) at [Source: (byte[])\"{\"index\":{\"_index\":\"p_v1\"\"; line: 1, column: 26])" }
        bulk-id-too-long
          Split { message: "http://s answered 400: action_request_validation_exception: Validation Failed: 1: id [xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" }
        bulk-missing-index-require-alias
          IndexMissing { index: "p" }
        bulk-write-block
          Retry("blocked")
          Stored
        bulk-read_only_allow_delete
          Retry("blocked")
          Retry("blocked")
        bulk-read_only
          Retry("blocked")
        bulk-closed-index
          Retry("closed")
        bulk-no-auto-create
          IndexMissing { index: "p" }
        queue-full-item
          Retry("429")
        queue-full-whole
          Overloaded { message: "http://s answered 429: es_rejected_execution_exception: rejected execution of TimedRunnable{original=org.elasticsearch.action.bulk.TransportAbstractBulkAction$2/org.elasticsearch.action.ActionListenerImplementations$RunBeforeActionListener/org.elasticsearch.action.ActionListenerImplementations$RunBeforeActionListener/org.elasticsearch.tasks.TaskManager$1{org.elasticsearch.action.ActionListenerImplementations$RunAfterAct", after: Some(3s) }
    "#]],
    );
}

#[test]
fn each_kind_of_item_has_its_verdict() {
    let item = |kind: &str, status: u16, error: &str| format!(r#"{{"errors":true,"items":[{{"{kind}":{{"status":{status}{error}}}}}]}}"#);
    let of_type = |kind: &str| format!(r#","error":{{"type":"{kind}","reason":"r"}}"#);
    let reasoned = |reason: &str| format!(r#","error":{{"type":"illegal_argument_exception","reason":"{reason}"}}"#);
    let mut found = String::new();
    for (kind, status, error) in [
        ("index", 201, String::new()),
        ("delete", 404, String::new()),
        ("delete", 409, of_type("version_conflict_engine_exception")),
        ("index", 404, String::new()),
        ("index", 404, of_type("shard_not_found_exception")),
        ("index", 400, of_type("invalid_index_name_exception")),
        ("index", 400, of_type("routing_missing_exception")),
        ("index", 413, of_type("document_too_large")),
        ("index", 403, of_type("security_exception")),
        ("index", 403, of_type("index_create_block_exception")),
        ("index", 403, of_type("something_new")),
        ("index", 500, of_type("null_pointer_exception")),
        ("index", 503, of_type("unavailable_shards_exception")),
        ("index", 507, r#","error":"plain words""#.to_owned()),
        ("index", 400, r#","error":"plain words""#.to_owned()),
        ("index", 400, reasoned("no write index is defined for alias [p]. The write index may be explicitly disabled")),
        ("index", 400, reasoned("only write ops with an op_type of create are allowed in data streams")),
        ("index", 400, reasoned("Limit of total fields [1000] has been exceeded")),
    ] {
        let verdict = told(of_answer(&answer(200, &item(kind, status, &error)), &writes(&[kind]), Vec::new()));
        found.push_str(&format!("{kind} {status} {error}\n  {verdict}\n"));
    }
    expect_test::expect![[r#"
        index 201 
          Stored
        delete 404 
          Stored
        delete 409 ,"error":{"type":"version_conflict_engine_exception","reason":"r"}
          Stale
        index 404 
          Retry("404")
        index 404 ,"error":{"type":"shard_not_found_exception","reason":"r"}
          Retry("404")
        index 400 ,"error":{"type":"invalid_index_name_exception","reason":"r"}
          Refused("invalid_index_name_exception: r")
        index 400 ,"error":{"type":"routing_missing_exception","reason":"r"}
          Refused("routing_missing_exception: r")
        index 413 ,"error":{"type":"document_too_large","reason":"r"}
          Refused("document_too_large: r")
        index 403 ,"error":{"type":"security_exception","reason":"r"}
          Misconfigured { remedy: "http://s does not let us write: security_exception: r: give the user the right to index into and delete from it (and to create it, unless create_index = false)" }
        index 403 ,"error":{"type":"index_create_block_exception","reason":"r"}
          Retry("blocked")
        index 403 ,"error":{"type":"something_new","reason":"r"}
          Retry("403")
        index 500 ,"error":{"type":"null_pointer_exception","reason":"r"}
          Retry("500")
        index 503 ,"error":{"type":"unavailable_shards_exception","reason":"r"}
          Retry("503")
        index 507 ,"error":"plain words"
          Retry("5xx")
        index 400 ,"error":"plain words"
          Refused("plain words")
        index 400 ,"error":{"type":"illegal_argument_exception","reason":"no write index is defined for alias [p]. The write index may be explicitly disabled"}
          Misconfigured { remedy: "alias p stands for several indexes: set is_write_index on one of them" }
        index 400 ,"error":{"type":"illegal_argument_exception","reason":"only write ops with an op_type of create are allowed in data streams"}
          Misconfigured { remedy: "p is a data stream, where no document can change: name another index" }
        index 400 ,"error":{"type":"illegal_argument_exception","reason":"Limit of total fields [1000] has been exceeded"}
          Refused("illegal_argument_exception: Limit of total fields [1000] has been exceeded")
    "#]].assert_eq(&found);
}

#[test]
fn each_status_of_the_whole_has_its_error() {
    let error = |kind: &str| format!(r#"{{"error":{{"type":"{kind}","reason":"r","index":"p"}}}}"#);
    let mut found = String::new();
    for (status, body) in [
        (400, error("illegal_argument_exception")),
        (401, "Unauthorized".to_owned()),
        (403, error("security_exception")),
        (403, error("cluster_block_exception")),
        (404, error("index_not_found_exception")),
        (404, "default backend - 404".to_owned()),
        (406, error("media_type_header_exception")),
        (408, String::new()),
        (413, String::new()),
        (429, "Too Many Requests".to_owned()),
        (500, error("x")),
        (502, "<html>Bad Gateway</html>".to_owned()),
        (503, error("cluster_block_exception")),
        (507, String::new()),
        (200, "<html>login</html>".to_owned()),
        (200, r#"{"errors":false}"#.to_owned()),
        (200, r#"{"errors":false,"items":[]}"#.to_owned()),
        (200, r#"{"errors":false,"items":[{"update":{"status":200}}]}"#.to_owned()),
    ] {
        let outcome = of_answer(&answer(status, &body), &writes(&["index"]), Vec::new());
        found.push_str(&format!("{status} {body}\n  {}\n", told(outcome)));
    }
    expect_test::expect![[r#"
        400 {"error":{"type":"illegal_argument_exception","reason":"r","index":"p"}}
          Split { message: "http://s answered 400: illegal_argument_exception: r" }
        401 Unauthorized
          Misconfigured { remedy: "http://s refuses the credentials: set user and password, or api_key, to ones it knows" }
        403 {"error":{"type":"security_exception","reason":"r","index":"p"}}
          Misconfigured { remedy: "http://s does not let us write: security_exception: r: give the user the right to index into and delete from it (and to create it, unless create_index = false)" }
        403 {"error":{"type":"cluster_block_exception","reason":"r","index":"p"}}
          Unavailable { reason: "blocked", message: "http://s answered 403: cluster_block_exception: r", after: Some(3s) }
        404 {"error":{"type":"index_not_found_exception","reason":"r","index":"p"}}
          IndexMissing { index: "p" }
        404 default backend - 404
          Unavailable { reason: "404", message: "http://s answered 404: default backend - 404: check url", after: Some(3s) }
        406 {"error":{"type":"media_type_header_exception","reason":"r","index":"p"}}
          Misconfigured { remedy: "http://s answered 406: media_type_header_exception: r: check url" }
        408 
          Unavailable { reason: "408", message: "http://s answered 408: no reason given", after: Some(3s) }
        413 
          Split { message: "http://s answered 413: the request is larger than its http.max_content_length" }
        429 Too Many Requests
          Overloaded { message: "http://s answered 429: Too Many Requests", after: Some(3s) }
        500 {"error":{"type":"x","reason":"r","index":"p"}}
          Unavailable { reason: "500", message: "http://s answered 500: x: r", after: Some(3s) }
        502 <html>Bad Gateway</html>
          Unavailable { reason: "502", message: "http://s answered 502: <html>Bad Gateway</html>", after: Some(3s) }
        503 {"error":{"type":"cluster_block_exception","reason":"r","index":"p"}}
          Unavailable { reason: "blocked", message: "http://s answered 503: cluster_block_exception: r", after: Some(3s) }
        507 
          Unavailable { reason: "5xx", message: "http://s answered 507: no reason given", after: Some(3s) }
        200 <html>login</html>
          Unavailable { reason: "unreadable", message: "the answer of http://s cannot be used: it is not the answer to a bulk request (expected value at line 1 column 1): check url and any proxy before it", after: Some(3s) }
        200 {"errors":false}
          Unavailable { reason: "unreadable", message: "the answer of http://s cannot be used: it is not the answer to a bulk request (missing field `items` at line 1 column 16): check url and any proxy before it", after: Some(3s) }
        200 {"errors":false,"items":[]}
          Unavailable { reason: "unreadable", message: "the answer of http://s cannot be used: it tells of 0 writes, and 1 were sent: check url and any proxy before it", after: Some(3s) }
        200 {"errors":false,"items":[{"update":{"status":200}}]}
          Unavailable { reason: "unreadable", message: "the answer of http://s cannot be used: it is not the answer to a bulk request (unknown variant `update`, expected `index` or `delete` at line 1 column 34): check url and any proxy before it", after: Some(3s) }
    "#]].assert_eq(&found);
}

#[test]
fn refusals_stand_where_their_writes_stood() {
    let refused = |places: &[usize]| places.iter().map(|place| Refused { place: *place, reason: place.to_string() }).collect::<Vec<_>>();
    let body = r#"{"errors":false,"items":[{"index":{"status":201}},{"delete":{"status":404}}]}"#;
    let verdicts = of_answer(&answer(200, body), &writes(&["index", "index", "index", "delete", "index"]), refused(&[0, 2, 4])).unwrap();
    let no = |place: &str| Verdict::Refused(place.to_owned());
    assert_eq!(verdicts, [no("0"), Verdict::Stored, no("2"), Verdict::Stored, no("4")]);
    assert_eq!(of_refusals(&writes(&["index", "index"]), refused(&[0, 1])).unwrap(), [no("0"), no("1")]);
}

/// A delete that found nothing is done; a document is not there because of it.
#[test]
fn an_answer_about_other_writes_is_none() {
    for (item, sent) in [("delete", "index"), ("index", "delete")] {
        let body = format!(r#"{{"errors":false,"items":[{{"{item}":{{"status":404}}}}]}}"#);
        let error = of_answer(&answer(200, &body), &writes(&[sent]), Vec::new()).unwrap_err();
        assert!(matches!(&error, WriteError::Unavailable { reason: "unreadable", .. }), "{error:?}");
    }
}
