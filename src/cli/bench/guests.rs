//! `rowmill bench guests`: what one transform costs in each language, beside the same code compiled into this binary.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::super::{DONE, failed, say};
use crate::event::{Change, JsonText, Key, Operation, Origin, Version};
use crate::metrics::Metrics;
use crate::transform::settings::TransformSettings;
use crate::transform::{Component, Engine, KeyValues, MemoryStore, Transform, TransformMetrics};

/// Changes in one call.
const BATCHES: [usize; 3] = [1, 100, 1_000];

/// A small transform beside the large one: renames, nests and computes.
const ORDER_STATUS: &str = "order_status.wasm";

/// What to measure.
#[derive(Clone, Debug, Args)]
pub struct GuestsOptions {
    /// The folder of the modules: every `product_search*.wasm` there, and `order_status.wasm`
    #[arg(long, default_value = "transforms/target/modules")]
    modules: PathBuf,
    /// CPU-seconds of each figure
    #[arg(long, default_value_t = 2.0)]
    cpu_seconds: f64,
    /// Print a table in Markdown in place of JSON
    #[arg(long)]
    markdown: bool,
}

/// What was measured of one module. Speeds are changes per CPU-second of the calling thread, for batches of 1, 100 and 1,000.
#[derive(Clone, Debug, Default, Serialize)]
struct Figures {
    name: String,
    bytes: u64,
    /// From bytes to machine code, nothing cached.
    compile_seconds: f64,
    /// The same from the cache on disk: what a restart costs.
    load_seconds: f64,
    /// A first instance, `init` called.
    start_seconds: f64,
    per_cpu_second: Vec<f64>,
}

/// Measures every module, and prints the figures.
pub fn guests(options: &GuestsOptions) -> u8 {
    match measure(options) {
        Ok(figures) if options.markdown => {
            say(table(&figures).trim_end());
            DONE
        }
        Ok(figures) => {
            say(format_args!("{:#}", json!({ "batches": BATCHES, "guests": figures })));
            DONE
        }
        Err(message) => failed(message),
    }
}

/// What a module is given.
struct Work {
    config: serde_json::Value,
    changes: Vec<Change>,
}

fn measure(options: &GuestsOptions) -> Result<Vec<Figures>, String> {
    let products = Work { config: json!({"currency": "EUR"}), changes: changes("public.products", product) };
    let orders = Work { config: json!({}), changes: changes("public.orders", order) };
    let mut figures = vec![];
    #[cfg(feature = "native-guest")]
    figures.push(native::measure(&products, options.cpu_seconds)?);
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}; run `make -C transforms`", options.modules.display());
    let mut modules: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(&options.modules).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if (name.starts_with("product_search") && name.ends_with(".wasm")) || name == ORDER_STATUS {
            modules.push(path);
        }
    }
    modules.sort();
    for module in &modules {
        let work = if module.ends_with(ORDER_STATUS) { &orders } else { &products };
        figures.push(guest(module, work, options.cpu_seconds)?);
    }
    Ok(figures)
}

/// The module and the seconds it takes to load, once its code is kept in `cache`.
pub fn compiled(module: &Path, cache: &Path) -> Result<(Component, f64), String> {
    let engine = || Engine::new(Some(cache)).map_err(|failure| failure.message);
    timed(&engine()?, module)?;
    // The cache is written by a thread of its own.
    let cached = engine()?;
    let mut loaded = timed(&cached, module)?;
    for _ in 0..50 {
        if cached.cache_hits() > 0 {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(100));
        loaded = timed(&cached, module)?;
    }
    Ok(loaded)
}

fn timed(engine: &Engine, module: &Path) -> Result<(Component, f64), String> {
    let bytes = std::fs::read(module).map_err(|error| format!("{} cannot be read: {error}", module.display()))?;
    let started = Instant::now();
    let component = Component::new(engine, &bytes, None).map_err(|unfit| format!("the module {} {unfit}", module.display()))?;
    Ok((component, started.elapsed().as_secs_f64()))
}

