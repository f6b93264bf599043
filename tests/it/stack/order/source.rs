//! The source: a database of its own, two connectors that tell its life in two forms, and people who write.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::super::{psql, up};
use super::writers::{KEYS, TABLES, insert, script};
use crate::support::{http, output, repository, succeed, wait_for};

/// Rows by their id.
pub type Rows = BTreeMap<String, Value>;

const PARTITIONS: u64 = 4;
const COLUMNS: &str = "area text NOT NULL, id bigint NOT NULL, name text, amount numeric, count int, body text, tags text[] DEFAULT '{new, NULL}', spare text DEFAULT 's'";

pub struct Source {
    pub servers: BTreeMap<String, String>,
    /// Names the database, and with it whatever else is ours alone on servers that others use too.
    pub name: String,
}

impl Source {
    /// The tables with their rows. Publication and slots are there before the connectors, so that what begins before their
    /// snapshot and ends after it is told.
    pub fn create(name: String) -> Self {
        let servers = up(&["postgres", "kafka", "connect", "opensearch-2"]);
        psql(&servers["postgres"], "postgres", &format!("CREATE DATABASE {name}"));
        let source = Self { servers, name };
        source.sql(&format!(
            "CREATE TABLE items ({COLUMNS}, PRIMARY KEY (id)); CREATE TABLE places ({COLUMNS}, PRIMARY KEY (area, id)); \
             CREATE TABLE whole ({COLUMNS}, PRIMARY KEY (id)); ALTER TABLE whole REPLICA IDENTITY FULL; \
             CREATE TABLE lonely (id bigint PRIMARY KEY, body text); CREATE TABLE signals (id text PRIMARY KEY, type text, data text)"
        ));
        for table in TABLES.iter().chain(&["lonely"]) {
            source.sql(&format!("ALTER TABLE {table} ALTER COLUMN body SET STORAGE EXTERNAL"));
        }
        source.sql("INSERT INTO lonely VALUES (3, repeat('all alone ', 400))");
        let inserts = TABLES.iter().flat_map(|table| (0..KEYS * 2 / 3).map(|key| insert(table, key, &format!("at first {key}"))));
        source.sql(&inserts.collect::<Vec<_>>().join(";"));
        for connector in source.connectors() {
            source.sql(&format!("CREATE PUBLICATION publication_{connector} FOR TABLE items, places, whole, lonely, signals"));
            source.sql(&format!("SELECT pg_create_logical_replication_slot('slot_{connector}', 'pgoutput')"));
        }
        source
    }

    /// The envelope, and its unwrapped form.
    pub fn connectors(&self) -> [String; 2] {
        [self.name.clone(), format!("{}_flat", self.name)]
    }

    /// Lets both connectors take their snapshot; they stream when this returns.
    pub fn connect(&self) {
        let common = json!({
            "topic.creation.default.partitions": PARTITIONS.to_string(), "topic.creation.default.replication.factor": "1",
            "decimal.handling.mode": "string", "skipped.operations": "none",
            "signal.data.collection": "public.signals", "incremental.snapshot.chunk.size": "7",
            // The log stays, so that the connector can be told to read it again; and it soon goes on after a failure.
            "flush.lsn.source": "false", "retriable.restart.connector.wait.ms": "500",
        });
        let unwrapped = json!({
            "transforms": "unwrap", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
            "transforms.unwrap.delete.tombstone.handling.mode": "rewrite",
            "transforms.unwrap.add.fields": "op,source.lsn,source.sequence,source.ts_ms",
        });
        for (connector, form) in self.connectors().iter().zip([json!({}), unwrapped]) {
            let mut settings = common.clone();
            settings.as_object_mut().unwrap().extend(form.as_object().unwrap().clone());
            let tables = "public.items,public.places,public.whole,public.lonely,public.signals";
            succeed(Command::new(repository("tests/stack/connector")).args([connector, &self.name, tables, &settings.to_string()]));
        }
    }

    pub fn sql(&self, sql: &str) -> String {
        psql(&self.servers["postgres"], &self.name, sql)
    }

    /// Asks for an incremental snapshot of all tables with a composite or simple key.
    pub fn ask_for_incremental_snapshot(&self) {
        let tables: Vec<String> = TABLES.iter().map(|table| format!("public.{table}")).collect();
        let data = json!({ "data-collections": tables, "type": "incremental" });
        self.sql(&format!("INSERT INTO signals VALUES (gen_random_uuid(), 'execute-snapshot', '{data}')"));
    }

    /// Cuts the connectors' connections; they come again by themselves.
    pub fn cut_connections(&self) {
        self.sql(&format!(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active AND slot_name LIKE 'slot_{}%'",
            self.name
        ));
    }

