//! The configuration of a running process, read again: by signal, by HTTP, by command.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Running, free_port, get_json, http, json_lines, module, output, pass, rowmill, signal, succeed, wait_for};

/// A process on a configuration in a folder of its own, which listens on a port that stays.
struct Process {
    dir: tempfile::TempDir,
    port: u16,
    running: Running,
}

/// A pipeline that follows `NAME.jsonl` into `NAME.out`, with more in its middle.
fn follows(name: &str, more: &str) -> String {
    format!(
        "[pipelines.{name}.source.file]\npath = \"{name}.jsonl\"\nformat = \"kcat\"\nfollow = true\n{more}\n\
         [pipelines.{name}.sink.file]\npath = \"{name}.out\"\nindex = \"i\"\n"
    )
}

/// One event for each of these rows; `mode` is what the hostile guest is to do to them.
fn events(ids: std::ops::Range<u64>, mode: &str) -> String {
    let event = |id: u64| {
        let row = json!({"id": id, "customer": "c", "status": "paid", "total": "1.00", "mode": mode});
        let source = json!({"connector": "postgresql", "name": "s", "schema": "public", "table": "orders", "lsn": 1_000 + id, "ts_ms": 1,
            "snapshot": "false", "sequence": json!([(1_000 + id).to_string(), (1_000 + id).to_string()]).to_string()});
        let envelope = json!({"before": null, "after": row, "op": "c", "ts_ms": 1, "source": source}).to_string();
        let key = json!({"id": id}).to_string();
        format!("{}\n", json!({"topic": "s.public.orders", "partition": 0, "offset": id, "ts": 1, "key": key, "payload": envelope}))
    };
    ids.map(event).collect()
}

fn append(dir: &Path, name: &str, ids: std::ops::Range<u64>, mode: &str) {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(dir.join(format!("{name}.jsonl"))).unwrap();
    file.write_all(events(ids, mode).as_bytes()).unwrap();
}

impl Process {
    fn start(configuration: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        Self::run(dir, port, configuration)
    }

    fn run(dir: tempfile::TempDir, port: u16, configuration: &str) -> Self {
        fs::write(dir.path().join("rowmill.toml"), Self::whole(port, configuration)).unwrap();
        let mut running = Running::start(rowmill().arg("run").arg(dir.path().join("rowmill.toml")).env("TOKEN", "geheim"));
        running.url();
        Self { dir, port, running }
    }

    fn whole(port: u16, configuration: &str) -> String {
        format!("[server]\nlisten = \"127.0.0.1:{port}\"\n{configuration}")
    }

