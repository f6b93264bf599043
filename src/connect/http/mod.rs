//! HTTP to a search server, over the official client's transport.
//!
//! Of that crate we use what carries a request (connections kept open, TLS, authentication, time-outs) and nothing that
//! knows Elasticsearch's interface, so the same serves OpenSearch. What it lacks is done here: its pool never notices that
//! a node is down, its gzip takes the level that costs most, and it cannot tell a refused certificate from a lost server.

mod client;
pub mod settings;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use client::{HttpAnswer, HttpClient, HttpError, HttpRequest, HttpTrouble};
pub use settings::{HttpCredentials, HttpSettings};
