//! The command, as a user meets it: files in, files out, mistakes and crashes.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Running, free_port, get_json, http, json_lines, module, output, repository, rowmill, succeed, wait_for};

/// A folder with a configuration: recorded events through a module into a file.
fn folder(events: &str, transform: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("events.jsonl"), events).unwrap();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[pipelines.p.source.file]\npath = \"events.jsonl\"\nformat = \"kcat\"\n{transform}\n\
         [pipelines.p.sink.file]\npath = \"out.jsonl\"\nindex = \"out\"\n"
    );
    fs::write(dir.path().join("rowmill.toml"), text).unwrap();
    dir
}

fn config(dir: &Path) -> std::path::PathBuf {
    dir.join("rowmill.toml")
}

fn run_to_end(dir: &Path) -> Vec<Value> {
    succeed(rowmill().arg("run").arg(config(dir)).arg("--until-caught-up"));
    json_lines(&dir.join("out.jsonl"))
}

/// A message as `kcat -J` prints it.
fn line(offset: u64, key: &Value, value: Option<String>) -> String {
    let message =
        json!({"topic": "shop.public.items", "partition": 0, "offset": offset, "ts": 1, "key": key.to_string(), "payload": value});
    format!("{message}\n")
}

fn change(offset: u64, operation: &str, lsn: u64, row: &Value) -> String {
    line(offset, &json!({"id": row["id"]}), Some(envelope(operation, lsn, row)))
}

fn envelope(operation: &str, lsn: u64, row: &Value) -> String {
    let envelope = json!({
        "before": null, "after": row, "op": operation, "ts_ms": 2,
        "source": {"connector": "postgresql", "name": "shop", "schema": "public", "table": "items", "lsn": lsn, "ts_ms": 1,
                   "snapshot": "false", "sequence": json!([lsn.to_string(), lsn.to_string()]).to_string()},
    });
    envelope.to_string()
}

/// The last action of each id.
fn last(lines: &[Value]) -> BTreeMap<String, (String, u64)> {
    let action = |line: &Value| (line["action"].as_str().unwrap().to_owned(), line["version"].as_u64().unwrap());
    lines.iter().map(|line| (line["id"].as_str().unwrap().to_owned(), action(line))).collect()
}

#[test]
fn recorded_events_become_documents_by_one_command() {
    let events = fs::read_to_string(repository("examples/demo/events.jsonl")).unwrap();
    let products: String = events.lines().filter(|line| line.contains("public.products")).map(|line| format!("{line}\n")).collect();
    let transform = format!(
        "[pipelines.p.transform]\nmodule = \"{}\"\nconfig = {{ currency = \"EUR\" }}\n[pipelines.p.state]\nkeep = \"rows\"\n",
        module("product_search")
    );
    let dir = folder(&products, &transform);
    let documents = last(&run_to_end(dir.path()));
    let live = documents.values().filter(|(action, _)| action == "index").count();
    assert_eq!(live, 117, "the shop has 117 products at the end of its day");
    assert_eq!(documents["17"].0, "delete", "product 17 became 1017");
    assert_eq!(documents["1017"].0, "index");
    let again = run_to_end(dir.path());
    assert_eq!(last(&again), documents, "a second run reads nothing again");
}

