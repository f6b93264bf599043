//! What is counted in windows is what was there, whenever the process is killed and whoever reads a partition.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::database::Documents;
use super::rig::{PATIENCE, Pipeline, Rig, assert_same, documents, status, told_number, unique, wait_durable};
use super::searches::{Searches, Times};
use crate::stack::up;
use crate::support::{Running, http, now, now_ms, pass, signal, wait_for};

const PARTITIONS: u64 = 4;
/// Searches come in handfuls, a little apart.
const HANDFUL: u64 = 100;
const APART: Duration = Duration::from_millis(20);

/// A counter of searches; `window` has more settings of its windows.
fn counting(window: &str) -> String {
    format!(
        "source.decode.format = \"json\"\naggregate = {{ key = \"query\", weight = \"n\", time = \"at\" }}\n\
         window = {{ kind = \"tumbling\", {window} }}"
    )
}

/// The documents of an index, without their versions: those tell when they were written.
fn counted(server: &str, index: &str) -> Documents {
    let exists = http("GET", &format!("{server}/{index}"), None).0 == 200;
    let documents = if exists { documents(server, index) } else { Documents::new() };
    documents.into_iter().map(|(id, (_, body))| (id, (0, body))).collect()
}

/// Waits until an index is what was searched for; fails with what differs.
fn wait_counted(server: &str, index: &str, wanted: &Documents) -> usize {
    let until = now() + PATIENCE;
    let mut seen = counted(server, index);
    while seen != *wanted && now() < until {
        pass(Duration::from_millis(200));
        seen = counted(server, index);
    }
    assert_same(index, &seen, wanted)
}

/// A figure of `/metrics`, added up over its labels.
fn figure(url: &str, pipeline: &str, name: &str, label: &str) -> f64 {
    let (_, metrics) = http("GET", &format!("{url}/metrics"), None);
    let is_it = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
            && line.contains(&format!("\"{pipeline}\""))
            && line.contains(label)
    };
    metrics.lines().filter(is_it).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[test]
fn killed_at_any_moment_every_search_counts_once() {
    let wanted = told_number("ROWMILL_WINDOW_KILLS", 10);
    let seed = told_number("ROWMILL_WINDOW_KILLS_SEED", u64::from(std::process::id()));
    println!("ROWMILL_WINDOW_KILLS={wanted} ROWMILL_WINDOW_KILLS_SEED={seed}");
    let began = now();
    let servers = up(&["kafka", "elasticsearch-8"]);
    let (brokers, search) = (servers["kafka"].as_str(), servers["elasticsearch-8"].as_str());
    let topic = unique("searches");
    // 50,000 searches are 250 s of event time, in 26 windows, most of which are closed before the end.
    let times = Times { begin_ms: now_ms() - 600_000, step_ms: 5, late_ms: 8_000, window_ms: 10_000 };
    let mut searches = Searches::new(brokers, &topic, PARTITIONS, seed, times);
    let mut chance = StdRng::seed_from_u64(seed);
    let pipelines = [("every", 0), ("first", 5)].map(|(name, top)| {
        let more = counting(&format!("size = \"10s\", grace = \"60s\", top = {top}, emit_every = \"100ms\""));
        let index = format!("{topic}-{name}");
        (name, top, index.clone(), more, format!("url = \"{search}\"\nindex = \"{index}\""))
    });
    let rig = Rig::new(
        "",
        &pipelines.each_ref().map(|(name, _, _, more, sink)| Pipeline {
            name,
            brokers,
            topic: &topic,
            keep: "versions",
            sink: ("elasticsearch", sink.clone()),
            properties: "",
            more,
        }),
    );
    for _ in 0..wanted {
        let mut running = rig.run();
        running.wait_for_line("reading");
        for _ in 0..chance.random_range(1..30) {
            searches.search(HANDFUL);
            pass(APART);
        }
        pass(Duration::from_micros(chance.random_range(0..50_000)));
        running.kill();
    }
    let committed = rig.committed();
    searches.search(50_000_u64.saturating_sub(searches.sent).max(1_000));
    let ends = searches.ends();

    let mut running = rig.run();
    let url = running.url();
    let mut compared = 0;
    for (name, top, index, ..) in &pipelines {
        wait_durable(&url, name, &ends);
        compared += wait_counted(search, index, &searches.documents(*top));
        assert_eq!(figure(&url, name, "rowmill_late_events_total", "dropped"), 0.0, "{name}: nothing was later than the grace");
        // They are closed by the loop's look around, after all is counted.
        let few = searches.windows() as f64 / 2.0;
        wait_for("most windows to be closed", PATIENCE, || (figure(&url, name, "rowmill_windows_open", "") < few).then_some(()));
    }
    assert!(committed > 0, "nothing was counted between the kills");
    assert!(running.terminate().success(), "SIGTERM drains");
    println!(
        "kills: {wanted} · committed between them: {committed} · searches: {} · windows: {} · documents compared: {compared} · seconds: {}",
        searches.sent,
        searches.windows(),
        began.elapsed().as_secs()
    );
}

