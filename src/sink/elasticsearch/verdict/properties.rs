//! Answers of real servers, damaged, and answers of no server at all: one verdict for each write or none, and `Stored` only
//! where the server says so.
//!
//! `PROPTEST_CASES=100000 cargo test --lib verdict::properties` looks longer.

use std::sync::OnceLock;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::tests::{SAMPLES, answer, writes, writes_of};
use super::{of_answer, of_silence};
use crate::connect::http::{HttpAnswer, HttpError, HttpTrouble};
use crate::event::{Action, Write};
use crate::sink::elasticsearch::request::Refused;
use crate::sink::{Verdict, WriteError};

/// What may stand where a status or an error stands: of the servers, of proxies, of nobody.
fn odd_values() -> Vec<Value> {
    let error = |kind: &str, reason: &str| json!({"type": kind, "reason": reason, "index": "p"});
    let statuses =
        [0, 100, 199, 200, 201, 299, 300, 304, 400, 401, 403, 404, 409, 413, 429, 500, 503, 507, 65_535, 65_536].map(Value::from);
    let errors = [
        error("version_conflict_engine_exception", "r"),
        error("index_not_found_exception", "r"),
        error("cluster_block_exception", "r"),
        error("security_exception", "r"),
        error("illegal_argument_exception", &"long words ".repeat(1_000)),
        error(&"very_long_kind".repeat(1_000), "a\nb\u{0}"),
        json!({"type": "a", "caused_by": {"type": "b".repeat(1_000), "reason": "c".repeat(1_000)}}),
        json!({"type": "a", "root_cause": [{"type": "b".repeat(1_000), "reason": "c"}]}),
        json!({"type": null, "reason": 1}),
        json!("plain words ".repeat(100)),
        json!([[[[]]]]),
    ];
    let others = [Value::Null, json!(true), json!(-1), json!(200.0), json!("200"), json!({}), json!([])];
    statuses.into_iter().chain(errors).chain(others).collect()
}

