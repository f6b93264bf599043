//! Code replaced while its pipeline runs.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Running, get_json, http, http_bytes, json_lines, module, now, rowmill, succeed, wait_for};

/// A pipeline that follows a file of orders, and begins with the module that knows them.
struct Followed {
    dir: tempfile::TempDir,
    running: Running,
    url: String,
    events: u64,
    /// What the hostile guest is to do to a row; the other module does not look at it.
    mode: &'static str,
}

impl Followed {
    fn start(config: &str, max_wait: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::copy(module("order_status"), dir.path().join("module.wasm")).unwrap();
        fs::write(dir.path().join("events.jsonl"), "").unwrap();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[pipelines.p.source.file]\npath = \"events.jsonl\"\nformat = \"kcat\"\nfollow = true\n\
             [pipelines.p.transform]\nmodule = \"module.wasm\"\nconfig = {config}\n[pipelines.p.batch]\nmax_wait = \"{max_wait}\"\n\
             [pipelines.p.sink.file]\npath = \"out.jsonl\"\nindex = \"out\"\n"
        );
        fs::write(dir.path().join("rowmill.toml"), text).unwrap();
        Self::run(dir, 0)
    }

    fn run(dir: tempfile::TempDir, events: u64) -> Self {
        let mut running = Running::start(rowmill().arg("run").arg(dir.path().join("rowmill.toml")));
        let url = running.url();
        Self { dir, running, url, events, mode: "ok" }
    }

    /// Kills the process and starts it again.
    fn again(self) -> Self {
        self.running.kill();
        Self::run(self.dir, self.events)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Rows that every module here makes a document of.
    fn change(&mut self, count: u64) {
        let mut lines = String::new();
        for _ in 0..count {
            self.events += 1;
            let (id, lsn) = (self.events, 1_000 + self.events);
            let row = json!({"id": id, "customer": "c", "status": "paid", "total": "1.00", "mode": self.mode});
            let source = json!({"connector": "postgresql", "name": "s", "schema": "public", "table": "orders", "lsn": lsn, "ts_ms": 1,
                "snapshot": "false", "sequence": json!([lsn.to_string(), lsn.to_string()]).to_string()});
            let envelope = json!({"before": null, "after": row, "op": "c", "ts_ms": 1, "source": source});
            let message = json!({"topic": "s.public.orders", "partition": 0, "offset": id, "ts": 1, "key": json!({"id": id}).to_string(), "payload": envelope.to_string()});
            lines += &format!("{message}\n");
        }
        fs::OpenOptions::new().append(true).open(self.path("events.jsonl")).unwrap().write_all(lines.as_bytes()).unwrap();
    }

    /// The document of each row, once there are as many as events.
    fn documents(&self) -> Vec<Value> {
        wait_for("every event to be a document", Duration::from_secs(60), || {
            let lines = json_lines(&self.path("out.jsonl"));
            (lines.len() as u64 >= self.events).then_some(lines)
        })
    }

    fn put(&self, bytes: &[u8]) -> (u16, Value) {
        let (status, answer) = http_bytes("PUT", &format!("{}/admin/pipelines/p/module", self.url), bytes);
        (status, serde_json::from_str(&answer).unwrap())
    }

    fn present(&self) -> String {
        get_json(&format!("{}/admin/pipelines/p", self.url))["module"]["hash"].as_str().unwrap().to_owned()
    }
}

fn bytes(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(path).unwrap()
}

/// The same code under another hash: a component may end with a section that nobody reads.
fn renamed(mut module: Vec<u8>, name: u8) -> Vec<u8> {
    module.extend([0, 3, 1, b'x', name]);
    module
}

/// Who made a document: the module that knows orders calls their number `order_id`.
fn is_row(document: &Value) -> bool {
    document["body"].get("order_id").is_none()
}

