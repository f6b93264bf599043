//! The WASM host against guests that mean harm, and one that works.
//!
//! The modules are built by `make -C transforms`; `ROWMILL_MODULES` says where they are when that is not
//! `transforms/target/modules`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use expect_test::{Expect, expect};
use prometheus::{Encoder, Registry, TextEncoder};
use rowmill::error::{Failure, Kind};
use rowmill::event::{Change, JsonText, Key, Operation, Origin, Version};
use rowmill::metrics::Metrics;
use rowmill::transform::settings::TransformSettings;
use rowmill::transform::{Component, Engine, KeyValues, MemoryStore, Outcome, Output, Ran, Transform, TransformMetrics};
use serde_json::json;

mod contract;
mod store;

/// Long enough for a busy machine, short enough to wait for.
const TIMEOUT: Duration = Duration::from_millis(300);

/// What a guest's store may hold here.
const STORE_BYTES: u64 = 1 << 20;

fn module(name: &str) -> PathBuf {
    let dir = std::env::var_os("ROWMILL_MODULES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("transforms/target/modules"), PathBuf::from);
    let path = dir.join(name).with_extension("wasm");
    assert!(path.exists(), "{} is not there: run `make -C transforms`", path.display());
    path
}

fn settings(name: &str, config: serde_json::Value) -> TransformSettings {
    TransformSettings {
        module: module(name),
        config,
        timeout: TIMEOUT,
        memory_bytes: 64 << 20,
        before: false,
        store_bytes: STORE_BYTES,
        world: None,
    }
}

/// One engine for all tests: compiling takes longer than they do.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(None).unwrap())
}

fn component(name: &str) -> Component {
    static HOSTILE: OnceLock<Component> = OnceLock::new();
    let load = || Component::load(engine(), &settings(name, json!({}))).unwrap();
    if name == "hostile" { HOSTILE.get_or_init(load).clone() } else { load() }
}

/// A transform and what it counts.
struct Host {
    transform: Transform,
    store: MemoryStore,
    registry: Registry,
}

impl Host {
    fn new(name: &str, config: serde_json::Value) -> Result<Self, Failure> {
        Self::with(settings(name, config), name)
    }

    fn with(settings: TransformSettings, name: &str) -> Result<Self, Failure> {
        let registry = Registry::new();
        let metrics = TransformMetrics::declare(&Metrics::new(registry.clone(), "shop"));
        let transform = Transform::start(&component(name), &settings, &metrics)?;
        transform.announce();
        Ok(Self { transform, store: MemoryStore::new(STORE_BYTES), registry })
    }

    fn hostile() -> Self {
        Self::new("hostile", json!({})).unwrap()
    }

    /// The outcomes of rows, as text.
    fn run(&mut self, rows: &[&str]) -> Vec<String> {
        let changes: Vec<Change> = rows.iter().map(|row| change(row)).collect();
        let store: Arc<dyn KeyValues> = Arc::new(self.store.clone());
        let Ran { outcomes, written } = self.transform.run(&changes, &store).unwrap();
        self.store.apply(written);
        outcomes.into_iter().map(shown).collect()
    }

    /// Lines of `/metrics` that are not 0 and begin with `rowmill_guest`; of many, how many.
    fn counted(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("rowmill_guest") && !line.ends_with(" 0")).collect();
        if lines.len() > 3 { format!("{} lines", lines.len()) } else { lines.join("\n") }
    }
}

fn change(row: &str) -> Change {
    Change {
        operation: Operation::Create,
        source: "shop".into(),
        table: "public.products".into(),
        key: Some(Key { id: "1".into(), json: "{\"id\":1}".into() }),
        before: None,
        after: Some(JsonText::from(row)),
        version: Version::new(1, 0),
        ts_ms: 0,
        origin: Origin { topic: "t".into(), partition: 0, offset: 0 },
        moved: None,
    }
}

