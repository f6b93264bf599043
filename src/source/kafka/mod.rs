//! The kafka source.

pub mod settings;
