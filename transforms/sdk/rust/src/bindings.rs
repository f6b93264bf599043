//! The contract in `wit/`, as Rust types. A transform that needs what the SDK does not offer may implement
//! [`Guest`] (an aggregate: [`aggregate::Guest`]) itself and call `export!` of the same module.
#![allow(clippy::all, clippy::pedantic, clippy::restriction, missing_docs, reason = "generated")]

wit_bindgen::generate!({
    path: "wit",
    world: "transform",
    generate_all,
    pub_export_macro: true,
    default_bindings_module: "rowmill_transform::bindings",
});

/// The world `aggregate`: what is not in `transform`.
pub mod aggregate {
    wit_bindgen::generate!({
        path: "wit",
        world: "aggregate",
        with: {
            "wasi:logging/logging@0.1.0-draft": crate::bindings::wasi::logging::logging,
            "wasi:config/store@0.2.0-rc.1": crate::bindings::wasi::config::store,
            "rowmill:transform/metrics@1.0.0": crate::bindings::rowmill::transform::metrics,
            "rowmill:transform/types@1.0.0": crate::bindings::rowmill::transform::types,
            "rowmill:transform/windows@1.0.0": generate,
        },
        pub_export_macro: true,
        default_bindings_module: "rowmill_transform::bindings::aggregate",
    });
}
