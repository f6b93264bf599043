//! Write a Rowmill transform: one function from a database row to a search document.
//!
//! ```
//! use rowmill_transform::{Change, Document, Result, transform};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! struct Product { name: String, discontinued: Option<bool> }
//!
//! #[derive(Serialize)]
//! struct ProductDocument { title: String }
//!
//! fn product(change: &Change) -> Result<Option<Document>> {
//!     let row: Product = change.after()?;
//!     if row.discontinued == Some(true) {
//!         return Ok(None); // no document; Rowmill deletes the one that was there
//!     }
//!     Document::new(&ProductDocument { title: row.name }).map(Some)
//! }
//!
//! transform!(product);
//! # fn main() {}
//! ```
//!
//! Build it with `cargo build --release --target wasm32-wasip2`: the `.wasm` file is the component that
//! `transform.module` names. An `Err` rejects that change alone: it becomes a dead letter with the error as its reason.
//! A panic traps: Rowmill makes a new instance and goes on.
//!
//! In reading order: [`Change`] comes in, [`Document`] (or [`Outputs`]) goes out, [`transform!`] joins them; [`aggregate!`] has rows counted:
//! a [`Measure`] goes out, and comes back as a [`WindowRow`];
//! [`column`] and [`debezium`] read what databases send; [`log`] and [`metrics`] speak to the host, [`store`] is what it keeps for you; [`testing`] runs the
//! same function natively.

pub mod column;
pub mod debezium;
pub mod log;
pub mod metrics;
pub mod store;

mod aggregate;
mod change;
mod component;
mod document;
mod error;
mod json;
mod output;
mod window;

#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;

#[cfg(target_arch = "wasm32")]
mod bridge;

pub use aggregate::{Aggregate, Measured, Measurement};
pub use change::{Change, Operation, Version};
pub use component::Component;
pub use document::{Document, DocumentRef, Message};
pub use error::{Error, Result, reject};
pub use output::{Action, Answer, Output, Outputs};
pub use window::{Measure, Span, WindowRow};

/// What [`transform!`] and [`aggregate!`] expand to needs; not for use by hand.
#[doc(hidden)]
pub mod macros {
    pub use crate::aggregate::{measure, render};
    #[cfg(target_arch = "wasm32")]
    pub use crate::bridge::{BoundChange, BoundOutput, lift, lower, panics_to_log};
    #[cfg(target_arch = "wasm32")]
    pub use crate::bridge::{BoundMeasurement, BoundWindowRow, lift_rows, lower_measurements};
    pub use crate::component::{NoSettings, run, settings};
}
