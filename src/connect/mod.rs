//! Room: connect.
