//! Rowmill turns database rows into search documents.
//!
//! ```text
//! source ─▶ decode ─▶ gate ─▶ rows ─▶ transform ─▶ document ─▶ sink ─▶ commit ─▶ settle
//! Kafka     Debezium  is it    remember  the user's   version,   versioned  one RocksDB  the source
//! file      JSON      newer?   it        component    lineage    write      write batch  may forget
//! ```
//!
//! The modules below stand in reading order: what everyone uses, then the way of an event, then what joins the rooms.
//! Imports only point upwards in this list, and siblings of the second group never import each other
//! (`tests/house.rs` holds both).

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