fn shown(outcome: Outcome) -> String {
    let outputs = match outcome {
        Ok(outputs) => outputs,
        Err(reason) => return format!("error: {reason}"),
    };
    let shown = outputs.iter().map(|output| match output {
        Output::Index { body, .. } => format!("index {}", &**body),
        Output::Delete { .. } => "delete".to_owned(),
        Output::Emit { topic, .. } => format!("emit to {topic}"),
        Output::Measure(measure) => format!("measure of {}", measure.key),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// What becomes of a row in `mode` (and how many of it) between two good ones, and what is counted of it.
fn check(mode: &str, expected: Expect) {
    let mut host = Host::hostile();
    let (mode, count) = mode.split_once(' ').unwrap_or((mode, "null"));
    let bad = format!("{{\"id\":2,\"mode\":\"{mode}\",\"count\":{count}}}");
    let outcomes = host.run(&["{\"id\":1}", &bad, "{\"id\":3}"]);
    assert_eq!((outcomes[0].as_str(), outcomes[2].as_str()), ("index {\"id\":1}", "index {\"id\":3}"), "{mode}");
    let outcome: String = outcomes[1].chars().take(120).collect();
    expected.assert_eq(&format!("{outcome}\n{}", host.counted()));
    assert_eq!(host.run(&["{\"id\":4}"]), ["index {\"id\":4}"], "{mode}");
}

#[test]
fn what_stops_the_guest_costs_its_own_change() {
    check(
        "trap",
        expect![[r#"
        error: the guest trapped: wasm `unreachable` instruction executed
        rowmill_guest_traps_total{pipeline="shop",reason="trap"} 2"#]],
    );
    check(
        "not_in_company",
        expect![[r#"
        index {"id":2,"mode":"not_in_company","count":null}
        rowmill_guest_traps_total{pipeline="shop",reason="trap"} 1"#]],
    );
    check(
        "panic",
        expect![[r#"
            error: the guest trapped: wasm `unreachable` instruction executed: panicked at hostile/src/act.rs:20:24: the row asked f
            rowmill_guest_traps_total{pipeline="shop",reason="trap"} 2"#]],
    );
    check(
        "exit",
        expect![[r#"
        error: the guest trapped: it called exit(0)
        rowmill_guest_traps_total{pipeline="shop",reason="trap"} 2"#]],
    );
    check(
        "recursion",
        expect![[r#"
        error: the guest trapped: call stack exhausted
        rowmill_guest_traps_total{pipeline="shop",reason="trap"} 2"#]],
    );
    check(
        "batch_error",
        expect![[r#"
        error: the guest returned an error: this batch is not for me
        rowmill_guest_traps_total{pipeline="shop",reason="error"} 2"#]],
    );
}

#[test]
fn what_takes_too_much_costs_its_own_change() {
    check(
        "loop",
        expect![[r#"
        error: the guest was not done in 300ms (transform.timeout)
        rowmill_guest_traps_total{pipeline="shop",reason="timeout"} 2"#]],
    );
    check(
        "sleep",
        expect![[r#"
        error: the guest was not done in 300ms (transform.timeout)
        rowmill_guest_traps_total{pipeline="shop",reason="timeout"} 2"#]],
    );
    check(
        "memory",
        expect![[r#"
        error: the guest asked for more memory than 64.0 MiB (transform.memory): memory allocation of 1048576 bytes failed
        rowmill_guest_traps_total{pipeline="shop",reason="memory"} 2"#]],
    );
    check(
        "huge",
        expect![[r#"
        error: the guest asked for more memory than 64.0 MiB (transform.memory): memory allocation of 1073741840 bytes failed
        rowmill_guest_traps_total{pipeline="shop",reason="memory"} 2"#]],
    );
    check(
        "many",
        expect![[r#"
        error: the guest asked for more memory than 64.0 MiB (transform.memory): memory allocation of 54525952 bytes failed
        rowmill_guest_traps_total{pipeline="shop",reason="memory"} 2"#]],
    );
    check(
        "amplify",
        expect![[r#"
        error: the guest passed more than 64.0 MiB in one call
        rowmill_guest_traps_total{pipeline="shop",reason="output"} 2"#]],
    );
}

#[test]
fn answers_that_cannot_be_used_cost_their_own_change() {
    check(
        "deep_json",
        expect![[r#"
        error: the guest returned a document nested deeper than 127 levels
        rowmill_guest_traps_total{pipeline="shop",reason="output"} 1"#]],
    );
    check(
        "invalid_utf8",
        expect![[r#"
        error: the guest trapped: invalid utf-8 sequence of 1 bytes from index 6
        rowmill_guest_traps_total{pipeline="shop",reason="trap"} 2"#]],
    );
    check(
        "bad_json",
        expect![[r#"
        error: the guest returned a document that is not valid JSON: EOF while parsing an object at line 1 column 8
        rowmill_guest_traps_total{pipeline="shop",reason="output"} 1"#]],
    );
    check(
        "not_object",
        expect![[r#"
        error: the guest returned a document that is not a JSON object
        rowmill_guest_traps_total{pipeline="shop",reason="output"} 1"#]],
    );
    check(
        "empty_body",
        expect![[r#"
        error: the guest returned a document that is not a JSON object
        rowmill_guest_traps_total{pipeline="shop",reason="output"} 1"#]],
    );
    check(
        "injection",
        expect![[r#"
        error: the guest returned a document that is not valid JSON: trailing characters at line 2 column 1
        rowmill_guest_traps_total{pipeline="shop",reason="output"} 1"#]],
    );
    check(
        "wrong_change",
        expect![[r#"
        error: the guest returned an output for change 1000000 of a batch of 1, counted from 0
        rowmill_guest_traps_total{pipeline="shop",reason="output"} 2"#]],
    );
    check(
        "long_id",
        expect![[r#"
        error: the guest returned an id of 10240 bytes: 1 to 512 are allowed
        rowmill_guest_traps_total{pipeline="shop",reason="output"} 1"#]],
    );
    check(
        "empty_id",
        expect![[r#"
        error: the guest returned an id of 0 bytes: 1 to 512 are allowed
        rowmill_guest_traps_total{pipeline="shop",reason="output"} 1"#]],
    );
    check(
        "odd_index",
        expect![[r#"
        error: the guest returned an index name that holds a space or one of `\ / * ? " < > | , # :`
        rowmill_guest_traps_total{pipeline="shop",reason="output"} 1"#]],
    );
}

#[test]
fn floods_are_cut_and_the_change_is_used() {
    check(
        "log_flood 5000",
        expect![[r#"
        index {"id":2,"mode":"log_flood","count":5000}
        rowmill_guest_log_lines_dropped_total{pipeline="shop"} 4900"#]],
    );
    check(
        "long_log",
        expect![[r#"
        index {"id":2,"mode":"long_log","count":null}
    "#]],
    );
    check(
        "print_flood 1000",
        expect![[r#"
        index {"id":2,"mode":"print_flood","count":1000}
    "#]],
    );
    check(
        "metric_flood 5000",
        expect![[r#"
        index {"id":2,"mode":"metric_flood","count":5000}
        100 lines"#]],
    );
    check(
        "odd_metrics",
        expect![[r#"
        index {"id":2,"mode":"odd_metrics","count":null}
        rowmill_guest_counter_total{name="overflow",pipeline="shop"} 18446744073709552000
        rowmill_guest_gauge{name="infinite",pipeline="shop"} inf
        rowmill_guest_gauge{name="not_a_number",pipeline="shop"} NaN"#]],
    );
}

#[test]
fn answers_that_are_odd_are_used() {
    check(
        "reject",
        expect![[r#"
        error: the row asked for it
    "#]],
    );
    check(
        "long_reason",
        expect![[r#"
            error: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
        "#]],
    );
    check(
        "newlines",
        expect![[r#"
        index {   "id": 1,    "text": "two\nlines" } 
    "#]],
    );
    check(
        "trap_on_nth 3",
        expect![[r#"
        index {"id":2,"mode":"trap_on_nth","count":3}
    "#]],
    );
    check(
        "same_id",
        expect![[r#"
        index {"id":2,"mode":"same_id","count":null}, index {"id":2,"mode":"same_id","count":null}
    "#]],
    );
    check(
        "odd_id",
        expect![[r#"
        index {"id":2,"mode":"odd_id","count":null}
    "#]],
    );
    check(
        "delete_other",
        expect![[r#"
        delete
    "#]],
    );
    check(
        "emit",
        expect![[r#"
        emit to __consumer_offsets
    "#]],
    );
}

#[test]
fn a_guest_has_nothing_it_was_not_given() {
    // Someone to talk to, and things to see: the guest's host has both.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(std::env::vars().count() > 0);
    check(
        &format!("spy {}", listener.local_addr().unwrap().port()),
        expect![[r#"
        index {"files":[],"variables":0,"arguments":0,"written":false,"network":false,"typed":0,"clock":true}
    "#]],
    );
}

#[test]
fn a_guest_that_does_not_start_says_why() {
    for (mode, expected) in [
        ("init_error", expect!["did not start: init refused the configuration: setting `mode`: this one asks for an error"]),
        ("init_trap", expect!["did not start: the guest trapped: wasm `unreachable` instruction executed"]),
        ("init_loop", expect!["did not start: the guest was not done in 300ms (transform.timeout)"]),
        (
            "init_memory",
            expect![
                "did not start: the guest asked for more memory than 64.0 MiB (transform.memory): memory allocation of 1048576 bytes failed"
            ],
        ),
        ("init_sleep", expect!["did not start: the guest was not done in 300ms (transform.timeout)"]),
        (
            "init_keep",
            expect![
                "did not start: init refused the configuration: store: the store is open while changes are transformed, and not in init"
            ],
        ),
    ] {
        let failure = Host::new("hostile", json!({ "mode": mode })).err().unwrap();
        assert_eq!(failure.kind, Kind::Misconfigured);
        expected.assert_eq(failure.message.split_once("hostile.wasm ").unwrap().1);
    }
}

#[test]
fn an_instance_lives_until_a_fault() {
    let mut host = Host::hostile();
    let count = "{\"mode\":\"count\"}";
    assert_eq!(host.run(&[count]), ["index {\"calls\":1}"]);
    assert_eq!(host.run(&[count]), ["index {\"calls\":2}"]);
    host.run(&["{\"mode\":\"batch_error\"}"]);
    assert_eq!(host.run(&[count]), ["index {\"calls\":3}"]);
    host.run(&["{\"mode\":\"trap\"}"]);
    assert_eq!(host.run(&[count]), ["index {\"calls\":1}"]);
}

#[test]
fn every_guilty_change_of_a_large_batch_is_found() {
    let mut host = Host::hostile();
    let rows: Vec<String> =
        (0..2_500).map(|id| if id % 100 == 7 { "{\"mode\":\"trap\"}".to_owned() } else { format!("{{\"id\":{id}}}") }).collect();
    let outcomes = host.run(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    for (id, outcome) in outcomes.iter().enumerate() {
        let expected = if id % 100 == 7 {
            "error: the guest trapped: wasm `unreachable` instruction executed".to_owned()
        } else {
            format!("index {{\"id\":{id}}}")
        };
        assert_eq!(*outcome, expected);
    }
}

#[test]
fn compiled_code_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let hits = |()| {
        let engine = Engine::new(Some(dir.path())).unwrap();
        let component = Component::load(&engine, &settings("hostile", json!({}))).unwrap();
        (engine.cache_hits(), component.hash().to_owned())
    };
    let (first, second) = (hits(()), hits(()));
    assert_eq!((first.0, second.0), (0, 1));
    assert_eq!(first.1, second.1);
}

#[test]
fn a_batch_that_is_only_too_long_is_done_in_parts() {
    let slow = "{\"mode\":\"print_flood\",\"count\":1000}";
    let mut host = Host::hostile();
    let outcomes = host.run(&[slow; 300]);
    assert!(outcomes.iter().all(|outcome| outcome.starts_with("index ")), "{outcomes:?}");
    assert!(host.counted().contains("reason=\"timeout\""));
}

/// As in a simulation: one thread, and no time.
#[tokio::test(start_paused = true)]
async fn a_guest_may_print_and_sleep_where_time_stands_still() {
    let outcomes = Host::hostile().run(&["{\"mode\":\"print_flood\",\"count\":10}", "{\"mode\":\"sleep\"}"]);
    assert!(outcomes[0].starts_with("index ") && outcomes[1].starts_with("error: the guest was not done"), "{outcomes:?}");
}
