//! What a guest returned, checked: nothing of it reaches a sink unread.

use bytestring::ByteString;

use crate::aggregate::fields;
use crate::event::{Change, Measure};
use crate::limits::{DOCUMENT_ID_BYTES_MAX, GUEST_LAST_WORDS_BYTES_MAX, GUEST_OUTPUTS_MAX, MEASURES_OF_A_CHANGE_MAX};
use crate::transform::fault::{Fault, Reason};
use crate::transform::json;
use crate::transform::words::one_line;
use crate::transform::world::aggregate::rowmill::transform::windows;
use crate::transform::world::rowmill::transform::types;
use crate::transform::{Outcome, Output, Target};

/// Longest name of an index that Elasticsearch takes.
const INDEX_BYTES_MAX: usize = 255;
/// Longest name of a topic that Kafka takes.
const TOPIC_BYTES_MAX: usize = 249;

/// What one call gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Gathered {
    /// One for each change, in order.
    pub outcomes: Vec<Outcome>,
    /// How many of them are errors because an output cannot be used (and not because the guest rejected the change).
    pub unusable: u64,
}

/// The outcome of each of `changes` changes. An output for a change that was not in the batch says nothing about which
/// change is to blame: then there is none.
pub fn gather(changes: usize, outputs: Vec<types::Output>) -> Result<Gathered, Fault> {
    if outputs.len() > GUEST_OUTPUTS_MAX {
        let message = format!("the guest returned {} outputs for one call: {GUEST_OUTPUTS_MAX} are allowed", outputs.len());
        return Err(Fault::new(Reason::Output, message));
    }
    let mut outcomes: Vec<Outcome> = vec![Ok(Vec::new()); changes];
    let mut unusable = 0;
    for output in outputs {
        let outcome = outcomes.get_mut(output.change as usize).ok_or_else(|| foreign(output.change, changes))?;
        // The first reason stays: a change with one bad output has none.
        let Ok(kept) = outcome else { continue };
        match output.action {
            types::Action::Reject(reason) => *outcome = Err(rejection(&reason)),
            action => match checked(action) {
                Ok(output) => {
                    // Nearly all have one: a vector grows to four at once, and these are kept until the sink has answered.
                    kept.reserve_exact(usize::from(kept.is_empty()));
                    kept.extend(output);
                }
                Err(reason) => {
                    unusable += 1;
                    *outcome = Err(format!("the guest returned {reason}"));
                }
            },
        }
    }
    Ok(Gathered { outcomes, unusable })
}

/// The measures of each of `changes` changes.
pub fn gather_measures(changes: usize, measurements: Vec<windows::Measurement>) -> Result<Gathered, Fault> {
    if measurements.len() > GUEST_OUTPUTS_MAX {
        let message = format!("the guest returned {} measurements for one call: {GUEST_OUTPUTS_MAX} are allowed", measurements.len());
        return Err(Fault::new(Reason::Output, message));
    }
    let mut outcomes: Vec<Outcome> = vec![Ok(Vec::new()); changes];
    let mut unusable = 0;
    for windows::Measurement { change, measured } in measurements {
        let outcome = outcomes.get_mut(change as usize).ok_or_else(|| foreign(change, changes))?;
        let Ok(kept) = outcome else { continue };
        match measured {
            windows::Measured::Reject(reason) => *outcome = Err(rejection(&reason)),
            windows::Measured::Counts(measure) => match checked_measure(measure, kept.len()) {
                Ok(measure) => kept.push(Output::Measure(measure)),
                Err(reason) => {
                    unusable += 1;
                    *outcome = Err(format!("the guest returned a measure that cannot be used: {reason}"));
                }
            },
        }
    }
    Ok(Gathered { outcomes, unusable })
}

fn checked_measure(measure: windows::Measure, before: usize) -> Result<Measure, String> {
    if before >= MEASURES_OF_A_CHANGE_MAX {
        return Err(format!("a change may come to {MEASURES_OF_A_CHANGE_MAX}"));
    }
    fields::check_key(&measure.key)?;
    let weight = fields::weight_of_float(measure.weight).ok_or_else(|| format!("its weight is {}", measure.weight))?;
    let distinct = measure.distinct.as_deref().map(Measure::hash_of);
    Ok(Measure { key: measure.key.into(), time_ms: measure.time_ms, weight, distinct })
}

