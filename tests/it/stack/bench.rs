//! `rowmill bench windows` measures what it says: every event is counted, in each of its windows.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{topic, up};
use crate::support::{rowmill, succeed};

fn bench(brokers: &str, more: &[&str]) -> Value {
    let common = ["bench", "windows", "--brokers", brokers, "--events", "3000", "--keys", "50", "--sink", "kafka"];
    serde_json::from_str(&succeed(rowmill().args(common).args(more))).unwrap()
}

/// The counts that stand at the end, added up.
fn counted(brokers: &str, figures: &Value) -> u64 {
    let messages = topic(brokers, figures["output"].as_str().unwrap());
    assert_eq!(figures["documents"].as_u64(), Some(messages.len() as u64), "{figures}");
    let last: BTreeMap<&str, &str> =
        messages.iter().map(|message| (message["key"].as_str().unwrap(), message["payload"].as_str().unwrap())).collect();
    last.values().map(|document| serde_json::from_str::<Value>(document).unwrap()["count"].as_u64().unwrap()).sum()
}

#[test]
fn bench_counts_every_event_in_each_of_its_windows() {
    let brokers = &up(&["kafka"])["kafka"];
    let tumbling = bench(brokers, &[]);
    assert_eq!(counted(brokers, &tumbling), 3_000, "{tumbling}");
    assert!(tumbling["cpu_seconds"].as_f64().unwrap() > 0.0 && tumbling["state_bytes"].as_u64().unwrap() > 0, "{tumbling}");
    let hopping = bench(brokers, &["--topic", tumbling["topic"].as_str().unwrap(), "--hopping"]);
    assert_eq!(counted(brokers, &hopping), 30_000, "{hopping}");
}
