//! The disk of the state is full: the pipeline says so and waits, and goes on by itself when there is room.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::database::{Database, Habits};
use super::rig::{PATIENCE, Pipeline, Rig, assert_same, documents, durable, unique, wait_durable, wait_ready};
use crate::stack::up;
use crate::support::{Running, http, wait_for};

/// Room for the state, its log and what RocksDB wants free.
const DISK_MIB: u32 = 200;
const PIPELINE: &str = "tight";
const FULL: &str = "the disk of the state is full: make 32 MiB of room";

/// A small file system in a mount namespace, which a process holds open as long as this lives.
struct SmallDisk {
    holder: Child,
    is_root: bool,
    dir: PathBuf,
}

impl SmallDisk {
    fn mount(dir: PathBuf) -> Self {
        std::fs::create_dir(&dir).unwrap();
        let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        let mut unshare = Command::new("unshare");
        unshare.args(if is_root { ["--mount"].as_slice() } else { ["--user", "--map-root-user", "--mount"].as_slice() });
        let mount = format!("mount -t tmpfs -o size={DISK_MIB}m rowmill-test \"$0\" && echo mounted && exec cat");
        unshare.args(["sh", "-c", &mount]).arg(&dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = unshare.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(
            said, "mounted\n",
            "this test gives the state a small disk of its own, by a mount in a namespace: run it as root with CAP_SYS_ADMIN, or allow \
             user namespaces (sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0)"
        );
        Self { holder, is_root, dir }
    }

    /// Starts a command that sees the disk.
    fn run(&self, command: &Command) -> Running {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(if self.is_root { ["--mount"].as_slice() } else { ["--preserve-credentials", "--user", "--mount"].as_slice() });
        nsenter.args(["--target", &self.holder.id().to_string()]).arg(command.get_program()).args(command.get_args());
        Running::start(&mut nsenter)
    }

    /// The file that takes all the room.
    fn filler(&self) -> PathBuf {
        let root = Path::new("/proc").join(self.holder.id().to_string()).join("root");
        root.join(self.dir.strip_prefix("/").unwrap()).join("filler")
    }

    /// Writes until nothing more goes.
    fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            if file.write_all(&vec![b'x'; size]).is_err() {
                size /= 4;
            }
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Fills the disk, and lets changes come until the pipeline says so: it goes on in the room that its log has set aside.
fn fill_up(disk: &SmallDisk, url: &str, database: &mut Database) {
    disk.fill();
    let stuck = wait_for("the disk to be full", PATIENCE, || {
        // No more than it can take: all of it must be worked off in the end.
        if database.events < durable(url, PIPELINE) + 3_000 {
            database.change(500);
        }
        let (code, body) = http("GET", &format!("{url}/health/ready"), None);
        (code == 503).then_some(body)
    });
    assert!(stuck.contains(PIPELINE) && stuck.contains(FULL), "{stuck}");
    assert_eq!(http("GET", &format!("{url}/health/live"), None).0, 200, "the process lives");
    database.change(2_000);
}

#[test]
fn a_full_disk_stops_the_pipeline_with_a_reason_and_room_lets_it_go_on() {
    let servers = up(&["kafka", "opensearch-2"]);
    let (brokers, search) = (&servers["kafka"], &servers["opensearch-2"]);
    let topic = unique("disk.public.t");
    let sink = ("opensearch", format!("url = \"{search}\"\nindex = \"{topic}\""));
    let rig = Rig::new("", &[Pipeline { name: PIPELINE, brokers, topic: &topic, keep: "rows", sink, properties: "", more: "" }]);
    let disk = SmallDisk::mount(rig.path("state"));
    let mut running = disk.run(&rig.command());
    let url = running.url();
    let mut database = Database::new(brokers, &topic, 2, 1, Habits { keys: 1_500, long: 3_000, repeats: false });
    database.change(2_000);
    wait_durable(&url, PIPELINE, &database.ends());

    fill_up(&disk, &url, &mut database);
    let ends = database.ends();
    wait_ready(&url, Duration::from_secs(10), |code, body| code == 503 && body.to_string().contains(FULL));
    disk.make_room();
    wait_durable(&url, PIPELINE, &ends);
    wait_ready(&url, PATIENCE, |code, _| code == 200);
    let compared = assert_same("after the disk was full", &documents(search, &topic), &database.documents(true));

    fill_up(&disk, &url, &mut database);
    running.kill();
    disk.make_room();
    let mut running = disk.run(&rig.command());
    let url = running.url();
    wait_durable(&url, PIPELINE, &database.ends());
    assert_same("killed while it was full", &documents(search, &topic), &database.documents(true));
    println!("events: {}, documents compared: {compared}", database.events);
    assert!(running.terminate().success(), "SIGTERM drains");
    http("DELETE", &format!("{search}/{topic}"), None);
    database.forget();
}