    fn write(&self, configuration: &str) {
        fs::write(self.path("rowmill.toml"), Self::whole(self.port, configuration)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn append(&self, name: &str, ids: std::ops::Range<u64>) {
        append(self.dir.path(), name, ids, "ok");
    }

    /// Has the file serve, and gives the answer.
    fn post(&self, configuration: &str) -> (u16, Value) {
        self.write(configuration);
        let (status, answer) = http("POST", &self.url("/admin/reload"), None);
        (status, serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}")))
    }

    fn reloads(&self, result: &str) -> u64 {
        let (_, metrics) = http("GET", &self.url("/metrics"), None);
        let line = metrics.lines().find(|line| line.starts_with(&format!("rowmill_config_reloads_total{{result=\"{result}\"}}")));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until a file has the documents of `0..count`, and gives them.
    fn documents(&self, name: &str, count: u64) -> Vec<Value> {
        wait_for(&format!("{count} documents of {name}"), Duration::from_secs(60), || {
            let text = fs::read_to_string(self.path(&format!("{name}.out"))).unwrap_or_default();
            (text.ends_with('\n') && text.lines().count() as u64 >= count).then(|| json_lines(&self.path(&format!("{name}.out"))))
        })
    }
}

fn ids(documents: &[Value]) -> Vec<u64> {
    documents.iter().map(|document| document["id"].as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_configuration_changes_under_load_and_every_event_arrives_once_and_in_order() {
    let (a, b, c) = (follows("a", ""), follows("b", ""), follows("c", ""));
    let mut process = Process::start(&format!("{a}{b}"));
    let (is_over, mut written) = (AtomicBool::new(false), 0);
    std::thread::scope(|scope| {
        let (writing, dir, is_over) = (&process, process.dir.path(), &is_over);
        let writer = scope.spawn(move || {
            let mut next = 0;
            while !is_over.load(Ordering::Relaxed) {
                for name in ["a", "b"] {
                    append(dir, name, next..next + 20, "ok");
                }
                next += 20;
                pass(Duration::from_millis(10));
            }
            next
        });
        for round in 1..=8_u64 {
            let more = if round % 2 == 0 { &*c } else { "" };
            let new = format!("{}{more}{b}", follows("a", &format!("[pipelines.a.batch]\nmax_documents = {round}\nmax_wait = '5ms'")));
            match round % 3 {
                0 => {
                    writing.write(&new);
                    signal(process.running.id(), "-HUP");
                    wait_for("the reload", Duration::from_secs(30), || (writing.reloads("applied") == round).then_some(()));
                }
                1 => assert_eq!(writing.post(&new).0, 200),
                _ => {
                    writing.write(&new);
                    let text = succeed(rowmill().arg("reload").arg(writing.path("rowmill.toml")).env("TOKEN", "geheim"));
                    assert!(text.contains(&format!("    batch.max_documents: {} → {round}\n", round - 1)), "{text}");
                    assert!(text.contains("= unchanged, and not interrupted: b"), "{text}");
                }
            }
        }
        is_over.store(true, Ordering::Relaxed);
        written = writer.join().unwrap();
    });
    for name in ["a", "b"] {
        assert_eq!(ids(&process.documents(name, written)), (0..written).collect::<Vec<_>>(), "{name}: each once, in order");
    }
    assert_eq!(process.reloads("applied"), 8);
    assert_eq!(process.running.count("the pipeline runs pipeline=\"a\""), 9);
    assert_eq!(process.running.count("the pipeline runs pipeline=\"b\""), 1, "b never paused");
    let (status, answer) = http("POST", &process.url("/admin/reload"), None);
    assert_eq!((status, answer.contains("\"result\":\"unchanged\"")), (200, true), "{answer}");
    assert!(process.running.terminate().success());
}

#[test]
fn a_wrong_file_is_told_whole_and_changes_nothing() {
    let a = follows("a", "");
    let mut process = Process::start(&a);
    process.append("a", 0..10);
    let wrong = format!("{a}[pipelines.a.batch]\nmax_waits = '1s'\n[pipelines.b.sink.file]\npath = 'b'\n");
    let (status, answer) = process.post(&wrong);
    assert_eq!((status, answer["error"].as_str().unwrap()), (422, "the old configuration serves: there are 2 problems"));
    let config = process.path("rowmill.toml");
    let problems: Vec<&str> = answer["problems"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(problems[0], format!("{}:12: pipelines.a.batch.max_waits is not a known key: did you mean `max_wait`?", config.display()));
    let checked = output(rowmill().arg("check").arg(&config));
    let told = String::from_utf8(checked.stderr).unwrap();
    assert!(problems.iter().all(|problem| told.contains(problem)), "as `rowmill check` tells them: {told}");
    assert_eq!(output(rowmill().arg("reload").arg(&config)).status.code(), Some(2));
    assert_eq!(http("GET", &process.url("/admin/reload"), None).0, 422);

    signal(process.running.id(), "-HUP");
    process.running.wait_for_line("pipelines.b.source is missing");
    assert_eq!((process.reloads("refused"), process.reloads("applied")), (2, 0), "plans are not counted");

    process.write(&format!("[state]\ndir = \"elsewhere\"\n{a}[pipelines.a.batch]\nmax_wait = '1s'\n"));
    let refused = output(rowmill().arg("reload").arg(&config));
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("state.dir cannot change while the process runs: restart it"), "{said}");
    assert!(String::from_utf8(refused.stdout).unwrap().contains("~ a: restarts"), "the plan is shown all the same");

    let other = process.path("other.toml");
    fs::copy(&config, &other).unwrap();
    let said = String::from_utf8(output(rowmill().arg("reload").arg(&other)).stderr).unwrap();
    assert!(said.contains(&format!("runs on {}", config.canonicalize().unwrap().display())), "{said}");

    process.append("a", 10..20);
    assert_eq!(ids(&process.documents("a", 20)), (0..20).collect::<Vec<_>>());
    assert_eq!(process.running.count("the pipeline runs"), 1);
}

#[test]
fn secrets_change_and_are_told_nowhere() {
    let first = "token = \"file:token\"\n";
    let sink = "[pipelines.s.sink.elasticsearch]\nurl = \"http://127.0.0.1:1\"\nuser = 'u'\npassword = \"file:password\"\nindex = 'i'\n";
    let source = "[pipelines.s.source.file]\npath = \"s.jsonl\"\nfollow = true\n";
    let kafka = "[pipelines.k.source.kafka]\nbrokers = '127.0.0.1:1'\ntopics = ['t']\n[pipelines.k.source.kafka.properties]\n\
                 \"sasl.password\" = 'file:password'\n\"sasl.username\" = 'hidden-1'\n[pipelines.k.sink.file]\npath = '-'\n";
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("token"), "geheim-1").unwrap();
    fs::write(dir.path().join("password"), "geheim-2").unwrap();
    let port = free_port();
    let mut process = Process::run(dir, port, &format!("{first}{source}{sink}{kafka}"));
    let ask = |method: &str, token: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-s", "--max-time", "60", "-w", "%{http_code}", "-X", method, "-H", &format!("Authorization: Bearer {token}")]);
        succeed(curl.arg(format!("http://127.0.0.1:{port}/admin/reload")))
    };
    fs::write(process.path("token"), "geheim-3").unwrap();
    fs::write(process.path("password"), "geheim-4").unwrap();
    process.write(&format!("{first}{source}{}{}", sink.replace("'i'", "'j'"), kafka.replace("hidden-1", "hidden-2")));
    let mut told = ask("GET", "geheim-1");
    for part in [
        "server.token: \\\"file:token\\\" has changed",
        "sink.elasticsearch.password: \\\"file:password\\\" has changed",
        "source.kafka.properties.sasl.username: (not shown) has changed",
        "\\\"i\\\" → \\\"j\\\"",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(told.ends_with("200"));
    told += &ask("POST", "geheim-1");
    assert!(told.ends_with("200") && told.contains("\"result\":\"applied\""), "{told}");
    assert!(ask("GET", "geheim-1").ends_with("401"), "the new token counts");
    let shown = succeed(rowmill().arg("reload").arg("--dry-run").arg(process.path("rowmill.toml")));
    assert_eq!(shown, "= unchanged, and not interrupted: s, k\n");
    told += &format!("{}{shown}", process.running.log());
    assert!(told.contains("sink.elasticsearch.index"), "{told}");
    assert!(!told.contains("geheim-") && !told.contains("hidden-"), "{told}");
}

#[test]
fn new_code_and_new_settings_of_it_are_tried_before_they_serve() {
    let with = |module: &str, config: &str, more: &str| {
        let transform = format!("[pipelines.a.transform]\nmodule = \"{module}\"\nconfig = {config}\n");
        format!("{}{more}", follows("a", &transform))
    };
    let process = {
        let dir = tempfile::tempdir().unwrap();
        for (name, from) in [("one.wasm", "order_status"), ("two.wasm", "hostile"), ("products.wasm", "product_search")] {
            fs::copy(module(from), dir.path().join(name)).unwrap();
        }
        let port = free_port();
        Process::run(dir, port, &with("one.wasm", "{}", ""))
    };
    append(process.dir.path(), "a", 0..10, "trap");
    process.documents("a", 10);
    let present = || get_json(&process.url("/admin/pipelines/a"))["module"]["hash"].as_str().unwrap().to_owned();
    let first = present();
    // Settings that the module does not take, and code that fails on the last changes.
    for (new, reason) in [
        (with("products.wasm", "{ currency = 7 }", ""), "did not start"),
        (with("a.jsonl", "{}", ""), "is not WebAssembly"),
        (with("two.wasm", "{}", ""), "failed on a recent change"),
    ] {
        let (status, answer) = process.post(&new);
        assert_eq!((status, present()), (422, first.clone()), "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(reason), "{answer}");
    }
    // More than are kept for a trial.
    process.append("a", 10..110);
    process.documents("a", 110);
    let (status, answer) = process.post(&with("two.wasm", "{}", ""));
    assert_eq!(status, 200, "{answer}");
    assert_ne!(present(), first);
    process.append("a", 110..120);
    assert!(process.documents("a", 120)[110..].iter().all(|document| document["body"].get("order_id").is_none()));

    // What was uploaded serves on through a reload that is put back, although the file has changed meanwhile.
    let mut bytes = fs::read(process.path("one.wasm")).unwrap();
    bytes.extend([0, 3, 1, b'x', b'u']);
    let uploaded = crate::support::http_bytes("PUT", &process.url("/admin/pipelines/a/module"), &bytes);
    assert_eq!(uploaded.0, 200, "{uploaded:?}");
    let uploaded = present();
    fs::write(process.path("taken"), "").unwrap();
    let bad = "[pipelines.b.source.file]\npath = 'b.jsonl'\nfollow = true\n[pipelines.b.sink.embedded]\nindex = 'b'\ndir = 'taken'\n";
    let (status, answer) = process.post(&with("products.wasm", "{ currency = 'EUR' }", bad));
    assert_eq!((status, present()), (422, uploaded.clone()), "{answer}");
    process.append("a", 120..130);
    assert!(process.documents("a", 130)[120..].iter().all(|document| document["body"].get("order_id").is_some()));
    let (status, answer) = process.post(&with("two.wasm", "{}", "[pipelines.a.batch]\nmax_wait = '1ms'\n"));
    assert_eq!((status, present()), (200, uploaded), "and through one that is applied: {answer}");
}

#[test]
fn a_process_killed_in_the_midst_of_a_reload_starts_with_the_file() {
    let new = follows("a", "[pipelines.a.batch]\nmax_documents = 7").replace("index = \"i\"", "index = \"j\"");
    for delay_ms in [0, 2, 10, 50, 200, 500] {
        let process = Process::start(&format!("{}{}", follows("a", ""), follows("b", "")));
        process.append("a", 0..2_000);
        process.write(&new);
        signal(process.running.id(), "-HUP");
        pass(Duration::from_millis(delay_ms));
        let Process { dir, port, running } = process;
        running.kill();
        let process = Process::run(dir, port, &new);
        process.append("a", 2_000..2_010);
        let documents = wait_for("the last document", Duration::from_secs(60), || {
            let documents = process.documents("a", 2_010);
            documents.iter().any(|document| document["id"] == "2009").then_some(documents)
        });
        // What was written and not committed is written again.
        let all: std::collections::BTreeSet<u64> = ids(&documents).into_iter().collect();
        assert_eq!(all, (0..2_010).collect(), "after {delay_ms} ms");
        assert_eq!(documents.last().unwrap()["index"], "j");
        let pipelines = get_json(&process.url("/admin/pipelines"));
        assert_eq!(pipelines["pipelines"].as_array().unwrap().len(), 1, "{pipelines}");
    }
}