#[test]
fn a_module_is_replaced_without_losing_an_event() {
    let mut followed = Followed::start("{}", "2s");
    followed.change(20);
    assert!(followed.documents().iter().all(|document| !is_row(document)));
    let (orders, rows) = (bytes(module("order_status")), bytes(module("hostile")));
    let first = followed.present();
    for round in 0..4 {
        // They wait for company while the code changes over.
        followed.change(50);
        let (status, answer) = followed.put(&renamed(if round % 2 == 0 { rows.clone() } else { orders.clone() }, round));
        assert_eq!((status, answer["hash"].as_str().unwrap()), (200, &*followed.present()), "{answer}");
        followed.documents();
    }
    let documents = followed.documents();
    let ids: std::collections::BTreeSet<u64> = documents.iter().map(|document| document["id"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!((ids.len() as u64, documents.len() as u64), (followed.events, followed.events), "every event once");
    let made_by_rows = documents.iter().filter(|document| is_row(document)).count();
    assert!((50..=150).contains(&made_by_rows), "{made_by_rows} of {} by the one module, the others by the other", documents.len());
    let letters = get_json(&format!("{}/admin/pipelines/p/dead-letters", followed.url));
    assert_eq!(letters["dead_letters"], json!([]));

    // A changed file does the same.
    let before = followed.present();
    fs::write(followed.path("module.wasm"), renamed(rows.clone(), 77)).unwrap();
    wait_for("the file's module", Duration::from_secs(20), || (followed.present() != before).then_some(()));
    followed.change(1);
    assert!(followed.documents().last().is_some_and(is_row));

    let (status, answer) = http("POST", &format!("{}/admin/pipelines/p/modules/rollback", followed.url), None);
    assert_eq!((status, followed.present()), (200, before.clone()), "{answer}");
    let modules = get_json(&format!("{}/admin/pipelines/p/modules", followed.url));
    assert_eq!((&modules["modules"][0]["hash"], &modules["modules"][0]["from"]), (&json!(before), &json!("rollback")));
    assert_ne!(first, before);

    let mut followed = followed.again();
    followed.change(1);
    followed.documents();
    assert_eq!(followed.present(), before, "what served last serves after a crash");
    let (_, metrics) = http("GET", &format!("{}/metrics", followed.url), None);
    assert!(metrics.contains(&format!("rowmill_module_info{{hash=\"{}\"", &before[..12])), "{metrics}");
}

#[test]
fn the_old_module_serves_on_where_the_new_one_is_not_fit() {
    let (hostile, products) = (bytes(module("hostile")), bytes(module("product_search")));
    for (mode, config, new, reason) in [
        ("ok", "{}", b"#!/bin/sh".to_vec(), "is not WebAssembly"),
        ("ok", "{}", b"\0asm\x01\0\0\0".to_vec(), "lacks the export"),
        ("ok", "{}", hostile[..hostile.len() / 2].to_vec(), "not a valid component"),
        ("ok", "{ drop = [\"lost\"] }", products, "drop"),
        ("trap", "{}", hostile.clone(), "recent change"),
        ("loop", "{}", hostile.clone(), "recent change"),
        ("memory", "{}", hostile.clone(), "recent change"),
    ] {
        let mut followed = Followed { mode, ..Followed::start(config, "0s") };
        followed.change(10);
        followed.documents();
        let before = followed.present();
        let (status, answer) = followed.put(&new);
        assert_eq!(status, 422, "{mode} {config}: {answer}");
        assert!(answer["error"].as_str().is_some_and(|error| error.contains(reason)), "{config}: {answer}");
        followed.change(10);
        assert!(followed.documents().iter().all(|document| !is_row(document)), "{config}");
        assert_eq!(followed.present(), before, "{config}");
        let (_, metrics) = http("GET", &format!("{}/metrics", followed.url), None);
        assert!(metrics.contains("rowmill_module_reloads_total{pipeline=\"p\",result=\"refused\"} 1"), "{metrics}");
        assert!(metrics.contains("rowmill_guest_traps_total{pipeline=\"p\",reason=\"trap\"} 0"), "the trial is not counted: {metrics}");
        assert_eq!(followed.put(&renamed(bytes(module("order_status")), 1)).0, 200, "{config}: and a good one is taken after it");
    }
}

#[test]
fn the_answer_tells_how_many_documents_would_change() {
    let mut followed = Followed::start("{}", "0s");
    followed.change(20);
    followed.documents();
    let (orders, rows) = (bytes(module("order_status")), bytes(module("hostile")));
    let (_, same) = followed.put(&renamed(orders, 1));
    assert_eq!((&same["trial"]["changes"], &same["trial"]["documents_changed"]), (&json!(20), &json!(0)), "{same}");
    let (_, other) = followed.put(&rows);
    assert_eq!((&other["trial"]["documents"], &other["trial"]["documents_changed"]), (&json!(20), &json!(20)), "{other}");
    let example = &other["trial"]["examples"][0];
    assert!(example["present"].as_str().unwrap().contains("order_id") && !example["new"].as_str().unwrap().contains("order_id"), "{other}");
}

#[test]
fn a_shadow_runs_beside_and_writes_nothing() {
    let mut followed = Followed::start("{}", "0s");
    followed.change(5);
    followed.documents();
    let (present, rows) = (followed.present(), bytes(module("hostile")));
    let at = |path: &str| format!("{}/admin/pipelines/p/{path}", followed.url);
    let (shadow, serve, module_url) = (at("shadow"), at("shadow/serve"), at("module?shadow=true"));
    assert_eq!(http("GET", &shadow, None).0, 409, "none yet");
    assert_eq!(http_bytes("PUT", &module_url, b"oops").0, 422);
    assert_eq!(http_bytes("PUT", &module_url, &rows).0, 200);
    for _ in 0..30 {
        followed.change(1);
        followed.documents();
    }
    let report = wait_for("the shadow to have seen all", Duration::from_secs(20), || {
        let report = get_json(&shadow);
        (report["changes"].as_u64()? + report["skipped"].as_u64()? == 30).then_some(report)
    });
    assert_eq!(report["documents_changed"], report["changes"], "{report}");
    assert!(report["changes"].as_u64() > Some(0) && report["shadow_seconds"].as_f64() > Some(0.0), "{report}");
    assert_eq!(followed.present(), present);
    assert!(followed.documents().iter().all(|document| !is_row(document)), "nothing of it is written");

    // One that fails is told of, and harms nobody.
    followed.mode = "panic";
    followed.change(1);
    followed.documents();
    wait_for("the failure to be told", Duration::from_secs(20), || (get_json(&shadow)["failed"] == 1).then_some(()));
    let (_, metrics) = http("GET", &format!("{}/metrics", followed.url), None);
    assert!(metrics.contains("rowmill_guest_traps_total{pipeline=\"p\",reason=\"trap\"} 0"), "{metrics}");

    // Nor does anybody wait for one that takes a second for each change: what it has no time for passes it by.
    followed.mode = "loop";
    let began = now();
    for _ in 0..20 {
        followed.change(1);
        followed.documents();
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?} for 20 changes", began.elapsed());
    assert!(get_json(&shadow)["skipped"].as_u64() > Some(5), "{}", get_json(&shadow));

    assert_eq!(http("DELETE", &shadow, None).0, 200);
    assert_eq!(http("GET", &shadow, None).0, 409);
    followed.mode = "ok";
    followed.change(70);
    followed.documents();
    assert_eq!(http_bytes("PUT", &module_url, &rows).0, 200);
    assert_eq!(http("POST", &serve, None).0, 200);
    assert_eq!(http("GET", &shadow, None).0, 409, "it serves now");
    followed.change(1);
    assert!(followed.documents().last().is_some_and(is_row));
}

#[test]
fn a_sample_of_what_flows_can_be_tested_with() {
    let mut followed = Followed::start("{}", "0s");
    followed.change(7);
    followed.documents();
    let (status, lines) = http("GET", &format!("{}/admin/pipelines/p/sample?limit=5", followed.url), None);
    assert_eq!((status, lines.lines().count()), (200, 5), "{lines}");
    let events = followed.path("sample.jsonl");
    fs::write(&events, &lines).unwrap();
    let documents = succeed(rowmill().args(["test", &module("order_status"), "--events"]).arg(&events));
    let last: Value = serde_json::from_str(documents.lines().last().unwrap()).unwrap();
    assert_eq!((&last["id"], &last["body"]), (&json!("7"), &followed.documents()[6]["body"]));
}

#[test]
fn a_trial_leaves_nothing_in_the_store_and_what_is_kept_outlives_modules_and_crashes() {
    let mut followed = Followed { mode: "keep", ..Followed::start("{}", "0s") };
    followed.change(10);
    followed.documents();
    let counts = |followed: &Followed| {
        followed.documents().iter().filter_map(|document| document["body"]["kept"].as_u64()).max().unwrap_or_default()
    };
    let hostile = bytes(module("hostile"));
    for (round, expected) in [(0, 5), (1, 10)] {
        // It is tried on ten changes, or on five, and counts them.
        let (status, answer) = followed.put(&renamed(hostile.clone(), round));
        assert_eq!(status, 200, "{answer}");
        followed.change(5);
        followed.documents();
        assert_eq!(counts(&followed), expected);
    }
    let mut followed = Followed { mode: "keep", ..followed.again() };
    followed.change(1);
    followed.documents();
    assert_eq!(counts(&followed), 11, "after kill -9");
}
