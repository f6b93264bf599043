//! The embedded sink.

pub mod settings;
