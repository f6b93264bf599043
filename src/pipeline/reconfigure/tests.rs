//! Pipelines from file to file whose configuration changes while they run.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Clock;
use crate::config;
use crate::limits::PAUSE_CHECK_INTERVAL;
use crate::pipeline::status::{Command, NotReloaded, Pipelines as _, Reload, ReloadResult, RunState};
use crate::pipeline::supervisor::{Ending, Handle, Pipelines};

/// A process whose pipelines follow files, in a folder of its own.
struct Process {
    dir: tempfile::TempDir,
    registry: prometheus::Registry,
    pipelines: Arc<Pipelines>,
}

/// A pipeline that follows `NAME.jsonl`; `rest` is what is special about it.
fn follows(name: &str, rest: &str) -> String {
    format!("[pipelines.{name}.source.file]\npath = \"{name}.jsonl\"\nfollow = true\n{}\n", rest.replace("NAME", name))
}

const PLAIN: &str = "[pipelines.NAME.sink.file]\npath = \"NAME.out\"\nindex = \"i\"";

impl Process {
    fn start(configuration: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), configuration)
    }

    fn start_in(dir: tempfile::TempDir, configuration: &str) -> Self {
        fs::write(dir.path().join("rowmill.toml"), configuration).unwrap();
        let registry = prometheus::Registry::new();
        let plan = config::load(&dir.path().join("rowmill.toml")).unwrap();
        let pipelines = Arc::new(Pipelines::start(plan, &registry, &Clock::system(), false).unwrap());
        Self { dir, registry, pipelines }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn reload(&self, configuration: &str) -> Result<Reload, NotReloaded> {
        fs::write(self.path("rowmill.toml"), configuration).unwrap();
        self.pipelines.reload(false).await
    }

    async fn applied(&self, configuration: &str) {
        assert_eq!(self.reload(configuration).await.map(|reload| reload.result), Ok(ReloadResult::Applied));
    }

    /// What was wrong with this configuration.
    async fn refused(&self, configuration: &str) -> Vec<String> {
        match self.reload(configuration).await.unwrap_err() {
            NotReloaded::Refused { problems, message, .. } => {
                assert!(message.starts_with("the old configuration serves: "), "{message}");
                problems.into_iter().map(|problem| problem.replace(&self.dir.path().display().to_string(), "DIR")).collect()
            }
            other => panic!("{other}"),
        }
    }

    /// Rows with these ids, one event each.
    fn append(&self, name: &str, ids: std::ops::Range<u64>) {
        let lines = ids.fold(String::new(), |mut lines, id| {
            let row = format!(r#"{{"id":{id},"__lsn":{},"__table":"t","__op":"c"}}"#, 10 + id);
            writeln!(lines, r#"{{"key":{{"id":{id}}},"value":{row}}}"#).unwrap();
            lines
        });
        let mut file = fs::OpenOptions::new().append(true).create(true).open(self.path(&format!("{name}.jsonl"))).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }

    /// What a field of the lines in a file is.
    fn written(&self, file: &str, field: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(file)).unwrap_or_default();
        // The last line may be under way.
        let lines = text.rsplit_once('\n').map_or("", |(lines, _)| lines).lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| line[field].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until the documents in a file are those of `ids`, each once and in order.
    async fn holds(&self, file: &str, ids: std::ops::Range<u64>) {
        let expected: Vec<String> = ids.map(|id| id.to_string()).collect();
        for _ in 0..400 {
            if self.written(file, "id").len() >= expected.len() {
                break;
            }
            tokio::time::sleep(PAUSE_CHECK_INTERVAL).await;
        }
        let written = self.written(file, "id");
        let first = written.iter().zip(&expected).position(|(written, expected)| written != expected);
        assert_eq!((written.len(), first), (expected.len(), None), "{file}: how many, and the first that is another");
    }

    fn handle(&self, name: &str) -> Arc<Handle> {
        let serving = self.pipelines.serving();
        serving.handles.iter().find(|handle| handle.pipeline.plan.name == name).unwrap().clone()
    }

    fn names(&self) -> Vec<String> {
        self.pipelines.list().into_iter().map(|pipeline| pipeline.name).collect()
    }

    /// Names of the pipelines that have metrics.
    fn counted(&self) -> Vec<String> {
        let families = self.registry.gather();
        let metrics = families.iter().find(|family| family.name() == "rowmill_lag_events").map_or(&[][..], |family| family.get_metric());
        let mut names: Vec<String> = metrics.iter().map(|metric| metric.get_label()[0].value().to_owned()).collect();
        names.sort();
        names
    }

    fn reloads(&self) -> [u64; 3] {
        ["applied", "unchanged", "refused"].map(|result| self.pipelines.reloads.with_label_values(&[result]).get())
    }

    async fn end(self) -> Ending {
        self.pipelines.drain();
        self.pipelines.ended().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_starts_anew_where_it_stood_and_the_rest_takes_no_notice() {
    let (a, b) = (follows("a", PLAIN), follows("b", PLAIN));
    let process = Process::start(&format!("{a}{b}"));
    process.append("a", 0..100);
    process.append("b", 0..100);
    let b_before = process.handle("b");
    for round in 1..=5 {
        process.append("a", round * 100..(round + 1) * 100);
        process.applied(&format!("{a}[pipelines.a.batch]\nmax_documents = {round}\n{b}")).await;
    }
    assert_eq!(process.reload(&fs::read_to_string(process.path("rowmill.toml")).unwrap()).await.unwrap().result, ReloadResult::Unchanged);
    assert_eq!(process.reloads(), [5, 1, 0]);
    process.holds("a.out", 0..600).await;
    process.holds("b.out", 0..100).await;
    assert!(Arc::ptr_eq(&b_before, &process.handle("b")), "b was never stopped");
    assert_eq!(process.handle("a").pipeline.plan.batch.max_documents, 5);
    let totals = process.pipelines.get("a").unwrap().totals;
    assert_eq!(totals.events_applied, 600, "counting goes on");
    assert_eq!(process.end().await, Ending::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_come_and_go_and_come_back_to_where_they_stood() {
    let (a, b, c) = (follows("a", PLAIN), follows("b", PLAIN), follows("c", PLAIN));
    let process = Process::start(&format!("{a}{b}"));
    process.append("a", 0..10);
    process.holds("a.out", 0..10).await;
    process.applied(&format!("{c}{b}")).await;
    assert_eq!((process.names(), process.counted()), (vec!["c".to_owned(), "b".to_owned()], vec!["b".to_owned(), "c".to_owned()]));
    process.append("a", 10..20);
    process.append("c", 0..10);
    process.holds("c.out", 0..10).await;
    process.holds("a.out", 0..10).await;
    fs::write(process.path("rowmill.toml"), format!("{a}{b}")).unwrap();
    let plan = process.pipelines.reload(true).await.unwrap();
    assert!(plan.text.contains("+ a: starts\n    note: the state remembers"), "{}", plan.text);
    assert_eq!(process.names(), ["c", "b"], "a plan changes nothing");
    process.applied(&format!("{a}{b}")).await;
    process.holds("a.out", 0..20).await;
    assert_eq!((process.counted(), process.reloads()), (vec!["a".to_owned(), "b".to_owned()], [2, 0, 0]));
    assert_eq!(process.end().await, Ending::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_changes_nothing_and_every_problem_is_told() {
    let a = follows("a", PLAIN);
    let process = Process::start(&a);
    process.append("a", 0..10);
    let before = process.pipelines.serving();
    let wrong = format!("{a}[pipelines.a.batch]\nmax_wait = 'soon'\n[pipelines.b.sink.file]\npath = '-'\n");
    expect_test::expect![[r#"
        [
            "DIR/rowmill.toml:8: pipelines.a.batch.max_wait must be a duration, such as \"250ms\", \"30s\" or \"7d\"",
            "DIR/rowmill.toml:9: pipelines.b.source is missing: add a table pipelines.b.source.KIND with KIND one of kafka, file",
        ]
    "#]]
    .assert_debug_eq(&process.refused(&wrong).await);
    let elsewhere = format!("[server]\nlisten = 'off'\n[state]\ndir = 'elsewhere'\n{a}[pipelines.a.batch]\nmax_wait = '1s'\n");
    expect_test::expect![[r#"
        [
            "server.listen cannot change while the process runs: restart it, or put the old value back",
            "state.dir cannot change while the process runs: restart it, or put the old value back",
        ]
    "#]]
    .assert_debug_eq(&process.refused(&elsewhere).await);
    // What only the making of things finds: all of it, before anything stops.
    let b = follows("b", PLAIN).replace("follow = true", "");
    let c = follows("c", PLAIN).replace(
        ".file]\npath = \"c.jsonl\"\nfollow = true",
        ".kafka]\nbrokers = 'k'\ntopics = ['t']\nproperties = { \"no.such\" = 'secret' }",
    );
    expect_test::expect![[r#"
        [
            "pipelines.b: cannot read DIR/b.jsonl: No such file or directory (os error 2): change `path`, or make the file readable",
            "pipelines.c: Kafka property no.such cannot be used: No such configuration property: \"no.such\"",
        ]
    "#]]
    .assert_debug_eq(&process.refused(&format!("{a}[pipelines.a.batch]\nmax_wait = '1s'\n{b}{c}")).await);
    assert!(Arc::ptr_eq(&before, &process.pipelines.serving()), "nothing has changed");
    assert_eq!((process.counted(), process.reloads()), (vec!["a".to_owned()], [0, 0, 3]));
    process.holds("a.out", 0..10).await;
    assert_eq!(process.end().await, Ending::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_start_has_all_put_back() {
    let (a, b, gone) = (follows("a", PLAIN), follows("b", PLAIN), follows("gone", PLAIN));
    let old = format!("{a}{gone}{b}");
    let process = Process::start(&old);
    ["a", "b", "gone"].iter().for_each(|name| process.append(name, 0..10));
    process.holds("gone.out", 0..10).await;
    process.pipelines.command("gone", Command::Pause).await.unwrap();
    let b_before = process.handle("b");
    // A folder that is a file is found by the first who opens an index in it.
    fs::write(process.path("taken"), "").unwrap();
    let bad = "[pipelines.NAME.sink.embedded]\nindex = 'NAME'\ndir = 'taken'";
    let new = format!("{}{}{}{b}", a.replace("index = \"i\"", "index = \"j\""), follows("new", PLAIN), follows("bad", bad));
    let problems = process.refused(&new).await;
    assert!(problems[0].starts_with("pipelines.bad was started and did not run, and all was put back: "), "{problems:?}");
    assert_eq!(
        (process.names(), process.counted()),
        (vec!["a".into(), "gone".into(), "b".into()], vec!["a".into(), "b".into(), "gone".into()])
    );
    assert!(Arc::ptr_eq(&b_before, &process.handle("b")), "b was never stopped");
    assert_eq!(process.pipelines.get("gone").unwrap().state, RunState::Paused);
    process.pipelines.command("gone", Command::Resume).await.unwrap();
    for name in ["a", "b", "gone"] {
        process.append(name, 10..20);
        process.holds(&format!("{name}.out"), 0..20).await;
    }
    assert!(process.written("a.out", "index").iter().skip(10).all(|index| index == "i"), "by the old settings");
    assert_eq!((process.reloads(), process.pipelines.reload(true).await.unwrap().plan.concerned().len()), ([0, 0, 1], 4));
    fs::remove_file(process.path("taken")).unwrap();
    process.append("new", 0..5);
    process.applied(&new).await;
    process.holds("new.out", 0..5).await;
    assert_eq!(process.end().await, Ending::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_in_trouble_holds_up_no_reload_and_its_events_go_to_the_new_one() {
    let full = follows("a", "[pipelines.NAME.sink.file]\npath = \"/dev/full\"\nindex = \"i\"");
    let process = Process::start(&full);
    process.append("a", 0..10);
    for _ in 0..200 {
        if process.handle("a").pipeline.progress.is_sink_in_trouble() {
            break;
        }
        tokio::time::sleep(PAUSE_CHECK_INTERVAL).await;
    }
    let started = process.pipelines.common.clock.instant();
    process.applied(&follows("a", PLAIN)).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    process.holds("a.out", 0..10).await;
    assert_eq!(process.end().await, Ending::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_outlives_a_reload_and_searches_go_on_through_it() {
    let embedded = "[pipelines.NAME.sink.embedded]\nindex = 'NAME'";
    let a = follows("a", embedded);
    let process = Process::start(&a);
    process.append("a", 0..10);
    let found = async || {
        let searches = process.pipelines.searches();
        let search = searches.iter().find(|search| search.holds("a"))?;
        Some(search.search("a", &Default::default()).await.ok()?.total)
    };
    for _ in 0..200 {
        if found().await == Some(10) {
            break;
        }
        tokio::time::sleep(PAUSE_CHECK_INTERVAL).await;
    }
    process.pipelines.command("a", Command::Pause).await.unwrap();
    process.append("a", 10..20);
    let sink = process.handle("a").pipeline.sink.clone();
    process.applied(&format!("{a}[pipelines.a.batch]\nmax_documents = 7\n")).await;
    assert!(Arc::ptr_eq(&sink, &process.handle("a").pipeline.sink), "a sink whose settings stay is not opened again");
    assert_eq!((process.pipelines.get("a").unwrap().state, found().await), (RunState::Paused, Some(10)));
    // The same folder, by other settings: the old one must have let go of it.
    process.applied(&a.replace("index = 'a'", "index = 'a'\nmemory = '32MiB'")).await;
    assert_eq!((process.pipelines.get("a").unwrap().state, found().await), (RunState::Paused, Some(10)));
    process.pipelines.command("a", Command::Resume).await.unwrap();
    for _ in 0..200 {
        if found().await == Some(20) {
            break;
        }
        tokio::time::sleep(PAUSE_CHECK_INTERVAL).await;
    }
    assert_eq!(found().await, Some(20));
    process.applied(&follows("b", PLAIN)).await;
    assert_eq!((found().await, process.pipelines.collections()), (None, Vec::<String>::new()));
    assert_eq!(process.end().await, Ending::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_reloaded_while_the_process_ends() {
    let a = follows("a", PLAIN);
    let process = Process::start(&a);
    process.pipelines.drain();
    let late = process.reload(&format!("{a}[pipelines.a.batch]\nmax_wait = '1s'\n")).await;
    assert_eq!(late, Err(NotReloaded::Conflict("the process is shutting down: start it again first".to_owned())));
    assert_eq!(process.end().await, Ending::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_process_finds_a_reload_in_any_state() {
    let (a, b) = (follows("a", PLAIN), follows("b", PLAIN));
    for delay_ms in [0, 1, 3, 10, 30, 100, 300, 700] {
        let process = Process::start(&format!("{a}{b}"));
        process.append("a", 0..500);
        fs::write(process.path("rowmill.toml"), format!("{a}[pipelines.a.batch]\nmax_documents = 3\n")).unwrap();
        let pipelines = process.pipelines.clone();
        let reloading = tokio::spawn(async move { pipelines.reload(false).await });
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        let ending = tokio::time::timeout(Duration::from_secs(20), async {
            process.pipelines.drain();
            process.pipelines.ended().await
        });
        assert_eq!(ending.await.unwrap(), Ending::Drained, "{delay_ms}");
        let _ = reloading.await.unwrap();
        let ids = process.written("a.out", "id");
        let count = u64::try_from(ids.len()).unwrap();
        process.holds("a.out", 0..count).await;
    }
}

/// A request that hangs is not waited for beyond the time of a drain.
#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_in_a_sink_is_left_and_read_again() {
    let config = |sink: &str| {
        let batch = "[pipelines.NAME.batch]\nmax_documents = 10000\nmax_bytes = '100MiB'";
        let sink = format!("[pipelines.NAME.sink.file]\npath = \"{sink}\"\nindex = \"i\"\n{batch}");
        format!("[server]\ndrain_timeout = '1s'\n{}", follows("a", &sink))
    };
    let dir = tempfile::tempdir().unwrap();
    assert!(std::process::Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap().success());
    // Held open, and never read: it takes 64 KiB.
    let pipe = fs::OpenOptions::new().read(true).write(true).open(dir.path().join("pipe")).unwrap();
    let process = Process::start_in(dir, &config("pipe"));
    process.append("a", 0..5_000);
    for _ in 0..200 {
        let lanes = process.pipelines.get("a").unwrap().lanes;
        if lanes.first().is_some_and(|lane| lane.received.is_some() && lane.received == lane.newest) {
            break;
        }
        tokio::time::sleep(PAUSE_CHECK_INTERVAL).await;
    }
    process.applied(&config("a.out")).await;
    process.holds("a.out", 0..5_000).await;
    // What was left must have an end before the test has.
    std::thread::spawn(move || std::io::copy(&mut &pipe, &mut std::io::sink()));
    assert_eq!(process.end().await, Ending::Drained);
}
