//! What is written is true: the tables of the README against the program, its examples against the parser, links against files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rowmill::{config, settings};

use crate::support::{Running, http, json_lines, module, output, repository, rowmill, succeed, wait_for};

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text under a heading of the README, up to the next one of its level or above.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let level = heading.split(' ').next().unwrap().len();
    let (_, rest) = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("there is no heading {heading}"));
    let ends = (1..=level).filter_map(|level| rest.find(&format!("\n{} ", "#".repeat(level))));
    &rest[..ends.min().unwrap_or(rest.len())]
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The cells of a table's rows, without its head.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| line.starts_with("| `"));
    lines.map(|line| line.trim_matches('|').split(" |").map(str::trim).collect()).collect()
}

/// Fenced blocks in a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Every Markdown file of the repository.
fn markdown() -> Vec<PathBuf> {
    let listed =
        succeed(Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"]).current_dir(repository("")));
    listed.lines().map(repository).filter(|path| path.exists()).collect()
}

#[test]
fn the_configuration_table_has_every_key_and_no_other() {
    let readme = read("README.md");
    let tables = section(&readme, "## Configuration");
    let mut written = BTreeSet::new();
    for table in tables.split("\n### ").skip(1) {
        let heading = table.lines().next().unwrap();
        for name in quoted(heading) {
            let name = name.trim_matches(['[', ']']);
            written.extend(rows(table).iter().map(|row| format!("{name}.{}", quoted(row[0])[0])));
        }
    }
    let known: BTreeSet<String> = config::known_keys().into_iter().collect();
    let missing: Vec<_> = known.difference(&written).collect();
    assert!(missing.is_empty(), "the README lacks {missing:#?}");
    // A table of the user's own keys is known by those of its keys that are looked for.
    let is_table = |key: &String| known.iter().any(|known| known.starts_with(&format!("{key}.")));
    let unknown: Vec<_> = written.difference(&known).filter(|key| !is_table(key)).collect();
    assert!(unknown.is_empty(), "the README tells of {unknown:#?}");
}

#[test]
fn the_http_table_has_every_route_and_no_other() {
    let readme = read("README.md");
    let path_of = |call: &str| call.split([' ', '?']).nth(1).unwrap().to_owned();
    let written: BTreeSet<String> = rows(section(&readme, "## HTTP")).iter().map(|row| path_of(quoted(row[0])[0])).collect();
    let sources = read("src/api/mod.rs") + &read("src/api/dashboard.rs");
    let routes = sources.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    let routes: BTreeSet<String> = routes.filter(|path| !path.starts_with("/dashboard/")).collect();
    assert_eq!(written, routes);
}

#[test]
fn the_commands_are_those_there_are() {
    let readme = read("README.md");
    let word = |row: &Vec<&str>| quoted(row[0])[0].split(' ').nth(1).map(str::to_owned);
    let written: BTreeSet<String> = rows(section(&readme, "## Commands")).iter().filter_map(word).collect();
    let help = succeed(rowmill().arg("--help"));
    let (_, listed) = help.split_once("Commands:\n").unwrap();
    let commands = listed.lines().map_while(|line| line.strip_prefix("  "));
    // What a description goes on with stands further in.
    let commands = commands.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split(' ').next());
    assert_eq!(written, commands.filter(|command| *command != "help").map(str::to_owned).collect());
}

/// Metrics by name, each with its labels, as `/metrics` has them.
fn exposed(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut metrics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).filter_map(|line| line.split_once(' '));
    let kinds: BTreeMap<&str, &str> = kinds.collect();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, labels) = line.split_once('{').map_or((line.split(' ').next().unwrap(), ""), |(name, rest)| (name, rest));
        let family = |name: &&str| kinds.get(name) == Some(&"histogram");
        let parts = ["_bucket", "_sum", "_count"].iter().filter_map(|end| series.strip_suffix(end));
        let name = parts.into_iter().find(family).unwrap_or(series);
        let labels = labels.split("=\"").map(|part| part.rsplit(['"', ',', '{']).next().unwrap());
        let labels = labels.filter(|label| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && !label.is_empty());
        metrics.entry(name.to_owned()).or_default().extend(labels.filter(|label| *label != "le").map(str::to_owned));
    }
    metrics
}