    /// Connect's notes of how far each connector is, once they say that its snapshot is done.
    pub fn offsets_after_snapshot(&self) -> Vec<String> {
        let told = |connector: &String| {
            wait_for("the connector's offsets", Duration::from_secs(30), || {
                let (_, offsets) = http("GET", &self.connect_url(connector, "offsets"), None);
                offsets.contains(r#""snapshot_completed":true"#).then_some(offsets)
            })
        };
        self.connectors().iter().map(told).collect()
    }

    /// Makes the connectors forget what they did since, as a crash before a commit of offsets does: they tell it again.
    pub fn go_back_to(&self, offsets: &[String]) {
        for (connector, offsets) in self.connectors().iter().zip(offsets) {
            self.change_offsets(connector, "PATCH", Some(offsets));
        }
    }

    /// Makes the connectors forget all that they did: they begin with another snapshot. They stream when this returns.
    pub fn begin_anew(&self) {
        for connector in self.connectors() {
            self.change_offsets(&connector, "DELETE", None);
            let is_active = format!("SELECT active FROM pg_replication_slots WHERE slot_name = 'slot_{connector}'");
            wait_for("the second snapshot's end", Duration::from_secs(60), || (self.sql(&is_active) == "t\n").then_some(()));
        }
    }

    fn change_offsets(&self, connector: &str, method: &str, offsets: Option<&str>) {
        http("PUT", &self.connect_url(connector, "stop"), None);
        wait_for("the connector to stop and change its offsets", Duration::from_secs(30), || {
            let (status, _) = http(method, &self.connect_url(connector, "offsets"), offsets);
            (status == 200).then_some(())
        });
        http("PUT", &self.connect_url(connector, "resume"), None);
    }

    fn connect_url(&self, connector: &str, what: &str) -> String {
        format!("{}/connectors/{connector}/{what}", self.servers["connect"])
    }

    /// Starts writers whose transactions interleave.
    pub fn writers(&self, dir: &Path, seed: u64, transactions: u64) -> Vec<Child> {
        let start = |writer: u64| {
            let path = dir.join(format!("{seed}.{writer}.sql"));
            std::fs::write(&path, script(seed, writer, transactions)).unwrap();
            // What they say is mostly that a row is not there or a key is taken.
            self.psql().arg("-f").arg(path).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        (0..4).map(start).collect()
    }

    fn psql(&self) -> Command {
        let (server, _) = self.servers["postgres"].rsplit_once('/').unwrap();
        let mut command = Command::new("psql");
        command.args(["-XqAt", &format!("{server}/{}", self.name)]);
        command
    }

    /// Begins a transaction and leaves it open when its statements have been done.
    pub fn open(&self, statements: &str) -> Open {
        let mut child = self.psql().args(["-v", "ON_ERROR_STOP=1"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "BEGIN; {statements}; SELECT 'written';").unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().map(Result::unwrap).as_deref(), Some("written"));
        Open { child, stdin }
    }

    /// The rows of a table, each as its document must be.
    pub fn rows(&self, table: &str) -> Rows {
        let amount = if table == "lonely" { "" } else { " || jsonb_build_object('amount', amount::text)" };
        let id = if table == "places" { "area || '|' || id" } else { "id::text" };
        let rows = self.sql(&format!("SELECT {id}, to_jsonb(t){amount} FROM {table} t"));
        let split = |line: &str| {
            let (id, row) = line.split_at(line.find("|{").unwrap());
            (id.to_owned(), serde_json::from_str(&row[1..]).unwrap())
        };
        rows.lines().map(split).collect()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return; // left to be looked at
        }
        let postgres = &self.servers["postgres"];
        for connector in self.connectors() {
            http("DELETE", &format!("{}/connectors/{connector}", self.servers["connect"]), None);
            let drop = format!(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND slot_name = 'slot_{connector}'"
            );
            let left = format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'slot_{connector}'");
            wait_for("the slot to be left", Duration::from_secs(30), || {
                output(Command::new("psql").args(["-XqAt", postgres, "-c", &drop]));
                output(Command::new("psql").args(["-XqAt", postgres, "-c", &left])).stdout.starts_with(b"0").then_some(())
            });
        }
        output(Command::new("psql").args(["-Xq", postgres, "-c", &format!("DROP DATABASE {} WITH (FORCE)", self.name)]));
    }
}

/// A transaction that is open.
pub struct Open {
    child: Child,
    stdin: ChildStdin,
}

impl Open {
    /// Commits it.
    pub fn commit(mut self) {
        writeln!(self.stdin, "COMMIT;").unwrap();
        drop(self.stdin);
        assert!(self.child.wait().unwrap().success());
    }
}
