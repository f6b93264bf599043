//! The table `state`, of the process and of a pipeline.

use std::path::PathBuf;
use std::time::Duration;

use crate::settings::Section;

/// Where and how the state is kept, for the whole process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSettings {
    /// The RocksDB folder.
    pub dir: PathBuf,
    /// How long a deleted row's version is remembered. Longer than the source may repeat old events.
    pub tombstone_retention: Duration,
    /// Memory for the versions of rows that change often.
    pub cache_bytes: u64,
}

/// Reads `[state]`.
pub fn read(section: &Section<'_>) -> StateSettings {
    StateSettings {
        dir: section.path_or("dir", "state"),
        tombstone_retention: section.duration("tombstone_retention", Duration::from_secs(7 * 24 * 3600)),
        cache_bytes: section.size("cache", 64 << 20),
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