/// A configuration with every kind of source and sink, whose servers are away, and a guest that counts.
fn everything(dir: &Path) -> PathBuf {
    let row = |id: u64, mode: &str| {
        let at = if id == 5 { 1_000 } else { 9_000 };
        format!(r#"{{"key":{{"id":{id}}},"value":{{"id":{id},"mode":"{mode}","at":{at},"__lsn":{},"__table":"t","__op":"c"}}}}"#, 10 + id)
            + "\n"
    };
    let events: String = ["ok", "reject", "bad_json", "odd_metrics", "ok"].iter().zip(1..).map(|(mode, id)| row(id, mode)).collect();
    fs::write(dir.join("events.jsonl"), events).unwrap();
    let file = "file]\npath = \"events.jsonl\"\n";
    let away = "127.0.0.1:1";
    let mut text = "[server]\nlisten = \"127.0.0.1:0\"\n".to_owned();
    for (name, source, sink) in [
        ("a", file.to_owned(), "file]\npath = \"out.jsonl\"\n".to_owned()),
        ("b", file.to_owned(), "embedded]\n".to_owned()),
        ("c", file.to_owned(), format!("elasticsearch]\nurl = \"http://{away}\"\nindex = \"i\"\n")),
        ("d", file.to_owned(), format!("opensearch]\nurl = \"http://{away}\"\nindex = \"i\"\n")),
        ("f", file.to_owned(), "file]\npath = \"windows.jsonl\"\n".to_owned()),
        ("e", format!("kafka]\nbrokers = \"{away}\"\ntopics = [\"t\"]\n"), "embedded]\n".to_owned()),
    ] {
        text += &format!("[pipelines.{name}.source.{source}[pipelines.{name}.sink.{sink}");
    }
    text += &format!("[pipelines.a.transform]\nmodule = \"{}\"\n", module("hostile"));
    // The last row is too late.
    text += "[pipelines.f.aggregate]\nkey = \"mode\"\ntime = \"at\"\n[pipelines.f.window]\nkind = \"tumbling\"\nsize = \"1s\"\n";
    let config = dir.join("rowmill.toml");
    fs::write(&config, text).unwrap();
    config
}

#[test]
fn the_metrics_table_has_every_metric_with_its_labels_and_no_other() {
    let readme = read("README.md");
    let with_pipeline = |name: &str, labels: Vec<&str>| {
        let pipeline = (!["rowmill_state_bytes", "rowmill_config_reloads_total"].contains(&name)).then_some("pipeline");
        (name.to_owned(), labels.into_iter().chain(pipeline).map(str::to_owned).collect::<BTreeSet<_>>())
    };
    let table = section(&readme, "## Metrics");
    let written: BTreeMap<_, _> = rows(table).iter().map(|row| with_pipeline(quoted(row[0])[0], quoted(row[1]))).collect();
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::start(rowmill().arg("run").arg(everything(dir.path())));
    let url = running.url();
    // A metric with labels is shown once it has counted: the gauges come with the tick after the last event.
    wait_for("all metrics", Duration::from_secs(60), || {
        let (_, text) = http("GET", &format!("{url}/metrics"), None);
        let has = |part: &str| text.contains(part);
        let counted = has("rowmill_guest_gauge{") && has("rowmill_sink_retries_total{") && has("rowmill_position{");
        (counted && exposed(&text).len() >= written.len()).then(|| assert_eq!(written, exposed(&text)))
    });
}

/// Where nothing is: for every file that a configuration may name there is one, for every variable a value.
fn parse_stubbed(text: &str) -> Vec<settings::Problem> {
    let dir = tempfile::tempdir().unwrap();
    for path in text.split('"').filter_map(|part| part.strip_prefix("file:").or(part.ends_with(".wasm").then_some(part))) {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{}").unwrap();
    }
    let value = |name: &str| match name {
        _ if name.ends_with("URL") => "http://localhost:9200",
        _ if name.ends_with("LISTEN") => "127.0.0.1:8080",
        _ => "text",
    };
    config::parse(text, dir.path(), &|name| Some(value(name).to_owned())).err().unwrap_or_default()
}

#[test]
fn every_configuration_shown_is_good() {
    let mut count = 0;
    for path in markdown().iter().filter(|path| path.ends_with("README.md") && !path.starts_with(repository("transforms"))) {
        for block in blocks(&fs::read_to_string(path).unwrap(), "toml") {
            let problems = parse_stubbed(&block);
            assert!(problems.is_empty(), "{}: {problems:#?} in\n{block}", path.display());
            count += 1;
        }
    }
    assert!(count >= 2, "the README shows a pipeline with servers and one without");
}

#[test]
fn every_example_is_good_and_tested() {
    let tests = ["tests/it/command.rs", "tests/it/readme.rs", "tests/it/stack/trending.rs", "src/cli/demo/mod.rs", "src/cli/demo/shop.rs"]
        .map(read)
        .concat();
    let mut configurations = Vec::new();
    for entry in fs::read_dir(repository("examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("examples/{}/", path.file_name().unwrap().to_string_lossy());
        assert!(path.join("README.md").exists(), "{name} has no README.md");
        assert!(tests.contains(&name), "no test names {name}");
        let configuration = path.join("rowmill.toml");
        let problems = parse_stubbed(&fs::read_to_string(&configuration).unwrap());
        assert!(problems.is_empty(), "{}: {problems:#?}", configuration.display());
        configurations.push(format!("{name}rowmill.toml"));
    }
    configurations.sort();
    assert_eq!(
        configurations,
        ["examples/demo/rowmill.toml", "examples/product-search/rowmill.toml", "examples/search-trending/rowmill.toml"]
    );
}

#[test]
fn the_compose_files_are_in_order() {
    succeed(&mut Command::new(repository("tests/stack/check-compose")));
}

/// The name by which a heading is linked to.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for path in markdown() {
        let text = fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, part) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") || file.contains(' ') {
                continue;
            }
            let mut target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            // `rowmill new` puts the SDK beside the template.
            let template = path.strip_prefix(repository("transforms/templates")).ok().and_then(|path| path.iter().next());
            if let (Some(lang), Some(within)) = (template, file.strip_prefix("sdk/")) {
                let lang = if lang == "ts" { "js" } else { lang.to_str().unwrap() };
                target = repository("transforms/sdk").join(lang).join(within);
            }
            let has_part = || {
                let text = fs::read_to_string(&target).unwrap_or_default();
                text.lines().any(|line| line.starts_with('#') && anchor(line) == part)
            };
            if !target.exists() || (!part.is_empty() && !has_part()) {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_first_transform_is_the_same_everywhere_and_works() {
    let code = blocks(&read("README.md"), "rust").remove(0);
    assert_eq!(
        code,
        blocks(&read("transforms/sdk/rust/README.md"), "rust")[0],
        "README.md and transforms/sdk/rust/README.md show the same"
    );
    let dir = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[package]\nname = \"product\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[dependencies]\n\
         rowmill-transform = {{ path = \"{}\" }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n[workspace]\n",
        repository("transforms/sdk/rust").display()
    );
    fs::create_dir(dir.path().join("src")).unwrap();
    fs::write(dir.path().join("src/lib.rs"), code).unwrap();
    fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
    // The versions that are here already: a test asks no registry.
    fs::copy(repository("transforms/Cargo.lock"), dir.path().join("Cargo.lock")).unwrap();
    // One folder for all runs: what the SDK is made of is compiled once. Not optimised: this is not about speed.
    let built = repository("transforms/target/first");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "--release", "--target", "wasm32-wasip2"]).current_dir(dir.path());
    cargo.env("CARGO_TARGET_DIR", &built).env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
    // What the tests themselves were built with is not for a guest.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    assert!(output(&mut cargo).status.success());
    let event = r#"{"key":{"id":7},"value":{"id":7,"name":"Brass lamp","price":"24.50","__lsn":5,"__table":"products"}}"#;
    fs::write(dir.path().join("events.jsonl"), format!("{event}\n")).unwrap();
    let config = dir.path().join("rowmill.toml");
    let module = built.join("wasm32-wasip2/release/product.wasm");
    let text = format!(
        "[server]\nlisten = \"off\"\n[pipelines.p.source.file]\npath = \"events.jsonl\"\n[pipelines.p.transform]\nmodule = \"{}\"\n\
         [pipelines.p.sink.file]\npath = \"out.jsonl\"\n",
        module.display()
    );
    fs::write(&config, text).unwrap();
    succeed(rowmill().arg("run").arg(&config).arg("--until-caught-up"));
    let lines = json_lines(&dir.path().join("out.jsonl"));
    assert_eq!(lines[0]["body"], serde_json::json!({"product_id": 7, "title": "Brass lamp"}), "{lines:?}");
}