fn guest(module: &Path, work: &Work, cpu_seconds: f64) -> Result<Figures, String> {
    let settings = TransformSettings {
        module: module.to_owned(),
        config: work.config.clone(),
        // As the defaults have them: deadline and bound are part of the cost.
        timeout: Duration::from_secs(1),
        memory_bytes: 64 << 20,
        before: false,
        store_bytes: 0,
        world: None,
    };
    let said = |failure: crate::error::Failure| failure.message;
    let cache = std::env::temp_dir().join(format!("rowmill-bench-compiled-{}", std::process::id()));
    let (_, compile_seconds) = timed(&Engine::new(None).map_err(said)?, module)?;
    let (component, load_seconds) = compiled(module, &cache)?;
    let started = Instant::now();
    let metrics = TransformMetrics::declare(&Metrics::detached());
    let mut transform = Transform::start(&component, &settings, &metrics).map_err(said)?;
    let start_seconds = started.elapsed().as_secs_f64();
    let store: Arc<dyn KeyValues> = Arc::new(MemoryStore::new(0));
    let mut per_cpu_second = Vec::new();
    for batch in BATCHES {
        per_cpu_second.push(speed(&work.changes, batch, cpu_seconds, |changes| {
            let outcomes = transform.run(changes, &store).map_err(|failure| failure.message)?.outcomes;
            outcomes.into_iter().find_map(Result::err).map_or(Ok(()), Err)
        })?);
    }
    let _ = std::fs::remove_dir_all(&cache);
    let name = module.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    Ok(Figures {
        name,
        bytes: std::fs::metadata(module).map_err(|error| error.to_string())?.len(),
        compile_seconds,
        load_seconds,
        start_seconds,
        per_cpu_second,
    })
}

/// Items per CPU-second of this thread, of calls of `batch` items each.
fn speed<T>(items: &[T], batch: usize, cpu_seconds: f64, mut call: impl FnMut(&[T]) -> Result<(), String>) -> Result<f64, String> {
    // A first round warms caches, and an interpreter's heap.
    items.chunks(batch).take(1_000).try_for_each(&mut call)?;
    let (began, mut done) = (thread_cpu_seconds()?, 0);
    loop {
        for part in items.chunks(batch).take(1_000) {
            call(part)?;
            done += part.len();
        }
        let spent = thread_cpu_seconds()? - began;
        if spent >= cpu_seconds {
            return Ok(done as f64 / spent);
        }
    }
}

/// CPU time of this thread: the first field of `schedstat`, in nanoseconds.
fn thread_cpu_seconds() -> Result<f64, String> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").map_err(|error| format!("no CPU time is to be had here: {error}"))?;
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.map(|nanoseconds| nanoseconds / 1e9).ok_or_else(|| "no CPU time is to be had here".to_owned())
}

/// Changes of a table, one in ten a delete; none is rejected.
fn changes(table: &str, row: impl Fn(u64) -> serde_json::Value) -> Vec<Change> {
    let origin = Origin { topic: format!("shop.{table}").into(), partition: 0, offset: 0 };
    let (source, table): (Arc<str>, Arc<str>) = ("shop".into(), table.into());
    (0..1_000_u64)
        .map(|number| {
            let is_delete = number % 10 == 9;
            Change {
                operation: if is_delete { Operation::Delete } else { Operation::Update },
                source: source.clone(),
                table: table.clone(),
                key: Some(Key { id: number.to_string().into(), json: JsonText::from(format!("{{\"id\":{number}}}")) }),
                before: None,
                after: (!is_delete).then(|| JsonText::from(row(number).to_string())),
                version: Version::new(1_000 + number, 0),
                ts_ms: 1_769_200_000_000,
                origin: origin.clone(),
                moved: None,
            }
        })
        .collect()
}

