//! Requests of foreign pages: which hosts and origins are answered.

use super::{Invented, app, ask, server};
use crate::config::ServerSettings;

/// What the server listens on, the headers, and whether they are good.
const SENDERS: &[(&str, &[(&str, &str)], u16)] = &[
    ("127.0.0.1:8080", &[("host", "localhost:8080")], 200),
    ("127.0.0.1:8080", &[("host", "LOCALHOST")], 200),
    ("127.0.0.1:8080", &[("host", "localhost.:8080")], 200),
    ("127.0.0.1:8080", &[("host", "127.0.0.1:8080")], 200),
    ("127.0.0.1:8080", &[("host", "[::1]:9000")], 200),
    ("127.0.0.1:8080", &[("host", "Rowmill.Example.com")], 200),
    ("127.0.0.1:8080", &[("host", "evil.example.com")], 403),
    ("127.0.0.1:8080", &[("host", "evil.example.com:8080")], 403),
    ("127.0.0.1:8080", &[("host", "localhost.evil.com")], 403),
    ("127.0.0.1:8080", &[("host", "127.0.0.1.nip.io")], 403),
    ("127.0.0.1:8080", &[("host", "evil.com@localhost")], 403),
    ("127.0.0.1:8080", &[("host", "192.168.1.5:8080")], 403),
    ("127.0.0.1:8080", &[("host", "")], 400),
    ("127.0.0.1:8080", &[("host", "localhost"), ("host", "evil.com")], 403),
    ("192.168.1.5:8080", &[("host", "192.168.1.5:8080")], 200),
    ("192.168.1.5:8080", &[("host", "192.168.1.6:8080")], 403),
    ("0.0.0.0:8080", &[("host", "192.168.1.6:8080")], 200),
    ("[::]:8080", &[("host", "[fe80::1]:8080")], 200),
    ("0.0.0.0:8080", &[("host", "evil.example.com")], 403),
    // A page served from here, by whichever of its names.
    ("127.0.0.1:8080", &[("host", "localhost:8080"), ("origin", "http://localhost:8080")], 200),
    ("127.0.0.1:8080", &[("host", "localhost:8080"), ("origin", "http://127.0.0.1:8080")], 200),
    ("127.0.0.1:8080", &[("host", "localhost:9000"), ("origin", "http://localhost:9000")], 200),
    // Behind a proxy that ends TLS.
    ("127.0.0.1:8080", &[("host", "rowmill.example.com"), ("origin", "https://rowmill.example.com")], 200),
    ("127.0.0.1:8080", &[("host", "127.0.0.1:8080"), ("origin", "https://rowmill.example.com")], 200),
    // Pages of others.
    ("127.0.0.1:8080", &[("host", "localhost:8080"), ("origin", "https://evil.example.com")], 403),
    ("127.0.0.1:8080", &[("host", "localhost:8080"), ("origin", "http://localhost:3000")], 403),
    ("127.0.0.1:8080", &[("host", "localhost:8080"), ("origin", "null")], 403),
    ("127.0.0.1:8080", &[("host", "localhost:8080"), ("origin", "file://localhost:8080")], 403),
    ("127.0.0.1:8080", &[("host", "localhost:8080"), ("origin", "http://localhost:8080.evil.com")], 403),
    ("0.0.0.0:8080", &[("host", "192.168.1.5:8080"), ("origin", "http://evil.example.com:8080")], 403),
];

#[tokio::test]
async fn requests_of_foreign_pages_are_refused() {
    for (listen, headers, expected) in SENDERS {
        let hosts = vec!["rowmill.example.com:443".to_owned()];
        let app = app(Invented::default(), &ServerSettings { listen: Some(listen.parse().unwrap()), hosts, ..server() });
        for path in ["GET /admin/pipelines", "GET /health/live", "GET /"] {
            let (code, body) = ask(&app, path, headers).await;
            assert_eq!(code.as_u16(), *expected, "{path} at {listen} with {headers:?}: {body}");
        }
    }
}

#[tokio::test]
async fn a_host_in_the_request_line_counts_too() {
    let app = app(Invented::default(), &server());
    assert_eq!(ask(&app, "GET http://localhost/health/live", &[]).await.0, 200);
    let (code, body) = ask(&app, "GET http://evil.example.com/health/live", &[]).await;
    assert_eq!(code, 403);
    assert_eq!(
        body,
        r#"{"error":"the Host evil.example.com is foreign here: call the server by its address, or add the name to server.hosts"}"#
    );
}
