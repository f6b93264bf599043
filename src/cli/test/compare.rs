//! Outputs held against what is expected: which events came out otherwise, and where.

use std::collections::BTreeMap;

use super::json::Json;

/// One text for each event that came out otherwise: `-` is what was expected, `+` what came. Both are lines of outputs; the order of
/// fields, spaces and trailing zeros do not count.
pub fn differences(expected: &str, actual: &[String]) -> Result<Vec<String>, String> {
    let wanted = by_event(expected.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()))?;
    let came = by_event(actual.iter().map(String::as_str).enumerate())?;
    let mut events: Vec<&u64> = wanted.keys().chain(came.keys()).collect();
    events.sort_unstable();
    events.dedup();
    let none = Vec::new();
    let mut differing = Vec::new();
    for event in events {
        let (wanted, came) = (wanted.get(event).unwrap_or(&none), came.get(event).unwrap_or(&none));
        let mut lines = Vec::new();
        for place in 0..wanted.len().max(came.len()) {
            compare("", wanted.get(place), came.get(place), &mut lines);
        }
        if !lines.is_empty() {
            differing.push(format!("event {event}:\n{}", lines.iter().map(|line| format!("  {line}\n")).collect::<String>()));
        }
    }
    Ok(differing)
}

fn by_event<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Result<BTreeMap<u64, Vec<Json>>, String> {
    let mut events: BTreeMap<u64, Vec<Json>> = BTreeMap::new();
    for (number, line) in lines {
        let output = Json::parse(line).map_err(|error| format!("line {} is not JSON: {error}", number + 1))?;
        let event = output.get("event").and_then(|event| event.to_string().parse().ok());
        let event = event.ok_or_else(|| format!("line {} has no number `event`, the line of its event", number + 1))?;
        events.entry(event).or_default().push(output);
    }
    Ok(events)
}

fn compare(path: &str, wanted: Option<&Json>, came: Option<&Json>, lines: &mut Vec<String>) {
    let place = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (wanted, came) {
        (Some(wanted), Some(came)) if wanted == came => {}
        (Some(Json::Object(wanted)), Some(Json::Object(came))) if !path.is_empty() || wanted.get("action") == came.get("action") => {
            let mut names: Vec<&String> = wanted.keys().chain(came.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                compare(&place(name), wanted.get(name), came.get(name), lines);
            }
        }
        (Some(Json::Array(wanted)), Some(Json::Array(came))) if wanted.len() == came.len() => {
            for (number, (wanted, came)) in wanted.iter().zip(came).enumerate() {
                compare(&place(&number.to_string()), Some(wanted), Some(came), lines);
            }
        }
        (wanted, came) => {
            let label = if path.is_empty() { String::new() } else { format!("{path}: ") };
            lines.extend(wanted.map(|wanted| format!("- {label}{wanted}")));
            lines.extend(came.map(|came| format!("+ {label}{came}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::differences;

    fn check(expected: &str, actual: &[&str], diff: Expect) {
        let actual: Vec<String> = actual.iter().map(|line| (*line).to_owned()).collect();
        diff.assert_eq(&differences(expected, &actual).map_or_else(|wrong| wrong, |differing| differing.concat()));
    }

    #[test]
    fn what_is_the_same_in_other_words_is_the_same() {
        check(
            "{\"event\":1,\"action\":\"index\",\"body\":{\"a\":1.50,\"b\":[]}}\n\n",
            &[r#"{"action":"index","event":1,"body":{ "b":[ ], "a":1.5 }}"#],
            expect![""],
        );
    }

    #[test]
    fn what_differs_is_named_by_event_and_path() {
        check(
            "{\"event\":1,\"action\":\"index\",\"body\":{\"price\":{\"amount\":49.90},\"tags\":[\"a\",\"b\"],\"gone\":1}}\n\
             {\"event\":2,\"action\":\"index\",\"body\":{}}\n{\"event\":3,\"action\":\"index\",\"body\":{}}\n",
            &[
                r#"{"event":1,"action":"index","body":{"price":{"amount":49.95},"tags":["a","c"],"new":null}}"#,
                r#"{"event":2,"action":"reject","reason":"no"}"#,
                r#"{"event":4,"action":"index","body":{}}"#,
            ],
            expect![[r#"
                event 1:
                  - body.gone: 1
                  + body.new: null
                  - body.price.amount: 49.90
                  + body.price.amount: 49.95
                  - body.tags.1: "b"
                  + body.tags.1: "c"
                event 2:
                  - {"action":"index","body":{},"event":2}
                  + {"action":"reject","event":2,"reason":"no"}
                event 3:
                  - {"action":"index","body":{},"event":3}
                event 4:
                  + {"action":"index","body":{},"event":4}
            "#]],
        );
    }

    #[test]
    fn a_file_that_holds_something_else_is_refused() {
        check("oops\n", &[], expect!["line 1 is not JSON: expected value at line 1 column 1"]);
        check("{\"event\":1}\n{\"a\":1}\n", &[], expect!["line 2 has no number `event`, the line of its event"]);
    }
}
