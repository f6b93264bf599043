//! The client before servers that answer, refuse, fall silent or break off; the settings, with their mistakes.

use std::time::Duration;

use elasticsearch::http::Method;

use super::testing::{CA, Reply, TestServer, closed_port};
use super::{HttpAnswer, HttpClient, HttpCredentials, HttpError, HttpRequest, HttpSettings, HttpTrouble, settings};
use crate::clock::Clock;
use crate::limits;
use crate::settings::{Secret, Section, Source};

fn to(urls: &[&str]) -> HttpSettings {
    HttpSettings {
        urls: urls.iter().map(|url| url.parse().unwrap()).collect(),
        credentials: None,
        ca: None,
        verify: true,
        gzip: false,
        timeout: Duration::from_secs(20),
    }
}

fn client(settings: &HttpSettings) -> HttpClient {
    HttpClient::new(settings, Clock::system()).unwrap()
}

async fn post(client: &HttpClient, body: &str) -> Result<HttpAnswer, HttpError> {
    let (path, body) = ("_bulk?a=b".to_owned(), body.to_owned().into());
    client.send(HttpRequest { method: Method::Post, path, content_type: "application/x-ndjson", body }).await
}

fn trouble(outcome: Result<HttpAnswer, HttpError>) -> (HttpTrouble, String) {
    let error = outcome.unwrap_err();
    (error.trouble, error.message)
}

