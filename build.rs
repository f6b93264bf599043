//! Puts into the binary what commands need that shall need nothing else: the demo's modules, and the templates and SDKs of
//! `rowmill new`. `make` builds the modules first; without them the binary is built all the same, and the demo says what to do.

use std::fmt::Write;
use std::io::{Error, Result};
use std::path::Path;
use std::{env, fs};

/// What tools leave in the folders of guests.
const BUILT: &[&str] = &["target", "node_modules", "__pycache__", "build", "dist", "zig-out"];

fn main() -> Result<()> {
    let modules = Path::new("transforms/target/modules");
    let out = env::var_os("OUT_DIR").ok_or_else(|| Error::other("OUT_DIR is set by cargo"))?;
    for name in ["product_search.wasm", "order_status.wasm"] {
        let module = modules.join(name);
        println!("cargo::rerun-if-changed={}", module.display());
        let bytes = if module.exists() { fs::read(&module)? } else { Vec::new() };
        fs::write(Path::new(&out).join(name), bytes)?;
    }
    let mut table = String::new();
    for dir in ["templates", "sdk"] {
        println!("cargo::rerun-if-changed=transforms/{dir}");
        pack(&Path::new("transforms").join(dir), dir, &mut table)?;
    }
    fs::write(Path::new(&out).join("templates.rs"), format!("&[\n{table}]\n"))
}

/// Adds a line for each file below `dir`, which is called `name`: its path and its bytes.
fn pack(dir: &Path, name: &str, table: &mut String) -> Result<()> {
    let mut entries: Vec<_> = fs::read_dir(dir)?.collect::<Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let file_name = entry.file_name().to_string_lossy().into_owned();
        let (path, name) = (entry.path(), format!("{name}/{file_name}"));
        let is_hidden = file_name.starts_with('.') && file_name != ".gitignore";
        if is_hidden || BUILT.contains(&file_name.as_str()) || file_name.ends_with(".wasm") {
            continue;
        }
        // What a link leads to: the SDKs share wit/.
        if fs::metadata(&path)?.is_dir() {
            pack(&path, &name, table)?;
        } else {
            // Named from the manifest on: clones share the folder that this is written to.
            let place = format!("/{}", path.display());
            writeln!(table, "    ({name:?}, include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {place:?}))),").map_err(Error::other)?;
        }
    }
    Ok(())
}
