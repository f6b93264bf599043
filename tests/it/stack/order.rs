//! Order at the source: whatever Postgres, Debezium and Kafka do to the order of changes, the index equals the tables.

mod records;
mod source;
mod writers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::support::{Running, get_json, http, rowmill, succeed, wait_for};
use source::{Rows, Source};
use writers::{is, set};

const TABLES: [&str; 4] = ["items", "places", "whole", "lonely"];

/// What a life of the database is watched by: one `rowmill`, with a pipeline for each of the two forms.
struct Watch<'a> {
    source: &'a Source,
    dir: &'a tempfile::TempDir,
    /// Names the state and the group.
    life: &'static str,
    /// Before the names of its indexes.
    indexes: &'static str,
}

/// Documents by index and id, each with its version.
type Documents = BTreeMap<(String, String), (u64, Value)>;

impl Watch<'_> {
    fn config(&self) -> PathBuf {
        let pipelines = self.source.connectors().map(|connector| {
            let topics: Vec<String> = self.tables(&connector).map(|table| format!("\"{connector}.public.{table}\"")).collect();
            let topics = topics.join(", ");
            format!(
                "[pipelines.{connector}.source.kafka]\nbrokers = \"{}\"\ntopics = [{topics}]\ngroup = \"{connector}-{}\"\n\
                 properties = {{ \"session.timeout.ms\" = \"1000\", \"heartbeat.interval.ms\" = \"300\" }}\n\
                 [pipelines.{connector}.state]\nkeep = \"rows\"\n\
                 [pipelines.{connector}.sink.opensearch]\nurl = \"{}\"\nindex = \"{}{{topic}}\"\n",
                self.source.servers["kafka"], self.life, self.source.servers["opensearch-2"], self.indexes
            )
        });
        let path = self.dir.path().join(format!("{}.toml", self.life));
        let text = format!("[server]\nlisten = \"127.0.0.1:0\"\n[state]\ndir = \"state-{}\"\n{}", self.life, pipelines.concat());
        std::fs::write(&path, text).unwrap();
        path
    }

    fn run(&self) -> Running {
        Running::start(rowmill().arg("run").arg(self.config()))
    }

    fn catch_up(&self) {
        succeed(rowmill().arg("run").arg(self.config()).arg("--until-caught-up"));
    }

    /// The tables that a connector tells whole: the unwrapping drops truncates, so not the one that is truncated.
    fn tables(&self, connector: &str) -> impl Iterator<Item = &'static str> {
        let drops_truncates = connector != self.source.name;
        TABLES.into_iter().filter(move |table| !(drops_truncates && *table == "whole"))
    }

    /// The documents of a table, as one of the connectors told it.
    fn documents_of(&self, connector: &str, table: &str) -> BTreeMap<String, (u64, Value)> {
        let index = format!("{}/{}{connector}.public.{table}", self.source.servers["opensearch-2"], self.indexes);
        http("POST", &format!("{index}/_refresh"), None);
        let found = get_json(&format!("{index}/_search?version=true&size=1000"));
        let hits = found["hits"]["hits"].as_array().cloned().unwrap_or_default();
        let document = |hit: Value| (hit["_id"].as_str().unwrap().to_owned(), (hit["_version"].as_u64().unwrap(), hit["_source"].clone()));
        hits.into_iter().map(document).collect()
    }

    fn documents(&self) -> Documents {
        let mut all = Documents::new();
        for connector in self.source.connectors() {
            for table in self.tables(&connector) {
                let documents = self.documents_of(&connector, table);
                all.extend(documents.into_iter().map(|(id, document)| ((format!("{connector}.{table}"), id), document)));
            }
        }
        all
    }

    /// What differs between the tables and their documents.
    fn differences(&self) -> Vec<String> {
        let mut differences = Vec::new();
        for connector in self.source.connectors() {
            for table in self.tables(&connector) {
                let rows = self.source.rows(table);
                let documents: Rows = self.documents_of(&connector, table).into_iter().map(|(id, (_, body))| (id, body)).collect();
                let ids = rows.keys().chain(documents.keys().filter(|id| !rows.contains_key(*id)));
                let differing = ids.filter(|id| rows.get(*id) != documents.get(*id));
                differences.extend(differing.map(|id| difference(&connector, table, id, rows.get(id), documents.get(id))));
            }
        }
        differences
    }

    /// Waits until every index has the rows of its table, whole, and no others.
    fn agrees(&self, when: &str) {
        let mut last = Vec::new();
        wait_for(&format!("the indexes to equal the tables {when}"), Duration::from_secs(60), || {
            let differences = self.differences();
            if differences.len() != last.len() {
                eprintln!("{when}: {} differ: {:#?}", differences.len(), &differences[..differences.len().min(5)]);
                last = differences;
            }
            last.is_empty().then_some(())
        });
    }

    fn assert_no_dead_letters(&self) {
        let mut running = self.run();
        let url = running.url();
        for connector in self.source.connectors() {
            let letters = get_json(&format!("{url}/admin/pipelines/{connector}/dead-letters"));
            assert!(!letters.to_string().contains("\"stage\""), "{letters}");
        }
        assert!(running.terminate().success());
    }
}

