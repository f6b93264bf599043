//! WASI with nothing behind it.

use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::limits::GUEST_RANDOM_BYTES_MAX;
use crate::transform::host::Guest;
use crate::transform::host::tail::Tail;

/// What hash maps of guests are seeded with.
///
/// Always the same, so that a guest that walks a map gives the same document after a restart: another order of fields would
/// be another document, and a needless write. Whoever feeds it rows that all collide meets the guest's deadline.
const HASH_SEED: u128 = 0x726f_776d_696c_6c00_726f_776d_696c_6c00;

/// No arguments, environment, files, sockets or standard input; what is printed goes to `printed`. Time of day and secure
/// randomness are real.
pub fn context(printed: &Tail) -> WasiCtx {
    WasiCtx::builder()
        .stdout(printed.clone())
        .stderr(printed.clone())
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .insecure_random_seed(HASH_SEED)
        .max_random_size(GUEST_RANDOM_BYTES_MAX)
        .build()
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.resources }
    }
}
