//! Against librdkafka's own mock of a cluster; `tests/it/stack` has the real one.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::KafkaSink;
use super::client::Producer;
use super::settings::DEFAULTS;
use super::verdict::of_deliveries;
use crate::error::Kind;
use crate::event::{Action, DocumentVersion, JsonText, Write};
use crate::sink::{Sink, Verdict, WriteError};

fn sink(brokers: &str, properties: &[(&str, &str)]) -> KafkaSink {
    let mut config = ClientConfig::new();
    for (name, value) in DEFAULTS.iter().chain(properties) {
        config.set(*name, *value);
    }
    config.set("bootstrap.servers", brokers).set("enable.idempotence", "true");
    KafkaSink { producer: Producer::new(&config, brokers).unwrap() }
}

fn write(id: &str, version: u64, action: Action) -> Write {
    Write { index: "out".into(), id: id.into(), routing: None, version: DocumentVersion(version), action }
}

fn records(brokers: &str, count: usize) -> Vec<(String, Option<String>, String)> {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", "g").create().unwrap();
    let mut lanes = TopicPartitionList::new();
    lanes.add_partition_offset("out", 0, Offset::Beginning).unwrap();
    consumer.assign(&lanes).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let record = |message: BorrowedMessage<'_>| {
        let version = message.headers().unwrap().get(0);
        assert_eq!(version.key, "rowmill.version");
        (text(message.key().unwrap()), message.payload().map(text), text(version.value.unwrap()))
    };
    consumer.iter().map(|message| record(message.unwrap())).take(count).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_records_under_their_ids_with_their_versions() {
    let cluster: MockCluster<'_, DefaultProducerContext> = MockCluster::new(1).unwrap();
    cluster.create_topic("out", 1, 1).unwrap();
    let sink = sink(&cluster.bootstrap_servers(), &[]);
    sink.prepare(&["out".into()]).await.unwrap();
    let index = |id: &str, version, body: &str| write(id, version, Action::Index(JsonText::from(body)));
    let writes = [index("1", 256, "{\"a\":1}"), index("1", 257, "{\"a\":2}"), write("2", 512, Action::Delete)];
    assert_eq!(sink.write(&writes).await, Ok(vec![Verdict::Stored; 3]));
    let record = |key: &str, value: Option<&str>, version: &str| (key.to_owned(), value.map(str::to_owned), version.to_owned());
    let expected = [record("1", Some("{\"a\":1}"), "256"), record("1", Some("{\"a\":2}"), "257"), record("2", None, "512")];
    assert_eq!(tokio::task::block_in_place(|| records(&cluster.bootstrap_servers(), 3)), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_away_are_waited_for() {
    let sink = sink("127.0.0.1:1", &[("message.timeout.ms", "50")]);
    assert_eq!(sink.prepare(&["out".into()]).await.unwrap_err().kind, Kind::Unavailable);
    assert_eq!(sink.write(&[write("1", 256, Action::Delete)]).await, Ok(vec![Verdict::Retry("timeout")]));
}

#[test]
fn an_error_is_one_records_or_nobodys_or_a_matter_for_a_person() {
    let failed = |code| Err(KafkaError::MessageProduction(code));
    let verdicts = |code| of_deliveries(vec![Ok(()), failed(code)]);
    assert!(matches!(&*verdicts(RDKafkaErrorCode::MessageSizeTooLarge).unwrap(), [Verdict::Stored, Verdict::Refused(_)]));
    assert_eq!(verdicts(RDKafkaErrorCode::BrokerTransportFailure), Ok(vec![Verdict::Stored, Verdict::Retry("unreachable")]));
    assert!(matches!(verdicts(RDKafkaErrorCode::TopicAuthorizationFailed), Err(WriteError::Misconfigured { .. })));
}