#[test]
fn the_library_example_is_the_one_that_is_compiled() {
    let shown = blocks(&read("README.md"), "rust").remove(1);
    let library = read("src/lib.rs");
    let compiled: String = library
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned() + "\n")
        .collect();
    assert!(compiled.contains(&shown), "src/lib.rs lacks, word for word:\n{shown}");
}

#[test]
fn the_reliability_table_names_tests_that_there_are() {
    let table = read("RELIABILITY.md");
    let promises = rows_of_promises(&table);
    assert_eq!(promises.len(), 12, "a row for each promise");
    let sources = succeed(Command::new("git").args(["grep", "-hoE", "fn [a-z0-9_]+", "--", "src", "tests"]).current_dir(repository("")));
    let functions: BTreeSet<&str> = sources.lines().filter_map(|line| line.strip_prefix("fn ")).collect();
    for promise in promises {
        let tests: Vec<&str> = quoted(promise).into_iter().filter(|name| name.contains('_') && !name.contains(' ')).collect();
        assert!(!tests.is_empty(), "no test for {promise}");
        for test in tests {
            assert!(functions.contains(test), "{promise}: there is no test {test}");
        }
    }
}

fn rows_of_promises(table: &str) -> Vec<&str> {
    table.lines().filter(|line| line.starts_with("| ") && line.chars().nth(2).is_some_and(|c| c.is_ascii_digit())).collect()
}
