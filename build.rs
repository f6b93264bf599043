//! Puts the demo's modules into the binary, so that `rowmill demo` needs nothing else. `make` builds them first; without
//! them the binary is built all the same, and the demo says what to do.

use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), std::io::Error> {
    let modules = Path::new("transforms/target/modules");
    let out = env::var_os("OUT_DIR").ok_or_else(|| std::io::Error::other("OUT_DIR is set by cargo"))?;
    for name in ["product_search.wasm", "order_status.wasm"] {
        let module = modules.join(name);
        println!("cargo::rerun-if-changed={}", module.display());
        let bytes = if module.exists() { fs::read(&module)? } else { Vec::new() };
        fs::write(Path::new(&out).join(name), bytes)?;
    }
    Ok(())
}
