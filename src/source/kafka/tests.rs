//! Against librdkafka's own mock of a cluster; `tests/it/stack` has the real one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use regex::Regex;
use toml_edit::Document;

use crate::clock::Clock;
use crate::connect::kafka::KafkaConnection;
use crate::error::{Failure, Kind};
use crate::event::{Lane, Message};
use crate::limits::{SOURCE_QUEUE_BYTES_MAX, SOURCE_QUEUE_MESSAGES_MAX};
use crate::settings::{Secret, Section, Source as File};
use crate::source::kafka::context::end_offset;
use crate::source::kafka::lanes::partition_of;
use crate::source::kafka::reader::{Judgement, judge};
use crate::source::kafka::settings::{KafkaSourceSettings, Start, Topics, read_settings};
use crate::source::kafka::source::KafkaSource;
use crate::source::kafka::trouble::final_failure;
use crate::source::{Arrival, Source, SourceContext, SourceSettings, StoredPositions};

/// Longer than anything a healthy mock cluster takes: its groups wait three seconds for their first members.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Positions(Mutex<HashMap<String, u64>>);

impl StoredPositions for Positions {
    fn position(&self, lane: &str) -> Option<u64> {
        self.0.lock().unwrap().get(lane).copied()
    }
}

fn stored(positions: &[(&str, u64)]) -> Arc<Positions> {
    Arc::new(Positions(Mutex::new(positions.iter().map(|(lane, position)| ((*lane).to_owned(), *position)).collect())))
}

fn cluster(topics: &[(&str, i32)]) -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    for (topic, partitions) in topics {
        cluster.create_topic(topic, *partitions, 1).unwrap();
    }
    cluster
}

fn produce(brokers: &str, topic: &str, partition: i32, values: impl Iterator<Item = String>) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("queue.buffering.max.messages", "1000000").create().unwrap();
    for value in values {
        producer.send(BaseRecord::to(topic).partition(partition).key(&value).payload(&value)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

fn numbers(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    range.map(|number| number.to_string())
}

fn with_properties(mut settings: KafkaSourceSettings, properties: Vec<(String, Secret)>) -> KafkaSourceSettings {
    settings.connection.properties = properties;
    settings
}

fn settings(brokers: &str, topics: &[&str]) -> KafkaSourceSettings {
    KafkaSourceSettings {
        connection: KafkaConnection { brokers: brokers.to_owned(), properties: Vec::new() },
        topics: Topics::Named(topics.iter().map(|topic| (*topic).to_owned()).collect()),
        group: None,
        start: Start::Earliest,
    }
}

fn open(settings: &KafkaSourceSettings, positions: &Arc<Positions>) -> KafkaSource {
    let positions: Arc<dyn StoredPositions> = Arc::clone(positions) as Arc<dyn StoredPositions>;
    let context = SourceContext { pipeline: "products".to_owned(), positions, clock: Clock::system() };
    KafkaSource::start(settings, context).unwrap()
}

/// Reads until every lane has come to its end.
async fn read_to(source: &mut KafkaSource, ends: &[(&str, u64)]) -> BTreeMap<Lane, Vec<Message>> {
    let mut at: HashMap<Lane, u64> = HashMap::new();
    let mut read: BTreeMap<Lane, Vec<Message>> = BTreeMap::new();
    while !ends.iter().all(|(lane, end)| at.get(*lane).is_some_and(|position| position >= end)) {
        match tokio::time::timeout(PATIENCE, source.next()).await.expect("something arrives").unwrap() {
            Arrival::Messages(messages) => {
                for message in messages {
                    at.insert(Arc::clone(&message.lane), message.position);
                    read.entry(Arc::clone(&message.lane)).or_default().push(message);
                }
            }
            Arrival::Passed { lane, position } => {
                at.insert(lane, position);
            }
            Arrival::Finished | Arrival::Anew { .. } => panic!("a topic never finishes"),
        }
    }
    read
}

fn values(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8(message.value.clone().unwrap().to_vec()).unwrap()).collect()
}

async fn failure(source: &mut KafkaSource) -> Failure {
    loop {
        if let Err(failure) = tokio::time::timeout(PATIENCE, source.next()).await.expect("something arrives") {
            return failure;
        }
    }
}

#[tokio::test]
async fn reads_all_partitions_in_order_and_says_where_they_end() {
    let cluster = cluster(&[("a", 2), ("b", 1)]);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, "a", 0, numbers(0..100));
    produce(&brokers, "a", 1, numbers(100..150));
    let mut source = open(&settings(&brokers, &["a", "b"]), &stored(&[]));
    let ends = source.ends().await.unwrap();
    assert_eq!(ends, [("a/0".into(), 100), ("a/1".into(), 50), ("b/0".into(), 0)]);
    let read = read_to(&mut source, &[("a/0", 100), ("a/1", 50), ("b/0", 0)]).await;
    assert_eq!(values(&read["a/0"]), numbers(0..100).collect::<Vec<_>>());
    assert_eq!(values(&read["a/1"]), numbers(100..150).collect::<Vec<_>>());
    let last = read["a/1"].last().unwrap();
    assert_eq!((last.position, last.origin.to_string(), last.key.as_deref()), (50, "a/1@49".to_owned(), Some(&b"149"[..])));
    assert!(last.timestamp_ms > 0);
    assert_eq!(source.trouble(), None);
}

