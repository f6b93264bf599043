//! Which of two changes of a row is newer, and what its documents are written with.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bits of a document's version below the first part of its row's: room for ties, re-runs and several rows.
const RAISE_BITS: u32 = 8;

/// The place of a change in the history of its row. Compared as a pair, and only within one key.
///
/// Postgres: `(max(end of the last commit, lsn), lsn)`, which grows in delivery order for every key even where
/// transactions interleave. MySQL: `(file << 32 | position, row)`. Others: `(Kafka offset, 0)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Compared first; a document's version is made of it.
    pub first: u64,
    /// Compared where the first parts are equal.
    pub second: u64,
}

impl Version {
    /// Largest first part: its documents' versions fit the signed 63 bits that Elasticsearch keeps.
    pub const FIRST_MAX: u64 = (1 << (63 - RAISE_BITS)) - 1;

    /// A version of two parts.
    pub fn new(first: u64, second: u64) -> Self {
        Self { first, second }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.first, self.second)
    }
}

/// The version a document is written with: what the search server compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DocumentVersion(pub u64);

impl DocumentVersion {
    /// The version for a document made from a row at `version`, when `last` was the last one written.
    ///
    /// `first << 8`, raised to one above `last` where it is not above it. A later change always wins over any number
    /// of raises below 256, even when the local state was lost.
    pub fn after(version: Version, last: Option<DocumentVersion>) -> Self {
        let plain = version.first << RAISE_BITS;
        Self(last.map_or(plain, |last| plain.max(last.0 + 1)))
    }

    /// Whether any change at `version` is above this without being raised: then it need not be remembered.
    pub fn is_surpassed_by(self, version: Version) -> bool {
        self.0 < version.first << RAISE_BITS
    }
}

impl fmt::Display for DocumentVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{DocumentVersion, Version};

    #[test]
    fn a_document_version_is_the_first_part_raised_where_it_ties() {
        let at = |first| Version::new(first, 0);
        let first = DocumentVersion::after(at(100), None);
        assert_eq!(first.0, 25_600);
        let tie = DocumentVersion::after(at(100), Some(first));
        assert_eq!(tie.0, 25_601);
        assert_eq!(DocumentVersion::after(at(101), Some(tie)).0, 25_856);
        assert!(DocumentVersion::after(at(Version::FIRST_MAX), None).0 <= i64::MAX as u64);
    }

    proptest::proptest! {
        #[test]
        fn versions_are_compared_as_pairs(a: (u64, u64), b: (u64, u64)) {
            proptest::prop_assert_eq!(Version::new(a.0, a.1).cmp(&Version::new(b.0, b.1)), a.cmp(&b));
        }

        /// A state that was lost knows of no raises, and what is newer wins all the same.
        #[test]
        fn what_is_newer_wins_over_any_raises_below_256(first in 0..Version::FIRST_MAX, further in 1..1_000_u64, raises in 0..256_u64) {
            let (old, new) = (Version::new(first, 7), Version::new((first + further).min(Version::FIRST_MAX), 0));
            let raised = (0..raises).fold(DocumentVersion::after(old, None), |last, _| {
                let raised = DocumentVersion::after(old, Some(last));
                assert!(raised > last);
                raised
            });
            proptest::prop_assert!(DocumentVersion::after(new, None) > raised && raised.is_surpassed_by(new));
            proptest::prop_assert!(DocumentVersion::after(new, Some(raised)) == DocumentVersion::after(new, None));
            proptest::prop_assert!(!raised.is_surpassed_by(old));
        }

        #[test]
        fn a_document_version_rises_with_every_write(first in 0..=Version::FIRST_MAX, last in 0..i64::MAX as u64) {
            let version = DocumentVersion::after(Version::new(first, 0), Some(DocumentVersion(last)));
            proptest::prop_assert!(version.0 > last && version.0 >= first << 8 && version.0 <= i64::MAX as u64);
        }
    }
}
