//! Configurations and what is said of them.

mod changes;
mod properties;

use std::fmt::Write as _;
use std::path::Path;

use expect_test::{Expect, expect};

use super::{known_keys, load, parse};

/// Stands after what a test is about, so that its lines keep their numbers.
const GOOD: &str = "\n[pipelines.good.source.file]\npath = 'in.jsonl'\n[pipelines.good.sink.file]\npath = '-'\n";

fn said_of(text: &str) -> String {
    let environment = |name: &str| (name == "TOKEN").then(|| "geheim".to_owned());
    match parse(text, Path::new("/etc/rowmill"), &environment) {
        Ok(plan) => format!("{plan:?}\n"),
        Err(problems) => problems.iter().fold(String::new(), |mut all, problem| {
            writeln!(all, "{problem}").unwrap();
            all
        }),
    }
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&said_of(&format!("{text}{GOOD}")));
}

#[test]
fn the_least_has_defaults() {
    check(
        "",
        expect![[r#"
            server: http://127.0.0.1:8080, without token
            state: /etc/rowmill/state, cache 160.0 MiB, deletes remembered 7days
            pipeline good: file → file, keeps versions, batches of 2000 documents or 5.0 MiB or 0s
        "#]],
    );
}

#[test]
fn everything_can_be_said_and_no_secret_is_shown() {
    let text = r#"
[server]
listen = "0.0.0.0:80"
token = "env:TOKEN"
hosts = ["rowmill.example.com"]
drain_timeout = "5s"
[state]
dir = "/var/lib/rowmill"
cache = "1GiB"
tombstone_retention = "30d"
[pipelines.good.state]
keep = "rows"
[pipelines.good.batch]
max_documents = 50
max_bytes = "1MiB"
max_wait = "2s"
"#;
    check(
        text,
        expect![[r#"
            server: http://0.0.0.0:80, with token
            state: /var/lib/rowmill, cache 1.0 GiB, deletes remembered 30days
            pipeline good: file → file, keeps rows, batches of 50 documents or 1.0 MiB or 2s
        "#]],
    );
    assert!(!said_of(&format!("{text}{GOOD}")).contains("geheim"));
}

#[test]
fn five_mistakes_are_five_problems_in_the_order_of_lines() {
    check(
        r#"[server]
listn = "127.0.0.1:80"
drain_timeout = 30
[pipelines.good.batch]
max_documents = 0
max_bytes = "1TiB"
[pipelines.good.transform]
module = "not-built.wasm""#,
        expect![[r#"
            line 2: server.listn is not a known key: did you mean `listen`?
            line 3: server.drain_timeout must be a duration, such as "250ms", "30s" or "7d"
            line 5: pipelines.good.batch.max_documents must be a whole number from 1 to 1000000
            line 6: pipelines.good.batch.max_bytes must be from 1 byte to 100.0 MiB
            line 8: pipelines.good.transform.module names /etc/rowmill/not-built.wasm, and there is no such file: build the module first
        "#]],
    );
}

#[test]
fn listening_beyond_this_machine_needs_a_token() {
    check(
        "[server]\nlisten = '0.0.0.0:80'",
        expect![[r#"
            line 2: server.listen is 0.0.0.0:80, beyond this machine, and without a token anyone who reaches it could drive the pipelines: set server.token = "env:NAME", or listen on 127.0.0.1
        "#]],
    );
    check(
        "[server]\nlisten = '[::]:80'\ntoken = 'env:UNSET'",
        expect![[r#"
            line 3: server.token: the environment variable UNSET is not set: set it before starting
        "#]],
    );
    for (listen, first) in [
        ("off", "server: off"),
        ("localhost:81", "server: http://127.0.0.1:81, without token"),
        ("[::1]:81", "server: http://[::1]:81, without token"),
        ("127.9.9.9:81", "server: http://127.9.9.9:81, without token"),
    ] {
        let said = said_of(&format!("[server]\nlisten = '{listen}'{GOOD}"));
        assert_eq!(said.lines().next(), Some(first));
    }
    check(
        "[server]\nlisten = 'example.com:80'",
        expect![[r#"
            line 2: server.listen must be an address with a port, such as "127.0.0.1:8080", or "off"
        "#]],
    );
}

#[test]
fn a_pipeline_has_one_source_and_one_sink() {
    check(
        r#"[pipelines.none]
[pipelines.many.source.file]
path = "a"
[pipelines.many.sink.file]
path = "b"
[pipelines.many.sink.embedded]
[pipelines.odd.source.decode]
format = "json"
[pipelines.odd.sink.elastic]"#,
        expect![[r#"
            line 1: pipelines.none.sink is missing: add a table pipelines.none.sink.KIND with KIND one of elasticsearch, opensearch, embedded, file, kafka
            line 1: pipelines.none.source is missing: add a table pipelines.none.source.KIND with KIND one of kafka, file
            line 4: pipelines.many.sink.file is one sink too many: a pipeline has one of embedded, file
            line 7: pipelines.odd.source is missing: add a table pipelines.odd.source.KIND with KIND one of kafka, file
            line 9: pipelines.odd.sink.elastic is not a known key: did you mean `elasticsearch`?
        "#]],
    );
}

#[test]
fn what_later_versions_will_have_is_said_to_be_not_built_yet() {
    check(
        r#"[pipelines.p.source.postgres]
url = "env:ANY"
[pipelines.p.sink.redis]
[pipelines.good.rows]
documents_from = ["a"]
[[pipelines.good.include]]
as = "users""#,
        expect![[r#"
            line 1: pipelines.p.source.postgres is not built yet in this version
            line 3: pipelines.p.sink.redis is not built yet in this version
            line 4: pipelines.good.rows is not built yet in this version
            line 6: pipelines.good.include is not built yet in this version
        "#]],
    );
}

#[test]
fn pipelines_keep_out_of_each_others_way() {
    check(
        r#"[pipelines.a.source.file]
path = "in"
[pipelines.a.sink.file]
path = "out"
[pipelines.b.source.file]
path = "in"
[pipelines.b.sink.file]
path = "out"
[pipelines.c.source.kafka]
brokers = "k:9092"
topics = ["t"]
group = "g"
[pipelines.c.sink.embedded]
index = "products"
[pipelines.d.source.kafka]
brokers = "k:9092"
topics = ["t"]
group = "g"
[pipelines.d.sink.embedded]
index = "products"
[pipelines.e.source.file]
path = "in"
[pipelines.e.sink.file]
path = "-""#,
        expect![[r#"
            line 5: pipelines.b uses file /etc/rowmill/out, which a uses too: give each pipeline its own
            line 15: pipelines.d uses consumer group g at k:9092, which c uses too: give each pipeline its own
            line 15: pipelines.d uses embedded index products, which c uses too: give each pipeline its own
        "#]],
    );
}

#[test]
fn names_are_fit_for_folders_and_labels() {
    check(
        "[pipelines.\"a b\".source.file]\npath = 'x'\n[pipelines.\"a b\".sink.file]\npath = '-'\n[pipelines.\"\".sink.redis]",
        expect![[r#"
            line 1: pipelines.a b is not a good name: use letters, digits, - and _, at most 64
            line 5: pipelines. is not a good name: use letters, digits, - and _, at most 64
            line 5: pipelines..sink.redis is not built yet in this version
            line 5: pipelines..source is missing: add a table pipelines..source.KIND with KIND one of kafka, file
        "#]],
    );
}

#[test]
fn what_is_not_toml_is_one_problem_with_its_line() {
    for (text, expected) in [
        ("[server]\nlisten = \n", expect!["line 2: this is not TOML: string values must be quoted, expected literal string\n"]),
        ("[server]\n[server]\n", expect!["line 2: this is not TOML: duplicate key\n"]),
        ("a = 1\na = 2\nb = [", expect!["line 3: this is not TOML: unclosed array, expected `]`\n"]),
    ] {
        expected.assert_eq(&said_of(text));
    }
    expect!["line 1: there is no pipeline: add [pipelines.NAME.source.…] and [pipelines.NAME.sink.…]\n"].assert_eq(&said_of(""));
}

#[test]
fn problems_of_a_file_name_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rowmill.toml");
    let said = |file: &Path| {
        let problems = load(file).unwrap_err();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").replace(&dir.path().display().to_string(), "DIR")
    };
    expect!["DIR/rowmill.toml: cannot be read: No such file or directory (os error 2)"].assert_eq(&said(&file));
    std::fs::write(&file, format!("\nstat = 1{GOOD}")).unwrap();
    expect!["DIR/rowmill.toml:2: stat is not a known key: did you mean `state`?"].assert_eq(&said(&file));
    std::fs::write(&file, GOOD).unwrap();
    assert_eq!(load(&file).unwrap().state.dir, dir.path().join("state"));
}

#[test]
fn the_keys_of_the_rooms_joined_here_are_known() {
    let ours: Vec<String> =
        known_keys().into_iter().filter(|key| !key.starts_with("pipelines.<name>.source") && !key.contains(".sink.")).collect();
    expect![[r#"
        pipelines.<name>.aggregate.append_only
        pipelines.<name>.aggregate.compute
        pipelines.<name>.aggregate.distinct
        pipelines.<name>.aggregate.half_life
        pipelines.<name>.aggregate.key
        pipelines.<name>.aggregate.lower_case
        pipelines.<name>.aggregate.time
        pipelines.<name>.aggregate.time_unit
        pipelines.<name>.aggregate.trim
        pipelines.<name>.aggregate.weight
        pipelines.<name>.batch.max_bytes
        pipelines.<name>.batch.max_documents
        pipelines.<name>.batch.max_wait
        pipelines.<name>.dead_letters.max_bytes
        pipelines.<name>.dead_letters.max_count
        pipelines.<name>.dead_letters.sink
        pipelines.<name>.dead_letters.when_full
        pipelines.<name>.state.keep
        pipelines.<name>.transform.before
        pipelines.<name>.transform.config
        pipelines.<name>.transform.memory
        pipelines.<name>.transform.module
        pipelines.<name>.transform.store
        pipelines.<name>.transform.timeout
        pipelines.<name>.window.emit
        pipelines.<name>.window.emit_every
        pipelines.<name>.window.gap
        pipelines.<name>.window.grace
        pipelines.<name>.window.hop
        pipelines.<name>.window.idle_after
        pipelines.<name>.window.kind
        pipelines.<name>.window.late
        pipelines.<name>.window.rank_by
        pipelines.<name>.window.retention
        pipelines.<name>.window.size
        pipelines.<name>.window.top
        server.drain_timeout
        server.hosts
        server.listen
        server.token
        state.cache
        state.dir
        state.tombstone_retention"#]]
    .assert_eq(&ours.join("\n"));
}
