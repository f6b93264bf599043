//! A search server is away for a while: its pipeline waits and says so, in bounded memory, and the other one goes on.

use std::time::Duration;

use super::database::{Database, Habits};
use super::rig::{PATIENCE, Pipeline, Rig, assert_same, documents, durable, file_documents, told_number, unique, wait_durable, wait_ready};
use super::servers::Servers;
use crate::stack::up;
use crate::support::{Running, now, pass};

const SEARCH: &str = "opensearch-2";
const CHANGES: usize = 100_000;
/// So that what must not be in memory would not fit: 100,000 changes, most of them of 5 KB.
const LONG: usize = 5_000;
/// What the process may take above what it took at rest. Its two pipelines may hold, each: 32 MiB that librdkafka has fetched
/// ahead, as much in the queue of the source and in the reader's hand, a backlog of 5 MiB, and four batches of 5 MiB on their
/// way, each as messages, as writes and as requests. The state has write buffers of two times 32 MiB and a log, and all
/// pass through an allocator. Without bounds the pipeline that waits alone would hold more than that in messages.
const MEMORY_MIB: u64 = 300;

/// Resident memory now and at its highest, in MiB.
fn memory_mib(running: &Running) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

fn waits_for_the_server(code: u16, body: &serde_json::Value) -> bool {
    let stuck = &body["not_progressing"];
    let reason = stuck[0]["reason"].as_str().unwrap_or_default();
    let is_it = stuck.as_array().is_some_and(|all| all.len() == 1) && stuck[0]["pipeline"] == "away" && stuck[0]["state"] == "waiting";
    code == 503 && is_it && reason.contains("http://127.0.0.1:")
}

#[test]
fn pipelines_fail_alone_and_one_whose_server_is_away_waits_in_bounded_memory() {
    let seconds = told_number("ROWMILL_OUTAGE_SECONDS", 25);
    let brokers = up(&["kafka"])["kafka"].clone();
    let servers = Servers::up(&[SEARCH], &[]);
    let topic = unique("outage.public.t");
    let mut database = Database::new(&brokers, &topic, 3, 1, Habits { keys: 1_500, long: LONG, repeats: false });
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("lines.jsonl");
    let search_sink = format!("url = \"{}\"\nindex = \"outage\"\ntimeout = \"5s\"", servers.url(SEARCH));
    let file_sink = format!("path = \"{}\"\nindex = \"outage\"", lines.display());
    let pipelines = [("away", "opensearch", search_sink), ("there", "file", file_sink)];
    let pipelines = pipelines.map(|(name, kind, sink)| Pipeline {
        name,
        brokers: &brokers,
        topic: &topic,
        keep: "versions",
        sink: (kind, sink),
        properties: "",
        more: "",
    });
    // It is told before the pipelines, and belongs to the server's table.
    let rig = Rig::new("drain_timeout = \"3s\"", &pipelines);

    let mut running = rig.run();
    let url = running.url();
    database.change(3_000);
    let before = database.ends();
    wait_durable(&url, "away", &before);
    wait_durable(&url, "there", &before);
    let (at_rest, _) = memory_mib(&running);

    servers.signal(SEARCH, "-STOP");
    let began = now();
    database.change(CHANGES);
    let ends = database.ends();
    // It hangs: requests run into their time-out, and then into the grace.
    wait_ready(&url, Duration::from_secs(40), waits_for_the_server);
    wait_durable(&url, "there", &ends);
    let undisturbed = began.elapsed();
    assert_same("the other pipeline, meanwhile", &file_documents(&lines), &database.documents(false));
    // Now nobody listens at all.
    servers.signal(SEARCH, "-KILL");
    while began.elapsed() < Duration::from_secs(seconds) {
        wait_ready(&url, Duration::from_secs(10), waits_for_the_server);
        pass(Duration::from_millis(500));
    }
    let durable = durable(&url, "away");
    // What was with the server when it stopped may have been answered.
    assert!(durable < before.values().sum::<u64>() + 5_000, "nothing is settled that was not answered: {durable}");
    let (now_mib, highest) = memory_mib(&running);
    assert!(highest < at_rest + MEMORY_MIB, "{at_rest} MiB at rest, {highest} MiB at most");

    let told = now();
    assert!(running.terminate().success(), "SIGTERM drains for as long as it may");
    assert!(told.elapsed() < Duration::from_secs(3 + 5 + 5), "it took {:?} to end", told.elapsed());

    let mut running = rig.run();
    let url = running.url();
    wait_ready(&url, Duration::from_secs(30), waits_for_the_server);
    servers.revive(SEARCH).join().unwrap();
    wait_durable(&url, "away", &ends);
    wait_durable(&url, "there", &ends);
    wait_ready(&url, PATIENCE, |code, _| code == 200);
    let compared = assert_same("after the outage", &documents(servers.url(SEARCH), "outage"), &database.documents(false));
    let (_, highest_after) = memory_mib(&running);
    assert!(highest_after < at_rest + MEMORY_MIB, "{at_rest} MiB at rest, {highest_after} MiB at most");
    assert!(running.terminate().success(), "SIGTERM drains");
    database.forget();
    println!(
        "away for {seconds} s · changes meanwhile: {CHANGES} · the other pipeline had them after {undisturbed:?} · documents compared: {compared} · \
         memory: {at_rest} MiB at rest, {now_mib} MiB while waiting, {highest} MiB and then {highest_after} MiB at most"
    );
}
