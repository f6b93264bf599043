//! The contract in `wit/`, as Rust types. A transform that needs what the SDK does not offer may implement
//! [`Guest`] itself and call [`export!`].
#![allow(clippy::all, clippy::pedantic, clippy::restriction, missing_docs, reason = "generated")]

wit_bindgen::generate!({
    path: "wit",
    world: "transform",
    generate_all,
    pub_export_macro: true,
    default_bindings_module: "rowmill_transform::bindings",
});