/// Of some 420 bytes.
fn product(number: u64) -> serde_json::Value {
    let categories = ["Home/Lighting", "Home/Kitchen/Pans", "Garden/Tools", "Office", "Toys/Wood/Animals"];
    let category = categories.get(number as usize % categories.len()).copied().unwrap_or_default();
    json!({
        "id": number, "sku": format!("SKU-{number:06}"), "name": format!("Product number {number}, \"new\""),
        "description": "Good for what it is meant for, and pleasant to look at; comes in a plain box with a leaflet.",
        "category": category, "price": format!("{}.{:02}", 3 + number % 500, number % 100), "stock": number % 40,
        "tags": ["new", "sale", category], "attrs": format!("{{\"color\": \"red\", \"weight\": {}.5, \"dims\": {{\"w\": 12, \"h\": 40}}}}", number % 9),
        "created_at": "2025-11-02T08:15:30.123456Z", "updated_at": "2026-01-20T09:00:00.000000Z",
    })
}

/// Of some 240 bytes.
fn order(number: u64) -> serde_json::Value {
    let status = if number.is_multiple_of(3) { "delivered" } else { "shipped" };
    json!({
        "id": number, "product_id": number % 77, "customer": "Ada Lovelace", "quantity": 1 + number % 4, "total": format!("{}.80", number % 100),
        "status": status, "placed_at": "2026-01-20T09:30:00.000000Z",
        "note": "Please leave the parcel with the neighbour on the left if nobody opens the door.",
    })
}

fn table(figures: &[Figures]) -> String {
    let mut text = "| guest | .wasm | compiled in | loaded in | started in | changes per CPU-second, batches of 1 · 100 · 1,000 |\n|---|---|---|---|---|---|\n".to_owned();
    for guest in figures {
        let time = |seconds: f64| match seconds {
            0.0 => "–".to_owned(),
            seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1_000.0),
            seconds => format!("{seconds:.1} s"),
        };
        let size = if guest.bytes == 0 { "–".to_owned() } else { ByteSize::b(guest.bytes).to_string() };
        let speeds: Vec<String> = guest.per_cpu_second.iter().map(|speed| format!("{:.0} k", speed / 1_000.0)).collect();
        let times = [guest.compile_seconds, guest.load_seconds, guest.start_seconds].map(time).join(" | ");
        text.push_str(&format!("| {} | {size} | {times} | {} |\n", guest.name, speeds.join(" · ")));
    }
    text
}

/// The same transform as part of this binary: what a guest could reach if there were no border. It does the same work (parses the row,
/// writes the document, which is checked as a guest's is), and copies nothing.
#[cfg(feature = "native-guest")]
mod native {
    use rowmill_transform::testing::{deleted, row as row_of};
    use rowmill_transform::{Action, Component as _};

    use super::{BATCHES, Change, Figures, Work, speed};
    use crate::transform::native::outcomes;

    pub fn measure(work: &Work, cpu_seconds: f64) -> Result<Figures, String> {
        let theirs: Vec<rowmill_transform::Change> = work.changes.iter().map(native).collect();
        product_search::Component::init(&work.config.to_string())?;
        let mut per_cpu_second = Vec::new();
        for batch in BATCHES {
            let calls: Vec<_> = work.changes.chunks(batch).zip(theirs.chunks(batch)).collect();
            per_cpu_second
                .push(speed(&calls, 1, cpu_seconds, |calls| calls.iter().try_for_each(|call| run(call.0, call.1)))? * batch as f64);
        }
        Ok(Figures { name: "native Rust".to_owned(), per_cpu_second, ..Figures::default() })
    }

    fn run(ours: &[Change], theirs: &[rowmill_transform::Change]) -> Result<(), String> {
        let outputs = product_search::Component::transform(theirs)?;
        let documents = outputs.into_iter().filter_map(|output| match output.action {
            Action::Index(document) => Some((output.change, document.into_body())),
            _ => None,
        });
        outcomes(ours, documents)?.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }

    fn native(change: &Change) -> rowmill_transform::Change {
        match &change.after {
            Some(row) => row_of(&change.table, row),
            None => deleted(&change.table, change.key.as_ref().map_or("null", |key| &key.json)),
        }
    }
}
