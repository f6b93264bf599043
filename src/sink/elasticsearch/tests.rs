//! The sink before a server that answers as it is told.

use std::sync::Arc;

use super::ElasticsearchSink;
use super::settings::ElasticsearchSinkSettings;
use crate::clock::Clock;
use crate::connect::http::HttpSettings;
use crate::connect::http::testing::{Received, Reply, TestServer, closed_port};
use crate::error::Kind;
use crate::event::{Action, DocumentVersion, JsonText, Write};
use crate::sink::search::{Condition, Filter, SearchError, SearchRequest};
use crate::sink::{Sink, SinkContext, Verdict, WriteError};

const ABOUT: &str = r#"{"version":{"number":"2.19.6","distribution":"opensearch"}}"#;
const MISSING: &str = r#"{"error":{"type":"index_not_found_exception","reason":"no such index [p]","index":"p"},"status":404}"#;
const STORED: &str = r#"{"errors":false,"items":[{"index":{"status":201}}]}"#;

fn sink_at(url: &str, change: impl FnOnce(&mut ElasticsearchSinkSettings)) -> ElasticsearchSink {
    let http = HttpSettings {
        urls: vec![url.parse().unwrap()],
        credentials: None,
        ca: None,
        verify: true,
        gzip: false,
        timeout: std::time::Duration::from_secs(20),
    };
    let mut settings = ElasticsearchSinkSettings { http, index: None, create_index: true, mapping: None, requests_in_flight: 4 };
    change(&mut settings);
    let context = SinkContext { pipeline: "products".to_owned(), clock: Clock::system(), dir: std::env::temp_dir() };
    ElasticsearchSink::new(settings, &context).unwrap()
}

/// Answers `GET /` and whatever else `answer` knows; what it does not know is 404.
async fn server(answer: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) -> TestServer {
    TestServer::start(move |request: &Received| match request.line().as_str() {
        "GET /" => answer("GET /").unwrap_or(Reply::ok(ABOUT)),
        line => answer(line).unwrap_or(Reply::Answer(404, MISSING.to_owned())),
    })
    .await
}

