//! Search servers forget the versions of deletes, after `index.gc_deletes` and when they start again. Rowmill does not.

use serde_json::Value;

use super::database::{Database, Habits};
use super::rig::{PATIENCE, Pipeline, Rig, assert_same, documents, status, unique, wait_durable};
use super::servers::Servers;
use crate::stack::up;
use crate::support::{http, wait_for};

const SEARCH: &str = "opensearch-2";
const KEEPS: [&str; 2] = ["rows", "versions"];
/// An index that only the test writes to: it shows what the server alone does.
const CONTROL: &str = "control";
const ROWS: u64 = 100;

/// A database whose deleted rows are told of again, and a server.
struct World {
    servers: Servers,
    database: Database,
    url: String,
}

impl World {
    fn search(&self) -> &str {
        self.servers.url(SEARCH)
    }

    fn write(&self, method: &str, id: &str, version: u64) -> u16 {
        let id = id.replace(' ', "%20");
        let body = (method == "PUT").then_some("{}");
        http(method, &format!("{}/{CONTROL}/_doc/{id}?version_type=external&version={version}", self.search()), body).0
    }

    /// What the server would do without us: it takes version 5 of a document that was deleted at version 20.
    fn prove_forgotten(&self, id: &str) {
        wait_for("the server to forget a delete", PATIENCE, || (self.write("PUT", id, 5) == 201).then_some(()));
    }

    fn delete_control(&self, id: &str) {
        assert_eq!((self.write("PUT", id, 10), self.write("DELETE", id, 20)), (201, 200));
    }

    fn stale(&self) -> u64 {
        KEEPS.iter().map(|keep| status(&self.url, keep)["totals"]["events_stale"].as_u64().unwrap()).sum()
    }

    fn compare(&self, when: &str) {
        let ends = self.database.ends();
        for keep in KEEPS {
            wait_durable(&self.url, keep, &ends);
            assert_same(&format!("{when}, {keep}"), &documents(self.search(), keep), &self.database.documents(keep == "rows"));
        }
    }

    /// Old creates and updates of every deleted row come again, and change nothing.
    fn tell_again(&mut self, when: &str) {
        let (stale, events) = (self.stale(), self.database.events);
        for id in (0..ROWS).filter(|id| id % 2 == 0) {
            self.database.tell_again(id);
        }
        self.compare(when);
        let told = 2 * (self.database.events - events);
        assert!(told >= ROWS, "{told} events are no test");
        assert_eq!(self.stale() - stale, told, "{when}: all that came again was known to be old");
    }
}

#[test]
fn deleted_rows_stay_deleted_when_the_search_server_has_forgotten_them() {
    let brokers = up(&["kafka"])["kafka"].clone();
    let servers = Servers::up(&[SEARCH], &[]);
    let topic = unique("late.public.t");
    for index in KEEPS.into_iter().chain([CONTROL]) {
        let settings = r#"{"settings":{"index":{"gc_deletes":"1s","number_of_shards":1}}}"#;
        assert_eq!(http("PUT", &format!("{}/{index}", servers.url(SEARCH)), Some(settings)).0, 200);
    }
    let pipelines = KEEPS.map(|keep| Pipeline {
        name: keep,
        brokers: &brokers,
        topic: &topic,
        keep,
        sink: ("opensearch", format!("url = \"{}\"\nindex = \"{keep}\"\ncreate_index = false", servers.url(SEARCH))),
        properties: "",
        more: "",
    });
    let rig = Rig::new("", &pipelines);
    let mut running = rig.run();
    let database = Database::new(&brokers, &topic, 2, 1, Habits { keys: ROWS, long: 40, repeats: true });
    let mut world = World { servers, database, url: running.url() };
    for id in 0..ROWS {
        world.database.create(id);
        world.database.update(id, id % 3 == 0);
    }
    world.compare("all are there");
    for id in (0..ROWS).filter(|id| id % 2 == 0) {
        world.database.delete(id);
    }
    world.compare("half are deleted");

    world.delete_control("after a while");
    world.prove_forgotten("after a while");
    world.tell_again("after index.gc_deletes");

    world.delete_control("after its restart");
    world.servers.signal(SEARCH, "-KILL");
    world.servers.revive(SEARCH).join().unwrap();
    world.prove_forgotten("after its restart");
    world.tell_again("after a crash of the server");

    running.kill();
    let mut running = rig.run();
    world.url = running.url();
    world.tell_again("after a crash of our own");

    for id in (0..ROWS).filter(|id| id % 4 == 0) {
        world.database.create(id);
    }
    world.compare("what is new comes back");
    let found: Value = crate::support::get_json(&format!("{}/{CONTROL}/_doc/after%20a%20while", world.search()));
    assert_eq!(found["found"], true, "without us the old write has won: {found}");
    assert!(running.terminate().success(), "SIGTERM drains");
    world.database.forget();
}
