//! What one change counts for.

use bytestring::ByteString;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// What a change adds to the aggregate of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// What is counted: the group.
    #[serde(with = "text")]
    pub key: ByteString,
    /// When, in milliseconds since 1970: this decides the window. None: when the change was committed at the source.
    pub time_ms: Option<u64>,
    /// How much. Decimal, so that what is added and taken back leaves nothing.
    #[serde(with = "decimal")]
    pub weight: Decimal,
    /// Hash of what the aggregate `distinct` tells apart.
    pub distinct: Option<u64>,
}

impl Measure {
    /// The hash of a value to be told apart from others. Stored, so it must never change.
    pub fn hash_of(distinct: &str) -> u64 {
        xxh3_64(distinct.as_bytes())
    }
}

mod text {
    use bytestring::ByteString;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(text: &ByteString, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteString, D::Error> {
        Ok(ByteString::from(<&str>::deserialize(deserializer)?))
    }
}

/// A decimal as its digits and the place of its point: two bytes for a small number.
pub mod decimal {
    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes it.
    pub fn serialize<S: Serializer>(number: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
        (number.mantissa(), number.scale()).serialize(serializer)
    }

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        let (mantissa, scale) = <(i128, u32)>::deserialize(deserializer)?;
        Decimal::try_from_i128_with_scale(mantissa, scale).map_err(serde::de::Error::custom)
    }
}
