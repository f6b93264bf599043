//! Windows from outside: files in, files out, no servers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{json_lines, module, output, repository, rowmill, succeed};

/// 2026-11-21T00:00:00Z.
const MIDNIGHT_MS: u64 = 1_795_219_200_000;

/// A pipeline from `events.jsonl` to `out.jsonl`.
fn write_config(dir: &Path, more: &str) {
    let text = format!(
        "[server]\nlisten = \"off\"\n[pipelines.p.source.file]\npath = \"events.jsonl\"\n[pipelines.p.sink.file]\npath = \"out.jsonl\"\n\
         index = \"trending\"\n{more}"
    );
    fs::write(dir.join("rowmill.toml"), text).unwrap();
}

fn log_of(searches: &[(&str, u64, &str)]) -> String {
    let line = |(query, seconds, user): &(&str, u64, &str)| {
        json!({"query": query, "at": MIDNIGHT_MS + seconds * 1_000, "user": user}).to_string() + "\n"
    };
    searches.iter().map(line).collect()
}

fn run(dir: &Path) {
    succeed(rowmill().args(["run", "--until-caught-up"]).arg(dir.join("rowmill.toml")));
}

/// What stands in the sink: the last word on each document.
fn documents(dir: &Path) -> BTreeMap<String, Value> {
    let mut documents: BTreeMap<String, (u64, Option<Value>)> = BTreeMap::new();
    for line in json_lines(&dir.join("out.jsonl")) {
        let (id, version) = (line["id"].as_str().unwrap().to_owned(), line["version"].as_u64().unwrap());
        let body = (line["action"] == "index").then(|| line["body"].clone());
        let known = documents.entry(id).or_default();
        assert!(version > known.0, "a version that does not rise: {line}");
        *known = (version, body);
    }
    documents.into_iter().filter_map(|(id, (_, body))| Some((id, body?))).collect()
}