#[tokio::test]
async fn the_stored_position_wins_over_the_offset_of_the_group() {
    let cluster = cluster(&[("a", 2)]);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, "a", 0, numbers(0..10));
    produce(&brokers, "a", 1, numbers(0..10));
    let mut first = open(&settings(&brokers, &["a"]), &stored(&[]));
    read_to(&mut first, &[("a/0", 10), ("a/1", 10)]).await;
    first.settle(&[("a/0".into(), 10), ("a/1".into(), 10)]);
    drop(first);
    // a/1 has no stored position although its group has an offset: the state was lost, so all is read again.
    let mut second = open(&settings(&brokers, &["a"]), &stored(&[("a/0", 7)]));
    let read = read_to(&mut second, &[("a/0", 10), ("a/1", 10)]).await;
    assert_eq!(values(&read["a/0"]), ["7", "8", "9"]);
    assert_eq!(read["a/1"].len(), 10);
}

#[tokio::test]
async fn latest_remembers_where_it_began_before_the_first_record() {
    let cluster = cluster(&[("a", 1)]);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, "a", 0, numbers(0..10));
    let mut source = open(&KafkaSourceSettings { start: Start::Latest, ..settings(&brokers, &["a"]) }, &stored(&[]));
    let first = tokio::time::timeout(PATIENCE, source.next()).await.unwrap().unwrap();
    assert_eq!(first, Arrival::Passed { lane: "a/0".into(), position: 10 });
    produce(&brokers, "a", 0, numbers(10..11));
    let read = read_to(&mut source, &[("a/0", 11)]).await;
    assert_eq!(values(&read["a/0"]), ["10"]);
}

#[tokio::test]
async fn a_pattern_finds_topics_that_come_later() {
    let cluster = cluster(&[("shop.products", 1), ("other", 1)]);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, "shop.products", 0, numbers(0..1));
    let topics = Topics::Matching(Regex::new(r"^shop\.\w+$").unwrap());
    let mut source = open(&KafkaSourceSettings { topics, ..settings(&brokers, &[]) }, &stored(&[]));
    read_to(&mut source, &[("shop.products/0", 1)]).await;
    produce(&brokers, "shop.users", 0, numbers(0..1));
    read_to(&mut source, &[("shop.users/0", 1)]).await;
    assert!(source.newest().iter().all(|(lane, _)| lane.starts_with("shop.")));
}

