//! The demo in a real browser: what a person sees.

use std::process::Command;
use std::time::Duration;

use crate::support::{Running, free_port, get_json, http, rowmill, wait_for};

/// The page as the browser has it after some seconds of its scripts' time.
fn page(url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut browser = Command::new("chromium");
    browser.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
    ]);
    browser.args(["--disable-component-update", "--disable-sync", "--virtual-time-budget=6000", "--dump-dom"]);
    browser.arg(format!("--user-data-dir={}", profile.path().display())).arg(url);
    let output = browser.output().unwrap_or_else(|error| panic!("chromium: {error}: run tests/stack/setup --browser"));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_demo_shows_documents_pipelines_and_the_latest_dead_letter() {
    let port = free_port();
    let mut running = Running::start(rowmill().args(["demo", "--port", &port.to_string()]));
    let url = running.url();
    assert_eq!(url, format!("http://127.0.0.1:{port}"));
    wait_for("a dead letter and documents", Duration::from_secs(60), || {
        let pipelines = get_json(&format!("{url}/admin/pipelines"));
        let products = pipelines["pipelines"].as_array()?.iter().find(|pipeline| pipeline["name"] == "products")?.clone();
        (products["dead_letters"].as_u64()? > 0 && products["totals"]["documents_indexed"].as_u64()? > 100).then_some(())
    });
    let lamps = page(&format!("{url}/?collection=products&q=lamp&fuzzy=true"));
    for part in
        ["lamp</mark>", "products", "orders", "running", "newest", "durable", "events/s", "1 dead letter", "the latest: column `price`"]
    {
        assert!(lamps.to_lowercase().contains(part), "the page lacks {part:?}: {lamps}");
    }
    what_is_searched_for_is_trending(&url);
    let found = get_json(&format!("{url}/api/v1/products/search?q=lmap&fuzzy=2&limit=3"));
    assert!(found["total"].as_u64().unwrap() > 0, "a typo is forgiven: {found}");
    let indexed = || get_json(&format!("{url}/admin/pipelines/orders"))["totals"]["documents_indexed"].as_u64();
    let before = indexed();
    wait_for("events to keep flowing", Duration::from_secs(30), || (indexed() > before).then_some(()));
    assert_eq!(http("GET", &format!("{url}/health/ready"), None).0, 200);
    assert!(running.terminate().success());
}

/// Searches of the page and those of others are counted together, and the first five stand beside the results.
fn what_is_searched_for_is_trending(url: &str) {
    const OTHERS: u64 = 60;
    for _ in 0..OTHERS {
        assert_eq!(http("POST", &format!("{url}/dashboard/searches"), Some("Deck chair")).0, 204);
    }
    let counted = || {
        let found = get_json(&format!("{url}/api/v1/trending/search?filter.key=deck%20chair&limit=100"));
        found["hits"].as_array()?.iter().filter_map(|hit| hit["document"]["count"].as_u64()).max()
    };
    wait_for("all of them to be counted", Duration::from_secs(30), || (counted()? == OTHERS).then_some(()));
    let page = page(&format!("{url}/?q=deck%20chair"));
    let (_, panel) = page.split_once("id=\"top\">").unwrap();
    let panel = panel.split_once("</ol>").unwrap().0;
    assert!(panel.starts_with("<li>") && panel.contains("deck chair"), "the first five: {panel}");
    assert!(panel.matches("<li>").count() <= 5, "the first five: {panel}");
    wait_for("the page's own search to be counted", Duration::from_secs(30), || (counted()? == OTHERS + 1).then_some(()));
}
