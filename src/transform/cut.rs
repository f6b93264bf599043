//! Cutting a batch into calls.

use crate::event::Change;

/// Parts of `changes`, in order, each of at most `changes_max` changes and `bytes_max` bytes of JSON, and at least one change.
pub fn cut(changes: &[Change], changes_max: usize, bytes_max: usize) -> impl Iterator<Item = &[Change]> {
    let mut rest = changes;
    std::iter::from_fn(move || {
        let (part, tail) = rest.split_at_checked(first_part(rest, changes_max, bytes_max))?;
        rest = tail;
        (!part.is_empty()).then_some(part)
    })
}

fn first_part(changes: &[Change], changes_max: usize, bytes_max: usize) -> usize {
    let mut bytes = 0;
    let fitting = changes.iter().take(changes_max).take_while(|change| {
        bytes += size_bytes(change);
        bytes <= bytes_max
    });
    fitting.count().max(1).min(changes.len())
}

fn size_bytes(change: &Change) -> usize {
    let text = |text: &Option<crate::event::JsonText>| text.as_ref().map_or(0, |text| text.len());
    text(&change.before) + text(&change.after)
}

#[cfg(test)]
mod tests {
    use super::cut;
    use crate::event::Change;

    #[test]
    fn parts_keep_to_both_bounds_and_leave_nothing_out() {
        for (sizes, changes_max, bytes_max, expected) in [
            (&[][..], 3, 10, &[][..]),
            (&[1, 1, 1, 1], 3, 10, &[3, 1]),
            (&[4, 4, 4], 3, 10, &[2, 1]),
            (&[40, 4, 40], 3, 10, &[1, 1, 1]),
            (&[10, 10], 3, 10, &[1, 1]),
        ] {
            let changes: Vec<_> = sizes.iter().map(|size| Change::inserted("x".repeat(*size))).collect();
            let parts: Vec<usize> = cut(&changes, changes_max, bytes_max).map(<[_]>::len).collect();
            assert_eq!(parts, expected, "{sizes:?}");
        }
    }
}
