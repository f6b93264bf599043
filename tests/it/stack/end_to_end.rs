//! Rows in Postgres to documents in four search servers, with the versions of the write-ahead log.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{produce, psql, topic, up};
use crate::support::{Running, get_json, http, module, repository, rowmill, succeed, wait_for};

const SEARCH: [&str; 4] = ["elasticsearch-8", "elasticsearch-9", "opensearch-2", "opensearch-3"];
const TOPIC: &str = "e2e.public.products";
const TABLE: &str = "CREATE TABLE products (id bigint PRIMARY KEY, sku text NOT NULL, name text NOT NULL, description text, category text NOT NULL, \
    price numeric(10,2), stock int NOT NULL DEFAULT 0, tags text[], attrs jsonb, updated_at timestamptz NOT NULL DEFAULT now(), \
    created_at timestamptz NOT NULL DEFAULT now()); ALTER TABLE products ALTER COLUMN description SET STORAGE EXTERNAL;";

/// One database, one topic, one `rowmill` with a pipeline for each search server.
struct Flow {
    servers: BTreeMap<String, String>,
    dir: tempfile::TempDir,
}

/// Documents by id, each with its version and title.
type Documents = BTreeMap<String, (u64, String)>;

impl Flow {
    fn start() -> Self {
        let mut names = vec!["postgres", "kafka", "connect"];
        names.extend(SEARCH);
        let flow = Self { servers: up(&names), dir: tempfile::tempdir().unwrap() };
        psql(flow.url("postgres"), "postgres", "DROP DATABASE IF EXISTS e2e WITH (FORCE)");
        psql(flow.url("postgres"), "postgres", "CREATE DATABASE e2e");
        flow.sql(TABLE);
        flow.sql(
            "INSERT INTO products (id, sku, name, description, category, price) \
             SELECT i, 'S' || i, 'Snapshot ' || i, repeat('d', 9000), 'Home', i + 0.10 FROM generate_series(1, 20) i",
        );
        let connector = repository("tests/stack/connector");
        succeed(Command::new(connector).args(["e2e", "e2e", "public.products", r#"{"decimal.handling.mode":"string"}"#]));
        let pipelines = SEARCH.map(|name| {
            let kind = name.split('-').next().unwrap();
            format!(
                "[pipelines.{name}.source.kafka]\nbrokers = \"{}\"\ntopics = [\"{TOPIC}\"]\ngroup = \"e2e-{name}\"\n\
                 [pipelines.{name}.transform]\nmodule = \"{}\"\nconfig = {{ currency = \"EUR\" }}\n\
                 [pipelines.{name}.state]\nkeep = \"rows\"\n[pipelines.{name}.sink.{kind}]\nurl = \"{}\"\nindex = \"{TOPIC}\"\n",
                flow.url("kafka"),
                module("product_search"),
                flow.url(name),
            )
        });
        let text = format!("[server]\nlisten = \"127.0.0.1:0\"\n{}", pipelines.concat());
        std::fs::write(flow.config(), text).unwrap();
        flow
    }

    fn url(&self, name: &str) -> &str {
        &self.servers[name]
    }

    fn config(&self) -> std::path::PathBuf {
        self.dir.path().join("rowmill.toml")
    }

    fn sql(&self, sql: &str) -> String {
        psql(self.url("postgres"), "e2e", sql)
    }

    fn run(&self) -> Running {
        Running::start(rowmill().arg("run").arg(self.config()))
    }

    /// What the rows of the table are to become: id and title.
    fn table(&self) -> BTreeMap<String, String> {
        let rows = self.sql("SELECT id, name FROM products");
        rows.lines().filter_map(|line| line.split_once('|')).map(|(id, name)| (id.to_owned(), name.to_owned())).collect()
    }

    fn documents(&self, server: &str) -> Documents {
        let index = format!("{}/{TOPIC}", self.url(server));
        http("POST", &format!("{index}/_refresh"), None);
        let found = get_json(&format!("{index}/_search?version=true&size=1000"));
        let hits = found["hits"]["hits"].as_array().cloned().unwrap_or_default();
        let document = |hit: &Value| {
            let title = hit["_source"]["title"].as_str().unwrap().to_owned();
            (hit["_id"].as_str().unwrap().to_owned(), (hit["_version"].as_u64().unwrap(), title))
        };
        hits.iter().map(document).collect()
    }

    /// Waits until every index has the rows of the table, and gives them with their versions, which must be the same on all.
    fn agree(&self) -> Documents {
        let table = self.table();
        let mut all: Vec<Documents> = SEARCH
            .iter()
            .map(|server| {
                wait_for(&format!("{server} to have the table's rows"), Duration::from_secs(60), || {
                    let documents = self.documents(server);
                    let titles: BTreeMap<String, String> = documents.iter().map(|(id, (_, title))| (id.clone(), title.clone())).collect();
                    (titles == table).then_some(documents)
                })
            })
            .collect();
        let first = all.remove(0);
        for (server, other) in SEARCH.iter().skip(1).zip(all) {
            assert_eq!(first, other, "{} and {server} differ", SEARCH[0]);
        }
        first
    }

    /// The version each row's document must have: the log position of its last change, as Debezium told it, times 256.
    fn versions(&self) -> BTreeMap<String, u64> {
        let mut versions = BTreeMap::new();
        for message in topic(self.url("kafka"), TOPIC) {
            let key: Value = serde_json::from_str(message["key"].as_str().unwrap()).unwrap();
            let id = key["id"].to_string();
            let Some(payload) = message["payload"].as_str() else { continue };
            let payload: Value = serde_json::from_str(payload).unwrap();
            let sequence: Vec<Option<String>> = serde_json::from_str(payload["source"]["sequence"].as_str().unwrap()).unwrap();
            let committed = sequence[0].as_ref().map_or(0, |lsn| lsn.parse::<u64>().unwrap());
            let version = committed.max(payload["source"]["lsn"].as_u64().unwrap()) << 8;
            match payload["op"].as_str().unwrap() {
                "d" => versions.remove(&id),
                _ => versions.insert(id, version),
            };
        }
        versions
    }
}

fn counted(url: &str, pipeline: &str, outcome: &str) -> u64 {
    let (_, metrics) = http("GET", &format!("{url}/metrics"), None);
    let labels = format!("rowmill_events_total{{outcome=\"{outcome}\",pipeline=\"{pipeline}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&labels));
    line.map_or(0, |count| count.parse().unwrap())
}

/// The values of the first message of a key whose operation is this.
fn recorded(messages: &[Value], key: &str, operation: &str) -> (String, String) {
    let is_it = |message: &&Value| {
        message["key"].as_str() == Some(key) && message["payload"].as_str().is_some_and(|p| p.contains(&format!("\"op\":\"{operation}\"")))
    };
    let message = messages.iter().find(is_it).unwrap();
    (message["key"].as_str().unwrap().to_owned(), message["payload"].as_str().unwrap().to_owned())
}

#[test]
fn rows_become_documents_on_four_servers_and_old_never_wins() {
    let flow = Flow::start();
    let mut running = flow.run();
    let url = running.url();
    assert_eq!(flow.agree().len(), 20, "the snapshot");

    flow.sql("INSERT INTO products (id, sku, name, category, price) VALUES (100, 'N', 'New one', 'Home', 5)");
    flow.sql("UPDATE products SET name = 'Changed', price = 7.50 WHERE id = 1");
    flow.sql("UPDATE products SET name = 'Changed again' WHERE id = 1");
    flow.sql("DELETE FROM products WHERE id = 2");
    flow.sql("UPDATE products SET id = 1003 WHERE id = 3");
    flow.sql(
        "BEGIN; UPDATE products SET name = 'First in one' WHERE id = 4; UPDATE products SET name = 'Last in one' WHERE id = 4; COMMIT",
    );
    flow.sql(
        "BEGIN; DELETE FROM products WHERE id = 5; INSERT INTO products (id, sku, name, category) VALUES (5, 'A', 'Anew', 'Home'); COMMIT",
    );
    let documents = flow.agree();
    let versions: BTreeMap<String, u64> = documents.iter().map(|(id, (version, _))| (id.clone(), *version)).collect();
    assert_eq!(versions, flow.versions(), "versions come from the log positions");
    let moved = get_json(&format!("{}/{TOPIC}/_doc/1003", flow.url("opensearch-2")));
    assert_eq!(moved["_source"]["description"].as_str().map(str::len), Some(9000), "the out-of-line value moved along");

    late_events_change_nothing(&flow, &url, &documents);
    search_finds(&url);
    let applied = SEARCH.map(|server| counted(&url, server, "applied"));
    assert!(applied.iter().all(|count| *count > 20), "{applied:?}");

    running.kill();
    flow.sql("UPDATE products SET name = 'While it was dead' WHERE id = 6");
    flow.sql("DELETE FROM products WHERE id = 7");
    let mut running = flow.run();
    let url = running.url();
    let documents = flow.agree();
    for server in SEARCH {
        // An update, and a delete with its tombstone: it goes on where it was, and reads nothing again.
        assert_eq!((counted(&url, server, "applied"), counted(&url, server, "stale")), (2, 0), "{server} after the restart");
    }
    late_events_change_nothing(&flow, &url, &documents);
    assert!(running.terminate().success(), "SIGTERM drains");
    caught_up(&flow);
}

fn late_events_change_nothing(flow: &Flow, url: &str, before: &Documents) {
    let messages = topic(flow.url("kafka"), TOPIC);
    let stale = SEARCH.map(|server| counted(url, server, "stale"));
    for key in [r#"{"id":1}"#, r#"{"id":2}"#] {
        let (key, value) = recorded(&messages, key, "r");
        produce(flow.url("kafka"), TOPIC, &key, &value);
    }
    for (server, stale) in SEARCH.iter().zip(stale) {
        wait_for("the late events to be read", Duration::from_secs(30), || (counted(url, server, "stale") >= stale + 2).then_some(()));
        assert_eq!(flow.documents(server), *before, "{server}");
    }
}

/// The search API over the servers' indexes.
fn search_finds(url: &str) {
    let found = get_json(&format!("{url}/api/v1/{TOPIC}/search?q=chnged%20again&fuzzy=auto&operator=and"));
    assert_eq!((found["total"].as_u64(), found["hits"][0]["id"].as_str()), (Some(1), Some("1")), "{found}");
    let found = get_json(&format!("{url}/api/v1/{TOPIC}/search?q=snapshot&sort_by=price.amount&sort_order=desc&limit=2"));
    assert_eq!(found["hits"][0]["id"], "20", "{found}");
}

/// `--until-caught-up` reads what is there and ends with 0.
fn caught_up(flow: &Flow) {
    flow.sql("UPDATE products SET name = 'The last one' WHERE id = 8");
    wait_for("the change to reach Kafka", Duration::from_secs(30), || {
        let messages = topic(flow.url("kafka"), TOPIC);
        messages.iter().any(|message| message["payload"].as_str().is_some_and(|p| p.contains("The last one"))).then_some(())
    });
    succeed(rowmill().arg("run").arg(flow.config()).arg("--until-caught-up").current_dir(Path::new("/")));
    for server in SEARCH {
        assert_eq!(flow.documents(server)["8"].1, "The last one", "{server}: all is there when it ends");
    }
}
