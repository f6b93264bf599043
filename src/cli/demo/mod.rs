//! `rowmill demo`: a shop that needs nothing else. Recorded change events of a real Debezium are played, a generator goes on
//! where they end, and two modules make documents of them for the embedded index.

mod shop;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::run::run_plan;
use super::{failed, load};
use crate::api::SearchLog;
use crate::config::Plan;
use crate::limits::LOGGED_SEARCHES_WAITING_MAX;

/// The modules, as `make` built them; empty when the binary was built without.
const MODULES: [(&str, &[u8]); 2] = [
    ("product_search.wasm", include_bytes!(concat!(env!("OUT_DIR"), "/product_search.wasm"))),
    ("order_status.wasm", include_bytes!(concat!(env!("OUT_DIR"), "/order_status.wasm"))),
];

/// The demo's configuration, which a user may start from.
const CONFIGURATION: &str = include_str!("../../../examples/demo/rowmill.toml");

/// How to run the demo.
#[derive(Clone, Debug, Args)]
pub struct DemoOptions {
    /// Port of the dashboard, on 127.0.0.1
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
}

/// Lays out the shop in a folder of its own and runs it until it is told to end.
pub async fn demo(options: DemoOptions) -> u8 {
    if MODULES.iter().any(|(_, module)| module.is_empty()) {
        return failed("this binary was built without the demo's modules: run `make build` and start the one it makes");
    }
    let dir = std::env::temp_dir().join(format!("rowmill-demo-{}", std::process::id()));
    let config = match lay_out(&dir, options.port) {
        Ok(config) => config,
        Err(error) => return failed(format!("the demo's folder {} cannot be written: {error}", dir.display())),
    };
    let exit = match load(&config) {
        Ok(plan) => {
            eprintln!("The shop opens at http://{}:{}, Ctrl-C closes it.", Ipv4Addr::LOCALHOST, options.port);
            let (queries, asked) = tokio::sync::mpsc::channel(LOGGED_SEARCHES_WAITING_MAX);
            let playing = tokio::spawn(shop::play(dir.clone(), asked));
            let search_log = SearchLog { collection: shop::PRODUCTS, queries };
            let exit = run_plan(Plan { file: None, ..plan }, false, Some(search_log)).await;
            playing.abort();
            exit
        }
        Err(wrong) => wrong,
    };
    // What the demo wrote is of no use to anyone afterwards.
    let _ = std::fs::remove_dir_all(&dir);
    exit
}

fn lay_out(dir: &Path, port: u16) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(dir)?;
    for (name, module) in MODULES {
        std::fs::write(dir.join(name), module)?;
    }
    for topic in [shop::PRODUCTS, shop::ORDERS, shop::SEARCHES] {
        std::fs::write(dir.join(format!("{topic}.jsonl")), "")?;
    }
    let config = dir.join("rowmill.toml");
    std::fs::write(&config, CONFIGURATION.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}")))?;
    Ok(config)
}
