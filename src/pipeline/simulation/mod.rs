//! The real loop under seeded misfortune, against a model: at the end the index is the source.
//!
//! One seed decides everything. In reading order: `model` (what must be there), `check` (whether it is), `database` (a
//! table and the topic that tells of it), `source` and `sink` (what goes wrong around the pipeline), `module` (the user's
//! code, of which there are generations), `life` (one life of the process), and here the lives of a seed. Time is tokio's
//! paused clock; a life ends at a named failpoint (`pipeline/failpoint.rs`) or wherever it waits.
//!
//! `make sim SEEDS=0..20000` runs more of them; a failing seed prints the command that repeats it.

mod check;
mod coverage;
mod database;
mod life;
mod model;
mod module;
mod sink;
mod source;
mod trace;
mod windows;

use std::cell::RefCell;
use std::ops::Range;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clock::Clock;
use crate::pipeline::failpoint::Failpoint;
use crate::state::settings::{Keep, StateSettings};
use crate::state::{Copied, LetterFilter, Store};
use database::Database;
use life::{Death, Left, Life};
use sink::SimSink;

type Chance = Arc<Mutex<StdRng>>;

/// What `make test` runs.
const SEEDS: Range<u64> = 0..2_400;
/// Seeds are shared out to so many tests, so that all cores have something to do.
const SHARES: u64 = 4;
/// What must have happened in each share besides a death at every failpoint.
const MUST_HAPPEN: [&str; 16] = [
    "down",
    "storm",
    "split",
    "part",
    "applied and lost",
    "applied in part and lost",
    "applied late",
    "restart",
    "index removed",
    "lane started again",
    "power cut",
    "older state",
    "lost state",
    "lost index",
    "module swapped",
    "letters replayed",
];
/// Seeds that share a database of the state: it takes long to open.
const SEEDS_PER_STORE: u32 = 100;

/// The lives of one seed.
struct Simulation {
    /// Its place among the seeds that share the store.
    place: u32,
    store: Store,
    database: Database,
    sink: Arc<SimSink>,
    chance: Chance,
    keep: Keep,
    lives: u32,
    generation: u64,
    /// Whether dead letters have been played again.
    has_replayed: bool,
    /// What the next life finds.
    found: Copied,
    /// What earlier ones left.
    older: Vec<Copied>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let chance: Chance = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        let keep = if seed.is_multiple_of(2) { Keep::Rows } else { Keep::Versions };
        let (place, store) = store();
        module::reset();
        Self {
            place,
            store,
            database: Database::new(keep == Keep::Rows),
            sink: Arc::new(SimSink::new(chance.clone())),
            chance,
            keep,
            lives: 0,
            generation: 0,
            has_replayed: false,
            found: Copied::default(),
            older: Vec::new(),
        }
    }

    /// Gives what two runs of a seed must have in common.
    async fn run(mut self) -> u64 {
        let (lives, is_removable) = self.draw(|chance| (chance.random_range(1..7), chance.random_bool(0.2)));
        self.sink.inner.lock().unwrap().is_removable = is_removable;
        for _ in 0..lives {
            let trouble = self.draw(|chance| if chance.random_bool(0.3) { 0 } else { chance.random_range(1..50) });
            self.sink.inner.lock().unwrap().trouble = trouble;
            self.work();
            let death = Death::roll(&self.chance);
            let left = self.live(death).await;
            check::store(left.state.values(), self.has_replayed);
            self.fate_of_state(left);
            self.swap_module();
            let pause = self.draw(|chance| chance.random_range(0..120));
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
        let trouble = self.draw(|chance| chance.random_range(0..2) * 20);
        self.sink.inner.lock().unwrap().trouble = trouble;
        let left = self.live(Death::Never).await;
        check::index(&self.database.history, &self.sink);
        let letters = left.state.dead_letters(&LetterFilter::default(), 10_000).unwrap();
        check::dead_letters(&self.database, &letters, self.has_replayed);
        check::kept(&self.database.history, &check::store(left.state.values(), self.has_replayed), self.has_replayed);
        // As many throws as before, or it is another number.
        self.draw(|chance| chance.random())
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.chance.lock().unwrap())
    }

    /// The database works on while nobody reads.
    fn work(&mut self) {
        let mut chance = self.chance.lock().unwrap();
        for _ in 0..chance.random_range(5..40) {
            self.database.work(&mut chance);
        }
    }

    async fn live(&mut self, death: Death) -> Left {
        self.lives += 1;
        let replays = self.draw(|chance| chance.random_bool(0.15));
        self.has_replayed |= replays;
        let life = Life {
            replays,
            store: &self.store,
            name: format!("{}/{}", self.place, self.lives),
            found: &self.found,
            keep: self.keep,
            sink: self.sink.clone(),
            log: self.database.log.clone(),
            history: self.database.history.clone(),
            chance: self.chance.clone(),
        };
        life.live(death).await
    }

    /// The state after a death: as it was, as it was when it was last made durable, older, or lost.
    fn fate_of_state(&mut self, left: Left) {
        let (fate, choice) = self.draw(|chance| (chance.random_range(0..20), chance.random_range(0..100)));
        self.older.push(left.committed.clone());
        trace::say(|| format!("state {fate} of 20 ({choice})"));
        self.found = match fate {
            0..3 => {
                coverage::saw("power cut");
                self.older.pop();
                self.older.push(left.durable.clone());
                left.durable
            }
            3..5 => {
                coverage::saw("older state");
                // What came after it is not to be had any more: going forward again would leave out what was read meanwhile.
                self.older.truncate(choice % self.older.len() + 1);
                self.older.last().unwrap().clone()
            }
            5 => {
                coverage::saw("lost state");
                self.older.clear();
                Copied::default()
            }
            6 => {
                // Somebody wants to have it all anew.
                coverage::saw("lost index");
                self.sink.inner.lock().unwrap().remove_index();
                self.older.clear();
                Copied::default()
            }
            _ => left.committed,
        };
    }

    fn swap_module(&mut self) {
        if self.draw(|chance| chance.random_bool(0.3)) {
            coverage::saw("module swapped");
            self.generation += 1;
            module::swap(self.generation);
        }
    }
}

