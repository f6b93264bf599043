//! The place of a change in the history of its row.

use super::LaneMemory;
use super::metadata::Metadata;
use super::settings::{DecodeSettings, Format, VersionFrom};
use super::shape::Envelope;
use crate::event::fields::{bare, digits, find, whole_number};
use crate::event::time;
use crate::event::{Message, Version};

/// Bits of a MySQL position below the number of its file: positions in a binlog event are 32 bits wide.
const FILE_SHIFT: u32 = 32;

/// How versions are found, worked out once from the settings.
#[derive(Clone, Debug)]
pub(super) struct Versions {
    from: VersionFrom,
    is_json: bool,
    place: Option<Place>,
}

/// Where a named field may stand when it is no column: `source.ts_ms`, `__source_ts_ms` and `ts_ms` are ways to say one thing.
#[derive(Clone, Debug)]
struct Place {
    column: String,
    /// In the envelope (or, where it has none of that name, in its source).
    in_envelope: String,
    in_source: bool,
    /// As a field or header added by the unwrap transform.
    added: String,
}

/// What a version may be made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub message: &'a Message,
    pub metadata: &'a Metadata<&'a str>,
    pub envelope: Option<&'a Envelope<'a>>,
    /// The row's text, added fields included.
    pub row: Option<&'a str>,
    pub is_delete: bool,
}

impl Versions {
    /// What the settings ask for.
    pub fn new(settings: &DecodeSettings) -> Self {
        let place = match &settings.version {
            VersionFrom::Field(name) => Some(Place::of(name)),
            _ => None,
        };
        Self { from: settings.version.clone(), is_json: settings.format == Format::Json, place }
    }

    /// The version of a change; none when the message says none. Fails on one that is no version.
    pub fn find(&self, facts: &Facts<'_>, lane: &mut LaneMemory) -> Result<Option<Version>, String> {
        let version = match &self.from {
            VersionFrom::Auto if self.is_json => Some(offset(facts)),
            VersionFrom::Auto => automatic(facts, lane)?,
            VersionFrom::Lsn => lsn(facts.metadata)?,
            VersionFrom::Offset => Some(offset(facts)),
            VersionFrom::Field(name) => match self.place.as_ref().and_then(|place| place.look_up(facts)) {
                Some(value) => Some(number_or_time(value).ok_or_else(|| not_a_version(&format!("field {name}")))?),
                None => None,
            },
            VersionFrom::Header(name) => match facts.message.header(name).and_then(bare) {
                Some(value) => Some(number_or_time(value).ok_or_else(|| not_a_version(&format!("header {name}")))?),
                None => None,
            },
        };
        match version {
            Some(version) if version.first > Version::FIRST_MAX => {
                Err(format!("the version {version} is above {}: use one in milliseconds or microseconds", Version::FIRST_MAX))
            }
            version => Ok(version),
        }
    }

    /// Why there is no version, and what to do about it.
    pub fn missing(&self, facts: &Facts<'_>) -> String {
        match &self.from {
            VersionFrom::Field(name) if facts.is_delete => format!(
                "the deleted row has no {name}: set REPLICA IDENTITY FULL for its table, or version = \"field:source.ts_ms\" in source.decode"
            ),
            VersionFrom::Field(name) => format!("the field {name}, which the version is taken from, is missing or null"),
            VersionFrom::Header(name) => format!("the header {name}, which the version is taken from, is missing or null"),
            _ if facts.metadata.has_lsn && facts.envelope.is_none() => "the row has no LSN, as those of an incremental snapshot: \
                add source.sequence to the unwrap transform's add.fields (or add.headers)"
                .to_owned(),
            _ => "the message says no version: add op,source.lsn,source.sequence,source.ts_ms to the unwrap transform's add.fields, \
                or set version = \"offset\" in source.decode"
                .to_owned(),
        }
    }
}

impl Place {
    fn of(name: &str) -> Self {
        let plain = name.strip_prefix("__").unwrap_or(name);
        let in_source = plain.strip_prefix("source.").or_else(|| plain.strip_prefix("source_"));
        let added = format!("__{}", plain.replace('.', "_"));
        Self { column: name.to_owned(), in_envelope: in_source.unwrap_or(plain).to_owned(), in_source: in_source.is_some(), added }
    }

    fn look_up<'a>(&self, facts: &Facts<'a>) -> Option<&'a str> {
        self.in_row(facts).or_else(|| self.beside_row(facts))
    }

    /// Under the default replica identity Debezium fills the NOT NULL columns of a deleted row with zeros, and a version of
    /// zero would make the delete older than everything: there it means "not known".
    fn in_row<'a>(&self, facts: &Facts<'a>) -> Option<&'a str> {
        let value = bare(find(facts.row?, &self.column)?)?;
        let is_filler = facts.is_delete && (matches!(value, "" | "0") || value.starts_with("1970-01-01"));
        (!is_filler).then_some(value)
    }

    fn beside_row<'a>(&self, facts: &Facts<'a>) -> Option<&'a str> {
        let Some(envelope) = facts.envelope else {
            let field = facts.row.and_then(|row| find(row, &self.added)).and_then(bare);
            return field.or_else(|| facts.message.header(&self.added).and_then(bare));
        };
        let outside = if self.in_source { None } else { find(envelope.text, &self.in_envelope) };
        outside.or_else(|| find(envelope.source, &self.in_envelope)).and_then(bare)
    }
}

