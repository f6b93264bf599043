//! A server with TLS and users: what is right works, what is wrong stops the pipeline and says what to do.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::up;
use crate::support::{output, repository, rowmill, succeed};

/// The server, and a folder with a configuration.
struct Secured {
    url: String,
    authority: PathBuf,
    dir: tempfile::TempDir,
}

const USER: &str = "rowmill";
const PASSWORD: &str = "rowmill-test";

impl Secured {
    fn start() -> Self {
        let url = up(&["elasticsearch-8-tls"])["elasticsearch-8-tls"].clone();
        let run = std::env::var_os("ROWMILL_STACK_RUN").map(PathBuf::from).unwrap_or_else(|| {
            let stack = std::env::var_os("ROWMILL_STACK_DIR").map(PathBuf::from);
            stack.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/rowmill/stack")).join("run")
        });
        // The address holds user and password; the sink is given them apart.
        let (_, host) = url.rsplit_once('@').unwrap();
        let authority = run.join("elasticsearch-8-tls/conf/ca.crt");
        Self { url: format!("https://{host}"), authority, dir: tempfile::tempdir().unwrap() }
    }

    fn curl(&self, method: &str, path: &str, body: &str) -> Value {
        let credentials = format!("{USER}:{PASSWORD}");
        let mut command = Command::new("curl");
        command.args(["-s", "--cacert"]).arg(&self.authority).args(["-u", &credentials, "-X", method, &format!("{}{path}", self.url)]);
        command.args(["-H", "Content-Type: application/json", "-d", body]);
        serde_json::from_str(&succeed(&mut command)).unwrap()
    }

    /// Runs one event into `index` with these settings; gives success and what was said.
    fn run(&self, index: &str, settings: &str, environment: &[(&str, &str)]) -> (bool, String) {
        let events = repository("tests/events/envelope_plain.jsonl");
        let line = std::fs::read_to_string(events).unwrap();
        let line = line.lines().find(|line| line.contains("public.stock")).unwrap();
        std::fs::write(self.dir.path().join("events.jsonl"), format!("{line}\n")).unwrap();
        let text = format!(
            "[server]\nlisten = \"off\"\n[state]\ndir = \"state-{index}\"\n[pipelines.p.source.file]\npath = \"events.jsonl\"\nformat = \"kcat\"\n\
             [pipelines.p.sink.elasticsearch]\nurl = \"{}\"\nindex = \"{index}\"\n{settings}\n",
            self.url
        );
        let config = self.dir.path().join("rowmill.toml");
        std::fs::write(&config, text).unwrap();
        let mut command = rowmill();
        command.arg("run").arg(config).arg("--until-caught-up").envs(environment.iter().copied());
        let output = output(&mut command);
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    }

    fn count(&self, index: &str) -> Option<u64> {
        self.curl("POST", &format!("/{index}/_refresh"), "");
        self.curl("GET", &format!("/{index}/_count"), "")["count"].as_u64()
    }
}

#[test]
fn tls_and_credentials_work_and_wrong_ones_stop_the_pipeline_with_a_remedy() {
    let server = Secured::start();
    let tls = format!("tls = {{ ca = \"file:{}\" }}\n", server.authority.display());
    let basic = format!("{tls}user = \"{USER}\"\npassword = \"env:SECRET\"\n");

    assert!(server.run("basic", &basic, &[("SECRET", PASSWORD)]).0);
    assert_eq!(server.count("basic"), Some(1));

    assert!(server.run("zipped", &format!("{basic}gzip = true\n"), &[("SECRET", PASSWORD)]).0);
    assert_eq!(server.count("zipped"), Some(1));

    let key = server.curl("POST", "/_security/api_key", r#"{"name":"rowmill"}"#);
    let key = key["encoded"].as_str().unwrap();
    assert!(server.run("keyed", &format!("{tls}api_key = \"env:SECRET\"\n"), &[("SECRET", key)]).0);
    assert_eq!(server.count("keyed"), Some(1));

    let (succeeded, said) = server.run("wrong", &basic, &[("SECRET", "not it")]);
    assert!(!succeeded && said.contains("password") && !said.contains("not it"), "{said}");

    let (succeeded, said) = server.run("absent", &format!("{basic}create_index = false\n"), &[("SECRET", PASSWORD)]);
    assert!(!succeeded && said.contains("create_index"), "{said}");
    assert_eq!(server.count("absent"), None, "no index was made on the way");
}