#[tokio::test]
async fn holds_a_bounded_amount_and_loses_nothing_while_nobody_reads() {
    let cluster = cluster(&[("a", 1)]);
    let brokers = cluster.bootstrap_servers();
    let total = SOURCE_QUEUE_MESSAGES_MAX * 4;
    produce(&brokers, "a", 0, numbers(0..total));
    let mut source = open(&settings(&brokers, &["a"]), &stored(&[]));
    tokio::time::timeout(PATIENCE, source.paused()).await.expect("it pauses when nobody reads");
    let (messages, bytes) = source.waiting();
    assert!((SOURCE_QUEUE_MESSAGES_MAX..SOURCE_QUEUE_MESSAGES_MAX + 1_000).contains(&messages), "{messages}");
    assert!(bytes <= SOURCE_QUEUE_BYTES_MAX, "{bytes}");
    let read = read_to(&mut source, &[("a/0", total as u64)]).await;
    assert_eq!(values(&read["a/0"]), numbers(0..total).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_dropped_next_loses_nothing() {
    let cluster = cluster(&[("a", 1)]);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, "a", 0, numbers(0..100));
    let mut source = open(&settings(&brokers, &["a"]), &stored(&[]));
    let mut read = Vec::new();
    while read.len() < 100 {
        if let Ok(Ok(Arrival::Messages(messages))) = tokio::time::timeout(Duration::from_millis(1), source.next()).await {
            read.extend(values(&messages));
        }
    }
    assert_eq!(read, numbers(0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_broker_that_is_down_is_waited_for_with_the_reason() {
    let mut source = open(&settings("127.0.0.1:1", &["a"]), &stored(&[]));
    let silent = tokio::time::timeout(Duration::from_secs(4), source.next()).await;
    assert!(silent.is_err(), "{silent:?}");
    let trouble = source.trouble().expect("there is trouble");
    assert!(trouble.starts_with("waiting for Kafka at 127.0.0.1:1: "), "{trouble}");
}

#[tokio::test]
async fn a_position_beyond_the_end_stops_the_pipeline_and_says_why() {
    let cluster = cluster(&[("a", 1)]);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, "a", 0, numbers(0..10));
    let mut source = open(&settings(&brokers, &["a"]), &stored(&[("a/0", 50)]));
    let failure = failure(&mut source).await;
    assert_eq!(failure.kind, Kind::Misconfigured);
    assert!(failure.message.starts_with("a/0 was made anew or has lost records: offset 50 "), "{failure}");
}

#[tokio::test]
async fn records_deleted_before_they_were_read_are_passed_over() {
    for strategy in ["cooperative-sticky", "range"] {
        let cluster = cluster(&[("a", 1), ("b", 1)]);
        let brokers = cluster.bootstrap_servers();
        produce(&brokers, "b", 0, numbers(0..10));
        // The mock cluster keeps 5 MiB of a partition.
        for _ in 0..10 {
            produce(&brokers, "a", 0, (0..1_000).map(|_| "x".repeat(1_000)));
        }
        let properties = vec![("partition.assignment.strategy".to_owned(), Secret::new(strategy))];
        let settings = with_properties(settings(&brokers, &["a", "b"]), properties);
        let mut source = open(&settings, &stored(&[("a/0", 1), ("b/0", 9)]));
        let read = read_to(&mut source, &[("a/0", 10_000), ("b/0", 10)]).await;
        let offsets: Vec<u64> = read["a/0"].iter().map(|message| message.origin.offset).collect();
        let first = offsets[0];
        assert!(first > 1_000, "{strategy}: {first}");
        assert_eq!(offsets, (first..10_000).collect::<Vec<_>>(), "{strategy}");
        assert!(read["b/0"].iter().all(|message| message.origin.offset == 9), "{strategy}");
    }
}

#[tokio::test]
async fn two_members_share_the_partitions_and_one_takes_over() {
    for strategy in ["cooperative-sticky", "range"] {
        let cluster = cluster(&[("a", 2)]);
        let brokers = cluster.bootstrap_servers();
        let properties = vec![("partition.assignment.strategy".to_owned(), Secret::new(strategy))];
        let settings = with_properties(settings(&brokers, &["a"]), properties);
        let (mut one, mut two) = (open(&settings, &stored(&[])), open(&settings, &stored(&[])));
        one.holding(1).await;
        two.holding(1).await;
        produce(&brokers, "a", 0, numbers(0..5));
        produce(&brokers, "a", 1, numbers(0..5));
        let lane = one.lane_names().remove(0);
        read_to(&mut one, &[(&lane, 5)]).await;
        drop(one);
        two.holding(2).await;
        let read = read_to(&mut two, &[("a/0", 5), ("a/1", 5)]).await;
        assert_eq!(read.len(), 2, "{strategy}");
    }
}

#[tokio::test]
async fn a_member_commits_no_offset_of_a_partition_that_went_to_another() {
    let cluster = cluster(&[("a", 2)]);
    let brokers = cluster.bootstrap_servers();
    let settings = settings(&brokers, &["a"]);
    let one = open(&settings, &stored(&[]));
    one.holding(2).await;
    let two = open(&settings, &stored(&[]));
    one.holding(1).await;
    two.holding(1).await;
    one.settle(&[("a/0".into(), 5), ("a/1".into(), 5)]);
    let asking: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &brokers).set("group.id", "rowmill-products").create().unwrap();
    let committed = |source: &KafkaSource| {
        let lane = source.lane_names().remove(0);
        let mut list = TopicPartitionList::new();
        list.add_partition("a", partition_of(&lane).unwrap().1);
        asking.committed_offsets(list, PATIENCE).unwrap().elements()[0].offset()
    };
    while committed(&one) != Offset::Offset(5) {
        tokio::task::yield_now().await;
    }
    assert_eq!(committed(&two), Offset::Invalid);
}

#[test]
fn positions_are_judged_by_the_ends_of_their_partition() {
    for (position, low, high, expected) in [
        (5, 0, 10, "there"),
        (10, 0, 10, "there"),
        (5, 5, 5, "there"),
        (4, 5, 9, "gone"),
        (4, 9, 9, "gone"),
        (11, 0, 10, "beyond"),
        (1, 0, 0, "beyond"),
    ] {
        let judged = match judge("a/0", position, low, high) {
            Judgement::There => "there",
            Judgement::Gone(_) => "gone",
            Judgement::Beyond(_) => "beyond",
        };
        assert_eq!(judged, expected, "{position} in {low}..{high}");
    }
}

#[test]
fn the_end_is_read_from_what_librdkafka_says() {
    for (reason, end) in [
        ("Fetch from broker 1 reached end of partition at offset 42 (HighwaterMark 43)", Some(42)),
        ("Fetch from broker 1 reached end of partition at offset -1001 (HighwaterMark 43)", None),
        ("something else", None),
    ] {
        assert_eq!(end_offset(reason), end);
    }
}

#[test]
fn only_what_a_person_must_change_is_final() {
    for (code, is_final) in [
        (RDKafkaErrorCode::Authentication, true),
        (RDKafkaErrorCode::SaslAuthenticationFailed, true),
        (RDKafkaErrorCode::TopicAuthorizationFailed, true),
        (RDKafkaErrorCode::AllBrokersDown, false),
        (RDKafkaErrorCode::UnknownTopicOrPartition, false),
        (RDKafkaErrorCode::PollExceeded, false),
    ] {
        assert_eq!(final_failure(code, "why").is_some(), is_final, "{code:?}");
    }
}

fn parse(text: &str) -> (KafkaSourceSettings, Vec<String>) {
    let document = Document::parse(text.to_owned()).unwrap();
    let environment = |name: &str| (name == "SECRET").then(|| "hidden".to_owned());
    let file = File::new(text, ".", &environment);
    let root = Section::root(&file, document.as_table());
    let settings = read_settings(&root);
    drop(root);
    (settings, file.problems().iter().map(ToString::to_string).collect())
}

#[test]
fn settings_are_read_and_every_problem_is_noted() {
    for (text, problems) in [
        ("brokers = 'b'\ntopics = ['a']", &[][..]),
        ("brokers = 'b'\ntopics = 'a'\nstart = 'latest'\ngroup = 'g'", &[]),
        ("topics = ['a']", &["line 1: brokers is missing: it has no default"]),
        ("brokers = 'b'", &["line 1: topics is missing: name the topics, or give a `topics_pattern`"]),
        ("brokers = 'b'\ntopics = []", &["line 2: topics is empty: name at least one topic"]),
        ("brokers = 'b'\ntopics = ['a']\ntopics_pattern = '^a'", &["line 3: topics_pattern stands beside `topics`: keep one of the two"]),
        ("brokers = 'b'\ntopics_pattern = 'a'", &["line 2: topics_pattern must start with ^, to show that it is a pattern"]),
        ("brokers = 'b'\ntopics_pattern = '^('", &["line 2: topics_pattern is not a regular expression: unclosed group"]),
        ("brokers = 'b'\ntopics = ['a']\n[properties]\n'group.id' = 'g'", &["line 4: properties.group.id cannot be set: use `group`"]),
        (
            "brokers = 'b'\ntopics = ['a']\n[properties]\n'sasl.password' = 'open'",
            &["line 4: properties.sasl.password is a secret: write \"env:NAME\" or \"file:PATH\" instead of the secret itself"],
        ),
    ] {
        assert_eq!(parse(text).1, problems, "{text}");
    }
}

#[test]
fn properties_go_to_librdkafka_and_secrets_are_not_shown() {
    let (settings, problems) = parse(
        "brokers = 'b'\ntopics = ['a']\n[properties]\n'sasl.password' = 'env:SECRET'\n'fetch.min.bytes' = 7\n'isolation.level' = 'read_uncommitted'",
    );
    assert_eq!(problems, [""; 0]);
    let config = settings.client_config("products");
    for (name, value) in [
        ("sasl.password", "hidden"),
        ("fetch.min.bytes", "7"),
        ("isolation.level", "read_uncommitted"),
        ("group.id", "rowmill-products"),
        ("enable.auto.commit", "false"),
    ] {
        assert_eq!(config.get(name), Some(value));
    }
    assert!(!format!("{settings:?}").contains("hidden"));
}

#[tokio::test]
async fn what_librdkafka_does_not_know_is_one_sentence() {
    for (name, value, sentence) in [
        ("no.such", "1", "Kafka property no.such cannot be used: No such configuration property: \"no.such\""),
        (
            "fetch.min.bytes",
            "x",
            "Kafka property fetch.min.bytes cannot be used: Invalid value for configuration property \"fetch.min.bytes\"",
        ),
    ] {
        let properties = vec![(name.to_owned(), Secret::new(value))];
        let settings = with_properties(settings("b", &["a"]), properties);
        let context = SourceContext { pipeline: "p".to_owned(), positions: stored(&[]), clock: Clock::system() };
        let failure = settings.open(context).await.err().unwrap();
        assert_eq!(failure, Failure::misconfigured(sentence));
    }
}