#[test]
fn without_a_module_the_row_is_the_document_with_all_its_digits() {
    let row = r#"{"id":7,"big":9007199254740993,"price":12.340000000000000000001,"e":1E400}"#;
    // Put in as text: a JSON library would not keep it.
    let event = change(0, "c", 5, &json!({"id": 7, "rest": "REST"}));
    let event = event.replace(r#"{\"id\":7,\"rest\":\"REST\"}"#, &row.replace('"', "\\\""));
    let dir = folder(&event, "");
    succeed(rowmill().arg("run").arg(config(dir.path())).arg("--until-caught-up"));
    let text = fs::read_to_string(dir.path().join("out.jsonl")).unwrap();
    assert!(text.contains(row), "{text}");
}

#[test]
fn bad_events_become_dead_letters_and_the_rest_goes_on() {
    let hostile = format!("[pipelines.p.transform]\nmodule = \"{}\"\ntimeout = \"200ms\"\n", module("hostile"));
    let modes = ["reject", "trap", "loop", "memory", "invalid_json", "foreign_change"];
    let mut events = String::new();
    for (place, mode) in modes.iter().enumerate() {
        let place = place as u64;
        events += &change(2 * place, "c", 100 + place, &json!({"id": place, "mode": mode}));
        events += &change(2 * place + 1, "c", 100 + place, &json!({"id": 100 + place}));
    }
    events += &line(50, &json!({"id": 50}), Some("no JSON".to_owned()));
    events +=
        &line(51, &json!({"id": 51}), Some(json!({"op": "c", "after": {"id": 51}, "source": {"connector": "postgresql"}}).to_string()));
    events += &line(52, &json!({"id": 52}), Some(envelope("c", 9, &json!({"id": 53}))));
    let long = "x".repeat(513);
    events += &change(53, "c", 300, &json!({"id": long}));
    events += &change(54, "c", 400, &json!({"id": 999}));
    let dir = folder(&events, &hostile);
    let mut running = Running::start(rowmill().arg("run").arg(config(dir.path())));
    let url = running.url();
    let letters = wait_for("the last event", Duration::from_secs(60), || {
        let done = json_lines(&dir.path().join("out.jsonl")).iter().any(|line| line["id"] == "999");
        done.then(|| get_json(&format!("{url}/admin/pipelines/p/dead-letters?limit=100")))
    });
    let letters = letters["dead_letters"].as_array().or(letters.as_array()).unwrap().clone();
    for letter in &letters {
        assert!(letter["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{letter}");
        assert_eq!(letter["topic"], "shop.public.items", "{letter}");
    }
    let keys: Vec<&str> = letters.iter().filter_map(|letter| letter["key"].as_str()).collect();
    for key in ["0", "1", "2", "3", "4", "5"] {
        let letter = letters.iter().find(|letter| letter["key"] == key).unwrap_or_else(|| panic!("no dead letter for {key}: {keys:?}"));
        assert_eq!((&letter["stage"], letter["version"]["first"].as_u64()), (&json!("transform"), Some(100 + key.parse::<u64>().unwrap())));
    }
    assert_eq!(letters.len(), modes.len() + 4, "{letters:#?}");
    let good = json_lines(&dir.path().join("out.jsonl"));
    assert_eq!(good.len(), modes.len() + 1, "the good ones beside them");
    let (_, metrics) = http("GET", &format!("{url}/metrics"), None);
    assert!(metrics.contains(&format!("rowmill_events_total{{outcome=\"dead\",pipeline=\"p\"}} {}", letters.len())), "{metrics}");
    assert!(running.terminate().success());
}

/// What a `rowmill dead` command prints, a JSON value a line, and whether it went well.
fn dead(dir: &Path, arguments: &[&str]) -> (Vec<Value>, bool) {
    let output = output(rowmill().arg("dead").arg(config(dir)).args(arguments));
    let lines = String::from_utf8(output.stdout).unwrap();
    (lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), output.status.success())
}

#[test]
fn dead_letters_are_listed_replayed_and_dropped_by_command_while_it_runs_and_while_it_does_not() {
    let strict = format!("[pipelines.p.transform]\nmodule = \"{}\"\n", module("hostile"));
    let mut events = line(1, &json!({"id": 1}), Some("no JSON".to_owned()));
    events.extend((2..=5).map(|id| change(id, "c", 100 + id, &json!({"id": id, "mode": "reject"}))));
    let dir = folder(&events, &strict);
    let run_once = || succeed(rowmill().arg("run").arg(config(dir.path())).arg("--until-caught-up"));
    run_once();
    let (letters, _) = dead(dir.path(), &["list", "--stage", "transform", "--limit", "3"]);
    let ids: Vec<u64> = letters.iter().map(|letter| letter["id"].as_u64().unwrap()).collect();
    assert_eq!((ids, &letters[0]["pipeline"], &letters[0]["key"]), (vec![5, 4, 3], &json!("p"), &json!("5")));
    let (shown, _) = dead(dir.path(), &["show", "1"]);
    assert_eq!((&shown[0]["value"], &shown[0]["stage"]), (&json!("no JSON"), &json!("decode")));
    assert!(!dead(dir.path(), &["show", "77"]).1);
    assert!(!dead(dir.path(), &["drop"]).1, "all of them only where that is said");
    assert_eq!(dead(dir.path(), &["drop", "5"]), (vec![json!({"dropped": 1})], true));

    // Nobody runs: marked now, replayed by the next run, which lets them through.
    assert_eq!(dead(dir.path(), &["replay", "--key", "2"]), (vec![json!({"waiting": 1})], true));
    let text = fs::read_to_string(config(dir.path())).unwrap();
    let without = text.replace(&strict, "");
    let port = free_port();
    let without = without.replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    fs::write(config(dir.path()), &without).unwrap();
    run_once();
    let row = |line: &Value| (line["id"].clone(), line["version"].clone());
    assert_eq!(json_lines(&dir.path().join("out.jsonl")).iter().map(row).collect::<Vec<_>>(), [(json!("2"), json!(102 << 8))]);

    let mut running = Running::start(rowmill().arg("run").arg(config(dir.path())));
    let url = running.url();
    wait_for("the pipeline to run", Duration::from_secs(30), || (http("GET", &format!("{url}/health/ready"), None).0 == 200).then_some(()));
    let replayed = |replayed: u64, dead_again: u64| json!({"replayed": replayed, "dead_again": dead_again, "waiting": 0, "not_kept": 0});
    assert_eq!(dead(dir.path(), &["replay", "--key", "nobody"]), (vec![replayed(0, 0)], true));
    assert_eq!(dead(dir.path(), &["replay", "3"]), (vec![replayed(1, 0)], true));
    assert_eq!(dead(dir.path(), &["replay", "--all"]), (vec![replayed(1, 1)], false), "one of them is still no JSON");
    let (letters, _) = dead(dir.path(), &["list"]);
    assert_eq!((letters.len(), &letters[0]["id"], &letters[0]["replays"]), (1, &json!(1), &json!(1)));
    assert_eq!(dead(dir.path(), &["drop", "--reason", "json"]), (vec![json!({"dropped": 1})], true));
    let documents: Vec<Value> = json_lines(&dir.path().join("out.jsonl")).iter().map(|line| line["id"].clone()).collect();
    assert_eq!(documents, [json!("2"), json!("3"), json!("4")]);
    assert!(running.terminate().success());
}

#[test]
fn five_mistakes_show_five_problems_with_their_lines() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[server]\nlisten = \"0.0.0.0:9999\"\n[pipelines.p.source.kafka]\ntopics = [\"t\"]\n[pipelines.p.batch]\nmax_docments = 5\n\
                max_wait = \"soon\"\n[pipelines.p.sink.elasticsearch]\nurl = \"localhost\"\n";
    fs::write(config(dir.path()), text).unwrap();
    let output = output(rowmill().arg("check").arg(config(dir.path())));
    assert_eq!(output.status.code(), Some(2));
    let problems = String::from_utf8(output.stderr).unwrap();
    for (line, part) in [(2, "token"), (3, "brokers"), (6, "max_documents"), (7, "duration"), (9, "url")] {
        let found = problems.lines().any(|problem| problem.contains(&format!(":{line}:")) && problem.contains(part));
        assert!(found, "line {line} about {part}: {problems}");
    }
    assert_eq!(problems.lines().filter(|line| line.contains("rowmill.toml:")).count(), 5, "{problems}");
}

