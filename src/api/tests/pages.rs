//! The dashboard's files, what every answer forbids a page, and connections that end.

use axum::body::Body;
use axum::http::Request;
use regex::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use super::{Invented, app, ask, server};
use crate::api::{Api, SearchLog, serve};
use crate::limits;

#[tokio::test]
async fn the_page_loads_only_files_that_are_served() {
    let app = app(Invented::default(), &server());
    let names = Regex::new(r##"(?:href|src)="(/[^"#]*)"|from "\./([^"]+)""##).unwrap();
    let mut files = vec!["/".to_owned()];
    let mut place = 0;
    while let Some(file) = files.get(place).cloned() {
        place += 1;
        let (code, text) = ask(&app, &format!("GET {file}"), &[]).await;
        assert_eq!(code, 200, "{file}");
        assert!(!text.contains("innerHTML") && !text.contains("://cdn"), "{file}");
        for name in names.captures_iter(&text) {
            let name = name.get(1).map_or_else(|| format!("/dashboard/{}", &name[2]), |path| path.as_str().to_owned());
            if !files.contains(&name) {
                files.push(name);
            }
        }
    }
    assert_eq!(files.len(), 11, "{files:?}");
}

/// The status of a search that is told of.
async fn tell(app: &axum::Router, query: &str, origin: &str) -> u16 {
    let request = Request::builder().method("POST").uri("/dashboard/searches").header("host", "localhost:8080").header("origin", origin);
    app.clone().oneshot(request.body(Body::from(query.to_owned())).unwrap()).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn searches_are_told_of_only_where_somebody_logs_them() {
    let ours = "http://localhost:8080";
    let silent = app(Invented::default(), &server());
    assert_eq!(tell(&silent, "lamp", ours).await, 404);
    assert!(!ask(&silent, "GET /", &[]).await.1.contains("data-search-log=\""));

    let (queries, mut logged) = tokio::sync::mpsc::channel(2);
    let log = SearchLog { collection: "products", queries };
    let api = Api::new(std::sync::Arc::new(Invented::default()), prometheus::Registry::new(), super::settings(&server()));
    let app = crate::api::router(api.with_search_log(Some(log)));
    assert!(ask(&app, "GET /", &[]).await.1.contains(r#"<body data-search-log="products">"#));
    let too_long = "x".repeat(limits::LOGGED_SEARCH_CHARS_MAX + 1);
    for (query, status) in [(" Desk lamp ", 204), ("  ", 400), (&too_long, 400), ("kettle", 204), ("one too many", 503)] {
        assert_eq!(tell(&app, query, ours).await, status, "{query}");
    }
    assert_eq!((logged.try_recv().unwrap(), logged.try_recv().unwrap()), ("Desk lamp".to_owned(), "kettle".to_owned()));
    assert_eq!(tell(&app, "spam", "http://evil.example.com").await, 403);
    assert!(logged.try_recv().is_err());
}

#[tokio::test]
async fn every_answer_forbids_what_the_page_does_not_need() {
    let app = app(Invented::default(), &server());
    for (path, host) in [("/", "localhost"), ("/metrics", "localhost"), ("/nothing", "localhost"), ("/", "evil.example.com")] {
        let request = Request::builder().uri(path).header("host", host).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert!(!response.headers().contains_key("access-control-allow-origin"));
    }
}

#[tokio::test]
async fn answers_over_a_connection_until_it_is_dropped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api = Api::new(std::sync::Arc::new(Invented::default()), prometheus::Registry::new(), super::settings(&server()));
    let serving = tokio::spawn(serve(listener, api));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answer = [0; 12];
    for _ in 0..2 {
        stream.write_all(format!("GET /health/live HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await.unwrap();
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        let mut rest = Vec::new();
        while !rest.ends_with(b"{\"live\":true}") {
            rest.push(stream.read_u8().await.unwrap());
        }
    }
    serving.abort();
    assert_eq!(stream.read(&mut answer).await.unwrap_or(0), 0);
    assert!(serving.await.unwrap_err().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_arrive_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api = Api::new(std::sync::Arc::new(Invented::default()), prometheus::Registry::new(), super::settings(&server()));
    let serving = tokio::spawn(serve(listener, api));
    let started = tokio::time::Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /health/live HT").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(started.elapsed() >= limits::HTTP_HEADER_TIMEOUT, "given up after {:?}", started.elapsed());
    serving.abort();
}
