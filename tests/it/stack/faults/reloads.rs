//! Code replaced again and again under load: every event counts once, and nothing of a refused module is written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::database::{Database, Habits};
use super::rig::{Pipeline, Rig, assert_same, documents, told_number, unique, wait_durable};
use crate::stack::up;
use crate::support::{http, http_bytes, module, now, pass};

/// What stands in the module `named`, and is replaced.
const NAME: &[u8] = b"the-name-of-this-module";
/// Changes a handful; a handful every so often.
const APART: Duration = Duration::from_millis(5);
/// How long latency is looked at without reloads.
const QUIET: Duration = Duration::from_secs(10);
/// Modules that are fit.
const GOOD: usize = 8;
/// Ways not to be.
const BAD: [&str; 5] = ["trap", "loop", "init", "half", "not the world"];

/// The module with another name: another hash.
fn named(template: &[u8], name: &str) -> Vec<u8> {
    let place = template.windows(NAME.len()).position(|bytes| bytes == NAME).expect("the module has its name");
    let mut module = template.to_vec();
    let padded = format!("{name:-<width$}", width = NAME.len());
    module[place..place + NAME.len()].copy_from_slice(padded.as_bytes());
    module
}

/// Changes rows at a steady rate until it is told to stop.
fn keep_changing(mut database: Database, rate: usize, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<Database> {
    let handful = rate * APART.as_millis() as usize / 1_000;
    std::thread::spawn(move || {
        let (started, mut done) = (now(), 0);
        while !stop.load(Ordering::Relaxed) {
            let due = started.elapsed().as_millis() as usize / APART.as_millis() as usize;
            for _ in done..due {
                database.change(handful);
            }
            done = due.max(done);
            pass(APART);
        }
        database
    })
}

/// The metrics of a process, by series.
fn metrics(url: &str) -> BTreeMap<String, f64> {
    let (_, text) = http("GET", &format!("{url}/metrics"), None);
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    lines.map(|(series, value)| (series.to_owned(), value.parse().unwrap_or(0.0))).collect()
}

/// Upper bounds in milliseconds of what half, and 99 of 100, took between two looks at `rowmill_end_to_end_seconds`.
fn percentiles(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> (f64, f64) {
    let mut buckets: Vec<(f64, f64)> = after
        .iter()
        .filter(|(series, _)| series.starts_with("rowmill_end_to_end_seconds_bucket"))
        .filter_map(|(series, count)| {
            let bound = series.split("le=\"").nth(1)?.split('"').next()?.parse().ok()?;
            Some((bound, count - before.get(series).unwrap_or(&0.0)))
        })
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total = buckets.last().map_or(0.0, |bucket| bucket.1);
    let at = |share: f64| buckets.iter().find(|bucket| bucket.1 >= share * total).map_or(f64::INFINITY, |bucket| bucket.0 * 1_000.0);
    (at(0.5), at(0.99))
}

#[test]
fn modules_are_replaced_under_load_and_every_event_counts_once() {
    let (reloads, rate) = (told_number("ROWMILL_RELOADS", 150), told_number("ROWMILL_RELOADS_RATE", 5_000));
    let servers = up(&["kafka", "opensearch-2"]);
    let (topic, index) = (unique("reloads.public.t"), unique("reloads"));
    let folder = tempfile::tempdir().unwrap();
    let template = std::fs::read(module("named")).unwrap();
    let path = folder.path().join("module.wasm");
    std::fs::write(&path, named(&template, "good-0")).unwrap();
    let mut database = Database::new(&servers["kafka"], &topic, 4, 1, Habits { keys: 5_000, long: 100, repeats: false });
    let rig = Rig::new(
        "",
        &[Pipeline {
            name: "reloads",
            brokers: &servers["kafka"],
            topic: &topic,
            keep: "versions",
            sink: ("opensearch", format!("url = \"{}\"\nindex = \"{index}\"", servers["opensearch-2"])),
            properties: "",
            more: &format!("transform.module = \"{}\"\ntransform.timeout = \"200ms\"", path.display()),
        }],
    );
    database.change(1_000);
    let mut running = rig.run();
    let url = running.url();
    wait_durable(&url, "reloads", &database.ends());
    let stop = Arc::new(AtomicBool::new(false));
    let changing = keep_changing(database, rate as usize, stop.clone());
    pass(Duration::from_secs(3));

    let (before, began) = (metrics(&url), now());
    pass(QUIET);
    let after = metrics(&url);
    let quiet = percentiles(&before, &after);
    let applied = |of: &BTreeMap<String, f64>| of["rowmill_events_total{outcome=\"applied\",pipeline=\"reloads\"}"];
    let quiet_rate = (applied(&after) - applied(&before)) / began.elapsed().as_secs_f64();

    let (before, began) = (metrics(&url), now());
    let mut refused = 0;
    for reload in 0..reloads as usize {
        let bad = (reload % 5 == 4).then(|| BAD[reload / 5 % BAD.len()]);
        let bytes = match bad {
            None => named(&template, &format!("good-{}", reload % GOOD)),
            Some("not the world") => wat::parse_str("(component)").unwrap(),
            Some(bad) => named(&template, bad),
        };
        let (status, answer) = http_bytes("PUT", &format!("{url}/admin/pipelines/reloads/module"), &bytes);
        assert_eq!(status, if bad.is_some() { 422 } else { 200 }, "reload {reload}, {bad:?}: {answer}");
        refused += u64::from(bad.is_some());
    }
    let took = began.elapsed();
    let after = metrics(&url);
    let reloading = percentiles(&before, &after);
    let reloading_rate = (applied(&after) - applied(&before)) / took.as_secs_f64();

    stop.store(true, Ordering::Relaxed);
    let database = changing.join().unwrap();
    wait_durable(&url, "reloads", &database.ends());
    let counted = metrics(&url);
    let count = |name: &str, labels: &str| counted[&format!("{name}{{{labels}}}")] as u64;
    let same = assert_same("the index", &documents(&servers["opensearch-2"], &index), &database.documents(false));
    assert!(same > 3_000, "{same} documents are not much to compare");
    assert_eq!(count("rowmill_events_total", "outcome=\"stale\",pipeline=\"reloads\""), 0, "no event came twice");
    assert_eq!(count("rowmill_events_total", "outcome=\"applied\",pipeline=\"reloads\""), database.changes, "every event counts once");
    assert_eq!(count("rowmill_module_reloads_total", "pipeline=\"reloads\",result=\"refused\""), refused);
    assert_eq!(count("rowmill_module_reloads_total", "pipeline=\"reloads\",result=\"replaced\""), reloads - refused);
    eprintln!(
        "{reloads} reloads ({refused} refused) in {took:?}, {} events; p50 and p99 at most {quiet:?} ms at {quiet_rate:.0} events/s without, \
         {reloading:?} ms at {reloading_rate:.0} events/s with",
        database.changes
    );
    database.forget();
    http("DELETE", &format!("{}/{index}", servers["opensearch-2"]), None);
}

#[test]
fn percentiles_are_those_of_the_time_between() {
    let series = |bound: &str| format!("rowmill_end_to_end_seconds_bucket{{pipeline=\"p\",le=\"{bound}\"}}");
    let look = |counts: [f64; 3]| ["0.001", "0.01", "+Inf"].map(series).into_iter().zip(counts).collect::<BTreeMap<_, _>>();
    assert_eq!(percentiles(&look([100.0, 100.0, 100.0]), &look([100.0, 200.0, 210.0])), (10.0, f64::INFINITY));
}
