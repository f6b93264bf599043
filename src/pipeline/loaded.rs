//! A module read and compiled, on its way to the run that begins with it.

use crate::error::Failure;
use crate::pipeline::shelf::Shelf;
use crate::transform::settings::TransformSettings;
use crate::transform::{Component, Engine};

/// A module that a pipeline begins with.
pub struct LoadedModule {
    /// Compiled.
    pub component: Component,
    /// As it was read.
    pub bytes: Vec<u8>,
    /// Where from: `file`, `upload` or `rollback`.
    pub from: &'static str,
    /// Hash of the configured file.
    pub configured: String,
}

impl LoadedModule {
    /// The module that is to serve first: the configured file, or what was uploaded since that last changed. Blocks.
    pub fn first(engine: &Engine, shelf: &Shelf, settings: &TransformSettings) -> Result<Self, Failure> {
        let file = Component::read(settings)?;
        let configured = Component::hash_of(&file);
        let (bytes, from) = match shelf.instead_of(&configured)? {
            Some(bytes) => (bytes, "upload"),
            None => (file, "file"),
        };
        let component = Component::new(engine, &bytes, settings.world).map_err(|unfit| unfit.of(settings))?;
        Ok(Self { component, bytes, from, configured })
    }

    /// The module with this hash, which served before, as if the configured file were still the one it served beside; none where it
    /// is not there any more. Blocks.
    pub fn again(engine: &Engine, shelf: &Shelf, hash: &str, configured: String) -> Option<Self> {
        let bytes = shelf.bytes(hash).ok()??;
        Some(Self { component: Component::new(engine, &bytes, None).ok()?, bytes, from: "rollback", configured })
    }
}
