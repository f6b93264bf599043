//! On the real servers. `cargo test` brings up what a test names and leaves it up; `make test` gives them a folder of their
//! own and takes them down.

#[cfg(feature = "kafka")]
mod bench;
mod end_to_end;
#[cfg(feature = "kafka")]
mod faults;
mod letters;
mod order;
mod product_search;
#[cfg(feature = "kafka")]
mod reconfigured;
mod secured;
#[cfg(feature = "kafka")]
mod trending;

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::{repository, succeed};

/// Brings servers up; gives their addresses by name.
fn up(names: &[&str]) -> BTreeMap<String, String> {
    let lines = succeed(Command::new(repository("tests/stack/stack")).arg("up").args(names));
    lines.lines().filter_map(|line| line.split_once(' ')).map(|(name, url)| (name.to_owned(), url.to_owned())).collect()
}

/// Runs SQL on a database of the server at `postgres`.
fn psql(postgres: &str, database: &str, sql: &str) -> String {
    let (server, _) = postgres.rsplit_once('/').unwrap();
    succeed(Command::new("psql").args(["-XqAt", "-v", "ON_ERROR_STOP=1", &format!("{server}/{database}"), "-c", sql]))
}

/// The messages of a topic, as `kcat -J` prints them.
fn topic(brokers: &str, name: &str) -> Vec<serde_json::Value> {
    let lines = succeed(Command::new("kcat").args(["-b", brokers, "-C", "-q", "-e", "-o", "beginning", "-J", "-t", name]));
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Puts one message into a topic.
fn produce(brokers: &str, topic: &str, key: &str, value: &str) {
    use std::io::Write;
    let mut kcat = Command::new("kcat")
        .args(["-b", brokers, "-P", "-q", "-t", topic, "-K", "\t"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    kcat.stdin.take().unwrap().write_all(format!("{key}\t{value}\n").as_bytes()).unwrap();
    assert!(kcat.wait().unwrap().success());
}