#[test]
fn a_killed_run_goes_on_where_it_was() {
    let dir = folder("", "[pipelines.p.source.decode]\nformat = \"debezium\"\n");
    let text = fs::read_to_string(config(dir.path())).unwrap().replace("format = \"kcat\"", "format = \"kcat\"\nfollow = true");
    fs::write(config(dir.path()), text).unwrap();
    let append = |events: &str| {
        let mut file = fs::OpenOptions::new().append(true).open(dir.path().join("events.jsonl")).unwrap();
        file.write_all(events.as_bytes()).unwrap();
    };
    let out = dir.path().join("out.jsonl");
    let running = Running::start(rowmill().arg("run").arg(config(dir.path())));
    append(&(0..10).map(|id| change(id, "c", 100 + id, &json!({"id": id}))).collect::<String>());
    wait_for("ten documents", Duration::from_secs(30), || (json_lines(&out).len() == 10).then_some(()));
    // The state follows the sink: only when the position is there, too, has it been committed.
    wait_for("the position", Duration::from_secs(30), || {
        let shown = output(rowmill().arg("state").arg(config(dir.path())).arg("positions"));
        let length = fs::metadata(dir.path().join("events.jsonl")).unwrap().len();
        String::from_utf8(shown.stdout).unwrap().contains(&format!("\"position\":{length}")).then_some(())
    });
    running.kill();
    append(&change(10, "u", 50, &json!({"id": 1, "name": "late"})));
    append(&change(11, "u", 300, &json!({"id": 2, "name": "new"})));
    let running = Running::start(rowmill().arg("run").arg(config(dir.path())));
    wait_for("the new document", Duration::from_secs(30), || (json_lines(&out).len() >= 11).then_some(()));
    assert!(running.terminate().success());
    let lines = json_lines(&out);
    assert_eq!((lines.len(), &lines[10]["id"], lines[10]["version"].as_u64()), (11, &json!("2"), Some(300 << 8)));
    let shown = succeed(rowmill().arg("state").arg(config(dir.path())).args(["get", "public.items", "2"]));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((shown["version"]["first"].as_u64(), shown["documents"][0]["version"].as_u64()), (Some(300), Some(300 << 8)));
}

