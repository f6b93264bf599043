//! From a file to a checked plan.
