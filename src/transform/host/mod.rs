//! What a guest is given: one file for each import.
//!
//! WASI is there because toolchains expect it, with nothing behind it: no arguments, environment, files or sockets.

mod clock;
mod config;
mod keyvalue;
mod logging;
mod metrics;
mod tail;
mod wasi;

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::WasiCtx;

use crate::limits::GUEST_RESOURCES_MAX;
use crate::transform::bounds::Bounds;
use crate::transform::metrics::TransformMetrics;
use crate::transform::settings::TransformSettings;
use crate::transform::world;

pub use keyvalue::Bucket;

use clock::Clock;
use config::ConfigFields;
use keyvalue::BatchStore;
use logging::{Log, LogLines};
use metrics::Tallies;
use tail::Tail;

/// Interfaces a component may import. `wasi:filesystem` and `wasi:sockets` are among them because toolchains import them
/// unasked: there is no file to open, and every address is refused.
pub const GIVEN: &[&str] = &[
    "rowmill:transform/types",
    "rowmill:transform/windows",
    "rowmill:transform/metrics",
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:config/store",
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:keyvalue/",
    "wasi:logging/logging",
    "wasi:random/",
    "wasi:sockets/",
];

/// What every instance of one transform is given.
pub struct Given {
    /// `transform.config` as JSON text, for `init`.
    pub config: String,
    /// How long one call may run.
    pub timeout: Duration,
    /// Bytes of memory it may grow to.
    pub memory_bytes: usize,
    /// Whether changes carry the row before.
    pub before: bool,
    /// What is counted about it.
    pub metrics: TransformMetrics,
    /// Log lines it has left.
    pub log_lines: LogLines,
    /// The store of the present batch.
    pub store: BatchStore,
    config_fields: Arc<ConfigFields>,
}

impl Given {
    /// By the configuration.
    pub fn new(settings: &TransformSettings, metrics: &TransformMetrics) -> Self {
        Self {
            config: settings.config.to_string(),
            timeout: settings.timeout,
            memory_bytes: settings.memory_bytes,
            before: settings.before,
            metrics: metrics.clone(),
            log_lines: LogLines::default(),
            store: BatchStore::default(),
            config_fields: Arc::new(ConfigFields::of(&settings.config)),
        }
    }
}

/// What the imports of one instance act upon.
pub struct Guest {
    /// How much it may take.
    pub bounds: Bounds,
    config: Arc<ConfigFields>,
    log: Log,
    tallies: Tallies,
    store: BatchStore,
    clock: Clock,
    printed: Tail,
    wasi: WasiCtx,
    resources: ResourceTable,
}

impl Guest {
    /// A guest that has done nothing yet.
    pub fn new(given: &Given) -> Self {
        let printed = Tail::default();
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(GUEST_RESOURCES_MAX);
        Self {
            bounds: Bounds::new(given.memory_bytes),
            config: given.config_fields.clone(),
            log: Log::new(given.metrics.clone(), given.log_lines.clone()),
            tallies: Tallies::new(given.metrics.clone()),
            store: given.store.clone(),
            clock: Clock::new(),
            wasi: wasi::context(&printed),
            printed,
            resources,
        }
    }

    /// A call begins, and must end within `timeout`.
    pub fn begin(&mut self, timeout: Duration) {
        self.bounds.take_refused();
        self.printed.clear();
        self.clock.call_ends_in(timeout);
        self.log.begin_call();
    }

    /// The call went well: what it counted counts.
    pub fn succeed(&mut self) {
        self.tallies.settle();
    }

    /// The call is made again: what it counted is forgotten.
    pub fn forget(&mut self) {
        self.tallies.forget();
    }

    /// Whether the guest wanted to wait for longer than its call may last.
    pub fn overslept(&self) -> bool {
        self.clock.overslept()
    }

    /// The last words of a guest that stopped: its last line of log that tells of an error, else what it printed; empty when
    /// it said nothing.
    pub fn last_words(&self) -> String {
        self.log.last_error().unwrap_or_else(|| self.printed.sentence())
    }
}

/// Everything in [`GIVEN`].
pub fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    world::Transform::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    world::aggregate::rowmill::transform::windows::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    linker.allow_shadowing(true);
    clock::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// The types of the contract need nothing of us.
impl world::rowmill::transform::types::Host for Guest {}

impl world::aggregate::rowmill::transform::windows::Host for Guest {}
