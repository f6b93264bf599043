//! The contract in `wit/`, as types: the two worlds, of which a component exports one, and the imports it may use.

/// The other world, with the types and imports of the first.
pub mod aggregate {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "rowmill:transform/aggregate",
        ownership: Borrowing { duplicate_if_necessary: true },
        with: {
            "rowmill:transform/types": crate::transform::world::rowmill::transform::types,
            "rowmill:transform/metrics": crate::transform::world::rowmill::transform::metrics,
            "wasi:logging/logging": crate::transform::world::wasi::logging::logging,
            "wasi:config/store": crate::transform::world::wasi::config::store,
        },
    });
}

wasmtime::component::bindgen!({
    path: "wit",
    world: "rowmill:transform/transform",
    // Changes are lowered straight from the messages they came in: no text is copied on our side.
    ownership: Borrowing { duplicate_if_necessary: true },
    with: { "wasi:keyvalue/store.bucket": crate::transform::host::Bucket },
});
