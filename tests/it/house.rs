//! The house: which way imports go, where each foreign crate lives, what files open with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the ground up: a room imports only from those before it, never from one beside it.
const FLOORS: &[&[&str]] = &[
    &["limits"],
    &["error"],
    &["clock"],
    &["event"],
    &["metrics", "settings"],
    &["connect"],
    &["aggregate"],
    &["source", "state", "transform", "sink"],
    &["config"],
    &["pipeline"],
    &["api"],
    &["cli"],
];

/// Where each foreign crate may be named; what is missing here may be named anywhere.
const HOMES: &[(&str, &[&str])] = &[
    ("rocksdb", &["state"]),
    ("postcard", &["state"]),
    ("quick_cache", &["state"]),
    ("wasmtime", &["transform"]),
    ("wasmtime_wasi", &["transform"]),
    ("wasmparser", &["transform"]),
    ("wit_component", &["transform"]),
    ("rustc_demangle", &["transform"]),
    ("wit_parser", &["transform"]),
    ("wasi_preview1_component_adapter_provider", &["transform"]),
    ("rdkafka", &["connect/kafka", "source/kafka", "sink/kafka", "cli/bench"]),
    ("elasticsearch", &["connect", "sink/elasticsearch"]),
    ("tantivy", &["sink/embedded"]),
    ("axum", &["api", "cli/bench"]),
    ("hyper", &["cli"]),
    ("http_body_util", &["cli"]),
    ("clap", &["cli"]),
    ("tracing_subscriber", &["cli"]),
    ("toml_edit", &["settings", "config"]),
    ("prometheus", &["metrics", "pipeline", "transform", "api", "sink", "source", "cli"]),
    ("product_search", &["cli/bench"]),
    ("rowmill_transform", &["cli/bench"]),
    ("cardinality_estimator", &["aggregate"]),
    ("rand", &["clock", "cli/bench"]),
];

/// Every source file with the code before its tests.
fn files() -> BTreeMap<String, String> {
    fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, files) } else { files.push(path) }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    let rust = paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let is_test = |name: &str| {
        ["/tests.rs", "/stack.rs", "/copy.rs"].iter().any(|end| name.ends_with(end))
            || name.contains("/tests/")
            || name.contains("/simulation/")
    };
    let named = rust.map(|path| (path.strip_prefix(&root).unwrap().display().to_string(), fs::read_to_string(&path).unwrap()));
    named
        .filter(|(name, _)| !is_test(name))
        .map(|(name, text)| (name, text.split("\n#[cfg(test)]\nmod tests {").next().unwrap().to_owned()))
        .collect()
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// Code lines: what stands in comments and texts is no import.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()))
}

fn words_before<'a>(line: &'a str, joint: &str) -> Vec<&'a str> {
    let mut words = Vec::new();
    for (place, _) in line.match_indices(joint) {
        let start = line[..place].rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |start| start + 1);
        words.push(&line[start..place]);
    }
    words
}

#[test]
fn imports_go_one_way() {
    let floor = |room: &str| FLOORS.iter().position(|floor| floor.contains(&room));
    let mut breaches = Vec::new();
    for (file, text) in files() {
        let from = room(&file);
        if from == "main" || from == "lib" {
            continue;
        }
        let own = floor(from).unwrap_or_else(|| panic!("{file}: the room {from} has no floor"));
        for (number, line) in code(&text) {
            for (place, _) in line.match_indices("crate::") {
                let rest = &line[place + "crate::".len()..];
                let to = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                let Some(other) = floor(to) else { continue };
                if to != from && other >= own {
                    breaches.push(format!("src/{file}:{number}: {from} imports {to}"));
                }
            }
        }
    }
    assert!(breaches.is_empty(), "imports go from the end of this list to its start, never sideways: {FLOORS:?}\n{}", breaches.join("\n"));
}

#[test]
fn each_foreign_crate_has_one_home() {
    let mut breaches = Vec::new();
    for (file, text) in files() {
        for (number, line) in code(&text) {
            let named = words_before(line, "::");
            for (name, homes) in HOMES.iter().filter(|(name, _)| named.contains(name)) {
                // `crate::sink::elasticsearch::` names our own folder, not the crate.
                let is_ours = line.contains(&format!("::{name}::")) || line.trim_start().starts_with(&format!("(\"{name}\""));
                let is_home = homes.iter().any(|home| file.starts_with(&format!("{home}/")) || file == format!("{home}.rs"));
                if !is_home && !is_ours && !line.contains(&format!(", {name}::")) {
                    breaches.push(format!("src/{file}:{number}: {name} lives in {homes:?}: {}", line.trim()));
                }
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn every_room_says_what_enters_leaves_holds_and_never_happens() {
    for (file, text) in files().into_iter().filter(|(file, _)| file.ends_with("/mod.rs") && file.matches('/').count() == 1) {
        for word in ["//! - Enters:", "//! - Leaves:", "//! - Keeps true:", "//! - Never:"] {
            assert!(text.contains(word), "src/{file} opens without `{word}`");
        }
    }
}

#[test]
fn files_stay_small_and_open_with_what_they_are_for() {
    let mut breaches = Vec::new();
    for (file, text) in files() {
        let lines = text.lines().count();
        if lines > 500 {
            breaches.push(format!("src/{file}: {lines} lines"));
        }
        if !text.starts_with("//! ") {
            breaches.push(format!("src/{file}: opens with {:?}", text.lines().next()));
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn limits_everywhere_each_of_them_is_used_and_has_its_reason() {
    let files = files();
    let limits: Vec<&str> = files["limits.rs"].lines().collect();
    let code: String = files.iter().filter(|(file, _)| *file != "limits.rs").map(|(_, text)| text.as_str()).collect();
    let mut breaches = Vec::new();
    for (place, line) in limits.iter().enumerate() {
        let Some(name) = line.strip_prefix("pub const ").and_then(|rest| rest.split(':').next()) else { continue };
        let uses = code.lines().filter(|line| {
            !line.trim_start().starts_with("use ") && line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
        });
        if uses.count() == 0 {
            breaches.push(format!("{name} bounds nothing"));
        }
        if !limits[place - 1].starts_with("///") {
            breaches.push(format!("{name} has no reason"));
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}
