//! Once per process: the compiler and its cache, the imports, and the tick of deadlines.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;

use wasmtime::component::Linker;
use wasmtime::{Cache, CacheConfig, Config, EngineWeak, WasmBacktraceDetails};

use crate::error::Failure;
use crate::limits::{COMPILED_BYTES_MAX, EPOCH_TICK};
use crate::transform::host::{self, Guest};

/// Where a process keeps compiled code, in the folder of its state.
pub const COMPILED_DIR: &str = "compiled";

/// What all modules of a process share. Cheap to clone; the last clone dropped stops its thread.
#[derive(Clone)]
pub struct Engine {
    wasm: wasmtime::Engine,
    linker: Arc<Linker<Guest>>,
    cache: Option<Cache>,
    _ticker: Arc<Ticker>,
}

impl Engine {
    /// An engine that keeps compiled code, by hash of the module, in `cache_dir`.
    ///
    /// What is found there is run as it is: nobody else may be able to write to that directory. An entry that cannot be
    /// read, or was made by another wasmtime or for another CPU, is compiled again.
    pub fn new(cache_dir: Option<&Path>) -> Result<Self, Failure> {
        let cache = cache_dir.map(cache).transpose()?;
        let mut config = Config::new();
        // A call runs on the thread that made it; only the tick of the epoch can take that thread back.
        config.epoch_interruption(true);
        config.cache(cache.clone());
        // Lines of code in backtraces, where a module has them; read when it traps, and only then.
        config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
        let broken = |error| Failure::bug(format!("cannot make a WASM engine on this machine: {error:#}"));
        let wasm = wasmtime::Engine::new(&config).map_err(broken)?;
        let linker = host::linker(&wasm).map_err(broken)?;
        let ticker = Ticker::start(wasm.weak())?;
        Ok(Self { wasm, linker: Arc::new(linker), cache, _ticker: Arc::new(ticker) })
    }

    /// How many modules were loaded from the cache instead of being compiled.
    pub fn cache_hits(&self) -> usize {
        self.cache.as_ref().map_or(0, Cache::cache_hits)
    }

    /// The compiler.
    pub(super) fn wasm(&self) -> &wasmtime::Engine {
        &self.wasm
    }

    /// Everything a guest is given.
    pub(super) fn linker(&self) -> &Linker<Guest> {
        &self.linker
    }
}

fn cache(dir: &Path) -> Result<Cache, Failure> {
    let unusable =
        |error: String| Failure::misconfigured(format!("cannot keep compiled code in {}: {error}; make it writable", dir.display()));
    let dir = std::path::absolute(dir).map_err(|error| unusable(error.to_string()))?;
    let mut config = CacheConfig::new();
    config.with_directory(dir).with_files_total_size_soft_limit(COMPILED_BYTES_MAX);
    Cache::new(config).map_err(|error| unusable(format!("{error:#}")))
}

/// The thread that moves the epoch on; it ends when this is dropped.
struct Ticker {
    _stop: Sender<Infallible>,
}

impl Ticker {
    fn start(engine: EngineWeak) -> Result<Self, Failure> {
        let (stop, stopped) = mpsc::channel::<Infallible>();
        let tick = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(EPOCH_TICK) {
                let Some(engine) = engine.upgrade() else { return };
                engine.increment_epoch();
            }
        };
        let spawned = thread::Builder::new().name("rowmill-epoch".to_owned()).spawn(tick);
        spawned.map_err(|error| Failure::unavailable(format!("cannot start the thread of the guests' deadlines: {error}")))?;
        Ok(Self { _stop: stop })
    }
}