#[tokio::test]
async fn a_request_carries_plain_types_and_nothing_of_the_vendor() {
    let server = TestServer::start(|_| Reply::With(429, "retry-after: 7", "{}".to_owned())).await;
    let answer = post(&client(&to(&[&format!("{}/prefix", server.url)])), "{}\n").await.unwrap();
    assert_eq!((answer.status, &*answer.body, answer.retry_after), (429, &b"{}"[..], Some(Duration::from_secs(7))));
    let request = &server.received()[0];
    assert_eq!((request.line().as_str(), request.text().as_str()), ("POST /prefix/_bulk?a=b", "{}\n"));
    for (name, value) in [
        ("content-type", Some("application/x-ndjson")),
        ("accept", Some("application/json")),
        ("accept-encoding", Some("identity")),
        ("user-agent", Some(concat!("rowmill/", env!("CARGO_PKG_VERSION")))),
        ("x-elastic-client-meta", None),
        ("authorization", None),
        ("content-encoding", None),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn credentials_stand_in_the_header() {
    let server = TestServer::start(|_| Reply::ok("{}")).await;
    let basic = HttpCredentials::Basic { user: "rowmill".to_owned(), password: Secret::new("pä:ss") };
    let cases = [
        (basic, "Basic cm93bWlsbDpww6Q6c3M="),
        (HttpCredentials::ApiKey(Secret::new("aWQ6a2V5")), "ApiKey aWQ6a2V5"),
        (HttpCredentials::ApiKey(Secret::new("id:key")), "ApiKey aWQ6a2V5"),
    ];
    for (credentials, header) in cases {
        let settings = HttpSettings { credentials: Some(credentials), ..to(&[&server.url]) };
        post(&client(&settings), "{}\n").await.unwrap();
        assert_eq!(server.received().last().unwrap().header("authorization"), Some(header));
    }
}

#[tokio::test]
async fn a_large_body_is_compressed_if_wanted() {
    let server = TestServer::start(|_| Reply::ok("{}")).await;
    let client = client(&HttpSettings { gzip: true, ..to(&[&server.url]) });
    let large = "{\"a\":1}\n".repeat(1_000);
    for (body, encoding) in [("{}\n", None), (large.as_str(), Some("gzip"))] {
        post(&client, body).await.unwrap();
        let request = server.received().pop().unwrap();
        assert_eq!((request.header("content-encoding"), request.text().as_str()), (encoding, body));
    }
    assert!(server.received()[1].body.len() < 500);
}

#[tokio::test]
async fn a_certificate_is_trusted_by_its_authority_or_not_at_all() {
    let server = TestServer::start_tls(|_| Reply::ok("{}")).await;
    let trusting = HttpSettings { ca: Some(CA.to_owned()), ..to(&[&server.url]) };
    assert_eq!(post(&client(&trusting), "{}\n").await.unwrap().status, 200);
    let careless = HttpSettings { verify: false, ..to(&[&server.url]) };
    assert_eq!(post(&client(&careless), "{}\n").await.unwrap().status, 200);
    let (kind, message) = trouble(post(&client(&to(&[&server.url])), "{}\n").await);
    assert_eq!(kind, HttpTrouble::Untrusted);
    assert!(message.contains("UnknownIssuer") && message.contains("set tls.ca"), "{message}");
}

#[tokio::test]
async fn silence_is_told_apart() {
    let server = TestServer::start(|request| match request.text().as_str() {
        "cut" => Reply::Cut,
        "cut within" => Reply::CutWithin,
        _ => Reply::Hang,
    })
    .await;
    let short = HttpSettings { timeout: Duration::from_millis(50), ..to(&[&server.url]) };
    for (body, settings, kind, part) in [
        ("cut", to(&[&server.url]), HttpTrouble::Unreachable, "cannot reach http://localhost:"),
        ("cut within", to(&[&server.url]), HttpTrouble::Cut, "broke off"),
        ("hang", short, HttpTrouble::Timeout, "raise timeout"),
        ("closed", to(&[&closed_port().await]), HttpTrouble::Unreachable, "refused"),
    ] {
        let (found, message) = trouble(post(&client(&settings), body).await);
        assert_eq!(found, kind, "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn requests_go_in_turn_and_past_nodes_that_fail() {
    let (one, two) = (TestServer::start(|_| Reply::ok("1")).await, TestServer::start(|_| Reply::ok("2")).await);
    let away = TestServer::start(|_| Reply::Answer(503, "away".to_owned())).await;
    let nobody = closed_port().await;
    let client = client(&to(&[&one.url, &nobody, &away.url, &two.url]));
    for _ in 0..8 {
        assert_eq!(post(&client, "{}\n").await.unwrap().status, 200);
    }
    assert_eq!(away.received().len(), 1, "who said 503 is left alone for a while");
    assert_eq!(one.received().len() + two.received().len(), 8);
    assert!(!one.received().is_empty() && !two.received().is_empty());
}

#[tokio::test]
async fn a_node_that_comes_back_is_asked_a_little_thing_first() {
    let is_back = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&is_back);
    let other = TestServer::start(|_| Reply::ok("other")).await;
    let late = TestServer::start(move |_| match seen.load(std::sync::atomic::Ordering::Relaxed) {
        true => Reply::ok("late"),
        false => Reply::Cut,
    })
    .await;
    let client = client(&to(&[&late.url, &other.url]));
    assert_eq!(&*post(&client, "{}\n").await.unwrap().body, b"other");
    for round in 0..2 {
        tokio::time::pause();
        tokio::time::advance(limits::HTTP_NODE_REST + Duration::from_secs(1)).await;
        tokio::time::resume();
        is_back.store(round == 1, std::sync::atomic::Ordering::Relaxed);
        for _ in 0..2 {
            post(&client, "{}\n").await.unwrap();
        }
    }
    assert_eq!(late.lines(), ["POST /_bulk?a=b", "HEAD /", "HEAD /", "POST /_bulk?a=b"]);
}

#[tokio::test]
async fn the_last_word_counts_when_no_node_can_serve() {
    let away = TestServer::start(|_| Reply::Answer(503, "away".to_owned())).await;
    let client = client(&to(&[&away.url, &away.url]));
    assert_eq!(post(&client, "{}\n").await.unwrap().status, 503);
    assert_eq!(post(&client, "{}\n").await.unwrap().status, 503);
    assert_eq!(away.received().len(), 4);
}

fn read(table: &str, dir: &std::path::Path) -> (HttpSettings, Vec<String>) {
    let document: toml_edit::Document<String> = toml_edit::Document::parse(table.to_owned()).unwrap();
    let environment = |name: &str| (name == "SECRET").then(|| "s3cret".to_owned());
    let source = Source::new(table, dir, &environment);
    let section = Section::root(&source, document.as_table());
    let settings = settings::read(&section);
    drop(section);
    (settings, source.problems().iter().map(ToString::to_string).collect())
}

#[test]
fn settings_are_read() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.pem"), CA).unwrap();
    let table = r#"
        urls = ["https://a:9200", "https://b:9200/search"]
        user = "rowmill"
        password = "env:SECRET"
        tls.ca = "file:ca.pem"
        gzip = true
        timeout = "5s""#;
    let (settings, problems) = read(table, dir.path());
    assert_eq!(problems, [""; 0]);
    let credentials = HttpCredentials::Basic { user: "rowmill".to_owned(), password: Secret::new("s3cret") };
    let expected = HttpSettings {
        credentials: Some(credentials),
        ca: Some(CA.trim_end().to_owned()),
        gzip: true,
        timeout: Duration::from_secs(5),
        ..to(&["https://a:9200", "https://b:9200/search"])
    };
    assert_eq!(settings, expected);
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn mistakes_in_settings_are_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("not.pem"), "no certificate").unwrap();
    std::fs::write(dir.path().join("bad.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    std::fs::write(dir.path().join("key"), "two words").unwrap();
    let mut found = String::new();
    for table in [
        "",
        "url = \"localhost:9200\"",
        "url = \"http://u:p@localhost\"",
        "url = \"http://a?b=c\"",
        "url = \"http://a\"\nurls = [\"http://b\"]",
        "urls = []",
        "url = \"http://a\"\nuser = \"u\"",
        "url = \"http://a\"\npassword = \"env:SECRET\"",
        "url = \"http://a\"\nuser = \"u\"\npassword = \"plain\"",
        "url = \"http://a\"\nuser = \"u:v\"\npassword = \"env:SECRET\"",
        "url = \"http://a\"\nuser = \"u\"\npassword = \"env:SECRET\"\napi_key = \"env:SECRET\"",
        "url = \"http://a\"\napi_key = \"file:key\"",
        "url = \"http://a\"\ntls.verify = false",
        "url = \"https://a\"\ntls.ca = \"file:absent.pem\"",
        "url = \"https://a\"\ntls.ca = \"file:not.pem\"",
        "url = \"https://a\"\ntls.ca = \"file:bad.pem\"",
        "url = \"https://a\"\ntimeout = \"0s\"\ngzip = 1",
        "url = \"https://a\"\nuser_name = \"u\"",
    ] {
        let (_, problems) = read(table, dir.path());
        assert!(!problems.is_empty(), "{table}");
        found.push_str(&problems.join("\n").replace(&dir.path().display().to_string(), "DIR"));
        found.push('\n');
    }
    expect_test::expect![[r#"
        line 1: url is missing: it has no default
        line 1: url must be an address such as "http://localhost:9200" or "https://search.example.com"
        line 1: url must not hold a name or password, for addresses are logged: write user and password
        line 1: url must end with the path: remove what follows /
        line 2: urls stands beside url: keep one of the two
        line 1: urls is empty: name at least one address
        line 2: user needs a password: write password = "env:NAME"
        line 2: password needs a user: write user = "…"
        line 3: password is a secret: write "env:NAME" or "file:PATH" instead of the secret itself
        line 2: user must not hold a colon: HTTP's basic authentication cannot carry one
        line 4: api_key stands beside user and password: keep one of the two
        line 2: api_key must be one word of printable ASCII: the key's `encoded` form, or `id:key`
        line 2: tls has no effect on an address that begins with http://: write https://, or remove it
        line 2: tls.ca: cannot read DIR/absent.pem: No such file or directory (os error 2)
        line 2: tls.ca must be a file with certificates in PEM form: could not find PEM certificate in input data
        line 2: tls.ca must be a file with certificates in PEM form: one of them is damaged
        line 2: timeout must be longer than nothing
        line 3: gzip must be true or false
        line 2: user_name is not a known key: did you mean `user`?
    "#]]
    .assert_eq(&found);
}
