//! What the contract promises for as long as its first number stays.

use std::path::Path;
use std::sync::Arc;

use expect_test::expect;
use prometheus::Registry;
use rowmill::event::{Change, Operation};
use rowmill::metrics::Metrics;
use rowmill::transform::settings::TransformSettings;
use rowmill::transform::{Component, KeyValues, MemoryStore, Ran, Transform, TransformMetrics};
use serde_json::json;

use super::{Host, STORE_BYTES, change, engine, settings, shown};

/// Built on the day of 1.0.0, and never since.
#[test]
fn a_guest_of_1_0_0_still_has_its_whole_contract() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/contract-1.0.0.wasm");
    let with = |config| TransformSettings { module: path.clone(), before: true, ..settings("hostile", config) };
    let component = Component::load(engine(), &with(json!({}))).unwrap();
    let registry = Registry::new();
    let metrics = TransformMetrics::declare(&Metrics::new(registry.clone(), "shop"));
    let refused = Transform::start(&component, &with(json!({})), &metrics).err().unwrap();
    assert!(refused.message.ends_with("init refused the configuration: setting `greeting` is missing"), "{refused}");
    let transform = Transform::start(&component, &with(json!({"greeting": "hi", "n": 1})), &metrics).unwrap();
    let mut host = Host { transform, store: MemoryStore::new(STORE_BYTES), registry };
    let of = |operation| Change { operation, ts_ms: 5, ..change("{\"a\":1.50}") };
    let changes = [
        of(Operation::Create),
        Change { before: Some("{\"a\":1}".into()), ..of(Operation::Update) },
        Change { after: None, ..of(Operation::Delete) },
        of(Operation::Read),
        of(Operation::Refresh),
        of(Operation::Create),
    ];
    let run = |host: &mut Host, changes: &[Change]| {
        let store: Arc<dyn KeyValues> = Arc::new(host.store.clone());
        let Ran { outcomes, written } = host.transform.run(changes, &store).unwrap();
        host.store.apply(written);
        outcomes.into_iter().map(shown).collect::<Vec<_>>().join("\n")
    };
    expect![[r#"
        index {"count":1,"many":1,"exists":true,"keys":2,"last":8}
        index {"source":"shop","table":"public.products","key":{"id":1},"before":{"a":1},"after":{"a":1.50},"version":[1,0],"ts_ms":5}
        delete
        emit to read
        index {"source":"shop","table":"public.products","key":{"id":1},"before":null,"after":{"a":1.50},"version":[1,0],"ts_ms":5}
        index {"count":2,"many":1,"exists":true,"keys":2,"last":8}"#]]
    .assert_eq(&run(&mut host, &changes));
    let gone = Change { after: None, ..of(Operation::Read) };
    assert_eq!(run(&mut host, &[gone]), "error: a row that is not there");
    expect![[r#"
        rowmill_guest_counter_total{name="changes",pipeline="shop"} 7
        rowmill_guest_gauge{name="last",pipeline="shop"} 5"#]]
    .assert_eq(&host.counted());
}

/// A later host gives more functions under a later version. What an earlier guest imports is found there by wasmtime's rule, which this
/// package relies on: within one first number the host's version may be higher.
#[test]
fn a_host_of_1_1_0_gives_a_guest_of_1_0_0_what_it_imports() {
    let guest = wat::parse_str(
        "(component (import \"rowmill:transform/metrics@1.0.0\"
            (instance (export \"count\" (func (param \"name\" string) (param \"delta\" u64))))))",
    );
    let engine = wasmtime::Engine::default();
    let guest = wasmtime::component::Component::new(&engine, guest.unwrap()).unwrap();
    let links = |version: &str| {
        let mut linker = wasmtime::component::Linker::<()>::new(&engine);
        let mut metrics = linker.instance(&format!("rowmill:transform/metrics@{version}")).unwrap();
        metrics.func_wrap("count", |_, (_, _): (String, u64)| Ok(())).unwrap();
        metrics.func_wrap("observe", |_, (_, _): (String, f64)| Ok(())).unwrap();
        linker.instantiate_pre(&guest).is_ok()
    };
    assert_eq!(["1.0.0", "1.1.0", "2.0.0"].map(links), [true, true, false]);
}
