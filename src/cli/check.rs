//! `rowmill check`: every problem of a configuration at once.

use std::path::Path;

use super::{DONE, load, say};

/// Shows the problems with their lines; 2 when there are any.
pub fn check(config: &Path) -> u8 {
    match load(config) {
        Ok(plan) => {
            say(format_args!("{} is good: {} pipeline(s)", config.display(), plan.pipelines.len()));
            DONE
        }
        Err(wrong) => wrong,
    }
}