fn difference(connector: &str, table: &str, id: &str, row: Option<&Value>, document: Option<&Value>) -> String {
    let cut = |value: &Value| value.to_string().chars().take(60).collect::<String>();
    let what = match (row, document) {
        (Some(row), Some(document)) => {
            let columns = row.as_object().unwrap().keys().chain(document.as_object().unwrap().keys());
            let differing = columns.filter(|column| row[*column] != document[*column] || row.get(*column).is_none());
            let told =
                differing.map(|column| format!("{column}: {} in the table, {} in the index", cut(&row[column]), cut(&document[column])));
            told.collect::<Vec<_>>().join("; ")
        }
        (Some(_), None) => "is missing in the index".to_owned(),
        _ => "is no longer in the table".to_owned(),
    };
    format!("{connector} {table} {id}: {what}")
}

/// What a transaction does that is open while a snapshot reads the same rows: those of five keys from `first` on. What it
/// makes and moves gets keys from `new` on.
fn across_the_snapshot(first: u64, new: u64, mark: &str) -> String {
    let mut statements = vec![];
    for table in writers::TABLES {
        let row = |n: u64| is(table, first + n);
        statements.push(format!("UPDATE {table} SET name = '{mark}' WHERE {}", row(0)));
        statements.push(format!("DELETE FROM {table} WHERE {}", row(1)));
        statements.push(format!("UPDATE {table} SET {} WHERE {}", set(table, new), row(2)));
        statements.push(format!(
            "UPDATE {table} SET name = '{mark}' WHERE {}; UPDATE {table} SET name = '{mark} 2' WHERE {}",
            row(3),
            row(3)
        ));
        statements.push(format!("DELETE FROM {table} WHERE {}; {}", row(4), writers::insert(table, first + 4, mark)));
        statements.push(writers::insert(table, new + 1, mark));
    }
    statements.join(";")
}

/// Columns come, go, and change their name and type, while others write; the rows are brought up to date in the same transaction.
fn change_columns(source: &Source) {
    for table in writers::TABLES {
        for change in [
            "ADD COLUMN added text NOT NULL DEFAULT 'by default'",
            "DROP COLUMN spare",
            "RENAME COLUMN tags TO labels",
            "ALTER COLUMN count TYPE bigint",
        ] {
            // Locked at once, so that it waits for writers and they for it, never both.
            source.sql(&format!(
                "BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; ALTER TABLE {table} {change}; UPDATE {table} SET count = count + 1; COMMIT"
            ));
        }
        source.sql(&format!("UPDATE {table} SET count = count + 9007199254740993 WHERE id % 7 = 0"));
    }
}

