//! Transforms in every language, built with its own tools: the same events give the same documents, and a new folder works as it is.
//!
//! `make languages` builds the modules, and what tools it needs it keeps in `~/.cache/rowmill`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{module, output, repository, rowmill, succeed};

/// What `make languages` builds: name, folder, configuration and what else `rowmill test` is told.
const MODULES: &[(&str, &str, &str, &[&str])] = &[
    ("product_search", "product-search", r#"{"currency":"CHF"}"#, &[]),
    ("trending", "trending", r#"{"ignore":["for"]}"#, &["--format", "json", "--window", "5m"]),
];

#[test]
fn one_module_does_the_same_in_every_language() {
    for (name, folder, config, more) in MODULES {
        let events = repository("transforms").join(folder).join("events");
        for lang in ["go", "js", "ts", "python", "c", "zig"] {
            let mut test = rowmill();
            test.args(["test", &module(&format!("{name}_{lang}")), "--config", config]).args(*more);
            test.arg("--events").arg(events.join("events.jsonl")).arg("--expect").arg(events.join("expected.jsonl"));
            assert_eq!(succeed(&mut test), "", "{name} in {lang}");
        }
    }
}

/// A collection reads the clock, which a component must not do while the host writes its arguments: it would trap, and the batch would be
/// played again change by change. Full batches of long rows leave garbage enough for many collections. Two things keep them away, memory for
/// arguments that is not Go's and a collector that works within the call only; either will do, and this fails when both are gone.
#[test]
fn the_collector_of_go_keeps_to_its_calls() {
    let dir = tempfile::tempdir().unwrap();
    let text = "many words ".repeat(10_000);
    let lines = (1..=400).map(|id| format!("{{\"key\":{{\"id\":{id}}},\"value\":{{\"id\":{id},\"description\":\"{text}\"}}}}\n"));
    fs::write(dir.path().join("rows.jsonl"), lines.collect::<String>()).unwrap();
    let config = format!(
        "[server]\nlisten = \"off\"\n[state]\ndir = \"state\"\n[pipelines.p.source.file]\npath = \"rows.jsonl\"\nformat = \"debezium\"\n\
         [pipelines.p.source.decode]\nformat = \"json\"\n[pipelines.p.transform]\nmodule = \"{}\"\ntimeout = \"60s\"\n[pipelines.p.sink.file]\npath = \"out.jsonl\"\n",
        module("product_search_go")
    );
    fs::write(dir.path().join("rowmill.toml"), config).unwrap();
    let run = output(rowmill().args(["run", "--until-caught-up"]).arg(dir.path().join("rowmill.toml")));
    assert!(run.status.success() && !String::from_utf8_lossy(&run.stderr).contains("the guest"));
    assert_eq!(fs::read_to_string(dir.path().join("out.jsonl")).unwrap().lines().count(), 400);
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
fn a_new_folder_in_go_works() {
    try_new("go", "transform.go");
}

#[test]
fn a_new_folder_in_javascript_works() {
    try_new("js", "src/transform.js");
}

#[test]
fn a_new_folder_in_typescript_works() {
    try_new("ts", "src/transform.ts");
}

#[test]
fn a_new_folder_in_python_works() {
    try_new("python", "src/transform.py");
}

#[test]
fn a_new_folder_in_c_works() {
    try_new("c", "src/transform.c");
}

#[test]
fn a_new_folder_in_zig_works() {
    try_new("zig", "src/transform.zig");
}
