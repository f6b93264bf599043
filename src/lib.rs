//! Rowmill turns database rows into search documents.
//!
//! ```text
//! source ─▶ decode ─▶ gate ─▶ rows ─▶ transform ─▶ document ─▶ sink ─▶ commit ─▶ settle
//! Kafka     Debezium  is it    remember  the user's   version,   versioned  one RocksDB  the source
//! file      JSON      newer?   it        component    lineage    write      write batch  may forget
//! ```
//!
//! A program of yours can run pipelines too:
//!
//! ```no_run
//! use std::path::Path;
//!
//! use rowmill::clock::Clock;
//! use rowmill::error::Failure;
//! use rowmill::pipeline::{Ending, Pipelines};
//!
//! /// Brings the indexes up to date, and returns.
//! async fn catch_up(config: &Path) -> Result<Ending, Failure> {
//!     let plan = rowmill::config::load(config).map_err(|problems| {
//!         let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
//!         Failure::misconfigured(problems.join("; "))
//!     })?;
//!     let pipelines = Pipelines::start(plan, &prometheus::Registry::new(), &Clock::system(), true)?;
//!     Ok(pipelines.ended().await)
//! }
//! ```
//!
//! The modules below stand in reading order: what everyone uses, then the way of an event, then what joins the rooms.
//! Imports only point upwards in this list, and siblings of the second group never import each other
//! (`tests/it/house.rs` holds both).

pub mod aggregate;
pub mod clock;
pub mod connect;
pub mod error;
pub mod event;
pub mod limits;
pub mod metrics;
pub mod settings;

pub mod sink;
pub mod source;
pub mod state;
pub mod transform;

pub mod config;
pub mod pipeline;

pub mod api;
pub mod cli;
