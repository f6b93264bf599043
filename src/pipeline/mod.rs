//! Room: pipeline.

pub mod status;
