//! How messages are read: data.

use crate::settings::Section;

/// How messages of one pipeline are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeSettings {
    /// What a value is.
    pub format: Format,
    /// Where a change's version stands.
    pub version: VersionFrom,
}

impl DecodeSettings {
    /// What versions are counted in: versions of different units cannot be compared.
    pub fn version_unit(&self) -> String {
        match &self.version {
            VersionFrom::Auto if self.format == Format::Json => "offset".to_owned(),
            VersionFrom::Auto => "auto".to_owned(),
            VersionFrom::Lsn => "lsn".to_owned(),
            VersionFrom::Offset => "offset".to_owned(),
            VersionFrom::Field(name) => format!("field:{name}"),
            VersionFrom::Header(name) => format!("header:{name}"),
        }
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Debezium's envelope or its unwrapped form, with or without schema: detected.
    Debezium,
    /// Plain rows; the key is the message's key.
    Json,
}

/// Where a change's version stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionFrom {
    /// What suits the source.
    Auto,
    /// Postgres' LSN alone.
    Lsn,
    /// The Kafka offset.
    Offset,
    /// A field of the row or of the envelope.
    Field(String),
    /// A header.
    Header(String),
}

/// Reads `[pipelines.….source.decode]`.
pub fn read(section: &Section<'_>) -> DecodeSettings {
    let format = section.choice("format", Format::Debezium, &[("debezium", Format::Debezium), ("json", Format::Json)]);
    let text = section.string("version").unwrap_or_else(|| "auto".to_owned());
    section.comes_to("version", "\"auto\"".to_owned(), &text);
    let version = match text.split_once(':') {
        Some(("field", name)) if !name.is_empty() => VersionFrom::Field(name.to_owned()),
        Some(("header", name)) if !name.is_empty() => VersionFrom::Header(name.to_owned()),
        _ => match text.as_str() {
            "auto" => VersionFrom::Auto,
            "lsn" => VersionFrom::Lsn,
            "offset" => VersionFrom::Offset,
            _ => {
                section.problem("version", "must be one of \"auto\", \"lsn\", \"offset\", \"field:NAME\", \"header:NAME\"");
                VersionFrom::Auto
            }
        },
    };
    DecodeSettings { format, version }
}
