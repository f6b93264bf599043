//! `[pipelines.….transform]`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::limits::EPOCH_TICK;
use crate::settings::Section;

/// What the smallest guest of any toolchain takes: one page of 64 KiB for data, and its stack.
const MEMORY_BYTES_MIN: u64 = 1 << 20;

/// Some two million counters. What batches at work have written is held in memory: at worst this much for each of them.
pub const STORE_BYTES_DEFAULT: u64 = 256 << 20;

/// The user's module and what it is given.
#[derive(Clone, Debug)]
pub struct TransformSettings {
    /// The component's file.
    pub module: PathBuf,
    /// Reaches `init` as JSON text, and `wasi:config` by field.
    pub config: serde_json::Value,
    /// How long one batch call may run.
    pub timeout: Duration,
    /// Bytes of linear memory it may grow to.
    pub memory_bytes: usize,
    /// Whether changes carry the row before.
    pub before: bool,
    /// What its store may hold.
    pub store_bytes: u64,
    /// The world it must be of; none: either.
    pub world: Option<World>,
}

/// What a module is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// Rows in, documents out.
    Transform,
    /// Rows in, aggregates of windows out.
    Aggregate,
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            World::Transform => "transform",
            World::Aggregate => "aggregate",
        })
    }
}

/// Reads `[pipelines.….transform]` for a module of that world.
pub fn read(section: &Section<'_>, world: World) -> TransformSettings {
    if section.present(&["module"]).is_empty() {
        section.missing("module");
    }
    let memory = section.size("memory", 64 << 20);
    if memory < MEMORY_BYTES_MIN {
        section.problem("memory", "must be at least 1MiB: no guest starts with less");
    }
    let timeout = section.duration("timeout", Duration::from_secs(1));
    if timeout < EPOCH_TICK {
        section.problem("timeout", format!("must be at least {}: deadlines are no finer", humantime::format_duration(EPOCH_TICK)));
    }
    TransformSettings {
        module: section.path_to("module").unwrap_or_default(),
        config: section.json("config").unwrap_or_else(|| serde_json::json!({})),
        timeout,
        memory_bytes: usize::try_from(memory).unwrap_or(usize::MAX),
        before: section.boolean("before", false),
        store_bytes: section.size("store", STORE_BYTES_DEFAULT),
        world: Some(world),
    }
}