#[test]
fn the_index_equals_the_tables_in_whatever_order_changes_come() {
    let seed = std::env::var("ROWMILL_ORDER_SEED").map_or_else(|_| u64::from(std::process::id()), |seed| seed.parse().unwrap());
    eprintln!("ROWMILL_ORDER_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let source = Source::create(format!("order_{}", std::process::id()));
    let watch = Watch { source: &source, dir: &dir, life: "first", indexes: "" };

    // Two transactions that begin before the snapshot and end after it. A commit in between brings their records to the
    // disk, without which the snapshot's position would be below theirs.
    let open = source.open(&format!("{}; UPDATE lonely SET id = 103 WHERE id = 3", across_the_snapshot(0, 100, "open")));
    let second = source.open(&across_the_snapshot(6, 110, "also open"));
    source.sql("INSERT INTO signals VALUES ('none', 'log', '{\"message\": \"a commit\"}')");
    source.connect();
    let after_snapshot = source.offsets_after_snapshot();
    open.commit();
    source.sql("UPDATE items SET name = 'between' WHERE id = 12");
    second.commit();
    let running = watch.run();
    watch.agrees("after the snapshot");

    let writers = source.writers(dir.path(), seed, 60);
    source.ask_for_incremental_snapshot();
    source.cut_connections();
    change_columns(&source);
    running.kill();
    source.sql("TRUNCATE whole");
    let running = watch.run();
    source.ask_for_incremental_snapshot();
    wait(writers);
    watch.agrees("after the first writers");

    let writers = source.writers(dir.path(), seed + 1, 60);
    source.go_back_to(&after_snapshot);
    wait(writers);
    watch.agrees("after Debezium told all again");

    // Five rows are sure to be there for what is open across the second snapshot.
    for table in writers::TABLES {
        (0..5).for_each(|key| _ = source.sql(&writers::insert(table, key, "before the second snapshot")));
    }
    watch.agrees("before the second snapshot");
    let open = source.open(&across_the_snapshot(0, 120, "open again"));
    source.sql("INSERT INTO signals VALUES ('none again', 'log', '{\"message\": \"a commit\"}')");
    source.begin_anew();
    open.commit();
    wait(source.writers(dir.path(), seed + 2, 20));
    // Until a lane with rows of the second snapshot hears of a commit after it, what came first after the first snapshot
    // cannot be told from what comes first after the second.
    for table in TABLES {
        source.sql(&format!("UPDATE {table} SET body = body || '.'"));
    }
    watch.agrees("after the second snapshot");
    assert!(running.terminate().success());
    let before = watch.documents();

    send_again(&source, &mut random);
    watch.catch_up();
    assert_eq!(watch.differences(), [""; 0], "after old records came again");
    assert_eq!(versions(&watch.documents()), versions(&before), "and nothing was written");
    watch.assert_no_dead_letters();

    for (life, indexes) in [("second", "again."), ("third", "")] {
        let watch = Watch { source: &source, dir: &dir, life, indexes };
        watch.catch_up();
        assert_eq!(watch.differences(), [""; 0], "{life} life, from an empty state");
        // Where a row moves with a value that was not sent, it depends on which half is read first whether a document
        // is written that is soon written again: so only the table whose values are always sent.
        let whole = |documents: &Documents| versions(documents).into_iter().filter(|((table, _), _)| table.ends_with(".whole")).collect();
        let (now, then): (BTreeMap<_, _>, BTreeMap<_, _>) = (whole(&watch.documents()), whole(&before));
        assert_eq!(now, then, "{life} life, from an empty state");
        watch.assert_no_dead_letters();
    }
}

fn versions(documents: &Documents) -> BTreeMap<(String, String), u64> {
    documents.iter().map(|(id, (version, _))| (id.clone(), *version)).collect()
}

fn wait(writers: Vec<std::process::Child>) {
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
}

/// Sends old records again at the ends of their partitions, once the topics are known to show what this test is about.
fn send_again(source: &Source, random: &mut StdRng) {
    let mut troubles = BTreeSet::new();
    let kafka = &source.servers["kafka"];
    std::thread::scope(|scope| {
        for connector in source.connectors() {
            for table in TABLES {
                let topic = format!("{connector}.public.{table}");
                let lanes = records::read(kafka, &topic);
                if connector == source.name {
                    troubles.extend(records::troubles(&lanes));
                }
                let choice = records::choice(&lanes, random);
                scope.spawn(move || records::send(kafka, &topic, &choice));
            }
        }
    });
    assert_eq!(troubles, BTreeSet::from(records::TROUBLES));
}
