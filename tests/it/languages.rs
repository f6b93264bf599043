//! `rowmill test` and `rowmill new`, as far as they need nothing but Rust.

use std::fs;

use crate::support::{module, output, repository, rowmill, succeed};

/// The modules of this repository with the folders of their events, their configurations and what else their test is told.
const MODULES: &[(&str, &str, &str, &[&str])] = &[
    ("product_search", "product-search", r#"{"currency":"CHF"}"#, &[]),
    ("order_status", "order-status", "{}", &[]),
    ("product_variants", "product-variants", r#"{"sold_out_topic":"sold-out"}"#, &[]),
    ("trending", "trending", r#"{"ignore":["for"]}"#, &["--format", "json", "--window", "5m"]),
];

#[test]
fn events_become_what_is_expected() {
    for (name, folder, config, more) in MODULES {
        let events = repository("transforms").join(folder).join("events");
        let mut test = rowmill();
        test.args(["test", &module(name), "--config", config]).args(*more).arg("--events").arg(events.join("events.jsonl"));
        assert_eq!(succeed(test.arg("--expect").arg(events.join("expected.jsonl"))), "", "{name}");
    }
}

#[test]
fn what_comes_out_otherwise_is_shown_by_event_and_field() {
    let dir = tempfile::tempdir().unwrap();
    let events = repository("transforms/order-status/events");
    let expected = dir.path().join("expected.jsonl");
    let text = fs::read_to_string(events.join("expected.jsonl")).unwrap();
    fs::write(&expected, text.replacen(r#""status":"paid""#, r#""status":"owed""#, 1)).unwrap();
    let test = |last: &str| {
        let mut test = rowmill();
        test.args(["test", &module("order_status"), "--events"]).arg(events.join("events.jsonl")).arg("--expect").arg(&expected);
        output(test.args(Some(last).filter(|last| !last.is_empty())))
    };
    let differing = test("");
    assert_eq!(differing.status.code(), Some(1));
    let shown = String::from_utf8_lossy(&differing.stdout).into_owned();
    assert!(shown.contains("  - body.status: \"owed\"\n  + body.status: \"paid\"\n"), "{shown}");
    assert_eq!(test("--update").status.code(), Some(0));
    assert_eq!(test("").status.code(), Some(0));
    assert_eq!(fs::read_to_string(&expected).unwrap(), text);
}

#[test]
fn events_of_kcat_are_read_too() {
    let mut test = rowmill();
    test.args(["test", &module("product_search"), "--events"]).arg(repository("tests/events/envelope_plain.jsonl"));
    let lines = succeed(&mut test);
    assert!(lines.contains(r#""action":"index","id":"#), "{lines}");
}

#[test]
fn a_panic_is_told_with_the_functions_it_was_in() {
    let dir = tempfile::tempdir().unwrap();
    let events = dir.path().join("events.jsonl");
    fs::write(&events, "{\"key\":{\"id\":1},\"value\":{\"id\":1,\"mode\":\"panic\",\"__lsn\":5}}\n").unwrap();
    let told = output(rowmill().args(["test", &module("hostile"), "--events"]).arg(&events));
    let (lines, log) = (String::from_utf8_lossy(&told.stdout).into_owned(), String::from_utf8_lossy(&told.stderr).into_owned());
    assert!(lines.contains(r#""action":"reject","reason":"the guest trapped"#), "{lines}");
    assert!(log.contains("\n    in hostile::"), "{log}");
}

#[test]
fn what_cannot_be_tested_says_what_to_do() {
    let events = repository("transforms/order-status/events/events.jsonl");
    let told = |module: &str, more: &[&str]| {
        let failed = output(rowmill().args(["test", module, "--events"]).arg(&events).args(more));
        (failed.status.code(), String::from_utf8_lossy(&failed.stderr).lines().last().unwrap_or_default().to_owned())
    };
    let (code, said) = told("/nowhere.wasm", &[]);
    assert_eq!((code, said.contains("cannot be read")), (Some(1), true), "{said}");
    let (code, said) = told(&module("order_status"), &["--config", "{\"drip\":[]}"]);
    assert_eq!((code, said.contains("setting `drip`: unknown field")), (Some(1), true), "{said}");
    let (code, said) = told(&module("order_status"), &["--expect", "/nowhere.jsonl"]);
    assert_eq!((code, said.contains("write it with --update")), (Some(2), true), "{said}");
}

#[test]
fn a_new_folder_is_never_written_over_another() {
    let dir = tempfile::tempdir().unwrap();
    let told = |name: &str| {
        let failed = output(rowmill().args(["new", "--lang", "rust"]).arg(dir.path().join(name)));
        (failed.status.code(), String::from_utf8_lossy(&failed.stderr).into_owned())
    };
    fs::create_dir(dir.path().join("there")).unwrap();
    assert!(matches!(told("there"), (Some(2), said) if said.contains("is there already")));
    assert!(matches!(told("Products"), (Some(2), said) if said.contains("small letters")));
    assert_eq!(fs::read_dir(dir.path().join("there")).unwrap().count(), 0);
}