fn dead_letters(dir: &Path) -> Vec<Value> {
    let lines = succeed(rowmill().arg("dead").arg(dir.join("rowmill.toml")).arg("list"));
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const TRENDING: &str = r#"
[pipelines.p.source.decode]
format = "json"
[pipelines.p.aggregate]
key = "query"
time = "at"
distinct = "user"
[pipelines.p.window]
kind = "tumbling"
size = "1m"
grace = "5s"
top = 2
retention = "3m"
late = "dead_letter"
emit_every = "0s"
"#;

#[test]
fn the_top_of_each_window_is_shown_and_old_windows_leave() {
    let dir = tempfile::tempdir().unwrap();
    write_config(dir.path(), TRENDING);
    let first = [
        ("Laptop", 0, "u1"),
        (" laptop", 1, "u2"),
        ("phone", 2, "u1"),
        ("desk", 3, "u3"),
        ("", 4, "u1"),
        ("phone", 61, "u1"),
        ("phone", 62, "u1"),
    ];
    fs::write(dir.path().join("events.jsonl"), log_of(&first)).unwrap();
    run(dir.path());
    let document = |key: &str, minute: u64, rank: u64, count: u64, distinct: u64| {
        let window = |minute: u64| format!("2026-11-21T00:{minute:02}:00Z");
        let body = json!({"key": key, "query": key, "rank": rank, "count": count, "distinct": distinct,
                          "window_start": window(minute), "window_end": window(minute + 1)});
        (format!("{}|{key}", window(minute)), body)
    };
    // Of equals, the first by name.
    let expected = [document("laptop", 0, 1, 2, 2), document("desk", 0, 2, 1, 1), document("phone", 1, 1, 2, 1)];
    assert_eq!(documents(dir.path()), BTreeMap::from(expected.clone()));

    // Nothing is written again for being read by another process.
    let lines = json_lines(&dir.path().join("out.jsonl")).len();
    run(dir.path());
    assert_eq!(json_lines(&dir.path().join("out.jsonl")).len(), lines);

    // Within the grace the first window goes on (the watermark is at 62 s); then it is closed.
    let more = [("desk", 59, "u1"), ("desk", 58, "u4"), ("x", 70, "u1"), ("late", 59, "u1"), ("phone", 121, "u1")];
    let events = log_of(&first) + &log_of(&more);
    fs::write(dir.path().join("events.jsonl"), &events).unwrap();
    run(dir.path());
    let second = [
        document("desk", 0, 1, 3, 3),
        document("laptop", 0, 2, 2, 2),
        document("phone", 1, 1, 2, 1),
        document("x", 1, 2, 1, 1),
        document("phone", 2, 1, 1, 1),
    ];
    assert_eq!(documents(dir.path()), BTreeMap::from(second));
    let letters = dead_letters(dir.path());
    let reasons: Vec<_> = letters.iter().map(|letter| letter["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["it came 5s of event time after its window was closed"]);

    fs::write(dir.path().join("events.jsonl"), events + &log_of(&[("phone", 241, "u1")])).unwrap();
    run(dir.path());
    let left = documents(dir.path()).into_keys().collect::<Vec<_>>();
    assert_eq!(left, ["2026-11-21T00:01:00Z|phone", "2026-11-21T00:01:00Z|x", "2026-11-21T00:02:00Z|phone", "2026-11-21T00:04:00Z|phone"]);
}

#[test]
fn windows_and_sessions_that_are_closed_are_shown_once() {
    for (kind, expected) in [
        ("kind = \"hopping\"\nsize = \"1m\"\nhop = \"30s\"", &[("23:59:30", 1), ("00:00:00", 3), ("00:00:30", 2), ("00:01:00", 1)][..]),
        ("kind = \"session\"\ngap = \"20s\"", &[("00:00:01", 1), ("00:00:21", 2), ("00:01:20", 1)]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let more = format!(
            "[pipelines.p.source.decode]\nformat = \"json\"\n[pipelines.p.aggregate]\nkey = \"query\"\ntime = \"at\"\n[pipelines.p.window]\n{kind}\nemit = \"final\"\n"
        );
        write_config(dir.path(), &more);
        // The third comes when the first of its windows, and the session it would have gone on with, are closed.
        let searches = [("a", 1, ""), ("a", 40, ""), ("a", 21, ""), ("a", 80, ""), ("b", 125, "")];
        fs::write(dir.path().join("events.jsonl"), log_of(&searches)).unwrap();
        run(dir.path());
        let shown: Vec<(String, u64)> = json_lines(&dir.path().join("out.jsonl"))
            .iter()
            .map(|line| (line["body"]["window_start"].as_str().unwrap()[11..19].to_owned(), line["body"]["count"].as_u64().unwrap()))
            .collect();
        let expected: Vec<(String, u64)> = expected.iter().map(|(start, count)| ((*start).to_owned(), *count)).collect();
        assert_eq!(shown, expected, "{kind}");
    }
}

/// A table counted as a whole, from what a real Debezium told of it.
#[test]
fn a_table_is_counted_as_group_by_counts_it() {
    let dir = tempfile::tempdir().unwrap();
    let recorded = fs::read_to_string(repository("tests/events/envelope_plain.jsonl")).unwrap();
    let whole: String = recorded.split_inclusive('\n').filter(|line| line.contains("public.products\",\"partition")).collect();
    // At the end of the recording the table is emptied.
    let events: String = whole.split_inclusive('\n').take_while(|line| !line.contains(r#"\"op\":\"t\""#)).collect();
    fs::write(dir.path().join("events.jsonl"), &events).unwrap();
    let text =
        "[pipelines.p.aggregate]\nkey = \"grade\"\nweight = \"qty\"\ncompute = [\"count\", \"sum\", \"min\", \"max\", \"average\"]\n";
    write_config(dir.path(), text);
    let config = fs::read_to_string(dir.path().join("rowmill.toml")).unwrap();
    fs::write(dir.path().join("rowmill.toml"), config.replace("path = \"events.jsonl\"", "path = \"events.jsonl\"\nformat = \"kcat\""))
        .unwrap();
    run(dir.path());

    let mut rows: BTreeMap<(String, String), Value> = BTreeMap::new();
    for line in events.lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        let Some(payload) = message["payload"].as_str() else { continue };
        let payload: Value = serde_json::from_str(payload).unwrap();
        let Some(table) = payload["source"]["table"].as_str() else { continue };
        let row = (table.to_owned(), message["key"].as_str().unwrap_or_default().to_owned());
        match payload["op"].as_str() {
            Some("d") => drop(rows.remove(&row)),
            Some("t") => rows.retain(|(other, _), _| other != table),
            _ => drop(rows.insert(row, payload["after"].clone())),
        }
    }
    let mut expected: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    for row in rows.values() {
        let (Some(grade), Some(quantity)) = (row["grade"].as_str(), row["qty"].as_i64()) else { continue };
        let group = expected.entry(grade.to_owned()).or_default();
        *group = (group.0 + 1, group.1 + quantity);
    }
    assert!(expected.len() > 1, "{expected:?}");
    let shown = documents(dir.path());
    assert_eq!(shown.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, (count, sum)) in expected {
        let document = &shown[&key];
        assert_eq!(document["count"], count, "{document}");
        assert_eq!(document["sum"], sum, "{document}");
        assert!(
            document["min"].as_f64() <= document["average"].as_f64() && document["average"].as_f64() <= document["max"].as_f64(),
            "{document}"
        );
    }

    fs::write(dir.path().join("events.jsonl"), &whole).unwrap();
    run(dir.path());
    assert_eq!(documents(dir.path()), BTreeMap::new(), "an emptied table counts nothing");
}

#[test]
fn a_module_measures_and_renders() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(repository("transforms/trending/events/events.jsonl"), dir.path().join("events.jsonl")).unwrap();
    let more = format!(
        "[pipelines.p.source.decode]\nformat = \"json\"\n[pipelines.p.transform]\nmodule = \"{}\"\nconfig = {{ ignore = [\"for\"] }}\n\
         [pipelines.p.aggregate]\ncompute = [\"count\", \"distinct\"]\n[pipelines.p.window]\nkind = \"tumbling\"\nsize = \"5m\"\ngrace = \"10m\"\nretention = \"1h\"\ntop = 20\n",
        module("trending")
    );
    write_config(dir.path(), &more);
    run(dir.path());
    let expected = json_lines(&repository("transforms/trending/events/expected.jsonl"));
    let indexed: BTreeMap<String, Value> = expected
        .iter()
        .filter(|line| line["action"] == "index")
        .map(|line| (line["id"].as_str().unwrap().to_owned(), line["body"].clone()))
        .collect();
    assert_eq!(documents(dir.path()), indexed);
    let reasons = |lines: &[Value]| {
        let mut reasons: Vec<String> = lines.iter().filter_map(|line| line["reason"].as_str().map(str::to_owned)).collect();
        reasons.sort();
        reasons
    };
    assert_eq!(reasons(&dead_letters(dir.path())), reasons(&expected), "each is told of once");

    run(dir.path());
    assert_eq!(reasons(&dead_letters(dir.path())), reasons(&expected), "and not again by another process, which renders all again");
    succeed(rowmill().arg("dead").arg(dir.path().join("rowmill.toml")).args(["replay", "--all"]));
    run(dir.path());
    let letters = dead_letters(dir.path());
    assert_eq!(reasons(&letters), reasons(&expected), "what is refused again is told of again");
    assert_eq!(documents(dir.path()), indexed);
}

#[test]
fn what_does_not_fit_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("events.jsonl"), log_of(&[("a", 1, "")])).unwrap();
    write_config(dir.path(), TRENDING);
    run(dir.path());
    let refused = |more: &str| {
        write_config(dir.path(), more);
        let ran = output(rowmill().args(["run", "--until-caught-up"]).arg(dir.path().join("rowmill.toml")));
        assert!(!ran.status.success());
        String::from_utf8_lossy(&ran.stderr).into_owned()
    };
    for (more, expected) in [
        (
            TRENDING.replace("size = \"1m\"", "size = \"2m\""),
            "what was counted so far is of other windows (size 60000 ms, hop 60000 ms, append only, distinct)",
        ),
        (TRENDING.replace("kind = \"tumbling\"", "kind = \"session\""), "pipelines.p.window.gap is missing"),
        (TRENDING.replace("key = \"query\"", ""), "pipelines.p.aggregate.key is missing"),
        (TRENDING.replace("retention = \"3m\"", "retention = \"1s\""), "retention is shorter than the grace"),
        (
            format!("{}[pipelines.p.transform]\nmodule = \"{}\"\n", TRENDING.replace("key = \"query\"", ""), module("product_search")),
            "exports the world `transform`, and a pipeline with a table `window` or `aggregate` needs `aggregate`",
        ),
        (
            format!("[pipelines.p.source.decode]\nformat = \"json\"\n[pipelines.p.transform]\nmodule = \"{}\"\n", module("trending")),
            "exports the world `aggregate`, which needs a window",
        ),
    ] {
        let told = refused(&more);
        assert!(told.contains(expected), "{told}");
    }
}