/// Whether each document of a change has an id: of its own or, by default, the row's key.
pub fn check_ids(change: &Change, outputs: &[Output]) -> Result<(), String> {
    for output in outputs {
        let (Output::Index { target, .. } | Output::Delete { target }) = output else { continue };
        let id = target.id.as_ref().or(change.key.as_ref().map(|key| &key.id));
        let Some(id) = id else {
            return Err(format!("table {} has no key: give it a primary key, or a transform that names each document's id", change.table));
        };
        if id.is_empty() {
            return Err("the document's id is empty".to_owned());
        }
        if id.len() > DOCUMENT_ID_BYTES_MAX {
            return Err(format!("the document's id has {} bytes, and search servers take {DOCUMENT_ID_BYTES_MAX}", id.len()));
        }
    }
    Ok(())
}

fn foreign(change: u32, changes: usize) -> Fault {
    Fault::new(Reason::Output, format!("the guest returned an output for change {change} of a batch of {changes}, counted from 0"))
}

fn checked(action: types::Action) -> Result<Option<Output>, String> {
    let output = match action {
        types::Action::Index(document) => {
            let target = target(document.id, document.index, document.routing)?;
            Output::Index { target, body: json::object(document.body)? }
        }
        types::Action::Delete(document) => Output::Delete { target: target(document.id, document.index, document.routing)? },
        types::Action::Emit(message) => {
            within("a topic", &message.topic, TOPIC_BYTES_MAX)?;
            Output::Emit { topic: message.topic, key: message.key, body: json::any("a message", message.body)? }
        }
        types::Action::Reject(_) => return Ok(None),
    };
    Ok(Some(output))
}

fn rejection(reason: &str) -> String {
    let reason = one_line(reason, GUEST_LAST_WORDS_BYTES_MAX);
    if reason.is_empty() { "the guest rejected the change and gave no reason".to_owned() } else { reason }
}

fn target(id: Option<String>, index: Option<String>, routing: Option<String>) -> Result<Target, String> {
    if let Some(id) = &id {
        within("an id", id, DOCUMENT_ID_BYTES_MAX)?;
    }
    if let Some(routing) = &routing {
        within("a routing", routing, DOCUMENT_ID_BYTES_MAX)?;
    }
    if let Some(index) = &index {
        within("an index name", index, INDEX_BYTES_MAX)?;
        if let Some(wrong) = wrong_in_index(index) {
            return Err(format!("an index name that {wrong}"));
        }
    }
    Ok(Target { id: id.map(ByteString::from), index: index.map(ByteString::from), routing: routing.map(ByteString::from) })
}

fn within(what: &str, text: &str, bytes_max: usize) -> Result<(), String> {
    let fits = (1..=bytes_max).contains(&text.len());
    fits.then_some(()).ok_or_else(|| format!("{what} of {} bytes: 1 to {bytes_max} are allowed", text.len()))
}

