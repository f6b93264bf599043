//! Any text is a plan, or a list of problems with their lines.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::sample::{Index, select};

use crate::config::{known_keys, parse};

/// What stands where a value should.
const VALUES: &[&str] = &[
    "0",
    "-1",
    "9223372036854775807",
    "1e400",
    "nan",
    "true",
    "''",
    "'x'",
    "\"\\u0000\"",
    "\"1GiB\"",
    "\"18446744073709551615GiB\"",
    "\"1ns\"",
    "\"9999999999999999999y\"",
    "\"env:TOKEN\"",
    "\"env:NOT_THERE\"",
    "\"file:/dev/null/x\"",
    "\"http://[::1\"",
    "\"http://u:geheim@h:1\"",
    "[]",
    "[[]]",
    "[1, 'a']",
    "['http://a:1', 'http://b:2']",
    "{}",
    "{ a = { b = 1 } }",
    "1979-05-27T07:32:00Z",
    "0x7fffffff",
    "\"{topic}-{schema}\"",
    "'''",
    "\"",
];

fn any_line() -> impl Strategy<Value = String> {
    let keys: Vec<String> = known_keys();
    let tables: Vec<String> = keys.iter().filter_map(|key| Some(key.rsplit_once('.')?.0.to_owned())).collect();
    prop_oneof![
        1 => (select(tables), select(&["p", "q", "\"\"", "a.b", "\"ä b\""][..])).prop_map(|(table, name)| format!("[{}]", table.replace("<name>", name))),
        3 => (select(keys), select(VALUES)).prop_map(|(key, value)| format!("{} = {value}", key.rsplit('.').next().unwrap_or_default())),
        1 => "\\PC{0,12}",
    ]
}

fn is_a_plan_or_problems(text: &str) {
    let environment = |name: &str| (name == "TOKEN").then(|| "geheim".to_owned());
    let said = |text| match parse(text, Path::new("/etc/rowmill"), &environment) {
        Ok(plan) => format!("{plan:?}"),
        Err(problems) => {
            assert!(!problems.is_empty());
            let lines = text.lines().count().max(1) + 1;
            problems.iter().for_each(|problem| assert!((1..=lines).contains(&problem.line) && !problem.message.is_empty(), "{problem:?}"));
            format!("{problems:?}")
        }
    };
    let first = said(text);
    // Any text may be taken from the environment; only what is a secret is kept as one.
    let is_secret = |line: &str| ["token", "password", "api_key"].iter().any(|key| line.starts_with(key));
    let is_kept = text.lines().all(|line| !line.contains("env:TOKEN") || is_secret(line)) && !text.contains("geheim");
    assert!(!is_kept || !first.contains("geheim"), "a secret is told: {first}");
    assert_eq!(first, said(text));
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_plan_or_problems(text in "\\PC{0,40}|[\\[\\]{}=\"'.,#\n a-c0-9]{0,60}") {
        is_a_plan_or_problems(&text);
    }

    #[test]
    fn any_lines_are_a_plan_or_problems(lines in vec(any_line(), 0..12)) {
        is_a_plan_or_problems(&lines.join("\n"));
    }

    #[test]
    fn a_damaged_file_is_a_plan_or_problems(lines in vec((any::<Index>(), any_line()), 0..4), cut in any::<Index>(), is_cut in 0..4_u8) {
        let good = include_str!("../../../examples/product-search/rowmill.toml");
        let mut all: Vec<String> = good.lines().map(str::to_owned).collect();
        for (at, line) in lines {
            let place = at.index(all.len());
            all[place] = line;
        }
        let mut text = all.join("\n");
        if is_cut == 0 {
            text.truncate(text.floor_char_boundary(cut.index(text.len())));
        }
        is_a_plan_or_problems(&text);
    }
}
