//! The file source.

pub mod settings;
