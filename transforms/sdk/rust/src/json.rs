//! Reads JSON text, and says in a sentence what was wrong with which field.

use crate::error::{Error, reject};
use serde::Deserialize;

/// Parses `text`; an error names the field (`kind` says what to call it: column, setting) and what is wrong with it.
///
/// The name is searched only after a failure, so that the good case pays nothing for it.
pub(crate) fn parse<'a, T: Deserialize<'a>>(text: &'a str, kind: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| explain(text, kind, &error))
}

// Not generic: one copy in the module, however many types are parsed.
fn explain(text: &str, kind: &str, error: &serde_json::Error) -> Error {
    let words = error.to_string();
    let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
    let (field, outside) = field_at(text.as_bytes(), offset(text, error.line(), error.column()));
    match field {
        // What is missing from the object itself is not in its last field.
        Some(field) if !(outside && words.starts_with("missing field")) => reject(format!("{kind} `{field}`: {words}")),
        _ => reject(words),
    }
}

fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    before + column
}

/// The field of the outermost object that the parser was in when it had read `offset` bytes, and whether it had come to the
/// end of that object.
fn field_at(text: &[u8], offset: usize) -> (Option<String>, bool) {
    let (mut depth, mut field, mut string) = (0_usize, None, None);
    let mut escaped = false;
    for (at, &byte) in text.iter().enumerate().take(offset) {
        if let Some(start) = string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    string = None;
                    if depth == 1 && field.is_none() {
                        field = text.get(start..at);
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => string = Some(at + 1),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            // The parser may already have read the comma after the value it complains of.
            b',' if depth == 1 && at + 1 < offset => field = None,
            _ => {}
        }
    }
    (field.map(|name| String::from_utf8_lossy(name).into_owned()), depth == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Decimal;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Row {
        id: u64,
        name: String,
        price: Option<Price>,
    }

    #[derive(Deserialize, Debug)]
    #[expect(dead_code, reason = "only parsed")]
    struct Price {
        amount: u64,
    }

    #[derive(Deserialize, Debug)]
    #[expect(dead_code, reason = "only parsed")]
    struct Amounts<'a> {
        #[serde(borrow)]
        a: Decimal<'a>,
        #[serde(borrow)]
        b: Decimal<'a>,
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(parse::<Row>(text, "column").unwrap_err().reason(), expected, "{text}");
    }

    #[test]
    fn names_the_field() {
        check(r#"{"id":"x","name":"a"}"#, "column `id`: invalid type: string \"x\", expected u64");
        check(r#"{"id": 1.5,"name":"a"}"#, "column `id`: invalid type: floating point `1.5`, expected u64");
        check(r#"{"id": -1 ,"name":"a"}"#, "column `id`: invalid value: integer `-1`, expected u64");
        check("{\n \"id\": 1,\n \"name\": 5\n}", "column `name`: invalid type: integer `5`, expected a string");
        check(r#"{"id":1,"name":null}"#, "column `name`: invalid type: null, expected a string");
        check(r#"{"name":"a\"},{","id":[1]}"#, "column `id`: invalid type: sequence, expected u64");
        check(r#"{"id":1,"name":"a","price":{"x":1}}"#, "column `price`: missing field `amount`");
    }

    #[test]
    fn names_the_field_whose_type_complains() {
        let check = |text: &str, name: &str| {
            let reason = parse::<Amounts>(text, "column").unwrap_err().into_reason();
            assert_eq!(reason, format!("column `{name}`: `NaN` is not a decimal number"), "{text}");
        };
        check(r#"{"a":1,"b":"NaN"}"#, "b");
        check(r#"{"a":1,"b":"NaN" } "#, "b");
        check(r#"{"a":"NaN","b":1}"#, "a");
        check(r#"{"a":"NaN" , "b":1}"#, "a");
    }

    #[test]
    fn names_nothing_twice() {
        check(r#"{"id":1}"#, "missing field `name`");
        check(r#"{"id":1,"price":{"amount":1}}"#, "missing field `name`");
        check("[]", "invalid length 0, expected struct Row with 3 elements");
        check("", "EOF while parsing a value");
    }

    #[test]
    fn an_unknown_field_is_named() {
        let reason = parse::<Row>(r#"{"id":1,"colour":2}"#, "column").unwrap_err().into_reason();
        assert_eq!(reason, "column `colour`: unknown field `colour`, expected one of `id`, `name`, `price`");
    }
}
