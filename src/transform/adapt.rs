//! A core module made a component.
//!
//! Many toolchains (Go, C, Zig) end at a core module for WASI preview 1. The rest is the same for all of them, so it is done here: the
//! world is written into the module unless it names its own, and wasmtime's adapter answers the calls of preview 1.

use std::path::Path;

use wasi_preview1_component_adapter_provider::{WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::{Resolve, SourceMap};

use crate::transform::binary::Binary;
use crate::transform::settings::World;

/// The packages of `wit/`, a list of files each; the one with the world last.
const PACKAGES: &[&[&str]] = &[
    &[include_str!("../../wit/deps/logging/logging.wit")],
    &[include_str!("../../wit/deps/config/store.wit")],
    &[
        include_str!("../../wit/deps/keyvalue/store.wit"),
        include_str!("../../wit/deps/keyvalue/atomic.wit"),
        include_str!("../../wit/deps/keyvalue/batch.wit"),
    ],
    &[include_str!("../../wit/transform.wit"), include_str!("../../wit/aggregate.wit")],
];

/// The component made of the core module `binary` was read from. The error says what is wrong with the module.
pub fn component(bytes: &[u8], binary: &Binary<'_>, world: World) -> Result<Vec<u8>, String> {
    let mut module = bytes.to_vec();
    if !binary.has_world {
        embed_world(&mut module, world)?;
    }
    let adapter = (WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER);
    let encoder = ComponentEncoder::default().module(&module).and_then(|encoder| encoder.adapter(adapter.0, adapter.1));
    // Whether it is valid is for the compiler to say, which looks anyway.
    encoder.map_err(said)?.validate(false).encode().map_err(said)
}

fn embed_world(module: &mut Vec<u8>, world: World) -> Result<(), String> {
    let mut contract = Resolve::default();
    let mut packages = Vec::new();
    for sources in PACKAGES {
        let mut files = SourceMap::new();
        sources.iter().for_each(|source| files.push(Path::new("wit"), *source));
        let package = files.parse().map_err(|(_, error)| said(error))?;
        packages.push(contract.push_group(package).map_err(said)?);
    }
    let world = contract.select_world(&packages.split_off(packages.len().saturating_sub(1)), Some(&world.to_string()));
    wit_component::embed_component_metadata(module, &contract, world.map_err(said)?, StringEncoding::UTF8).map_err(said)
}

/// An error with its causes, on one line.
fn said(error: impl std::fmt::Display) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use expect_test::expect;

    use super::component;
    use crate::event::Change;
    use crate::metrics::Metrics;
    use crate::transform::binary::Binary;
    use crate::transform::settings::{TransformSettings, World};
    use crate::transform::{Component, Engine, KeyValues, MemoryStore, Transform, TransformMetrics};

    /// What a C compiler makes of a transform that asks for the time and has one output, a reject with its reason.
    const CORE: &str = r#"(module
        (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
        (memory (export "memory") 8)
        (global $free (mut i32) (i32.const 4096))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
            (global.set $free (i32.add (local.get $at) (local.get 3)))
            (local.get $at))
        (func (export "init") (param i32 i32) (result i32) (i32.const 64))
        (func (export "transform") (param i32 i32) (result i32)
            (drop (call $time (i32.const 0) (i64.const 0) (i32.const 128)))
            (i32.store (i32.const 68) (i32.const 256))
            (i32.store (i32.const 72) (i32.const 1))
            (i32.store8 (i32.const 260) (i32.const 3))
            (i32.store (i32.const 264) (i32.const 512))
            (i32.store (i32.const 268) (i32.const 4))
            (i32.const 64))
        (data (i32.const 512) "cold"))"#;

    #[test]
    fn a_core_module_for_preview_1_runs() {
        let engine = Engine::new(None).unwrap();
        let component = Component::new(&engine, &wat::parse_str(CORE).unwrap(), None).unwrap();
        let settings = TransformSettings {
            module: "x.wasm".into(),
            config: serde_json::json!({}),
            timeout: std::time::Duration::from_secs(1),
            memory_bytes: 1 << 20,
            before: false,
            store_bytes: 0,
            world: None,
        };
        let metrics = TransformMetrics::declare(&Metrics::detached());
        let mut transform = Transform::start(&component, &settings, &metrics).unwrap();
        let store: Arc<dyn KeyValues> = Arc::new(MemoryStore::new(0));
        assert_eq!(transform.run(&[Change::inserted("{}")], &store).unwrap().outcomes, [Err("cold".to_owned())]);
    }

    #[test]
    fn what_cannot_be_made_a_component_says_why() {
        let text = CORE.replace("(param i32 i32) (result i32) (i32.const 64))", "(param i32) (result i32) (i32.const 64))");
        let bytes = wat::parse_str(text).unwrap();
        expect!["failed to decode world from module: module was not valid: failed to classify export `init`: failed to validate export for `init`: type mismatch for function `init`: expected `[I32, I32] -> [I32]` but found `[I32] -> [I32]`"].assert_eq(&component(&bytes, &Binary::read(&bytes), World::Transform).unwrap_err());
        let text = CORE.replace("wasi_snapshot_preview1", "env");
        let bytes = wat::parse_str(text).unwrap();
        expect!["failed to decode world from module: module was not valid: failed to resolve import `env::clock_time_get`: module requires an import interface named `env`"].assert_eq(&component(&bytes, &Binary::read(&bytes), World::Transform).unwrap_err());
    }
}
