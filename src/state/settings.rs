//! The table `state`, of the process and of a pipeline.

use std::path::PathBuf;
use std::time::Duration;

use crate::limits;
use crate::settings::Section;

/// Where and how the state is kept, for the whole process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSettings {
    /// The RocksDB folder.
    pub dir: PathBuf,
    /// How long a deleted row's version is remembered. Longer than the source may repeat old events.
    pub tombstone_retention: Duration,
    /// Most memory for the versions of rows that change often, and for what windows count.
    pub cache_bytes: u64,
}

/// Reads `[state]`.
pub fn read(section: &Section<'_>) -> StateSettings {
    StateSettings {
        dir: section.path_or("dir", "state"),
        tombstone_retention: section.duration("tombstone_retention", Duration::from_secs(7 * 24 * 3600)),
        cache_bytes: section.size("cache", 160 << 20),
    }
}

/// How many dead letters a pipeline keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterBounds {
    /// So many.
    pub max_count: u64,
    /// So many bytes of them.
    pub max_bytes: u64,
    /// What happens at the next one.
    pub when_full: WhenFull,
}

/// What happens when no more dead letters may be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest goes.
    #[default]
    DropOldest,
    /// The pipeline stops before the event, until a person has made room.
    Stop,
}

impl Default for DeadLetterBounds {
    fn default() -> Self {
        Self { max_count: 10_000, max_bytes: 256 << 20, when_full: WhenFull::DropOldest }
    }
}

/// Reads `[pipelines.….dead_letters]`.
pub fn read_dead_letters(section: &Section<'_>) -> DeadLetterBounds {
    let default = DeadLetterBounds::default();
    DeadLetterBounds {
        max_count: section.integer("max_count", default.max_count, 0..limits::DEAD_LETTERS_MAX + 1),
        max_bytes: section.size("max_bytes", default.max_bytes),
        when_full: section.choice("when_full", default.when_full, &[("drop_oldest", WhenFull::DropOldest), ("stop", WhenFull::Stop)]),
    }
}

/// How much is remembered of each row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Its version and what it produced.
    #[default]
    Versions,
    /// The row too.
    Rows,
}

/// Reads `keep` of `[pipelines.….state]`.
pub fn read_keep(section: &Section<'_>) -> Keep {
    section.choice("keep", Keep::Versions, &[("versions", Keep::Versions), ("rows", Keep::Rows)])
}