#[test]
fn a_state_in_use_is_refused_with_one_sentence() {
    let dir = folder("", "");
    let text = fs::read_to_string(config(dir.path())).unwrap().replace("format = \"kcat\"", "format = \"kcat\"\nfollow = true");
    fs::write(config(dir.path()), text).unwrap();
    let mut running = Running::start(rowmill().arg("run").arg(config(dir.path())));
    running.wait_for_line("the pipeline runs");
    let second = output(rowmill().arg("run").arg(config(dir.path())));
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1));
    let sentences: Vec<&str> = said.lines().filter(|line| line.starts_with("rowmill:")).collect();
    assert!(matches!(sentences.as_slice(), [one] if one.contains("in use by another process")), "{said}");
}

#[test]
fn modules_that_do_not_fit_are_refused_with_what_they_lack() {
    for (module, part) in [("(module)", "lacks the export"), ("(component)", "transform"), ("nonsense", "WebAssembly")] {
        let dir = folder("", "[pipelines.p.transform]\nmodule = \"m.wasm\"\n");
        let bytes = wat::parse_str(module).unwrap_or_else(|_| module.as_bytes().to_vec());
        fs::write(dir.path().join("m.wasm"), bytes).unwrap();
        let output = output(rowmill().arg("run").arg(config(dir.path())).arg("--until-caught-up"));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(said.lines().any(|line| line.starts_with("rowmill:") && line.contains(part)), "{module}: {said}");
    }
}

#[test]
fn bench_measures_every_event() {
    let figures = succeed(rowmill().args(["bench", "--events", "3000", "--keys", "100", "--module", &module("order_status")]));
    let figures: Value = serde_json::from_str(&figures).unwrap();
    let throughput = &figures["throughput"];
    // Nothing is rejected and every change is one document: order_status drops none of these.
    assert_eq!(throughput["documents"].as_u64(), Some(3000), "{figures}");
    assert!(throughput["cpu_seconds"].as_f64().unwrap() > 0.0 && throughput["peak_memory_mib"].as_u64().unwrap() > 10, "{figures}");
}

#[test]
fn the_demos_day_has_the_dead_letters_that_its_readme_tells_of() {
    let dir = tempfile::tempdir().unwrap();
    let events = fs::read_to_string(repository("examples/demo/events.jsonl")).unwrap();
    for (file, topic) in [("products", "public.products"), ("orders", "public.orders")] {
        let lines: String = events.lines().filter(|line| line.contains(topic)).map(|line| format!("{line}\n")).collect();
        fs::write(dir.path().join(format!("{file}.jsonl")), lines).unwrap();
    }
    let searches = ["Lamp", "kettle", "lamp "].map(|query| format!("{{\"query\":\"{query}\",\"at\":1763740800000}}\n"));
    fs::write(dir.path().join("searches.jsonl"), searches.concat()).unwrap();
    for name in ["product_search", "order_status"] {
        fs::copy(module(name), dir.path().join(format!("{name}.wasm"))).unwrap();
    }
    let text = fs::read_to_string(repository("examples/demo/rowmill.toml")).unwrap();
    fs::write(config(dir.path()), text.replace("follow = true", "").replace("127.0.0.1:8080", "127.0.0.1:0")).unwrap();
    let mut running = Running::start(rowmill().arg("run").arg(config(dir.path())));
    let url = running.url();
    wait_for("the day to end", Duration::from_secs(60), || {
        let pipelines = get_json(&format!("{url}/admin/pipelines"));
        pipelines["pipelines"].as_array()?.iter().all(|pipeline| pipeline["state"] == "finished").then_some(())
    });
    let letters = get_json(&format!("{url}/admin/pipelines/products/dead-letters"));
    let of = |letter: &Value| (letter["stage"].as_str().unwrap().to_owned(), letter["key"].as_str().unwrap().to_owned());
    let mut letters: Vec<(String, String)> = letters["dead_letters"].as_array().unwrap().iter().map(of).collect();
    letters.sort();
    letters.dedup();
    assert_eq!(
        letters,
        [("sink".to_owned(), "91".to_owned()), ("transform".to_owned(), "77".to_owned())],
        "a weight in words, a price of NaN"
    );
    let lamps = get_json(&format!("{url}/api/v1/trending/search?filter.key=lamp"));
    assert_eq!(lamps["total"], 6, "one for each window: {lamps}");
    let first = &lamps["hits"][0]["document"];
    assert_eq!((first["rank"].as_u64(), first["count"].as_u64()), (Some(1), Some(2)), "{first}");
}
