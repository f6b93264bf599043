//! `kill -9` at random moments under load, of everything: at the end every document and its version equal the database.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::database::{Database, Habits};
use super::rig::{Pipeline, Rig, assert_same, documents, told_number, wait_durable};
use super::servers::Servers;
use crate::support::{now, pass, wait_for};

const TOPIC: &str = "kills.public.t";
const PARTITIONS: usize = 4;
/// Changes come in handfuls, a little apart.
const HANDFUL: usize = 12;
const APART: Duration = Duration::from_millis(20);
/// So many handfuls a life may take to come to its work.
const PATIENCE: usize = 400;
/// One of [`FAULTS`] comes after so many kills.
const KILLS_PER_FAULT: usize = 5;

/// What happens besides the kills of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// `kill -9` of a server, and its start.
    Kill(&'static str),
    /// `kill -STOP` of a server, and `-CONT` some lives later.
    Pause(&'static str),
    /// The offsets that the group has committed are moved to the ends: nobody may believe them.
    MoveOffsets,
    /// The state comes back as it was earlier.
    OlderState,
    /// The state is lost.
    NoState,
}

const BROKER: &str = "kafka";
const SEARCH: &str = "opensearch-2";
/// Once, at the start: a state that reads all again would mend what was lost before.
const AT_START: [Fault; 2] = [Fault::NoState, Fault::OlderState];
/// Again and again.
const FAULTS: [Fault; 5] = [Fault::Kill(BROKER), Fault::Kill(SEARCH), Fault::Pause(BROKER), Fault::Pause(SEARCH), Fault::MoveOffsets];

/// The world in which the process dies.
struct World {
    servers: Servers,
    database: Database,
    rig: Rig,
    chance: StdRng,
    reviving: Vec<JoinHandle<()>>,
    /// A server that is stopped, and how many lives it stays so.
    paused: Option<(&'static str, usize)>,
    done: Vec<Fault>,
    /// Kills that hit it while it was reading.
    reading: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let servers = Servers::up(&[BROKER, SEARCH], &[]);
        let habits = Habits { keys: 700, long: 200, repeats: true };
        let database = Database::new(servers.url(BROKER), TOPIC, PARTITIONS, seed, habits);
        let pipelines = ["rows", "versions"].map(|keep| Pipeline {
            name: keep,
            brokers: servers.url(BROKER),
            topic: TOPIC,
            keep,
            sink: ("opensearch", format!("url = \"{}\"\nindex = \"{keep}\"\ntimeout = \"5s\"", servers.url(SEARCH))),
            properties: "",
            more: "batch.max_documents = 40",
        });
        let rig = Rig::new("", &pipelines);
        let chance = StdRng::seed_from_u64(seed);
        Self { servers, database, rig, chance, reviving: Vec::new(), paused: None, done: Vec::new(), reading: 0 }
    }

    /// One life of the process, at whose end it is killed, wherever it is.
    fn live(&mut self) {
        let mut running = self.rig.run();
        // Most kills are to hit it at work: then it may come to that first, also where a server or the machine is slow.
        let lets_read = if self.reviving.is_empty() { 0.8 } else { 0.3 };
        let mut patience = if self.paused.is_none() && self.chance.random_bool(lets_read) { PATIENCE } else { 0 };
        let mut left = if self.is_whole() { self.chance.random_range(0..40) } else { self.chance.random_range(20..70) };
        while left > 0 {
            self.database.change(HANDFUL);
            pass(APART);
            if patience > 0 && !running.has_said("reading") {
                patience -= 1;
            } else {
                left -= 1;
            }
        }
        // Not always just after a handful.
        pass(Duration::from_micros(self.chance.random_range(0..20_000)));
        self.reading += usize::from(running.has_said("reading"));
        running.kill();
    }

    /// Whether no server is away.
    fn is_whole(&self) -> bool {
        self.paused.is_none() && self.reviving.is_empty()
    }

    /// Time passes for what was paused.
    fn go_on(&mut self) {
        match &mut self.paused {
            Some((server, 0)) => {
                self.servers.signal(server, "-CONT");
                self.paused = None;
            }
            Some((_, lives)) => *lives -= 1,
            None => {}
        }
        self.reviving.retain(|reviving| !reviving.is_finished());
    }

    /// Lets a fault happen, between two lives; not while a server is away.
    fn fault(&mut self, fault: Fault) -> bool {
        let is_whole = self.is_whole();
        match fault {
            Fault::Kill(server) if is_whole => {
                self.servers.signal(server, "-KILL");
                self.reviving.push(self.servers.revive(server));
            }
            Fault::Pause(server) if is_whole => {
                self.servers.signal(server, "-STOP");
                self.paused = Some((server, self.chance.random_range(1..4)));
            }
            Fault::MoveOffsets if is_whole => self.move_offsets(),
            Fault::OlderState if self.rig.path("older").exists() => {
                let _ = std::fs::remove_dir_all(self.rig.path("state"));
                std::fs::rename(self.rig.path("older"), self.rig.path("state")).unwrap();
            }
            Fault::NoState if self.rig.path("state").exists() => std::fs::remove_dir_all(self.rig.path("state")).unwrap(),
            _ => return false,
        }
        self.done.push(fault);
        true
    }

    /// Keeps a copy of the state, for later.
    fn keep_state(&self) {
        // A life may end before it has made one.
        if self.rig.path("state").exists() && !self.rig.path("older").exists() {
            let (from, to) = (self.rig.path("state"), self.rig.path("older"));
            crate::support::succeed(std::process::Command::new("cp").arg("-r").arg(from).arg(to));
        }
    }

    /// Takes the dead member's place in its group, and commits the ends.
    fn move_offsets(&self) {
        let ends = self.database.ends();
        for keep in ["rows", "versions"] {
            let group = format!("{TOPIC}-{keep}");
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", self.servers.url(BROKER)).set("group.id", group).set("group.instance.id", keep);
            config.set("enable.auto.commit", "false").set("partition.assignment.strategy", "cooperative-sticky");
            let consumer: BaseConsumer = config.create().unwrap();
            consumer.subscribe(&[TOPIC]).unwrap();
            wait_for("a place in the group", Duration::from_secs(30), || {
                let _ = consumer.poll(Duration::from_millis(10));
                (consumer.assignment().unwrap().count() == PARTITIONS).then_some(())
            });
            let mut offsets = TopicPartitionList::new();
            for (partition, end) in ends.values().enumerate() {
                offsets.add_partition_offset(TOPIC, partition as i32, Offset::Offset(*end as i64)).unwrap();
            }
            consumer.commit(&offsets, CommitMode::Sync).unwrap();
        }
    }

    fn count(&self, fault: impl Fn(&Fault) -> bool) -> usize {
        self.done.iter().filter(|done| fault(done)).count()
    }

    /// The line for RELIABILITY.md.
    fn told(&self, kills: usize, compared: usize, began: Instant) -> String {
        let of = |wanted: Fault| self.count(|done| *done == wanted);
        format!(
            "kills survived: {kills} ({} while it was reading) · broker: {} killed, {} paused · search server: {} killed, {} paused · group offsets moved: {} · \
             state older: {}, lost: {} · events: {} · documents compared: {compared} · seconds: {}",
            self.reading,
            of(Fault::Kill(BROKER)),
            of(Fault::Pause(BROKER)),
            of(Fault::Kill(SEARCH)),
            of(Fault::Pause(SEARCH)),
            of(Fault::MoveOffsets),
            of(Fault::OlderState),
            of(Fault::NoState),
            self.database.events,
            began.elapsed().as_secs(),
        )
    }
}

#[test]
fn killed_at_any_moment_it_loses_nothing_and_old_never_wins() {
    let wanted = told_number("ROWMILL_KILLS", 50) as usize;
    let seed = told_number("ROWMILL_KILLS_SEED", u64::from(std::process::id()));
    println!("ROWMILL_KILLS={wanted} ROWMILL_KILLS_SEED={seed}");
    let began = now();
    let mut world = World::new(seed);
    let mut faults = AT_START.to_vec();
    let mut kills = 0;
    // On a busy machine servers are away for longer: then more kills it is, until everything has happened.
    while kills < wanted || (wanted >= 50 && !FAULTS.iter().all(|fault| world.done.contains(fault))) {
        world.live();
        kills += 1;
        world.go_on();
        if kills % KILLS_PER_FAULT == 1 {
            world.keep_state();
        }
        if kills / KILLS_PER_FAULT > world.done.len() {
            if faults.is_empty() {
                faults = FAULTS.to_vec();
                faults.shuffle(&mut world.chance);
            }
            if let Some(place) = (0..faults.len()).rev().find(|place| world.fault(faults[*place])) {
                faults.remove(place);
            }
        }
    }
    for reviving in std::mem::take(&mut world.reviving) {
        reviving.join().unwrap();
    }
    if let Some((server, _)) = world.paused.take() {
        world.servers.signal(server, "-CONT");
    }
    // The last life finds changes that it has not read, and a group that says otherwise.
    world.database.change(500);
    assert!(world.fault(Fault::MoveOffsets));
    let ends = world.database.ends();
    let (all, committed) = (2 * ends.values().sum::<u64>(), world.rig.committed());

    let mut running = world.rig.run();
    let url = running.url();
    let mut compared = 0;
    for keep in ["rows", "versions"] {
        wait_durable(&url, keep, &ends);
        compared += assert_same(keep, &documents(world.servers.url(SEARCH), keep), &world.database.documents(keep == "rows"));
    }
    assert!(running.terminate().success(), "SIGTERM drains");
    println!("committed between the kills: {committed} of {all} messages\n{}", world.told(kills, compared, began));
    assert!(world.reading * 5 > kills, "only {} of the kills hit a process that was reading", world.reading);
}
