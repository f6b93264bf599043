//! What another configuration would change: a table of cases, as they are printed.

use std::path::Path;

use expect_test::{Expect, expect};

use crate::config::{Changes, Fate, Plan, parse};

/// Stands before every case, so that each shows one thing.
const BEFORE: &str = r#"
[server]
token = "env:TOKEN"
[pipelines.p.source.kafka]
brokers = "k:9092"
topics = ["a"]
[pipelines.p.source.kafka.properties]
"security.protocol" = "SASL_SSL"
"sasl.password" = "env:TOKEN"
[pipelines.p.sink.elasticsearch]
url = "http://s:9200"
index = "i"
[pipelines.q.source.file]
path = "q.jsonl"
[pipelines.q.sink.file]
path = "-"
"#;

fn plan(text: &str, token: &str) -> Plan {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    parse(text, dir, &|_| Some(token.to_owned())).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
}

fn between(old: &str, new: &str) -> Changes {
    Changes::between(&plan(old, "geheim"), &plan(new, "geheim"))
}

/// What is said of [`BEFORE`] with one part of it put otherwise.
fn check(part: &str, other: &str, expected: Expect) {
    assert!(BEFORE.contains(part), "{part}");
    let changes = between(BEFORE, &BEFORE.replace(part, other));
    expected.assert_eq(&changes.to_string());
    let back = between(&BEFORE.replace(part, other), BEFORE);
    assert_eq!(changes.is_empty(), back.is_empty(), "what is different is so in both directions");
    assert!(!format!("{changes} {back} {changes:?}").contains("geheim"));
}

#[test]
fn what_comes_to_the_same_is_no_change_however_it_is_written() {
    let unchanged = || expect!["= unchanged, and not interrupted: p, q\n"];
    for (part, other) in [
        ("", "# nothing\n"),
        ("topics = [\"a\"]", "topics = \"a\""),
        ("[pipelines.q.sink", "[pipelines.p.batch]\nmax_wait = '0s'\nmax_bytes = '5120KiB'\n[pipelines.q.sink"),
        ("token = \"env:TOKEN\"", "token = \"env:OTHER\"\nlisten = 'localhost:8080'\ndrain_timeout = '30000ms'"),
        ("brokers = \"k:9092\"", "start = 'earliest'\nbrokers = \"k:9092\""),
        (
            "[pipelines.p.sink",
            "[pipelines.p.state]\nkeep = 'versions'\n[pipelines.p.source.decode]\nversion = 'auto'\n[pipelines.p.dead_letters]\n[pipelines.p.sink",
        ),
    ] {
        if part.is_empty() {
            unchanged().assert_eq(&between(BEFORE, &format!("{other}{BEFORE}")).to_string());
        } else {
            check(part, other, unchanged());
        }
    }
}

