//! What happens, line by line, with `ROWMILL_SIM_TRACE=1` in the environment: to find out why a seed fails.

use std::sync::LazyLock;

static IS_WANTED: LazyLock<bool> = LazyLock::new(|| std::env::var_os("ROWMILL_SIM_TRACE").is_some());

/// Says what happens.
pub fn say(what: impl FnOnce() -> String) {
    if *IS_WANTED {
        println!("{}", what());
    }
}
