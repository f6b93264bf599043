//! Transforms in every language: the same events give the same documents, and a new folder works as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{module, output, repository, rowmill, succeed};

/// The modules of this repository with their events and configurations.
const MODULES: &[(&str, &str, &str)] = &[
    ("product_search", "product-search", r#"{"currency":"CHF"}"#),
    ("order_status", "order-status", "{}"),
    ("product_variants", "product-variants", r#"{"sold_out_topic":"sold-out"}"#),
];

#[test]
fn events_become_what_is_expected() {
    for (name, folder, config) in MODULES {
        let events = repository("transforms").join(folder).join("events");
        let mut test = rowmill();
        test.args(["test", &module(name), "--config", config]).arg("--events").arg(events.join("events.jsonl"));
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

/// Where what a new folder needs is kept between runs: outside of the clone, as everything that is built.
fn cache(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository("target"), PathBuf::from);
    target.parent().map_or_else(|| target.join(name), |parent| parent.join(name))
}

/// Makes a folder, runs its `make test`, and breaks its function to see that the test was one.
fn try_new(lang: &str, source: &str) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("my-products");
    succeed(rowmill().args(["new", "--lang", lang]).arg(&folder));
    let make = |goal: &str| output(&mut make(&folder, goal));
    let tested = make("test");
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));
    let path = folder.join(source);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("product_id"), "{source}");
    fs::write(&path, text.replace("product_id", "product_no")).unwrap();
    let broken = make("test");
    let shown = String::from_utf8_lossy(&broken.stdout).into_owned();
    assert!(!broken.status.success() && shown.contains("+ body.product_no: 1"), "{shown}");
}

fn make(folder: &Path, goal: &str) -> Command {
    let mut make = Command::new("make");
    make.args(["--no-print-directory", goal]).current_dir(folder);
    make.env("ROWMILL", env!("CARGO_BIN_EXE_rowmill")).env("CARGO_TARGET_DIR", cache("guests-new")).env("TOOLS", cache("guest-tools"));
    // What this test was built with is not for a guest, nor is the make that runs it.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CC", "CXX"] {
        make.env_remove(name);
    }
    make
}

#[test]
fn a_new_folder_in_rust_works() {
    try_new("rust", "src/lib.rs");
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