fn write(index: &str, id: &str) -> Write {
    let action = Action::Index(JsonText::from(r#"{"a":1}"#));
    Write { index: index.into(), id: id.into(), routing: None, version: DocumentVersion(256), action }
}

fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

#[tokio::test]
async fn an_index_that_is_missing_is_made_with_its_mapping() {
    let server = server(|line| match line {
        "HEAD /there" | "PUT /p" => Some(Reply::ok("{}")),
        _ => None,
    })
    .await;
    let sink = sink_at(&server.url, |settings| settings.mapping = Some(r#"{"mappings":{"dynamic":"strict"}}"#.to_owned()));
    sink.prepare(&names(&["there", "p", "No Index"])).await.unwrap();
    assert_eq!(server.lines(), ["GET /", "HEAD /there", "HEAD /p", "PUT /p"]);
    assert_eq!(server.received()[3].text(), r#"{"mappings":{"dynamic":"strict"}}"#);
}

#[tokio::test]
async fn what_stands_in_the_way_of_preparing_says_what_to_do() {
    let cases: [(&str, u16, &str, Kind, &str); 9] = [
        ("GET /", 401, "", Kind::Misconfigured, "set user and password"),
        ("GET /", 503, "", Kind::Unavailable, "503"),
        ("GET /", 200, "hello", Kind::Unavailable, "does not answer like Elasticsearch"),
        ("GET /", 200, r#"{"version":{"number":"6.8.1"}}"#, Kind::Misconfigured, "use 8 or newer"),
        ("HEAD /p", 403, "", Kind::Misconfigured, "grant view_index_metadata"),
        ("HEAD /p", 502, "", Kind::Unavailable, "502"),
        ("PUT /p", 400, r#"{"error":{"type":"mapper_parsing_exception","reason":"no type"}}"#, Kind::Misconfigured, "no type"),
        ("PUT /p", 403, r#"{"error":{"type":"security_exception","reason":"no"}}"#, Kind::Misconfigured, "give the user the right"),
        ("PUT /p", 429, "", Kind::Unavailable, "429"),
    ];
    for (at, status, body, kind, part) in cases {
        let server = server(move |line| (line == at).then(|| Reply::Answer(status, body.to_owned()))).await;
        let failure = sink_at(&server.url, |_| ()).prepare(&names(&["p"])).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{at} {status}: {failure}");
        assert!(failure.message.contains(part), "{at} {status}: {failure}");
    }
    let failure = sink_at(&closed_port().await, |_| ()).prepare(&[]).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Unavailable);
}

#[tokio::test]
async fn who_was_slower_at_making_an_index_is_content_too() {
    let exists = r#"{"error":{"type":"resource_already_exists_exception","reason":"r"}}"#;
    let server = server(|line| (line == "PUT /p").then(|| Reply::Answer(400, exists.to_owned()))).await;
    sink_at(&server.url, |_| ()).prepare(&names(&["p"])).await.unwrap();
}

#[tokio::test]
async fn without_leave_to_make_an_index_nothing_is_written_to_a_missing_one() {
    let server = server(|_| None).await;
    let sink = sink_at(&server.url, |settings| settings.create_index = false);
    let failure = sink.prepare(&names(&["p"])).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Misconfigured);
    assert!(failure.message.contains("create it, or set create_index = true"));
    assert_eq!(sink.write(&[write("p", "1")]).await.unwrap_err(), WriteError::IndexMissing { index: "p".to_owned() });
    assert_eq!(server.lines(), ["GET /", "HEAD /p"]);
}

#[tokio::test]
async fn an_index_that_went_away_is_prepared_again() {
    let gone = format!(r#"{{"errors":true,"items":[{{"index":{{"status":404,"error":{}}}}}]}}"#, r#"{"type":"index_not_found_exception"}"#);
    let server = server(move |line| match line {
        "HEAD /p" => Some(Reply::ok("")),
        _ if line.starts_with("POST /p/_bulk") => Some(Reply::ok(&gone)),
        _ => None,
    })
    .await;
    let sink = sink_at(&server.url, |_| ());
    sink.prepare(&names(&["p"])).await.unwrap();
    for _ in 0..2 {
        assert_eq!(sink.write(&[write("p", "1")]).await.unwrap_err(), WriteError::IndexMissing { index: "p".to_owned() });
    }
    assert_eq!(server.received().len(), 3, "the second write asks nobody");
}

#[tokio::test]
async fn verdicts_come_in_the_order_of_the_writes() {
    let server = server(|line| match line {
        "HEAD /p" => Some(Reply::ok("")),
        "POST /_bulk?filter_path=errors,items.*.status,items.*.error" => Some(Reply::ok(STORED)),
        _ => None,
    })
    .await;
    let sink = sink_at(&server.url, |_| ());
    sink.prepare(&names(&["p"])).await.unwrap();
    let verdicts = sink.write(&[write("p", ""), write("p", "1"), write("Q", "1")]).await.unwrap();
    assert!(matches!(verdicts.as_slice(), [Verdict::Refused(_), Verdict::Stored, Verdict::Refused(_)]), "{verdicts:?}");
    let lines = server.received().pop().unwrap();
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(lines.text().lines().count(), 2);
    assert_eq!(sink.write(&[write("p", "")]).await.unwrap().len(), 1);
    assert_eq!(sink.write(&[]).await.unwrap(), []);
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn a_lost_server_is_unavailable() {
    let server = server(|line| match line {
        "HEAD /p" => Some(Reply::ok("")),
        _ if line.starts_with("POST") => Some(Reply::Cut),
        _ => None,
    })
    .await;
    let sink = sink_at(&server.url, |_| ());
    sink.prepare(&names(&["p"])).await.unwrap();
    let error = sink.write(&[write("p", "1")]).await.unwrap_err();
    assert!(matches!(error, WriteError::Unavailable { reason: "unreachable", .. }), "{error:?}");
}

#[tokio::test]
async fn a_search_gives_documents_as_they_were_written() {
    let found = r#"{"took":4,"timed_out":false,"hits":{"total":{"value":7,"relation":"eq"},"hits":[
        {"_index":"p","_id":"1","_version":256,"_score":1.5,"_source":{"price": 12345678901234567890.10 }},
        {"_index":"p","_id":"2","_version":-1,"_score":null}]}}"#;
    let fields = r#"{"indices":["p"],"fields":{"brand":{"keyword":{"aggregatable":true}}}}"#;
    let server = server(|line| match line {
        "POST /p/_search?allow_partial_search_results=false" => Some(Reply::ok(found)),
        "GET /p/_field_caps?fields=brand,brand.%2A" => Some(Reply::ok(fields)),
        _ => None,
    })
    .await;
    let search = sink_at(&server.url, |settings| settings.index = Some("p".to_owned())).search().unwrap();
    assert!(search.holds("p") && !search.holds("q"));
    let filters = vec![Filter { field: "brand".to_owned(), condition: Condition::Equals("acme".to_owned()) }];
    let response = search.search("p", &SearchRequest { filters, limit: 2, ..SearchRequest::default() }).await.unwrap();
    assert_eq!((response.total, response.took_ms, response.hits.len()), (7, 4, 2));
    assert_eq!((response.hits[0].id.as_str(), response.hits[0].version, response.hits[0].score), ("1", Some(256), Some(1.5)));
    assert_eq!(response.hits[0].document.get(), r#"{"price": 12345678901234567890.10 }"#);
    assert_eq!((response.hits[1].version, response.hits[1].score, response.hits[1].document.get()), (None, None, "null"));
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_search_that_fails_says_whose_fault_it_is() {
    let cases = [
        (404, MISSING, SearchError::NotFound("p".to_owned())),
        (
            400,
            r#"{"error":{"root_cause":[{"type":"query_shard_exception","reason":"For input string: \"x\""}],
                "type":"search_phase_execution_exception","reason":"all shards failed"}}"#,
            SearchError::Invalid("query_shard_exception: For input string: \"x\"".to_owned()),
        ),
        (
            400,
            r#"{"error":{"type":"index_closed_exception","reason":"closed"}}"#,
            SearchError::Unavailable("index p is closed: open it".to_owned()),
        ),
    ];
    for (status, body, error) in cases {
        let server = server(move |line| line.contains("_search").then(|| Reply::Answer(status, body.to_owned()))).await;
        let search = sink_at(&server.url, |_| ()).search().unwrap();
        assert_eq!(search.search("p", &SearchRequest::default()).await.unwrap_err(), error);
        assert_eq!(search.search("a*", &SearchRequest::default()).await.unwrap_err(), SearchError::NotFound("a*".to_owned()));
    }
}
