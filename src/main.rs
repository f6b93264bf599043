//! The `rowmill` command.

fn main() {}
