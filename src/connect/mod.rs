//! How others are reached.
//!
//! - Enters: addresses, credentials, certificates; one request at a time.
//! - Leaves: the answer, whatever it says, or why there is none.
//! - Keeps true: one time-out for each request; an address that fails is passed over while another answers.
//! - Never: what an answer means; a wait between two tries; a secret in a message.

#[cfg(feature = "elasticsearch")]
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
