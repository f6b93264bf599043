//! The reading of one table, mistake by mistake.

use std::fmt::Write as _;
use std::time::Duration;

use expect_test::{Expect, expect};

use super::{Section, Source};

fn problems(text: &str, read: impl Fn(&Section<'_>)) -> String {
    let environment = |name: &str| match name {
        "TOKEN" => Some("geheim".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let source = Source::new(text, "/nowhere", &environment);
    let document = toml_edit::Document::parse(text).unwrap();
    read(&Section::root(&source, document.as_table()));
    source.problems().iter().fold(String::new(), |mut all, problem| {
        writeln!(all, "{problem}").unwrap();
        all
    })
}

fn check(text: &str, read: impl Fn(&Section<'_>), expected: Expect) {
    expected.assert_eq(&problems(text, read));
}

#[test]
fn unknown_keys_are_named_with_the_nearest_known_one() {
    check(
        "usr = 'a'\n[wholly.different]\nx = 1\n[tls]\ncaa = 'x'\n",
        |section| {
            section.string("user");
            section.section("tls").string("ca");
        },
        expect![[r#"
            line 1: usr is not a known key: did you mean `user`?
            line 2: wholly is not a known key: remove it
            line 5: tls.caa is not a known key: did you mean `ca`?
        "#]],
    );
}

#[test]
fn every_mistake_is_one_problem_at_its_own_line() {
    check(
        "a = 1\nb = 'env:UNSET'\nc = 'soon'\nd = [\n  'x',\n  7,\n  'env:UNSET',\n]\ne = 0\nf = 'big'\ng = 'grey'\nh = 'yes'\ni = 'env:UNSET'\nj = []\n",
        |section| {
            section.string("a");
            section.string("b");
            section.duration("c", Duration::ZERO);
            assert_eq!(section.strings("d"), Some(vec!["x".to_owned()]));
            assert_eq!(section.integer("e", 5, 1..10), 5);
            section.size("f", 1);
            section.choice("g", 1, &[("black", 1), ("white", 2)]);
            assert!(section.boolean("h", true));
            section.duration("i", Duration::ZERO);
            section.section("j");
        },
        expect![[r#"
            line 1: a must be a text
            line 2: b: the environment variable UNSET is not set: set it before starting
            line 3: c must be a duration, such as "250ms", "30s" or "7d"
            line 6: d must be a list of texts, such as ["a", "b"]
            line 7: d: the environment variable UNSET is not set: set it before starting
            line 9: e must be a whole number from 1 to 9
            line 10: f must be a size, such as "512KiB" or "8MiB"
            line 11: g must be one of "black", "white"
            line 12: h must be true or false
            line 13: i: the environment variable UNSET is not set: set it before starting
            line 14: j is a table: write [j]
        "#]],
    );
}

#[test]
fn secrets_come_by_reference_and_are_never_shown() {
    check(
        "plain = 'hunter2'\nempty = 'env:EMPTY'\nlost = 'file:not-there'\ngood = 'env:TOKEN'\n",
        |section| {
            assert_eq!(section.secret("plain"), None);
            assert_eq!(section.secret("empty"), None);
            assert_eq!(section.secret("lost"), None);
            let secret = section.secret("good").unwrap();
            assert_eq!((secret.reveal(), format!("{secret:?}").as_str()), ("geheim", "[redacted]"));
        },
        expect![[r#"
            line 1: plain is a secret: write "env:NAME" or "file:PATH" instead of the secret itself
            line 2: empty is empty: what env:EMPTY names holds no text
            line 3: lost: cannot read /nowhere/not-there: No such file or directory (os error 2)
        "#]],
    );
}

#[test]
fn json_is_taken_as_it_stands_with_references_resolved() {
    check(
        "[config]\nname = 'env:TOKEN'\nlist = [1, 2.5, true, { a = 'b' }]\nwhen = 2026-01-24\nodd = nan\nlost = ['env:UNSET']\n[good]\nname = 'env:TOKEN'\n[[good.list]]\nn = 1\n",
        |section| {
            assert_eq!(section.json("config"), None);
            assert_eq!(section.json("good"), Some(serde_json::json!({"name": "geheim", "list": [{"n": 1}]})));
        },
        expect![[r#"
            line 4: config.when: JSON has no dates: write it as a text
            line 5: config.odd: JSON has no word for this number: write it as a text
            line 6: config.lost: the environment variable UNSET is not set: set it before starting
        "#]],
    );
}

#[test]
fn keys_refused_with_a_reason_are_not_called_unknown() {
    check(
        "[sink.redis]\nurl = 'x'\n[sink.file]\npath = '-'\n",
        |section| {
            let sink = section.section("sink");
            sink.refuse(&["redis", "kafka"], "is not built yet in this version");
            sink.section("file").string("path");
        },
        expect![[r#"
            line 1: sink.redis is not built yet in this version
        "#]],
    );
}
