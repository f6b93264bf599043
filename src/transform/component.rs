//! One module: read, checked against the world, compiled, ready to be instantiated.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::Failure;
use crate::limits::MODULE_BYTES_MAX;
use crate::transform::adapt;
use crate::transform::binary::{Binary, Form};
use crate::transform::engine::Engine;
use crate::transform::host::{GIVEN, Guest};
use crate::transform::settings::TransformSettings;
use crate::transform::settings::World;
use crate::transform::world::TransformPre;
use crate::transform::world::aggregate::AggregatePre;

/// A module that exports one of the two worlds. Cheap to clone.
#[derive(Clone)]
pub struct Component {
    ready: Ready,
    hash: String,
    version: String,
    size_bytes: usize,
    imports: Vec<String>,
}

/// All that can be done before there is an instance.
#[derive(Clone)]
pub(super) enum Ready {
    Transform(TransformPre<Guest>),
    Aggregate(AggregatePre<Guest>),
}

/// Why a module cannot be used: fits after "the module NAME ".
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// There is no reading it.
    #[error("cannot be read: {0}; build it, or correct `transform.module`")]
    Unreadable(#[from] io::Error),
    /// See [`MODULE_BYTES_MAX`].
    #[error("is larger than the {} allowed: build it without debug information", bytesize::ByteSize::b(MODULE_BYTES_MAX as u64))]
    TooLarge,
    /// A script, an archive, a native program.
    #[error("is not WebAssembly: `transform.module` must name the .wasm file that was built")]
    NotWasm,
    /// What compilers make before the last step, and nothing can be made of it.
    #[error("is a core module of which no component can be made: {0}; build it against the WIT files of this version")]
    CoreModule(String),
    /// It does not validate or compile.
    #[error("is not a valid component: {0}; build it again")]
    Invalid(String),
    /// It asks for what no guest is given.
    #[error("imports {0}, which a transform is not given: build it without")]
    ImportsMore(String),
    /// It asks for something of ours that is not as it believes.
    #[error("imports something that is not as it expects: {0}; build it against the WIT files of this version")]
    ImportsOther(String),
    /// It exports too little.
    #[error("lacks the export {0}: it must export the world `{1}` of rowmill:transform@1.0.0")]
    ExportsLess(String, World),
    /// It exports something else by that name.
    #[error("exports something that is not as the world `{1}` has it: {0}; build it against the WIT files of this version")]
    ExportsOther(String, World),
    /// It is of the other world.
    #[error("exports the world `aggregate`, which needs a window: use it in a pipeline with a table `window`")]
    Aggregate,
    /// It is of the other world.
    #[error(
        "exports the world `transform`, and a pipeline with a table `window` or `aggregate` needs `aggregate`: remove the table, or build it for that world"
    )]
    Transform,
}

impl Unfit {
    /// As it is told of the module of `settings`.
    pub fn of(self, settings: &TransformSettings) -> Failure {
        Failure::misconfigured(format!("the module {} {self}", settings.module.display()))
    }
}

impl Component {
    /// Reads and compiles the module of `settings`. Takes seconds of all cores for an interpreted guest that is not in the
    /// cache: not for a thread that must answer.
    pub fn load(engine: &Engine, settings: &TransformSettings) -> Result<Self, Failure> {
        let bytes = Self::read(settings)?;
        Self::new(engine, &bytes, settings.world).map_err(|unfit| unfit.of(settings))
    }

    /// Reads the module of `settings`.
    pub fn read(settings: &TransformSettings) -> Result<Vec<u8>, Failure> {
        read(&settings.module).map_err(|unfit| unfit.of(settings))
    }

