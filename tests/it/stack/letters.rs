//! Dead letters in a Kafka topic, and documents in another.

use std::time::Duration;

use serde_json::{Value, json};

use super::{topic, up};
use crate::support::{module, rowmill, succeed, wait_for};

#[test]
fn documents_and_dead_letters_go_to_topics_of_their_own() {
    let kafka = up(&["kafka"])["kafka"].clone();
    let dir = tempfile::tempdir().unwrap();
    let event = |id: u64, row: &Value| {
        let source = json!({"connector": "postgresql", "name": "s", "schema": "public", "table": "t", "lsn": 100 + id, "ts_ms": 1,
            "snapshot": "false", "sequence": json!([(100 + id).to_string(), (100 + id).to_string()]).to_string()});
        let envelope = json!({"before": null, "after": row, "op": "c", "ts_ms": 1, "source": source});
        let message = json!({"topic": "letters.public.t", "partition": 0, "offset": id, "ts": 1, "key": json!({"id": id}).to_string(), "payload": envelope.to_string()});
        format!("{message}\n")
    };
    let events = event(1, &json!({"id": 1})) + &event(2, &json!({"id": 2, "mode": "reject"})) + &event(3, &json!({"id": 3}));
    std::fs::write(dir.path().join("events.jsonl"), events).unwrap();
    // A topic that a run before has filled is another run's.
    let name = format!("letters-{}", std::process::id());
    let config = format!(
        "[server]\nlisten = \"off\"\n[pipelines.p.source.file]\npath = \"events.jsonl\"\nformat = \"kcat\"\n\
         [pipelines.p.transform]\nmodule = \"{}\"\n[pipelines.p.sink.kafka]\nbrokers = \"{kafka}\"\ntopic = \"{name}-documents\"\n\
         [pipelines.p.dead_letters.sink.kafka]\nbrokers = \"{kafka}\"\ntopic = \"{name}-dead\"\n",
        module("hostile")
    );
    std::fs::write(dir.path().join("rowmill.toml"), config).unwrap();
    succeed(rowmill().arg("run").arg(dir.path().join("rowmill.toml")).arg("--until-caught-up"));

    let records = |name: &str, count: usize| {
        wait_for("the records", Duration::from_secs(30), || Some(topic(&kafka, name)).filter(|records| records.len() >= count))
    };
    let document = |record: &Value| {
        let body: Value = serde_json::from_str(record["payload"].as_str().unwrap()).unwrap();
        (record["key"].clone(), body["id"].clone(), record["headers"].clone())
    };
    let version = |id: u64| json!(["rowmill.version", ((100 + id) << 8).to_string()]);
    let expected = [(json!("1"), json!(1), version(1)), (json!("3"), json!(3), version(3))];
    assert_eq!(records(&format!("{name}-documents"), 2).iter().map(document).collect::<Vec<_>>(), expected);
    let dead = records(&format!("{name}-dead"), 1);
    let letter: Value = serde_json::from_str(dead[0]["payload"].as_str().unwrap()).unwrap();
    assert_eq!((dead.len(), dead[0]["key"].as_str()), (1, Some("p/letters.public.t/0@2")));
    assert_eq!((&letter["stage"], &letter["key"], &letter["version"]["first"]), (&json!("transform"), &json!("2"), &json!(102)));
}
