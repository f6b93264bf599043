//! Faults against the real process, the real broker and the real search server: nothing is lost, old never wins, what is down
//! is waited for, and pipelines fail alone.
//!
//! - `kills`: `kill -9` of all three at random moments. `ROWMILL_KILLS=500 [ROWMILL_KILLS_SEED=7] cargo test --test it -- kills --nocapture`
//! - `outage`: a search server that is away. `ROWMILL_OUTAGE_SECONDS=1800 cargo test --test it -- outage`
//! - `reloads`: another module again and again, under load. `ROWMILL_RELOADS=500 ROWMILL_RELOADS_RATE=10000 cargo test --test it -- reloads`
//! - `windows`: `kill -9` while a log is counted, and two processes that share its partitions. `ROWMILL_WINDOW_KILLS=100 cargo test --test it -- windows --nocapture`
//! - `network`: what lies between them fails. `late_deletes`: a server that forgets deletes. `full_disk`: no room for the state.

mod database;
mod full_disk;
mod kills;
mod late_deletes;
mod network;
mod outage;
mod proxy;
mod reloads;
mod rig;
mod searches;
mod servers;
mod windows;