    /// SHA-256 of a module, in hexadecimal.
    pub fn hash_of(bytes: &[u8]) -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The same of bytes that came another way; it must be of that world, where one is named.
    pub fn new(engine: &Engine, bytes: &[u8], wanted: Option<World>) -> Result<Self, Unfit> {
        if bytes.len() > MODULE_BYTES_MAX {
            return Err(Unfit::TooLarge);
        }
        let binary = Binary::read(bytes);
        let adapted = match binary.form {
            Form::Other => return Err(Unfit::NotWasm),
            Form::Component => None,
            Form::CoreModule => {
                let world = world(|name| binary.exports.contains(&name), wanted)?;
                Some(adapt::component(bytes, &binary, world).map_err(Unfit::CoreModule)?)
            }
        };
        let runnable = adapted.as_deref().unwrap_or(bytes);
        let compiled = wasmtime::component::Component::new(engine.wasm(), runnable).map_err(|error| Unfit::Invalid(sentence(&error)))?;
        let imports = imports(engine, &compiled);
        Ok(Self {
            ready: fit(engine, &compiled, &imports, wanted)?,
            hash: Self::hash_of(bytes),
            version: binary.version.unwrap_or_default().to_owned(),
            size_bytes: bytes.len(),
            imports,
        })
    }

    /// SHA-256 of the module, in hexadecimal.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The first 12 digits of the hash: what metrics and people use.
    pub fn short_hash(&self) -> &str {
        self.hash.get(..12).unwrap_or_default()
    }

    /// The version written into the component (`wasm-tools metadata add --version`); empty when there is none.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Size of the module.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// The interfaces it imports, with their versions.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// Which world it is of.
    pub fn world(&self) -> World {
        match self.ready {
            Ready::Transform(_) => World::Transform,
            Ready::Aggregate(_) => World::Aggregate,
        }
    }

