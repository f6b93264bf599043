//! Counters and gauges of your own. They appear on `/metrics` as `rowmill_guest_counter_total{pipeline,name}` and
//! `rowmill_guest_gauge{pipeline,name}`. A name has at most 64 characters of `a-z0-9_`; others are ignored by the host.
//!
//! A row that is refreshed, replayed or tried by a new module is counted again: these count calls, not rows.

/// Adds to a counter.
pub fn count(name: &str, delta: u64) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::rowmill::transform::metrics::count(name, delta);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::record_count(name, delta);
}

/// Sets a gauge.
pub fn gauge(name: &str, value: f64) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::rowmill::transform::metrics::gauge(name, value);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::record_gauge(name, value);
}