#[test]
fn bounds_and_settings_restart_their_pipeline_alone() {
    check(
        "[pipelines.p.sink",
        "[pipelines.p.batch]\nmax_wait = '2s'\nmax_documents = 50\n[pipelines.p.dead_letters]\nmax_count = 5\n[pipelines.p.sink",
        expect![[r#"
            ~ p: restarts between two batches
                batch.max_documents: 2000 → 50
                batch.max_wait: "0s" → "2s"
                dead_letters.max_count: 10000 → 5
                note: where fewer are to be kept, the oldest go with the next one
            = unchanged, and not interrupted: q
        "#]],
    );
    check(
        "[pipelines.q.sink",
        "[pipelines.q.state]\nkeep = 'rows'\n[pipelines.q.dead_letters.sink.file]\npath = 'dead'\nindex = 'd'\n[pipelines.q.sink",
        expect![[r#"
            ~ q: restarts between two batches
                dead_letters.sink: (not set) → "file"
                dead_letters.sink.file.index: (not set) → "d"
                dead_letters.sink.file.path: (not set) → "dead"
                state.keep: "versions" → "rows"
                note: dead letters set aside so far are not sent there
                note: rows are brought up to date only while this is "rows": after a time without, values that an update leaves out would be filled in from rows as they were; to begin anew, give the pipeline another name
            = unchanged, and not interrupted: p
        "#]],
    );
}

#[test]
fn another_source_says_where_reading_goes_on() {
    check(
        "topics = [\"a\"]",
        "topics = [\"a\", \"b\"]\nstart = 'latest'\ngroup = 'g'",
        expect![[r#"
            ~ p: restarts between two batches
                source.kafka.group: (not set) → "g"
                source.kafka.start: "earliest" → "latest"
                source.kafka.topics: ["a"] → ["a", "b"]
                note: reading goes on at the positions of the state; what the old group has committed is left behind
                note: concerns only topics that were never read: they are read from their end (start = "latest")
                note: positions are kept by topic and partition: topics that this pipeline has read go on where they stand, others are read from their end (start = "latest"); documents of topics left out stay
            = unchanged, and not interrupted: q
        "#]],
    );
    check(
        "brokers = \"k:9092\"",
        "brokers = \"l:9092\"",
        expect![[r#"
            ~ p: restarts between two batches
                source.kafka.brokers: "k:9092" → "l:9092"
                note: positions are kept by topic and partition, whatever the brokers: topics of another cluster would be read on at the positions of the old one, so give the pipeline another name where it is one
            = unchanged, and not interrupted: q
        "#]],
    );
    check(
        "path = \"q.jsonl\"",
        "path = \"r.jsonl\"\ntopic = 'public.q'\nfollow = true",
        expect![[r#"
            ~ q: restarts between two batches
                source.file.follow: false → true
                source.file.path: "q.jsonl" → "r.jsonl"
                source.file.topic: (not set) → "public.q"
                note: positions are kept by the path as it is written: under this one the file is read from its start, unless it was read before
                note: rows whose table is told by the topic are other rows from now on: documents of the old ones stay
            = unchanged, and not interrupted: p
        "#]],
    );
    check(
        "[pipelines.q.source.file]\npath = \"q.jsonl\"",
        "[pipelines.q.source.kafka]\nbrokers = 'k'\ntopics = ['t']",
        expect![[r#"
            ~ q: restarts between two batches
                source: "file" → "kafka"
                source.file.path: "q.jsonl" → (not set)
                source.kafka.brokers: (not set) → "k"
                source.kafka.topics: (not set) → ["t"]
                note: another source has other positions: it is read from its start, unless this pipeline has read it before; rows keep their versions, so that what it counts lower is taken for old; documents of the old source stay
            = unchanged, and not interrupted: p
        "#]],
    );
}

#[test]
fn versions_of_another_unit_are_refused() {
    check(
        "[pipelines.q.sink",
        "[pipelines.q.source.decode]\nversion = 'offset'\n[pipelines.q.sink",
        expect![[r#"
            ! pipelines.q.source.decode: versions would be counted as `offset`, and those remembered are counted as `auto`: put the old value back, or give the pipeline another name to read all anew
            ~ q: restarts between two batches
                source.decode.version: "auto" → "offset"
                note: events that were read are not read again in the new way
            = unchanged, and not interrupted: p
        "#]],
    );
}

#[test]
fn another_sink_does_not_get_what_was_written_so_far() {
    for (part, other) in
        [("index = \"i\"", "index = \"j\""), ("path = \"-\"", "path = 'out'"), ("url = \"http://s:9200\"", "url = 'http://t'")]
    {
        let changes = between(BEFORE, &BEFORE.replace(part, other));
        assert!(
            changes.to_string().contains("what was written so far stays where it is, and is not written to the new place"),
            "{changes}"
        );
    }
    check(
        "[pipelines.q.sink.file]\npath = \"-\"",
        "[pipelines.q.sink.embedded]\nindex = 'e'",
        expect![[r#"
            ~ q: restarts between two batches
                sink: "file" → "embedded"
                sink.embedded.index: (not set) → "e"
                sink.file.path: "-" → (not set)
                note: what was written so far stays where it is, and is not written to the new place until it changes: to fill that whole, give the pipeline another name
            = unchanged, and not interrupted: p
        "#]],
    );
    check(
        "index = \"i\"",
        "index = \"i\"\nmapping = \"examples/product-search/mapping.json\"\ngzip = true",
        expect![[r#"
            ~ p: restarts between two batches
                sink.elasticsearch.gzip: false → true
                sink.elasticsearch.mapping: (not set) → "file:examples/product-search/mapping.json"
                note: concerns only indexes that are made from now on
            = unchanged, and not interrupted: q
        "#]],
    );
}

#[test]
fn code_and_what_it_is_given_say_that_documents_stay() {
    let with = |rest: &str| format!("{BEFORE}[pipelines.q.transform]\nmodule = 'Cargo.toml'\n{rest}");
    let changes = between(
        &with("config = { currency = 'EUR', tables = [{ a = 'env:TOKEN' }], deep = { \"a.b\" = 'env:TOKEN' } }"),
        &with(
            "timeout = '2s'\n[pipelines.q.transform.config]\ncurrency = 'USD'\ntables = [\n  { a = 'x' }, # a comment\n]\ndeep.a.b = 'y'",
        ),
    );
    expect![[r#"
        ~ q: restarts between two batches
            transform.config.currency: "EUR" → "USD"
            transform.config.deep."a.b": "env:TOKEN" → (not set)
            transform.config.deep.a.b: (not set) → "y"
            transform.config.tables: [{ a = "env:TOKEN" }] → [{ a = "x" }]
            transform.timeout: "1s" → "2s"
            note: documents made so far stay as they are until their rows change
        = unchanged, and not interrupted: p
    "#]]
    .assert_eq(&changes.to_string());
    let mut changes = between(BEFORE, BEFORE);
    changes.note_module("q", "aaaa".to_owned(), "bbbb".to_owned());
    expect![[r#"
        ~ q: restarts between two batches
            the file of transform.module: aaaa → bbbb
            note: documents made so far stay as they are until their rows change
        = unchanged, and not interrupted: p
    "#]]
    .assert_eq(&changes.to_string());
}

#[test]
fn pipelines_come_and_go() {
    let (first, q) = BEFORE.split_at(BEFORE.find("[pipelines.q.source").unwrap());
    check(
        "[pipelines.q.source.file]\npath = \"q.jsonl\"\n[pipelines.q.sink.file]\n",
        "[pipelines.r.source.file]\npath = \"q.jsonl\"\n[pipelines.r.sink.file]\n",
        expect![[r#"
            + r: starts
            - q: stops after the batches at work
                note: its state and its documents stay: under the same name it would go on where it stood
            = unchanged, and not interrupted: p
        "#]],
    );
    let other_order = between(BEFORE, &format!("{q}{first}"));
    assert!(other_order.is_empty(), "{other_order}");
    assert_eq!(between(first, BEFORE).pipelines[1].fate, Fate::Added);
}

#[test]
fn what_the_process_opened_cannot_change_while_it_runs() {
    check(
        "[server]",
        "[state]\ndir = '/elsewhere'\ncache = '1GiB'\n[server]\nlisten = 'off'\nhosts = ['h']",
        expect![[r#"
            ! server.listen cannot change while the process runs: restart it, or put the old value back
            ! state.cache cannot change while the process runs: restart it, or put the old value back
            ! state.dir cannot change while the process runs: restart it, or put the old value back
            ~ the process
                server.hosts: (not set) → ["h"]
                server.listen: "127.0.0.1:8080" → "off"
                state.cache: "160.0 MiB" → "1GiB"
                state.dir: "state" → "/elsewhere"
            = unchanged, and not interrupted: p, q
        "#]],
    );
    check(
        "token = \"env:TOKEN\"",
        "drain_timeout = '1s'",
        expect![[r#"
            ~ the process
                server.drain_timeout: "30s" → "1s"
                server.token: "env:TOKEN" → (not set)
            = unchanged, and not interrupted: p, q
        "#]],
    );
}

#[test]
fn secrets_are_compared_and_never_shown() {
    let changes = Changes::between(&plan(BEFORE, "geheim"), &plan(BEFORE, "geheimer"));
    expect![[r#"
        ~ the process
            server.token: "env:TOKEN" has changed
        ~ p: restarts between two batches
            source.kafka.properties.sasl.password: "env:TOKEN" has changed
        = unchanged, and not interrupted: q
    "#]]
    .assert_eq(&changes.to_string());
    check(
        "\"security.protocol\" = \"SASL_SSL\"",
        "\"sasl.oauthbearer.config\" = \"secret=geheim\"\n\"security.protocol\" = \"PLAINTEXT\"",
        expect![[r#"
            ~ p: restarts between two batches
                source.kafka.properties.sasl.oauthbearer.config: (not set) → (not shown)
                source.kafka.properties.security.protocol: (not shown) has changed
            = unchanged, and not interrupted: q
        "#]],
    );
}
