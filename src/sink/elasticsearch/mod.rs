//! The elasticsearch sink.

pub mod settings;
