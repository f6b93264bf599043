//! What lies between Rowmill and its servers fails in every way that a network has.

use std::time::Duration;

use super::database::{Database, Habits};
use super::proxy::{Fault, Proxy};
use super::rig::{PATIENCE, Pipeline, Rig, assert_same, documents, unique, wait_durable};
use super::servers::Servers;
use crate::stack::up;
use crate::support::{http, pass, wait_for};

/// What is injected, and how often at least while changes come.
const FAULTS: [(Fault, u64); 7] = [
    (Fault::Latency(Duration::from_millis(80)), 20),
    (Fault::Bandwidth(60_000), 20),
    (Fault::Reset, 4),
    (Fault::CutAnswer, 4),
    (Fault::CutRequest, 4),
    (Fault::Refuse, 1),
    (Fault::BlackHole, 2),
];

#[test]
fn whatever_the_network_does_the_index_becomes_the_database() {
    let seed = u64::from(std::process::id());
    let (to_kafka, to_search) = (Proxy::listen(seed), Proxy::listen(seed + 1));
    let servers = Servers::up(&["kafka"], &[("STACK_KAFKA_PROXY", to_kafka.address().to_string())]);
    let search = up(&["opensearch-2"])["opensearch-2"].clone();
    to_kafka.lead_to(&format!("127.0.0.1:{}", servers.read("kafka-proxied.port").trim()));
    to_search.lead_to(search.strip_prefix("http://").unwrap());

    let topic = unique("network.public.t");
    let mut database = Database::new(servers.url("kafka"), &topic, 3, seed, Habits { keys: 300, long: 200, repeats: true });
    let index = topic.clone();
    let rig = Rig::new(
        "",
        &[Pipeline {
            name: "rows",
            brokers: &to_kafka.address().to_string(),
            topic: &topic,
            keep: "rows",
            sink: ("opensearch", format!("url = \"http://{}\"\nindex = \"{index}\"\ntimeout = \"2s\"", to_search.address())),
            properties: ", \"socket.timeout.ms\" = \"2000\"",
            more: "batch.max_documents = 50",
        }],
    );
    let mut running = rig.run();
    let url = running.url();
    for (name, proxy) in [("search server", &to_search), ("kafka", &to_kafka)] {
        for (fault, times) in FAULTS {
            let before = proxy.injected();
            proxy.inject(fault);
            for _ in 0..50 {
                database.change(4);
                pass(Duration::from_millis(20));
            }
            wait_for(&format!("{fault:?} at {name} to happen"), PATIENCE, || {
                database.change(4);
                (proxy.injected() >= before + times).then_some(())
            });
            proxy.inject(Fault::None);
            wait_durable(&url, "rows", &database.ends());
            let compared = assert_same(&format!("{fault:?} at {name}"), &documents(&search, &index), &database.documents(true));
            println!("{fault:?} at {name}: {} times, {compared} documents compared", proxy.injected() - before);
        }
    }
    assert!(running.terminate().success(), "SIGTERM drains");
    http("DELETE", &format!("{search}/{index}"), None);
}
