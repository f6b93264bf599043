//! The file sink.

pub mod settings;
