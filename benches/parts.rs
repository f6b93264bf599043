//! The parts of an event's way, each by itself: `cargo bench`, or `cargo bench -- decode`. A batch is a thousand events.

#![expect(clippy::unwrap_used, clippy::panic, reason = "as in tests: what fails here is a mistake of this file")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rowmill::cli::bench::events::{Shape, Story};
use rowmill::clock::Clock;
use rowmill::event::{Action, Change, DocumentVersion, JsonText, Message, Origin, Write};
use rowmill::metrics::Metrics;
use rowmill::sink::elasticsearch::request;
use rowmill::source::decode::settings::{DecodeSettings, Format, VersionFrom};
use rowmill::source::decode::{Decoded, Decoder, LaneMemory};
use rowmill::state::settings::StateSettings;
use rowmill::state::{DocumentRecord, Effects, LaneRecord, PipelineState, RowChange, RowRecord, Rows, Store, Text};
use rowmill::transform::settings::TransformSettings;
use rowmill::transform::{Component, Engine, KeyValues, MemoryStore, Transform, TransformMetrics};

const BATCH: u64 = 1_000;
const KEYS: u64 = 50_000;

fn messages(schema: bool) -> Vec<Message> {
    let shape = Shape { events: BATCH, keys: KEYS, story: Story::Updates, schema, document_bytes: None };
    let mut messages = Vec::new();
    let made = shape.each(|key, value| {
        let offset = messages.len() as u64;
        messages.push(Message {
            lane: "shop.public.orders/0".into(),
            position: offset + 1,
            origin: Origin { topic: "shop.public.orders".into(), partition: 0, offset },
            timestamp_ms: 0,
            key: Some(key.to_vec().into()),
            value: value.map(|value| value.to_vec().into()),
            headers: Vec::new(),
        });
        Ok(())
    });
    made.unwrap();
    messages
}

fn decoder() -> Decoder {
    Decoder::new(DecodeSettings { format: Format::Debezium, version: VersionFrom::Auto })
}

fn changes() -> Vec<Change> {
    let (mut decoder, mut lane) = (decoder(), LaneMemory::default());
    let decoded = messages(false).into_iter().map(|message| decoder.decode(&message, &mut lane).unwrap());
    decoded.map(|decoded| if let Decoded::Change(change) = decoded { change } else { panic!("{decoded:?}") }).collect()
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(BATCH));
    for (name, schema) in [("plain", false), ("with schema", true)] {
        let messages = messages(schema);
        let (mut decoder, mut lane) = (decoder(), LaneMemory::default());
        group.bench_function(name, |bencher| {
            bencher.iter(|| messages.iter().for_each(|message| drop(black_box(decoder.decode(message, &mut lane)))));
        });
    }
    group.finish();
}

/// What a row's record looks like when it has one document.
fn record(first: u64) -> RowRecord {
    let document =
        DocumentRecord { version: DocumentVersion(first << 8), body_hash: Some(first), is_live: true, ..DocumentRecord::default() };
    RowRecord { documents: [document].into_iter().collect(), ..RowRecord::default() }
}

fn effects(state: &PipelineState, from: u64, first: u64) -> Effects {
    // Far apart, as keys of one batch are.
    let row = |number: u64| state.key("public.orders", &((from + number) * 7_919 % KEYS).to_string());
    let rows = (0..BATCH).map(|number| RowChange { key: row(number), record: record(first), text: Text::Kept }).collect();
    let position = LaneRecord { position: first, ..LaneRecord::default() };
    Effects { rows, positions: vec![("shop.public.orders/0".into(), position)], ..Effects::default() }
}

/// Looking up a batch's rows, of which the cache has some, and committing what became of them.
fn state(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let settings = StateSettings { dir: dir.path().to_owned(), tombstone_retention: Duration::from_secs(3_600), cache_bytes: 64 << 20 };
    let store = Store::open(&settings, &Clock::system()).unwrap();
    let mut state = store.pipeline("bench", "auto").unwrap();
    let mut batch = 0;
    for from in (0..KEYS).step_by(BATCH as usize) {
        batch += 1;
        let effects = effects(&state, from, batch);
        state.stage(batch, &effects);
        state.commit(batch, effects).unwrap();
    }
    let mut group = criterion.benchmark_group("state");
    group.throughput(Throughput::Elements(BATCH));
    let keys: Vec<_> = changes().iter().map(|change| state.key(&change.table, change.key_id())).collect();
    group.bench_function("gate", |bencher| {
        bencher.iter(|| {
            let mut rows = Rows::default();
            for key in &keys {
                state.want(&mut rows, key.clone(), None);
            }
            state.fetch(&mut rows).unwrap();
            keys.iter().filter(|key| rows.record(key).is_some()).count()
        });
    });
    group.bench_function("commit", |bencher| {
        bencher.iter(|| {
            batch += 1;
            let effects = effects(&state, batch * BATCH, batch);
            state.stage(batch, &effects);
            state.commit(batch, effects).unwrap();
        });
    });
    group.finish();
}

fn bulk(criterion: &mut Criterion) {
    let write = |change: Change| Write {
        index: "orders".into(),
        id: change.key_id().into(),
        routing: None,
        version: DocumentVersion(change.version.first << 8),
        action: Action::Index(change.after.unwrap_or_else(|| JsonText::from("{}"))),
    };
    let writes: Vec<Write> = changes().into_iter().map(write).collect();
    let mut group = criterion.benchmark_group("bulk");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("body", |bencher| bencher.iter(|| request::bulk(&writes)));
    group.finish();
}

/// Through the border and back: a guest that renames and computes, with its deadline and its bound of memory.
fn border(criterion: &mut Criterion) {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("transforms/target/modules/order_status.wasm");
    let Ok(bytes) = std::fs::read(&module) else {
        eprintln!("{} is missing: run `make -C transforms modules`", module.display());
        return;
    };
    let settings = TransformSettings {
        module,
        config: serde_json::json!({}),
        timeout: Duration::from_secs(1),
        memory_bytes: 64 << 20,
        before: false,
        store_bytes: 0,
        world: None,
    };
    let component = Component::new(&Engine::new(None).unwrap(), &bytes, None).unwrap_or_else(|unfit| panic!("{unfit}"));
    let mut transform = Transform::start(&component, &settings, &TransformMetrics::declare(&Metrics::detached())).unwrap();
    let store: Arc<dyn KeyValues> = Arc::new(MemoryStore::new(0));
    let changes = changes();
    let mut group = criterion.benchmark_group("border");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("order_status", |bencher| {
        bencher.iter(|| transform.run(&changes, &store).unwrap());
    });
    group.finish();
}

criterion_group!(parts, decode, state, bulk, border);
criterion_main!(parts);
