//! Guests that mean harm, in pipelines of a real process: only the guilty events are set aside, every other event is a
//! document, and whoever is next door does not wait.
//!
//! Figures of all sorts: `ROWMILL_BINARY=target/release/rowmill HOSTILE_EVENTS=100000 cargo test --test it hostile:: -- --nocapture --test-threads 1`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Running, get_json, json_lines, module, rowmill, succeed, wait_for};

/// What costs its own event, by what the issue calls it.
const GUILTY: &[&str] = &[
    "loop",
    "sleep",
    "memory",
    "huge",
    "many",
    "recursion",
    "amplify",
    "invalid_utf8",
    "bad_json",
    "not_object",
    "empty_body",
    "injection",
    "deep_json",
    "trap",
    "panic",
    "exit",
    "batch_error",
    "wrong_change",
    "long_id",
    "empty_id",
    "odd_index",
    "reject",
    "long_reason",
    "keep_trap",
    "keep_reject",
    "keep_flood",
    "keep_full",
];

/// What is odd, or done out of bounds, and costs nobody's event.
const ODD: &[&str] = &[
    "ok",
    "not_in_company",
    "trap_on_nth",
    "long_log",
    "odd_metrics",
    "newlines",
    "twice_named",
    "spy",
    "keep",
    "keep_huge",
    "keep_list",
    "keep_open",
];

/// Longer than any good event takes on a busy machine, for a whole batch of them; loops are waited for so long.
const TIMEOUT_MS: u64 = 400;

/// What the process may take while guests with 64 MiB each do their worst: measured 134 MiB.
const MEMORY_KIB_MAX: u64 = 800 << 10;

/// As much of an event as its dead letter keeps.
const VALUE_BYTES_MAX: usize = 64 << 10;

fn event(id: usize, mode: Option<&str>) -> String {
    let row = match mode {
        Some("reject") => json!({"id": id, "mode": "reject", "name": "x".repeat(2 * VALUE_BYTES_MAX)}),
        Some(mode) => json!({"id": id, "mode": mode, "name": "something to carry"}),
        None => json!({"id": id, "name": "something to carry"}),
    };
    let lsn = 1_000 + id;
    let source = json!({"connector": "postgresql", "name": "shop", "schema": "public", "table": "items", "lsn": lsn,
                        "snapshot": "false", "sequence": json!([lsn.to_string(), lsn.to_string()]).to_string()});
    let value = json!({"before": null, "after": row, "op": "c", "ts_ms": 2, "source": source});
    format!("{}\n", json!({"key": {"id": id}, "value": value}))
}

/// Events of which one in `every` is of the next of these modes.
fn events(count: usize, every: usize, modes: &[&str]) -> String {
    let mode = |id: usize| (id % every == every / 2).then(|| modes.get(id / every % modes.len().max(1)).copied()).flatten();
    (0..count).fold(String::new(), |all, id| all + &event(id, mode(id)))
}

fn pipeline(dir: &Path, name: &str, events: &str, timeout_ms: u64) -> String {
    fs::write(dir.join(format!("{name}.jsonl")), events).unwrap();
    format!(
        "[pipelines.{name}.source.file]\npath = \"{name}.jsonl\"\nformat = \"debezium\"\n\
         [pipelines.{name}.transform]\nmodule = \"{}\"\ntimeout = \"{timeout_ms}ms\"\n\
         [pipelines.{name}.sink.file]\npath = \"{name}-out.jsonl\"\nindex = \"out\"\n",
        module("hostile")
    )
}

fn configured(dir: &Path, pipelines: &[String]) -> std::path::PathBuf {
    let path = dir.join("rowmill.toml");
    let text = format!("[server]\nlisten = \"127.0.0.1:0\"\n[state]\ndir = \"state\"\n{}", pipelines.concat());
    fs::write(&path, text).unwrap();
    path
}

/// The binary under test, or another to measure.
fn binary() -> Command {
    match std::env::var_os("ROWMILL_BINARY") {
        Some(binary) => Command::new(binary),
        None => rowmill(),
    }
}

/// The ids of the documents a pipeline has written.
fn written(dir: &Path, name: &str) -> BTreeSet<usize> {
    let lines = json_lines(&dir.join(format!("{name}-out.jsonl")));
    let id = |line: &Value| line["id"].as_str().and_then(|id| id.parse().ok());
    lines.iter().filter_map(id).collect()
}

fn pipeline_status(url: &str, name: &str) -> Value {
    let all = get_json(&format!("{url}/admin/pipelines"));
    let pipelines = all["pipelines"].as_array().or(all.as_array()).cloned().unwrap_or_default();
    pipelines.into_iter().find(|pipeline| pipeline["name"] == name).unwrap_or_default()
}

