//! `examples/product-search` as its README says, on the native servers.

use std::process::Command;

use crate::support::{free_port, repository, succeed};

#[test]
fn the_product_catalogue_runs_natively() {
    // The script calls the address itself, so it must be known beforehand.
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(repository("examples/product-search/run-native"));
    command.env("ROWMILL", env!("CARGO_BIN_EXE_rowmill")).env("ROWMILL_LISTEN", address).arg("50");
    let said = succeed(&mut command);
    let counts = said.lines().find(|line| line.ends_with("documents")).unwrap_or_else(|| panic!("{said}"));
    let numbers: Vec<&str> = counts.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty()).collect();
    assert!(matches!(numbers.as_slice(), [rows, documents] if rows == documents && *rows != "0"), "{counts}");
    assert!(said.contains("Brass desk lamp"), "the search finds the lamp: {said}");
}
