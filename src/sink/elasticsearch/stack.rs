//! The sink against every real server that `tests/stack` can bring up; they stay up for the other tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use elasticsearch::http::Method;

use super::ElasticsearchSink;
use super::settings::read_plain;
use crate::clock::Clock;
use crate::connect::http::{HttpCredentials, HttpSettings};
use crate::error::Kind;
use crate::event::{Action, DocumentVersion, JsonText, Write};
use crate::settings::{Secret, Section, Source};
use crate::sink::search::{Condition, Filter, Fuzziness, Search, SearchError, SearchRequest};
use crate::sink::{Sink, SinkContext, Verdict, WriteError};

const MAPPING: &str = r#"{"settings":{"number_of_shards":1,"number_of_replicas":0,"refresh_interval":"50ms"},"mappings":{"properties":{
    "name":{"type":"text","fields":{"raw":{"type":"keyword"}}}, "price":{"type":"double"}, "updated":{"type":"date"},
    "notes":{"type":"text"},
    "variants":{"type":"nested","properties":{"sku":{"type":"keyword"}}}}}}"#;

#[tokio::test]
async fn real_servers_agree() {
    let addresses = addresses();
    for (place, address) in addresses.iter().enumerate() {
        let run = format!("{}-{place}", std::process::id());
        println!("{address}");
        writes_and_reads(address, &format!("rowmill-{run}")).await;
        makes_no_index_unasked(address, &format!("rowmill-none-{run}")).await;
        waits_for_a_closed_index(address, &format!("rowmill-closed-{run}")).await;
        stops_at_wrong_credentials(address).await;
        many(address, &format!("rowmill-many-{run}")).await;
    }
}

const SERVERS: [&str; 5] = ["opensearch-2", "opensearch-3", "elasticsearch-8", "elasticsearch-9", "elasticsearch-8-tls"];

fn addresses() -> Vec<String> {
    let stack = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stack/stack");
    let up = Command::new(stack).arg("up").args(SERVERS).output().unwrap();
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    let lines = String::from_utf8(up.stdout).unwrap();
    let addresses: Vec<String> = lines.lines().filter_map(|line| line.split_once(' ')).map(|(_, address)| address.to_owned()).collect();
    assert_eq!(addresses.len(), SERVERS.len(), "{lines}");
    addresses
}

/// Who signed the secured server's certificate.
fn authority() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let stack = set("ROWMILL_STACK_DIR").or_else(|| Some(set("HOME")?.join(".cache/rowmill/stack")));
    let run = set("ROWMILL_STACK_RUN").or_else(|| Some(stack?.join("run"))).unwrap();
    run.join("elasticsearch-8-tls/conf/ca.crt")
}