fn applied(url: &str, name: &str) -> u64 {
    let (_, metrics) = crate::support::http("GET", &format!("{url}/metrics"), None);
    let is_of = |line: &&str| line.starts_with("rowmill_events_total{") && line.contains(&format!("pipeline=\"{name}\""));
    metrics.lines().filter(is_of).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[test]
fn only_the_guilty_are_dead_letters_and_every_other_event_is_a_document() {
    let dir = tempfile::tempdir().unwrap();
    let modes: Vec<&str> = GUILTY.iter().chain(ODD).copied().collect();
    // Each sort twice, among a hundred good ones each.
    let count = 2 * 100 * modes.len();
    let config = configured(dir.path(), &[pipeline(dir.path(), "p", &events(count, 100, &modes), TIMEOUT_MS)]);
    let mut running = Running::start(binary().arg("run").arg(&config));
    let url = running.url();
    let seen = wait_for("all events", Duration::from_secs(180), || Some(applied(&url, "p")).filter(|seen| *seen >= count as u64));
    assert_eq!(seen, count as u64);
    let letters = get_json(&format!("{url}/admin/pipelines/p/dead-letters?limit=1000"));
    let letters = letters["dead_letters"].as_array().or(letters.as_array()).unwrap().clone();
    let mut dead = BTreeSet::new();
    for letter in &letters {
        let reason = letter["reason"].as_str().unwrap();
        assert!(!reason.is_empty() && reason.len() < 2_000, "{reason}");
        assert!(letter["value"].as_str().unwrap().len() <= VALUE_BYTES_MAX, "{reason}");
        assert!(dead.insert(letter["key"].as_str().unwrap().parse::<usize>().unwrap()), "twice: {letter}");
    }
    let is_guilty = |id: &usize| id % 100 == 50 && GUILTY.contains(&modes[id / 100 % modes.len()]);
    let guilty: BTreeSet<usize> = (0..count).filter(is_guilty).collect();
    assert_eq!(
        dead,
        guilty,
        "set aside: {:?}",
        dead.symmetric_difference(&guilty).map(|id| modes[id / 100 % modes.len()]).collect::<Vec<_>>()
    );
    wait_for("all documents", Duration::from_secs(60), || {
        Some(written(dir.path(), "p").len()).filter(|written| *written == count - guilty.len())
    });
    assert!(written(dir.path(), "p").is_disjoint(&guilty));
    let memory = peak_memory_kib(running.id());
    println!("peak memory beside {} guilty events: {} MiB", guilty.len(), memory >> 10);
    assert!(memory < MEMORY_KIB_MAX, "{memory} KiB");
    assert!(running.terminate().success());
    // Whatever befell the calls it was in: each of the two that count themselves, and were applied, has counted once.
    let kept = succeed(rowmill().arg("state").arg(&config).args(["store", "p", "kept"]));
    assert_eq!(kept.trim(), r#"{"key":"kept","value":"2"}"#);
    let all = succeed(rowmill().arg("state").arg(&config).args(["store", "p", "--limit", "10000"]));
    assert_eq!(all.lines().count(), 1 + 2_500, "and what was listed, but nothing of the guilty");
}

/// A million lines of one event: a hundred are passed on, and the event is a document like any other.
#[test]
fn a_million_log_lines_are_cut_and_cost_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let flood = event(1, None).replace("\"name\":\"something to carry\"", "\"mode\":\"log_flood\",\"count\":1000000");
    let all = format!("{}{flood}{}", event(0, None), event(2, None));
    let config = configured(dir.path(), &[pipeline(dir.path(), "p", &all, 60_000)]);
    let output = crate::support::output(binary().env("RUST_LOG", "info").arg("run").arg(config).arg("--until-caught-up"));
    assert!(output.status.success());
    assert_eq!(written(dir.path(), "p"), BTreeSet::from([0, 1, 2]));
    let lines = String::from_utf8_lossy(&output.stderr).lines().filter(|line| line.contains("line ")).count();
    assert!((1..=101).contains(&lines), "{lines} lines were passed on");
}

/// The hostile pipeline has loops to wait for that take minutes by their deadline alone, whatever the machine; the neighbour
/// is done long before. Were one to wait for the other, it could not be.
#[test]
fn a_neighbour_of_endless_loops_does_not_wait_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let loops = pipeline(dir.path(), "loops", &events(600, 1, &["loop"]), 1_000);
    let good = pipeline(dir.path(), "good", &events(5_000, usize::MAX, &[]), 1_000);
    let mut running = Running::start(binary().arg("run").arg(configured(dir.path(), &[loops, good])));
    let url = running.url();
    wait_for("the neighbour", Duration::from_secs(120), || Some(written(dir.path(), "good").len()).filter(|written| *written == 5_000));
    let (looped, status) = (applied(&url, "loops"), pipeline_status(&url, "loops"));
    assert!(looped < 600, "the loops of 600 s cannot be over: {looped}");
    assert_ne!(status["state"], "stopped", "{status}");
}