/// The database that this thread's seeds share, each with parts of its own.
fn store() -> (u32, Store) {
    thread_local! {
        static SHARED: RefCell<Option<(u32, Store, tempfile::TempDir)>> = const { RefCell::new(None) };
    }
    SHARED.with_borrow_mut(|shared| {
        if shared.as_ref().is_none_or(|(seeds, ..)| *seeds == SEEDS_PER_STORE) {
            *shared = None;
            // In memory where there is such a folder.
            let memory = Path::new("/dev/shm");
            let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
            let retention = Duration::from_hours(24 * 365 * 100);
            let settings = StateSettings { dir: dir.path().join("state"), tombstone_retention: retention, cache_bytes: 4_096 };
            *shared = Some((0, Store::open(&settings, &Clock::system()).unwrap(), dir));
        }
        let (seeds, store, _) = shared.as_mut().unwrap();
        *seeds += 1;
        (*seeds, store.clone())
    })
}

fn simulate(seed: u64) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(Simulation::new(seed).run())
}

/// Runs a share of the seeds.
fn run_share(share: u64) {
    let deaths = Failpoint::ALL.iter().map(|point| format!("died at {point:?}"));
    run_seeds(SEEDS, |seed| seed % SHARES == share, simulate, MUST_HAPPEN.map(str::to_owned).into_iter().chain(deaths));
}

/// Runs those of the seeds that are `mine`, of the usual ones or of those that were asked for, and shows how to repeat what failed. With the
/// usual ones all that `must` happen must have been seen.
fn run_seeds(usual: Range<u64>, mine: impl Fn(u64) -> bool, simulate: fn(u64) -> u64, must: impl Iterator<Item = String>) {
    let told = std::env::var("ROWMILL_SIM_SEEDS").ok();
    let seeds = told.as_ref().map_or(usual, |told| {
        let (from, to) = told.split_once("..").unwrap();
        from.parse().unwrap()..to.parse().unwrap()
    });
    let mine: Vec<u64> = seeds.filter(|seed| mine(*seed)).collect();
    let mut failed = Vec::new();
    for (done, seed) in mine.iter().enumerate() {
        if catch_unwind(|| simulate(*seed)).is_err() {
            println!("seed {seed} failed; repeat it with\nmake sim SEEDS={seed}..{}", seed + 1);
            failed.push(*seed);
        }
        if told.is_some() && done % 500 == 499 {
            println!("{} of {} seeds, up to {seed}: {} failed", done + 1, mine.len(), failed.len());
        }
    }
    assert!(failed.is_empty(), "{} seeds failed: {failed:?}", failed.len());
    if told.is_none() {
        let seen = coverage::seen();
        let missing: Vec<String> = must.filter(|what| !seen.contains_key(what)).collect();
        assert!(missing.is_empty(), "never happened: {missing:?} of {seen:?}");
    }
}

#[test]
fn a_seed_repeats_itself() {
    for seed in 0..30 {
        assert_eq!(simulate(seed), simulate(seed), "seed {seed}");
    }
}

#[test]
fn the_index_is_the_source_after_any_misfortune_of_seeds_0_of_4() {
    run_share(0);
}

#[test]
fn the_index_is_the_source_after_any_misfortune_of_seeds_1_of_4() {
    run_share(1);
}

#[test]
fn the_index_is_the_source_after_any_misfortune_of_seeds_2_of_4() {
    run_share(2);
}

#[test]
fn the_index_is_the_source_after_any_misfortune_of_seeds_3_of_4() {
    run_share(3);
}