/// A process of a group whose members share one topic and one index.
fn member(brokers: &str, search: &str, topic: &str, window: &str) -> Rig {
    let more = counting(window);
    Rig::new(
        &format!(
            "[pipelines.trending]\n{more}\n[pipelines.trending.source.kafka]\nbrokers = \"{brokers}\"\ntopics = [\"{topic}\"]\ngroup = \"{topic}\"\n\
             properties = {{ \"session.timeout.ms\" = \"3000\", \"heartbeat.interval.ms\" = \"500\" }}\n\
             [pipelines.trending.sink.elasticsearch]\nurl = \"{search}\"\nindex = \"{topic}\"\n"
        ),
        &[],
    )
}

/// Waits until these processes read all partitions, each of them some.
fn wait_shared(members: &mut [&mut Running]) {
    let urls: Vec<String> = members.iter_mut().map(|member| member.url()).collect();
    wait_for("every process to have partitions", PATIENCE, || {
        let lanes = |url: &String| {
            let status = status(url, "trending");
            status["lanes"].as_array().map_or(0, |lanes| lanes.iter().filter(|lane| !lane["newest"].is_null()).count())
        };
        let lanes: Vec<usize> = urls.iter().map(lanes).collect();
        (lanes.iter().all(|lanes| *lanes > 0) && lanes.iter().sum::<usize>() == PARTITIONS as usize).then_some(())
    });
}

#[test]
fn two_processes_of_one_group_count_together_and_one_takes_over_from_the_other() {
    let servers = up(&["kafka", "elasticsearch-8"]);
    let (brokers, search) = (servers["kafka"].as_str(), servers["elasticsearch-8"].as_str());
    let topic = unique("shared");
    // Windows of half an hour, none of which is closed before the end. What is searched last, after the take-over and the return, is of
    // another window: so nothing mends what the one that returns might write of the first.
    let window_ms = 1_800_000;
    let times = Times { begin_ms: (now_ms() - 7_200_000) / window_ms * window_ms + 160_000, step_ms: 100, late_ms: 60_000, window_ms };
    let mut searches = Searches::new(brokers, &topic, PARTITIONS, 7, times);
    let window = "size = \"30m\", grace = \"5h\", emit_every = \"100ms\"";
    let (one, two) = (member(brokers, search, &topic, window), member(brokers, search, &topic, window));

    searches.search(5_000);
    let (mut first, mut second) = (one.run(), two.run());
    wait_shared(&mut [&mut first, &mut second]);
    searches.search(5_000);
    assert!(wait_counted(search, &topic, &searches.documents(0)) > 50, "both count what they read");

    for _ in 0..20 {
        searches.search(HANDFUL);
        pass(APART);
    }
    first.kill();
    searches.search(5_000);
    wait_counted(search, &topic, &searches.documents(0));
    wait_shared(&mut [&mut second]);

    // It comes back with what it had counted until it was killed.
    let mut first = one.run();
    wait_shared(&mut [&mut first, &mut second]);
    searches.search(5_000);
    wait_counted(search, &topic, &searches.documents(0));
    assert!(first.terminate().success());
    assert!(second.terminate().success());
}

/// Where windows are closed meanwhile, the one that takes over must come to the partitions before those are closed that the other had
/// not counted whole: within the grace.
#[test]
fn a_partition_that_is_taken_over_within_the_grace_loses_nothing_also_of_windows_that_are_closed_since() {
    let servers = up(&["kafka", "elasticsearch-8"]);
    let (brokers, search) = (servers["kafka"].as_str(), servers["elasticsearch-8"].as_str());
    let topic = unique("taken-over");
    // Time in the log goes at most ten times as fast as outside: the grace is 15 s, and a take-over takes some four.
    let times = Times { begin_ms: now_ms() - 1_200_000, step_ms: 2, late_ms: 5_000, window_ms: 10_000 };
    let mut searches = Searches::new(brokers, &topic, PARTITIONS, 7, times);
    let window = "size = \"10s\", grace = \"150s\", emit_every = \"100ms\"";
    let (one, two) = (member(brokers, search, &topic, window), member(brokers, search, &topic, window));
    let (mut first, mut second) = (one.run(), two.run());
    wait_shared(&mut [&mut first, &mut second]);
    for handful in 0..1_000 {
        searches.search(HANDFUL);
        pass(APART);
        if handful == 300 {
            signal(first.id(), "-KILL");
        }
    }
    wait_counted(search, &topic, &searches.documents(0));
    let url = second.url();
    wait_shared(&mut [&mut second]);
    wait_for("windows to be closed", PATIENCE, || {
        (figure(&url, "trending", "rowmill_windows_open", "") < searches.windows() as f64 - 3.0).then_some(())
    });
    assert!(second.terminate().success());
    wait_counted(search, &topic, &searches.documents(0));
}
