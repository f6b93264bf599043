//! The contract in `wit/`, as types: the world a component must export and the imports it may use.

wasmtime::component::bindgen!({
    path: "wit",
    world: "rowmill:transform/transform",
    // Changes are lowered straight from the messages they came in: no text is copied on our side.
    ownership: Borrowing { duplicate_if_necessary: true },
    with: { "wasi:keyvalue/store.bucket": crate::transform::host::Bucket },
});