fn automatic(facts: &Facts<'_>, lane: &mut LaneMemory) -> Result<Option<Version>, String> {
    let metadata = facts.metadata;
    match metadata.connector {
        Some("postgresql") => postgres(metadata, lane),
        Some("mysql" | "mariadb") => mysql(metadata),
        Some(_) => Ok(Some(offset(facts))),
        None if metadata.has_lsn || metadata.sequence.is_some() => postgres(metadata, lane),
        None if metadata.file.is_some() => mysql(metadata),
        None => Ok(None),
    }
}

/// `(max(end of the last commit, lsn), lsn)`: an LSN alone is not in delivery order, because transactions interleave.
///
/// The first transaction after a snapshot has no last commit. It counts from the snapshot's LSN, for it may have begun
/// before the snapshot and have lower LSNs. It does not count from the newest change seen: the connector may send an old
/// first transaction again at the end of the topic, and it must not win over newer rows there. Nor does it count from a
/// snapshot that a commit was seen after: that one's first transaction is over, so this is an older one, sent again.
fn postgres(metadata: &Metadata<&str>, lane: &mut LaneMemory) -> Result<Option<Version>, String> {
    let Some(sequence) = metadata.sequence else { return lsn(metadata) };
    let (last_commit, sequence_lsn) = sequence_parts(sequence).ok_or_else(|| not_a_version("source.sequence"))?;
    let lsn = match metadata.lsn {
        Some(lsn) => Some(whole_number(lsn).ok_or_else(|| not_a_version("source.lsn"))?),
        // Rows of an incremental snapshot: the sequence is that of the watermark they were read at.
        None => sequence_lsn.or(last_commit),
    };
    let Some(lsn) = lsn else { return Ok(None) };
    let version = match last_commit {
        Some(last_commit) => {
            lane.last_commit = lane.last_commit.max(last_commit);
            Version::new(last_commit.max(lsn), lsn)
        }
        None if metadata.is_snapshot() && metadata.lsn.is_some() => {
            lane.snapshot_lsn = lane.snapshot_lsn.max(lsn);
            Version::new(lsn, 0)
        }
        None if lane.snapshot_lsn >= lane.last_commit => Version::new(lane.snapshot_lsn.max(lsn), lsn),
        None => Version::new(lsn, lsn),
    };
    Ok(Some(version))
}

fn lsn(metadata: &Metadata<&str>) -> Result<Option<Version>, String> {
    let lsn = match (metadata.lsn, metadata.sequence) {
        (Some(lsn), _) => Some(lsn.parse().map_err(|_| not_a_version("source.lsn"))?),
        (None, Some(sequence)) => sequence_parts(sequence).and_then(|(last_commit, lsn)| lsn.or(last_commit)),
        (None, None) => None,
    };
    Ok(lsn.map(|lsn| Version::new(lsn, lsn)))
}

fn mysql(metadata: &Metadata<&str>) -> Result<Option<Version>, String> {
    let (Some(file), Some(position)) = (metadata.file, metadata.position) else { return Ok(None) };
    let file: u32 = file.rsplit('.').next().and_then(|number| number.parse().ok()).ok_or_else(|| not_a_version("source.file"))?;
    let position: u32 = position.parse().map_err(|_| not_a_version("source.pos"))?;
    let row = metadata.row.map_or(Ok(0), str::parse).map_err(|_| not_a_version("source.row"))?;
    Ok(Some(Version::new(u64::from(file) << FILE_SHIFT | u64::from(position), row)))
}

fn offset(facts: &Facts<'_>) -> Version {
    Version::new(facts.message.origin.offset, 0)
}

/// Both parts of `["26550432","26550432"]` or `[null,"26511232"]`, be their quotes escaped or not.
fn sequence_parts(sequence: &str) -> Option<(Option<u64>, Option<u64>)> {
    // As nearly all are.
    let rest = sequence.strip_prefix(r#"[\""#).and_then(|rest| rest.strip_suffix(r#"\"]"#));
    if let Some((first, second)) = rest.and_then(|rest| rest.split_at_checked(digits(rest.as_bytes())))
        && let Some(second) = second.strip_prefix(r#"\",\""#)
        && let (Some(first), Some(second)) = (whole_number(first), whole_number(second))
    {
        return Some((Some(first), Some(second)));
    }
    let (first, second) = sequence.trim().strip_prefix('[')?.strip_suffix(']')?.split_once(',')?;
    Some((sequence_part(first)?, sequence_part(second)?))
}

fn sequence_part(part: &str) -> Option<Option<u64>> {
    match part.trim_matches([' ', '"', '\\']) {
        "null" => Some(None),
        number => number.parse().ok().map(Some),
    }
}

/// A whole number, or a time in milliseconds with what is beyond them as the second part, so that two changes within one
/// millisecond keep their order.
fn number_or_time(value: &str) -> Option<Version> {
    match value.parse() {
        Ok(number) => Some(Version::new(number, 0)),
        Err(_) => time::parse(value).map(|(ms, ns)| Version::new(ms, ns)),
    }
}

fn not_a_version(what: &str) -> String {
    format!("the {what} is neither a whole number from 0 on nor an ISO timestamp from 1970 on, so there is no version")
}
