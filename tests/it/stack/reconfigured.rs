//! Another configuration for a pipeline that reads Kafka.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::up;
use crate::support::{Running, http, json_lines, now, pass, rowmill, wait_for};

/// Puts rows with these ids into a topic, in one go.
fn produce(brokers: &str, topic: &str, ids: std::ops::Range<u64>) {
    let rows: String = ids.map(|id| format!("{{\"id\":{id}}}\t{{\"id\":{id},\"at\":\"{topic}\"}}\n")).collect();
    let mut kcat = Command::new("kcat");
    let mut kcat = kcat.args(["-b", brokers, "-P", "-q", "-t", topic, "-K", "\t", "-p", "0"]).stdin(Stdio::piped()).spawn().unwrap();
    kcat.stdin.take().unwrap().write_all(rows.as_bytes()).unwrap();
    assert!(kcat.wait().unwrap().success());
}

#[test]
fn a_pipeline_of_kafka_changes_under_load_and_goes_on_where_each_topic_stands() {
    let kafka = up(&["kafka"])["kafka"].clone();
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (format!("reload-{}-a", std::process::id()), format!("reload-{}-b", std::process::id()));
    let config = |topics: &str, more: &str| {
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[pipelines.p.source.kafka]\nbrokers = \"{kafka}\"\ntopics = [{topics}]\n{more}\n\
             [pipelines.p.source.decode]\nformat = \"json\"\n[pipelines.p.sink.file]\npath = \"out.jsonl\"\n"
        );
        // The process keeps the port that it got: port 0 is no change.
        fs::write(dir.path().join("rowmill.toml"), text).unwrap();
    };
    produce(&kafka, &first, 0..100);
    produce(&kafka, &second, 0..100);
    config(&format!("{first:?}"), "");
    let mut running = Running::start(rowmill().arg("run").arg(dir.path().join("rowmill.toml")));
    let reload = format!("{}/admin/reload", running.url());
    let is_over = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut next = 100;
            while !is_over.load(Ordering::Relaxed) {
                produce(&kafka, &first, next..next + 50);
                next += 50;
                pass(Duration::from_millis(50));
            }
            next
        });
        for (topics, more) in [
            (format!("{first:?}"), "[pipelines.p.batch]\nmax_documents = 7"),
            (format!("{first:?}, {second:?}"), "group = \"reload-other\""),
            (format!("{first:?}, {second:?}"), "properties = { \"fetch.wait.max.ms\" = 50 }"),
        ] {
            config(&topics, more);
            let started = now();
            let (status, answer) = http("POST", &reload, None);
            eprintln!("the reload took {:?}", started.elapsed());
            assert_eq!(status, 200, "{answer}");
        }
        config(&format!("{first:?}"), "properties = { \"no.such\" = \"geheim\" }");
        let (status, answer) = http("POST", &reload, None);
        assert_eq!(
            (status, answer.contains("Kafka property no.such cannot be used"), answer.contains("geheim")),
            (422, true, false),
            "{answer}"
        );
        is_over.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    let ids = |documents: &[Value]| -> BTreeMap<String, Vec<u64>> {
        let mut ids: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for document in documents {
            let topic = document["index"].as_str().unwrap().to_owned();
            ids.entry(topic).or_default().push(document["id"].as_str().unwrap().parse().unwrap());
        }
        ids
    };
    let documents = wait_for("every row", Duration::from_secs(60), || {
        let text = fs::read_to_string(dir.path().join("out.jsonl")).unwrap_or_default();
        (text.ends_with('\n') && text.lines().count() as u64 >= written + 100).then(|| json_lines(&dir.path().join("out.jsonl")))
    });
    let expected = BTreeMap::from([(first, (0..written).collect::<Vec<_>>()), (second, (0..100).collect())]);
    assert_eq!(ids(&documents), expected, "each once, in the order of its topic");
}