fn sink_at(address: &str, table: &str, change: impl FnOnce(&mut HttpSettings)) -> ElasticsearchSink {
    let mut url: url::Url = address.parse().unwrap();
    let credentials = url.password().map(|password| (url.username().to_owned(), Secret::new(password)));
    url.set_username("").unwrap();
    url.set_password(None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mapping.json"), MAPPING).unwrap();
    let is_secured = url.scheme() == "https";
    let tls = if is_secured { format!("tls.ca = \"file:{}\"\n", authority().display()) } else { String::new() };
    let table = format!("url = \"{url}\"\ngzip = true\n{tls}{table}");
    let document: toml_edit::Document<String> = toml_edit::Document::parse(table.clone()).unwrap();
    let source = Source::new(&table, dir.path(), &|_| None);
    let section = Section::root(&source, document.as_table());
    let mut settings = read_plain(&section);
    drop(section);
    assert_eq!(source.problems(), []);
    settings.http.credentials = credentials.map(|(user, password)| HttpCredentials::Basic { user, password });
    change(&mut settings.http);
    let context = SinkContext { pipeline: "real".to_owned(), clock: Clock::system(), dir: dir.path().to_owned() };
    ElasticsearchSink::new(settings, &context).unwrap()
}

fn write(index: &str, id: &str, version: u64, document: Option<&str>) -> Write {
    let action = document.map_or(Action::Delete, |document| Action::Index(JsonText::from(document)));
    Write { index: index.into(), id: id.into(), routing: None, version: DocumentVersion(version), action }
}

async fn writes_and_reads(address: &str, index: &str) {
    let sink = sink_at(address, "mapping = \"file:mapping.json\"", |_| ());
    assert_eq!(
        sink.write(&[write(index, "1", 1, None)]).await.unwrap_err(),
        WriteError::IndexMissing { index: index.to_owned() },
        "nothing is written before the index is prepared"
    );
    sink.prepare(&[Arc::from(index)]).await.unwrap();
    sink.prepare(&[Arc::from(index)]).await.unwrap();
    let odd = "north|7\\\"\u{7}ä";
    let keyboard = "{\n  \"name\": \"Wireless Keyboard\", \"price\": 12345678901234567.890,\r\n
        \"updated\": \"2026-01-24\", \"variants\": [{\"sku\": \"k-1\"}]\n}";
    let mouse = r#"{"name":"Optical mouse","price":4.5,"notes":"goes with the keyboard","brand":"Acme Corp"}"#;
    let mut routed = write(index, "3", 10, Some(r#"{"name":"Monitor","price":6}"#));
    routed.routing = Some("north \"7\"".into());
    let verdicts = sink
        .write(&[
            write(index, odd, 10, Some(keyboard)),
            write(index, "2", 10, Some(mouse)),
            routed,
            write(index, "", 10, Some("{}")),
            write(index, "2", 10, Some("{}")),
            write(index, "2", 9, None),
            write(index, "4", 10, Some(r#"{"price":"dear"}"#)),
            write(index, "5", 10, None),
            write(index, "5", 9, Some("{}")),
            write(index, "6", i64::MAX as u64, Some(r#"{"name":"Last"}"#)),
        ])
        .await
        .unwrap();
    println!("  {verdicts:?}");
    use Verdict::{Refused, Stale, Stored};
    assert!(
        matches!(verdicts.as_slice(), [Stored, Stored, Stored, Refused(_), Stale, Stale, Refused(_), Stored, Stale, Stored]),
        "{verdicts:?}"
    );
    searches(&*sink.search().unwrap(), index, odd).await;
}

async fn searches(search: &dyn Search, index: &str, odd: &str) {
    let words = |query: &str| SearchRequest { query: Some(query.to_owned()), limit: 10, ..SearchRequest::default() };
    let ids = |request: SearchRequest| async move {
        let mut ids: Vec<String> = search.search(index, &request).await.unwrap().hits.into_iter().map(|hit| hit.id).collect();
        if request.sort.is_none() {
            ids.sort();
        }
        ids
    };
    while ids(words("")).await.len() < 4 {
        tokio::task::yield_now().await;
    }
    let found = search.search(index, &SearchRequest { sort: Some(("price".to_owned(), true)), ..words("keyboard") }).await.unwrap();
    assert_eq!((found.total, found.hits[0].id.as_str(), found.hits[0].version, found.hits[0].score), (2, odd, Some(10), None));
    assert!(found.hits[0].document.get().contains("12345678901234567.890"), "{}", found.hits[0].document);
    assert_eq!(ids(SearchRequest { fuzzy: Fuzziness::Auto, ..words("keybord") }).await, ["2", odd]);
    assert_eq!(ids(words("keybord")).await, [""; 0]);
    assert_eq!(ids(SearchRequest { all_words: true, ..words("mouse keyboard") }).await, ["2"]);
    assert_eq!(ids(SearchRequest { fields: vec!["name".to_owned()], ..words("mouse keyboard") }).await, ["2", odd]);
    assert_eq!(ids(words("4.5")).await, ["2"], "a number is found among all fields");
    for (field, condition, expected) in [
        ("name", Condition::Equals("Optical mouse".to_owned()), &["2"][..]),
        ("name", Condition::Equals("mouse".to_owned()), &[]),
        ("brand", Condition::Equals("Acme Corp".to_owned()), &["2"]),
        ("notes", Condition::Equals("the keyboard".to_owned()), &["2"]),
        ("variants.sku", Condition::Equals("k-1".to_owned()), &[odd]),
        ("price", Condition::Equals("6".to_owned()), &["3"]),
        ("price", Condition::Between { from: Some("4.5".to_owned()), to: Some("6".to_owned()) }, &["2", "3"]),
        ("updated", Condition::Between { from: Some("2026-01-01".to_owned()), to: None }, &[odd]),
        ("nobody.knows", Condition::Equals("1".to_owned()), &[]),
    ] {
        let filters = vec![Filter { field: field.to_owned(), condition }];
        assert_eq!(ids(SearchRequest { filters, ..words("") }).await, expected, "{field}");
    }
    let by = |field: &str| SearchRequest { sort: Some((field.to_owned(), false)), ..words("") };
    assert_eq!(ids(by("name")).await, ["6", "3", "2", odd]);
    assert_eq!(ids(SearchRequest { limit: 1, offset: 1, ..by("price") }).await, ["3"]);
    assert_eq!(ids(by("variants.sku")).await[0], odd);
    assert_eq!(ids(by("nobody.knows")).await.len(), 4);
    let price = vec![Filter { field: "price".to_owned(), condition: Condition::Equals("dear".to_owned()) }];
    for request in [by("notes"), SearchRequest { filters: price, ..words("") }, SearchRequest { offset: 10_000, ..words("") }] {
        let error = search.search(index, &request).await.unwrap_err();
        println!("  {error}");
        assert!(matches!(error, SearchError::Invalid(_)), "{error:?}");
    }
    let missing = search.search("rowmill-nobody", &by("price")).await.unwrap_err();
    assert_eq!(missing, SearchError::NotFound("rowmill-nobody".to_owned()));
}

async fn makes_no_index_unasked(address: &str, index: &str) {
    let sink = sink_at(address, "create_index = false", |_| ());
    let failure = sink.prepare(&[Arc::from(index)]).await.unwrap_err();
    println!("  {failure}");
    assert_eq!(failure.kind, Kind::Misconfigured);
    assert!(matches!(sink.write(&[write(index, "1", 1, Some("{}"))]).await, Err(WriteError::IndexMissing { .. })));
    assert!(matches!(sink.search().unwrap().search(index, &SearchRequest::default()).await, Err(SearchError::NotFound(_))));
}

async fn waits_for_a_closed_index(address: &str, index: &str) {
    let sink = sink_at(address, "", |_| ());
    sink.prepare(&[Arc::from(index)]).await.unwrap();
    sink.server.change(Method::Post, &format!("{index}/_close"), "").await;
    assert_eq!(sink.write(&[write(index, "1", 1, Some("{}"))]).await.unwrap(), [Verdict::Retry("closed")]);
    assert!(matches!(sink.search().unwrap().search(index, &SearchRequest::default()).await, Err(SearchError::Unavailable(_))));
    sink.server.change(Method::Post, &format!("{index}/_open"), "").await;
    for (block, word) in [("write", "blocked"), ("read_only_allow_delete", "blocked")] {
        let set = |on| format!(r#"{{"index.blocks.{block}":{on}}}"#);
        sink.server.change(Method::Put, &format!("{index}/_settings"), &set("true")).await;
        assert_eq!(sink.write(&[write(index, "1", 1, None)]).await.unwrap(), [Verdict::Retry(word)], "{block}");
        sink.server.change(Method::Put, &format!("{index}/_settings"), &set("null")).await;
    }
    assert_eq!(sink.write(&[write(index, "1", 1, Some("{}"))]).await.unwrap(), [Verdict::Stored]);
}

async fn stops_at_wrong_credentials(address: &str) {
    if !address.contains('@') {
        return;
    }
    for credentials in [
        None,
        Some(HttpCredentials::Basic { user: "rowmill".to_owned(), password: Secret::new("wrong") }),
        Some(HttpCredentials::ApiKey(Secret::new("id:key"))),
    ] {
        let failure = sink_at(address, "", |http| http.credentials = credentials).prepare(&[]).await.unwrap_err();
        println!("  {failure}");
        assert_eq!(failure.kind, Kind::Misconfigured);
    }
    let failure = sink_at(address, "", |http| http.ca = None).prepare(&[]).await.unwrap_err();
    println!("  {failure}");
    assert_eq!(failure.kind, Kind::Misconfigured);
}

impl super::SearchServer {
    async fn change(&self, method: Method, path: &str, body: &str) {
        let answer = self.call(method, path.to_owned(), "application/json", body.to_owned().into()).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    }
}

/// 20,000 documents twice, in four requests at a time: stored, then stale.
async fn many(address: &str, index: &str) {
    let sink = sink_at(address, "", |_| ());
    sink.prepare(&[Arc::from(index)]).await.unwrap();
    let body = |number: usize| format!(r#"{{"number":{number},"text":"{}"}}"#, "words and more ".repeat(30));
    let writes: Vec<Write> = (0..20_000).map(|number| write(index, &number.to_string(), 10, Some(&body(number)))).collect();
    for expected in [Verdict::Stored, Verdict::Stale] {
        let start = Clock::system().instant();
        let requests = writes.chunks(5_000).map(|writes| sink.write(writes));
        for verdicts in futures::future::join_all(requests).await {
            let verdicts = verdicts.unwrap();
            assert!(verdicts.len() == 5_000 && verdicts.iter().all(|verdict| *verdict == expected), "{:?}", verdicts.first());
        }
        println!("  {} documents {expected:?} in {:?}", writes.len(), start.elapsed());
    }
}
