//! Room: state.