/// Elasticsearch's rules, which hold for every sink: a transform need not know where its documents go.
fn wrong_in_index(index: &str) -> Option<&'static str> {
    if index == "." || index == ".." {
        return Some("is a path");
    }
    if index.starts_with(['_', '-', '+']) {
        return Some("begins with `_`, `-` or `+`");
    }
    let forbidden =
        |c: char| c.is_control() || c.is_whitespace() || matches!(c, '\\' | '/' | '*' | '?' | '"' | '<' | '>' | '|' | ',' | '#' | ':');
    if index.contains(forbidden) {
        return Some("holds a space or one of `\\ / * ? \" < > | , # :`");
    }
    index.contains(char::is_uppercase).then_some("holds a capital letter")
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::gather;
    use crate::transform::fault::Fault;
    use crate::transform::world::rowmill::transform::types::{Action, Document, DocumentRef, Message, Output};

    fn index(id: Option<&str>, index: Option<&str>, body: &str) -> Action {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Action::Index(Document { id: text(id), index: text(index), routing: None, body: body.to_owned() })
    }

    fn check(action: Action, expected: Expect) {
        let gathered = gather(1, vec![Output { change: 0, action }]).unwrap();
        let shown = match &gathered.outcomes[0] {
            Ok(outputs) => format!("{outputs:?}"),
            Err(reason) => format!("{} unusable: {reason}", gathered.unusable),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn documents_are_checked() {
        check(
            index(Some("7"), Some("shop-1"), "{\"a\":[1.50,\"x\"]}"),
            expect![[r#"[Index { target: Target { id: Some("7"), index: Some("shop-1"), routing: None }, body: {"a":[1.50,"x"]} }]"#]],
        );
        check(
            index(None, None, " {\n  \"a\": 1\r\n}"),
            expect![[r#"[Index { target: Target { id: None, index: None, routing: None }, body:  {   "a": 1  } }]"#]],
        );
        check(
            index(None, None, "{\"a\":1,}"),
            expect!["1 unusable: the guest returned a document that is not valid JSON: key must be a string at line 1 column 8"],
        );
        check(
            index(None, None, "{\"a\":1} {}"),
            expect!["1 unusable: the guest returned a document that is not valid JSON: trailing characters at line 1 column 9"],
        );
        check(index(None, None, "[1]"), expect!["1 unusable: the guest returned a document that is not a JSON object"]);
        check(index(None, None, ""), expect!["1 unusable: the guest returned a document that is not a JSON object"]);
        check(index(Some(""), None, "{}"), expect!["1 unusable: the guest returned an id of 0 bytes: 1 to 512 are allowed"]);
        check(
            index(Some(&"x".repeat(513)), None, "{}"),
            expect!["1 unusable: the guest returned an id of 513 bytes: 1 to 512 are allowed"],
        );
        check(index(None, Some("Shop"), "{}"), expect!["1 unusable: the guest returned an index name that holds a capital letter"]);
        check(
            index(None, Some("../shop"), "{}"),
            expect![[r#"1 unusable: the guest returned an index name that holds a space or one of `\ / * ? " < > | , # :`"#]],
        );
        check(index(None, Some("_all"), "{}"), expect!["1 unusable: the guest returned an index name that begins with `_`, `-` or `+`"]);
        check(index(None, Some(".."), "{}"), expect!["1 unusable: the guest returned an index name that is a path"]);
    }

    #[test]
    fn only_what_others_can_read_is_passed_on() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        let wide = format!("{{\"a\":[{}[]],\"b\":\"\\\"{}\"}}", "[],".repeat(200), "[".repeat(200));
        for (body, accepted) in [(nested(127), true), (nested(128), false), (wide, true)] {
            let gathered = gather(1, vec![Output { change: 0, action: index(None, None, &body) }]).unwrap();
            assert_eq!(gathered.outcomes[0].is_ok(), accepted, "{body}");
        }
    }

    #[test]
    fn the_other_actions_are_checked() {
        let emit = |topic: &str, body: &str| Action::Emit(Message { topic: topic.into(), key: None, body: body.into() });
        check(emit("alerts", "[1]"), expect![[r#"[Emit { topic: "alerts", key: None, body: [1] }]"#]]);
        check(emit("", "1"), expect!["1 unusable: the guest returned a topic of 0 bytes: 1 to 249 are allowed"]);
        check(
            emit("alerts", "nope"),
            expect!["1 unusable: the guest returned a message that is not valid JSON: expected ident at line 1 column 2"],
        );
        check(
            Action::Delete(DocumentRef { id: Some("7".into()), index: None, routing: Some("a".into()) }),
            expect![[r#"[Delete { target: Target { id: Some("7"), index: None, routing: Some("a") } }]"#]],
        );
        check(Action::Reject("no\nprice".into()), expect!["0 unusable: no price"]);
        check(Action::Reject(String::new()), expect!["0 unusable: the guest rejected the change and gave no reason"]);
    }

    #[test]
    fn outputs_go_to_their_changes_and_a_bad_one_harms_its_own_only() {
        let output = |change, body| Output { change, action: index(None, None, body) };
        let gathered = gather(3, vec![output(2, "{}"), output(0, "{}"), output(2, "oops"), output(2, "{}"), output(0, "{}")]).unwrap();
        let counts: Vec<_> = gathered.outcomes.iter().map(|outcome| outcome.as_ref().map(Vec::len).ok()).collect();
        assert_eq!((counts, gathered.unusable), (vec![Some(2), Some(0), None], 1));
    }

    #[test]
    fn outputs_that_cannot_be_told_apart_fail_the_call() {
        let fault = |outputs| gather(2, outputs).map_err(|fault: Fault| fault.to_string()).unwrap_err();
        let many = (0..100_001).map(|_| Output { change: 0, action: Action::Reject(String::new()) }).collect();
        expect!["the guest returned 100001 outputs for one call: 100000 are allowed"].assert_eq(&fault(many));
        let foreign = vec![Output { change: 2, action: Action::Reject(String::new()) }];
        expect!["the guest returned an output for change 2 of a batch of 2, counted from 0"].assert_eq(&fault(foreign));
    }
}