/// One thing that is wrong with an answer.
#[derive(Clone, Debug)]
enum Wrong {
    ItemMissing(Index),
    ItemTwice(Index),
    ItemsExchanged(Index, Index),
    OtherKind(Index, &'static str),
    OtherField(Index, &'static str, Value),
    FieldMissing(Index, &'static str),
    OtherTop(&'static str, Value),
    Nothing,
}

fn any_wrong() -> impl Strategy<Value = Wrong> {
    let (at, value) = (any::<Index>, select(odd_values()));
    let field = select(&["status", "error"][..]);
    prop_oneof![
        1 => at().prop_map(Wrong::ItemMissing),
        1 => at().prop_map(Wrong::ItemTwice),
        1 => (at(), at()).prop_map(|(a, b)| Wrong::ItemsExchanged(a, b)),
        1 => (at(), select(&["index", "delete", "create", "update", "", "INDEX"][..])).prop_map(|(at, kind)| Wrong::OtherKind(at, kind)),
        4 => (at(), field.clone(), value.clone()).prop_map(|(at, field, value)| Wrong::OtherField(at, field, value)),
        1 => (at(), field).prop_map(|(at, field)| Wrong::FieldMissing(at, field)),
        1 => (select(&["items", "errors", "took", "error", "status"][..]), value).prop_map(|(field, value)| Wrong::OtherTop(field, value)),
        1 => Just(Wrong::Nothing),
    ]
}

impl Wrong {
    fn put_into(&self, response: &mut Value) {
        if let Wrong::OtherTop(field, value) = self {
            response[*field] = value.clone();
        }
        let Some(items) = response.get_mut("items").and_then(Value::as_array_mut).filter(|items| !items.is_empty()) else { return };
        let count = items.len();
        match self {
            Wrong::ItemMissing(at) => drop(items.remove(at.index(count))),
            Wrong::ItemTwice(at) => items.push(items[at.index(count)].clone()),
            Wrong::ItemsExchanged(a, b) => items.swap(a.index(count), b.index(count)),
            Wrong::OtherKind(at, kind) => {
                let item = &mut items[at.index(count)];
                let outcome = item.as_object().and_then(|item| item.values().next().cloned()).unwrap_or_default();
                *item = json!({ *kind: outcome });
            }
            Wrong::OtherField(at, field, value) => {
                if let Some(outcome) = outcome_of(&mut items[at.index(count)]) {
                    outcome.insert((*field).to_owned(), value.clone());
                }
            }
            Wrong::FieldMissing(at, field) => {
                if let Some(outcome) = outcome_of(&mut items[at.index(count)]) {
                    outcome.remove(*field);
                }
            }
            Wrong::OtherTop(..) | Wrong::Nothing => {}
        }
    }
}

fn outcome_of(item: &mut Value) -> Option<&mut serde_json::Map<String, Value>> {
    item.as_object_mut()?.values_mut().next()?.as_object_mut()
}

/// All recorded answers to bulk requests.
fn recorded() -> &'static [(u16, Value)] {
    static RECORDED: OnceLock<Vec<(u16, Value)>> = OnceLock::new();
    RECORDED.get_or_init(|| {
        let lines = SAMPLES.iter().flat_map(|(_, samples)| samples.lines());
        let all = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let bulk = all.filter(|sample| sample["name"].as_str().unwrap().starts_with("bulk-"));
        bulk.map(|sample| (sample["status"].as_u64().unwrap() as u16, sample["response"].clone())).collect()
    })
}

/// Whether the server says, of the write at this place among those that were sent, that it is there.
fn says_stored(response: &Value, place: usize, write: &Write) -> bool {
    let kind = if write.action == Action::Delete { "delete" } else { "index" };
    let Some(outcome) = response["items"].get(place).and_then(|item| item.get(kind)) else { return false };
    let is_good = outcome["status"].as_u64().is_some_and(|status| (200..300).contains(&status) || (status == 404 && kind == "delete"));
    is_good && outcome["error"].is_null()
}

/// What holds of whatever the server answers.
#[track_caller]
fn holds(answer: &HttpAnswer, writes: &[Write], refused: &[usize]) {
    let asked = || refused.iter().map(|place| Refused { place: *place, reason: format!("refused {place}") }).collect();
    // Behind a blank it is as no server writes it, and read in full.
    let unusual = HttpAnswer { body: [b" ", &*answer.body].concat().into(), ..answer.clone() };
    assert_eq!(of_answer(answer, writes, asked()).ok(), of_answer(&unusual, writes, asked()).ok());
    let verdicts = match of_answer(answer, writes, asked()) {
        Ok(verdicts) => verdicts,
        Err(error) => {
            let text = format!("{error:?}");
            // Debug escapes what is not printed, up to six bytes for one.
            assert!(error.to_string().len() < 1_500 && text.len() < 10_000, "{} bytes: {text:.400}", error.to_string().len());
            return;
        }
    };
    assert_eq!(verdicts.len(), writes.len());
    assert_eq!(answer.status, 200);
    // What is not read may be what serde_json makes no value of, a number above all floats.
    let Ok(response) = serde_json::from_slice::<Value>(&answer.body) else { return };
    let mut sent = 0;
    for (place, (verdict, write)) in verdicts.iter().zip(writes).enumerate() {
        if refused.contains(&place) {
            assert_eq!(*verdict, Verdict::Refused(format!("refused {place}")));
            continue;
        }
        match verdict {
            Verdict::Stored => assert!(says_stored(&response, sent, write), "{write:?}: {}", response["items"][sent]),
            Verdict::Stale => {
                let outcome = response["items"][sent].as_object().and_then(|item| item.values().next().cloned()).unwrap_or_default();
                assert_eq!(
                    (outcome["status"].as_u64(), outcome["error"]["type"].as_str()),
                    (Some(409), Some("version_conflict_engine_exception"))
                );
            }
            Verdict::Refused(reason) => assert!(!reason.is_empty() && reason.len() <= 400 && !reason.contains(['\n', '\t']), "{reason:?}"),
            Verdict::Retry(word) => assert!(word.len() < 12),
        }
        sent += 1;
    }
}

proptest::proptest! {
    #[test]
    fn a_damaged_answer_stores_nothing_it_does_not_name(
        sample in any::<Index>(), wrongs in vec(any_wrong(), 0..4), refused in vec(any::<Index>(), 0..3), status in prop_oneof![4 => Just(None), 1 => (100..600_u16).prop_map(Some)]
    ) {
        let (recorded_status, response) = &recorded()[sample.index(recorded().len())];
        let mut writes = writes_of(response);
        let mut response = response.clone();
        wrongs.iter().for_each(|wrong| wrong.put_into(&mut response));
        // Writes that were refused before they were sent stand among the others.
        let mut places: Vec<usize> = Vec::new();
        for at in refused {
            let place = at.index(writes.len() + 1);
            writes.insert(place, self::writes(&["index"]).remove(0));
            places.iter_mut().filter(|other| **other >= place).for_each(|other| *other += 1);
            places.push(place);
            places.sort_unstable();
        }
        holds(&answer(status.unwrap_or(*recorded_status), &response.to_string()), &writes, &places);
    }

    #[test]
    fn damaged_bytes_of_an_answer_do_no_harm(sample in any::<Index>(), at in any::<Index>(), kind in 0..4_u8, byte in prop_oneof![any::<u8>(), select(&b"{}[]\",:0 "[..])]) {
        let (status, response) = &recorded()[sample.index(recorded().len())];
        let mut bytes = response.to_string().into_bytes();
        let place = at.index(bytes.len());
        match kind {
            0 => bytes[place] = byte,
            1 => bytes.insert(place, byte),
            2 => drop(bytes.remove(place)),
            _ => bytes.truncate(place),
        }
        let answer = HttpAnswer { body: bytes.into(), ..answer(*status, "") };
        holds(&answer, &writes_of(response), &[]);
    }

    #[test]
    fn any_bytes_are_an_answer_or_none(status in prop_oneof![Just(200_u16), 100..600_u16], body in vec(any::<u8>(), 0..60), count in 0..3_usize) {
        let answer = HttpAnswer { body: body.into(), ..answer(status, "") };
        holds(&answer, &vec![writes(&["index"]).remove(0); count], &[]);
    }
}

#[test]
fn a_huge_answer_gives_a_short_reason() {
    let long = "x".repeat(1 << 20);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        long.clone(),
        format!(r#"{{"items":[{{"{long}":{{"status":200}}}}]}}"#),
        format!(r#"{{"items":[{{"index":{{"status":"{long}"}}}}]}}"#),
        format!(r#"{{"items":[{{"index":{{"status":400,"error":"{long}"}}}}]}}"#),
        format!(r#"{{"items":[{{"index":{{"status":400,"error":{{"type":"{long}","reason":"{long}"}}}}}}]}}"#),
        format!(r#"{{"items":[{{"index":{{"status":400,"error":{deep}}}}}]}}"#),
        format!(r#"{{"items":[{{"index":{{"status":200,"_id":{deep}}}}}]}}"#),
        format!(r#"{{"error":{{"type":"index_not_found_exception","index":"{long}"}}}}"#),
        format!(r#"{{"items":[{}]}}"#, vec![r#"{"index":{"status":200}}"#; 100_000].join(",")),
    ] {
        for status in [200, 400, 403, 404, 413, 503] {
            holds(&answer(status, &body), &writes(&["index"]), &[]);
        }
    }
}

#[test]
fn silence_is_never_an_answer() {
    for trouble in [HttpTrouble::Unreachable, HttpTrouble::Timeout, HttpTrouble::Cut, HttpTrouble::Untrusted] {
        let error = of_silence(HttpError { trouble, message: "m".to_owned() });
        assert!(matches!(error, WriteError::Unavailable { .. }));
    }
}