/// Runs `look` and says how long it took.
#[expect(clippy::disallowed_methods, reason = "other processes are measured in real time")]
fn timed(look: impl FnOnce()) -> f64 {
    let start = Instant::now();
    look();
    start.elapsed().as_secs_f64()
}

/// Seconds that the processes of this one which have ended spent computing (Linux: clock ticks, a hundred a second).
fn computed() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u64 = fields.split_whitespace().skip(13).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    ticks as f64 / 100.0
}

/// How long a run to the end takes.
fn seconds(dir: &Path, events: &str) -> f64 {
    let _ = fs::remove_dir_all(dir.join("state"));
    let config = configured(dir, &[pipeline(dir, "p", events, 100)]);
    timed(|| drop(succeed(binary().arg("run").arg(config).arg("--until-caught-up"))))
}

/// Events of each run, and whether all sorts are measured: figures by hand, a few of them in every test.
fn size() -> (usize, bool) {
    match std::env::var("HOSTILE_EVENTS") {
        Ok(count) => (count.parse().unwrap(), true),
        Err(_) => (2_000, false),
    }
}

/// What one guilty event in a thousand costs the good ones, by sort. The bound is what is sure to be waited for (for every
/// guilty event its deadline twice) three times over, and ten clean runs: a busy machine is not that slow, and a batch that
/// is taken apart again and again, or a module that is compiled again after a trap, is slower.
#[test]
fn costs_of_each_sort_are_those_of_its_deadlines() {
    let dir = tempfile::tempdir().unwrap();
    let (count, is_all) = size();
    // The first run compiles the module.
    let [_, started] = [(); 2].map(|()| seconds(dir.path(), &event(0, None)));
    let before = computed();
    let clean = seconds(dir.path(), &events(count, usize::MAX, &[]));
    let clean_computed = computed() - before;
    let rate = |count: f64, took: f64| count / (took - started).max(0.001);
    let mut table = format!(
        "| 1 event in 1,000 | good events/s | ms for each | ms of a core for each |\n|---|---|---|---|\n| none | {:.0} | | |\n",
        rate(count as f64, clean)
    );
    let harmless = ["not_in_company", "trap_on_nth", "log_flood", "print_flood", "metric_flood", "long_log"];
    let sorts: Vec<&str> =
        if is_all { GUILTY.iter().chain(&harmless).copied().collect() } else { vec!["loop", "memory", "trap", "reject"] };
    let guilty = (count / 1_000) as f64;
    for sort in sorts {
        let before = computed();
        let took = seconds(dir.path(), &events(count, 1_000, &[sort]));
        let [each, each_computed] = [took - clean, computed() - before - clean_computed].map(|more| more * 1_000.0 / guilty);
        writeln!(table, "| {sort} | {:.0} | {each:.1} | {each_computed:.1} |", rate(count as f64 - guilty, took)).unwrap();
        let deadlines = guilty * 2.0 * 0.1;
        assert!(took < 3.0 * deadlines + 10.0 * clean + 10.0, "{sort}: {took:.1} s, clean {clean:.1} s\n{table}");
    }
    println!("{table}");
}

/// What a pipeline whose every event is bad costs the one beside it. On two cores a neighbour that does nothing but compute
/// may take half of the machine; five times as long as beside an idle one is more than that, and less than a deadline (1 s)
/// waited for at every batch of the good one.
#[test]
fn a_neighbour_keeps_its_throughput_beside_any_sort() {
    let dir = tempfile::tempdir().unwrap();
    let (count, is_all) = size();
    let good = pipeline(dir.path(), "good", &events(count, usize::MAX, &[]), 1_000);
    let sorts: &[&str] =
        if is_all { &["ok", "loop", "sleep", "memory", "amplify", "trap", "bad_json", "log_flood", "print_flood"] } else { &["loop"] };
    let measure = |sort: Option<&str>| {
        let _ = fs::remove_dir_all(dir.path().join("state"));
        let _ = fs::remove_file(dir.path().join("good-out.jsonl"));
        let bad = pipeline(dir.path(), "bad", &sort.map(|sort| events(count, 1, &[sort])).unwrap_or_default(), 1_000);
        let mut running = Running::start(binary().arg("run").arg(configured(dir.path(), &[bad, good.clone()])));
        let url = running.url();
        timed(|| wait_for("the neighbour", Duration::from_secs(300), || Some(()).filter(|()| applied(&url, "good") == count as u64)))
    };
    measure(None);
    let idle = measure(None);
    let mut table =
        format!("| every event of the other pipeline | events/s of this one |\n|---|---|\n| none | {:.0} |\n", count as f64 / idle);
    for sort in sorts {
        let took = measure(Some(sort));
        writeln!(table, "| {sort} | {:.0} |", count as f64 / took).unwrap();
        assert!(took < 5.0 * idle + 5.0, "{sort}: {took:.1} s, beside an idle one {idle:.1} s\n{table}");
    }
    println!("{table}");
}

/// Highest memory of a process so far (Linux).
fn peak_memory_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
