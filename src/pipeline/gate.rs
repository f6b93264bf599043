//! Is it newer? The one comparison that makes every duplicate and every late event harmless.

use crate::event::Version;
use crate::state::RowRecord;

/// Whether a change at `version` is to be applied to a row.
///
/// It must be above what was applied to the row last (also when that was its deletion: tombstones are records too), and
/// above the last truncate of its table.
pub fn is_newer(version: Version, record: Option<&RowRecord>, floor: Option<Version>) -> bool {
    record.is_none_or(|record| version > record.version) && floor.is_none_or(|floor| version > floor)
}

#[cfg(test)]
mod tests {
    use super::{RowRecord, Version, is_newer};

    #[test]
    fn old_never_wins() {
        let at = |first, second| Version::new(first, second);
        let row = |version| Some(RowRecord { version, ..RowRecord::default() });
        let deleted = |version| Some(RowRecord { version, deleted_ms: Some(1), ..RowRecord::default() });
        for (what, version, record, floor, newer) in [
            ("a new row, even at zero", at(0, 0), None, None, true),
            ("the same again", at(7, 1), row(at(7, 1)), None, false),
            ("an older one", at(6, 9), row(at(7, 1)), None, false),
            ("a tie of the first part, later in its transaction", at(7, 2), row(at(7, 1)), None, true),
            ("a newer one", at(8, 0), row(at(7, 1)), None, true),
            ("late, after a delete", at(6, 0), deleted(at(7, 0)), None, false),
            ("made again after a delete", at(8, 0), deleted(at(7, 0)), None, true),
            ("a new row from before a truncate", at(7, 0), None, Some(at(8, 0)), false),
            ("a new row after a truncate", at(9, 0), None, Some(at(8, 0)), true),
        ] {
            assert_eq!(is_newer(version, record.as_ref(), floor), newer, "{what}");
        }
    }
}
