//! `examples/search-trending` as its README says, on the native servers: what is searched for most rises, and old windows leave.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{produce, psql, topic, up};
use crate::support::{Running, get_json, http, module, now_ms, repository, rowmill, succeed, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// The example with names of its own, and windows as short as a test.
struct Example {
    servers: BTreeMap<String, String>,
    dir: tempfile::TempDir,
    name: String,
}

impl Example {
    fn start() -> Self {
        let servers = up(&["postgres", "kafka", "connect", "elasticsearch-8"]);
        let example = Self { servers, dir: tempfile::tempdir().unwrap(), name: format!("trending{}", now_ms()) };
        let (postgres, name) = (example.url("postgres"), &example.name);
        psql(postgres, "postgres", &format!("CREATE DATABASE {name}"));
        psql(postgres, name, &fs::read_to_string(repository("examples/search-trending/init.sql")).unwrap());
        let told: Value =
            serde_json::from_str(&fs::read_to_string(repository("examples/search-trending/connector.json")).unwrap()).unwrap();
        let decimals = serde_json::json!({"decimal.handling.mode": told["decimal.handling.mode"]});
        succeed(Command::new(repository("tests/stack/connector")).args([name, name, "public.products", &decimals.to_string()]));

        let mut text = fs::read_to_string(repository("examples/search-trending/rowmill.toml")).unwrap();
        for (shown, here) in [
            ("\"shop.public.products\"", format!("\"{name}.public.products\"")),
            ("topics = [\"search.queries\"]", format!("topics = [\"{name}.queries\"]")),
            ("index = \"products\"", format!("index = \"{name}-products\"")),
            ("index = \"trending\"", format!("index = \"{name}\"")),
            ("topic = \"trending_keywords\"", format!("topic = \"{name}.keywords\"")),
            ("retention = \"10m\"", "retention = \"10s\"".to_owned()),
            ("retention = \"1h\"", "retention = \"10s\"".to_owned()),
            ("transforms/product_search.wasm", module("product_search")),
        ] {
            assert!(text.contains(shown), "the example lacks {shown}");
            text = text.replace(shown, &here);
        }
        for pipeline in ["products", "trending", "trending-keywords"] {
            let table = format!("[pipelines.{pipeline}.source.kafka]\n");
            text = text.replace(&table, &format!("{table}group = \"{name}-{pipeline}\"\n"));
        }
        fs::write(example.dir.path().join("rowmill.toml"), text).unwrap();
        fs::copy(repository("examples/search-trending/trending.json"), example.dir.path().join("trending.json")).unwrap();
        example
    }

    fn url(&self, name: &str) -> &str {
        &self.servers[name]
    }

    fn run(&self) -> Running {
        let mut command = rowmill();
        command.arg("run").arg(self.dir.path().join("rowmill.toml"));
        command.envs([("ROWMILL_LISTEN", "127.0.0.1:0"), ("ROWMILL_TOKEN", "example")]);
        Running::start(command.env("KAFKA_BROKERS", self.url("kafka")).env("ELASTICSEARCH_URL", self.url("elasticsearch-8")))
    }

    /// A command that finds the example's servers and names.
    fn with_names(&self, command: &mut Command) -> Command {
        let mut named = Command::new(command.get_program());
        named.args(command.get_args()).env("KAFKA_BROKERS", self.url("kafka")).env("ELASTICSEARCH_URL", self.url("elasticsearch-8"));
        named.env("PRODUCTS_INDEX", format!("{}-products", self.name)).env("TRENDING_INDEX", &self.name);
        named.env("QUERIES_TOPIC", format!("{}.queries", self.name)).env("SEARCH_USER", "ada").stderr(Stdio::inherit());
        named
    }

    /// What the application says to these lines.
    fn search(&self, lines: &str) -> String {
        self.try_search(lines).expect("the application runs")
    }

    /// The same; none where it cannot search yet.
    fn try_search(&self, lines: &str) -> Option<String> {
        let mut command = self.with_names(&mut Command::new(repository("examples/search-trending/search")));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// Waits until the application shows this beside its results.
    fn wait_trending(&self, wanted: &str) {
        let wanted = format!("trending: {wanted}\n");
        wait_for(&wanted, PATIENCE, || {
            let said = self.search("");
            eprint!("{said}");
            (said == wanted).then_some(())
        });
    }

    /// One search at a terminal: the screen as it was drawn, when it showed `wanted`.
    fn search_at_a_terminal(&self, query: &str, wanted: &str) {
        let screen = self.dir.path().join("screen");
        let application = repository("examples/search-trending/search").display().to_string();
        let mut command = self.with_names(Command::new("script").args(["-qfec", &application, &screen.display().to_string()]));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut keys = child.stdin.take().unwrap();
        let drawn = || fs::read(&screen).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        wait_for("the screen", PATIENCE, || drawn().contains("TRENDING").then_some(()));
        keys.write_all(format!("{query}\n").as_bytes()).unwrap();
        wait_for("the results", PATIENCE, || drawn().contains(&format!("{query}: ")).then_some(()));
        // Nothing is typed any more, and yet it is drawn anew.
        wait_for(wanted, PATIENCE, || drawn().contains(wanted).then_some(()));
        keys.write_all(b"\x04").unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// The windows of the index, each with its documents.
    fn windows(&self) -> BTreeMap<String, Vec<Value>> {
        let index = format!("{}/{}", self.url("elasticsearch-8"), self.name);
        http("POST", &format!("{index}/_refresh"), None);
        let found = get_json(&format!("{index}/_search?size=1000&sort=rank"));
        let mut windows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for hit in found["hits"]["hits"].as_array().unwrap() {
            windows.entry(hit["_source"]["window_start"].as_str().unwrap().to_owned()).or_default().push(hit["_source"].clone());
        }
        windows
    }

    /// The newest message of each key of the topic: the version of its header, and its value.
    fn keywords(&self) -> BTreeMap<String, (u64, Option<Value>)> {
        let mut newest: BTreeMap<String, (u64, Option<Value>)> = BTreeMap::new();
        for message in topic(self.url("kafka"), &format!("{}.keywords", self.name)) {
            let headers = message["headers"].as_array().unwrap();
            assert_eq!(headers[0], "rowmill.version", "{message}");
            let version: u64 = headers[1].as_str().unwrap().parse().unwrap();
            let known = newest.entry(message["key"].as_str().unwrap().to_owned()).or_default();
            assert!(version >= known.0, "versions of a key grow: {message}");
            *known = (version, message["payload"].as_str().map(|text| serde_json::from_str(text).unwrap()));
        }
        newest
    }

    /// How often each thing was searched for, by the messages.
    fn told(&self) -> BTreeMap<String, u64> {
        let mut told = BTreeMap::new();
        for (id, (_, body)) in self.keywords() {
            let Some(body) = body else { continue };
            let key = body["key"].as_str().unwrap();
            assert_eq!(id, format!("{}|{key}", body["window_start"].as_str().unwrap()));
            *told.entry(key.to_owned()).or_default() += body["count"].as_u64().unwrap();
        }
        told
    }
}

#[test]
fn what_is_searched_for_most_rises_and_old_windows_leave() {
    let example = Example::start();
    let mut running = example.run();
    running.url();
    wait_for("the products", PATIENCE, || example.try_search("laptop\n")?.contains("laptop: 4 found").then_some(()));
    wait_for("the first searches to be shown", PATIENCE, || example.search("").contains("1. laptop").then_some(()));
    let before = example.told().get("laptop").copied();
    let before = wait_for("the same in Kafka", PATIENCE, || before.or_else(|| example.told().get("laptop").copied()));

    // More kettles than laptops, then more laptops than kettles.
    let kettles = before + 1;
    let said = example.search(&"kettle\n".repeat(kettles as usize));
    assert!(said.contains("Stoneware kettle") && said.contains("71.1 EUR"), "{said}");
    example.wait_trending(&format!("1. kettle ({kettles}), 2. laptop ({before})"));
    example.search("  LapTop \nlaptop\nhammock\n");
    let laptops = before + 2;
    example.wait_trending(&format!("1. laptop ({laptops}), 2. kettle ({kettles}), 3. hammock (1)"));
    example.search_at_a_terminal("laptop", &format!("1. laptop ({})", laptops + 1));
    let wanted = BTreeMap::from([("hammock".to_owned(), 1), ("kettle".to_owned(), kettles), ("laptop".to_owned(), laptops + 1)]);
    wait_for("every search once in Kafka", PATIENCE, || (example.told() == wanted).then_some(()));

    let old = example.windows();
    for (window, rows) in &old {
        let ranks: Vec<u64> = rows.iter().map(|row| row["rank"].as_u64().unwrap()).collect();
        assert_eq!(ranks, (1..=rows.len() as u64).collect::<Vec<_>>(), "{window}: {rows:?}");
    }
    // Time goes on where somebody searches: twenty minutes later.
    let later = now_ms() + 1_200_000;
    let event = serde_json::json!({"query": "lamp", "at": later, "user": "ada", "results": 2});
    produce(example.url("kafka"), &format!("{}.queries", example.name), "lamp", &event.to_string());
    wait_for("the old windows to leave the index", PATIENCE, || {
        old.keys().all(|window| !example.windows().contains_key(window)).then_some(())
    });
    example.wait_trending("1. lamp (1)");
    wait_for("their tombstones", PATIENCE, || (example.told() == BTreeMap::from([("lamp".to_owned(), 1)])).then_some(()));
    assert!(running.terminate().success());
}