    /// All that can be done before there is an instance.
    pub(super) fn ready(&self) -> &Ready {
        &self.ready
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Unfit> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MODULE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn imports(engine: &Engine, compiled: &wasmtime::component::Component) -> Vec<String> {
    compiled.component_type().imports(engine.wasm()).map(|(name, _)| name.to_owned()).collect()
}

/// Checks `compiled` against the world, what it lacks by name first: wasmtime's own words are for those who know its insides.
fn fit(engine: &Engine, compiled: &wasmtime::component::Component, imports: &[String], wanted: Option<World>) -> Result<Ready, Unfit> {
    let world = world(|name| compiled.get_export_index(None, name).is_some(), wanted)?;
    let foreign: Vec<&str> = imports.iter().map(String::as_str).filter(|name| !is_given(name)).collect();
    if !foreign.is_empty() {
        return Err(Unfit::ImportsMore(listed(&foreign)));
    }
    let linked = engine.linker().instantiate_pre(compiled).map_err(|error| Unfit::ImportsOther(sentence(&error)))?;
    let ready = match world {
        World::Transform => TransformPre::new(linked).map(Ready::Transform),
        World::Aggregate => AggregatePre::new(linked).map(Ready::Aggregate),
    };
    ready.map_err(|error| Unfit::ExportsOther(sentence(&error), world))
}

/// The world of a module with these exports.
fn world(exports: impl Fn(&str) -> bool, wanted: Option<World>) -> Result<World, Unfit> {
    let names = |world| match world {
        World::Transform => &["init", "transform"][..],
        World::Aggregate => &["init", "measure", "render"],
    };
    let is = |world| names(world).iter().all(|name| exports(name));
    match wanted {
        Some(World::Transform) if !exports("transform") && is(World::Aggregate) => return Err(Unfit::Aggregate),
        Some(World::Aggregate) if !exports("measure") && is(World::Transform) => return Err(Unfit::Transform),
        _ => {}
    }
    let world = wanted.unwrap_or(if is(World::Aggregate) { World::Aggregate } else { World::Transform });
    let lacking: Vec<&str> = names(world).iter().copied().filter(|name| !exports(name)).collect();
    if lacking.is_empty() { Ok(world) } else { Err(Unfit::ExportsLess(listed(&lacking), world)) }
}

/// An entry that ends with a slash stands for a package, any other for an interface, in any version.
fn is_given(import: &str) -> bool {
    let interface = import.split('@').next().unwrap_or_default();
    GIVEN.iter().any(|given| *given == interface || (given.ends_with('/') && interface.starts_with(given)))
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}

/// Wasmtime's chain of causes on one line.
fn sentence(error: &wasmtime::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use expect_test::{Expect, expect};

    use super::Component;
    use crate::transform::Engine;
    use crate::transform::settings::{TransformSettings, World};

    fn settings(module: &Path) -> TransformSettings {
        let timeout = std::time::Duration::from_secs(1);
        TransformSettings {
            module: module.into(),
            config: serde_json::json!({}),
            timeout,
            memory_bytes: 1 << 20,
            before: false,
            store_bytes: 0,
            world: Some(World::Transform),
        }
    }

    /// The sentence after "the module NAME ", as far as a line goes.
    fn check(bytes: &[u8], expected: Expect) {
        let error = Component::new(&Engine::new(None).unwrap(), bytes, Some(World::Transform)).err().unwrap();
        expected.assert_eq(&error.to_string().chars().take(120).collect::<String>());
    }

    /// A component with `imports` whose exports are all functions without parameters and results.
    fn component(imports: &str, exports: &[&str]) -> Vec<u8> {
        let exports: String = exports.iter().map(|name| format!("(export \"{name}\" (func $f))")).collect();
        let text = format!(
            "(component {imports}
                (core module $m (func (export \"f\")))
                (core instance $i (instantiate $m))
                (func $f (canon lift (core func $i \"f\")))
                {exports})"
        );
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn what_is_no_component_is_told_so() {
        check(b"#!/bin/sh", expect!["is not WebAssembly: `transform.module` must name the .wasm file that was built"]);
        check(
            &wat::parse_str("(module)").unwrap(),
            expect!["lacks the export `init` and `transform`: it must export the world `transform` of rowmill:transform@1.0.0"],
        );
        check(
            b"\0asm\x0d\0\x01\0\xff",
            expect!["is not a valid component: failed to parse WebAssembly module: malformed section id (at offset 0x8); build it again"],
        );
    }

    #[test]
    fn what_a_component_lacks_is_named() {
        check(
            &component("", &[]),
            expect!["lacks the export `init` and `transform`: it must export the world `transform` of rowmill:transform@1.0.0"],
        );
        check(
            &component("", &["init"]),
            expect!["lacks the export `transform`: it must export the world `transform` of rowmill:transform@1.0.0"],
        );
        check(
            &component("", &["init", "transform"]),
            expect![
                "exports something that is not as the world `transform` has it: type-checking export func `init`: expected 1-tuple, found"
            ],
        );
        check(
            &component("", &["init", "measure", "render"]),
            expect!["exports the world `aggregate`, which needs a window: use it in a pipeline with a table `window`"],
        );
    }

    #[test]
    fn what_it_is_not_given_is_named() {
        let both = ["init", "transform"];
        check(
            &component("(import \"wasi:http/types@0.2.0\" (instance)) (import \"mine:own/thing\" (instance))", &both),
            expect!["imports `wasi:http/types@0.2.0` and `mine:own/thing`, which a transform is not given: build it without"],
        );
        let other = "(import \"wasi:config/store@0.2.0-rc.1\" (instance (export \"get\" (func))))";
        check(
            &component(other, &both),
            expect![
                "imports something that is not as it expects: component imports instance `wasi:config/store@0.2.0-rc.1`, but a matching i"
            ],
        );
        let newer = "(import \"rowmill:transform/rows@1.0.0\" (instance (export \"get\" (func))))";
        check(
            &component(newer, &both),
            expect!["imports `rowmill:transform/rows@1.0.0`, which a transform is not given: build it without"],
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Component::load(&Engine::new(None).unwrap(), &settings(Path::new("/nowhere/x.wasm"))).err().unwrap();
        expect![
            "the module /nowhere/x.wasm cannot be read: No such file or directory (os error 2); build it, or correct `transform.module`"
        ]
        .assert_eq(&error.message);
    }
}
