//! How time is cut into windows.

/// Which windows there are. All are aligned to 1970-01-01 UTC, so a window is known by its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One for all time: the aggregate of a whole table.
    All,
    /// Of `size_ms`, a new one every `hop_ms`; tumbling where they are the same.
    Hopping {
        /// How long each is.
        size_ms: u64,
        /// How long until the next one starts.
        hop_ms: u64,
    },
    /// As long as a key's events follow each other within `gap_ms`.
    Session {
        /// What parts two of them.
        gap_ms: u64,
    },
}

impl Shape {
    /// The starts of the windows that a time falls into, the last one first; of sessions there are none.
    pub fn starts(self, time_ms: u64) -> impl Iterator<Item = u64> {
        let (first, hop_ms, count) = match self {
            Shape::All => (0, 1, 1),
            Shape::Hopping { size_ms, hop_ms } => {
                let last = time_ms - time_ms % hop_ms;
                // Those before it that are long enough, and none before 1970.
                let inside = size_ms.saturating_sub(1).saturating_sub(time_ms - last) / hop_ms;
                let covers = size_ms > time_ms - last;
                (last, hop_ms, if covers { 1 + inside.min(last / hop_ms) } else { 0 })
            }
            Shape::Session { .. } => (0, 1, 0),
        };
        (0..count).map(move |place| first - place * hop_ms)
    }

    /// Where the window that starts at `start_ms` ends.
    pub fn end(self, start_ms: u64) -> u64 {
        match self {
            Shape::All | Shape::Session { .. } => u64::MAX,
            Shape::Hopping { size_ms, .. } => start_ms.saturating_add(size_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn a_time_falls_into_the_windows_that_hold_it() {
        for (size_ms, hop_ms, time_ms, starts) in [
            (10, 10, 0, &[0][..]),
            (10, 10, 9, &[0]),
            (10, 10, 10, &[10]),
            (10, 5, 7, &[5, 0]),
            (10, 5, 12, &[10, 5]),
            (10, 4, 9, &[8, 4, 0]),
            (10, 4, 10, &[8, 4]),
            // Hops longer than windows leave times that nothing counts.
            (5, 10, 4, &[0]),
            (5, 10, 5, &[]),
        ] {
            assert_eq!(Shape::Hopping { size_ms, hop_ms }.starts(time_ms).collect::<Vec<_>>(), starts, "{size_ms} {hop_ms} {time_ms}");
        }
        assert_eq!(Shape::All.starts(7).collect::<Vec<_>>(), [0]);
    }

    proptest::proptest! {
        #[test]
        fn those_and_no_others(size_ms in 1..200_u64, hop_ms in 1..200_u64, time_ms in 0..1_000_u64) {
            let shape = Shape::Hopping { size_ms, hop_ms };
            let all = (0..=time_ms).filter(|start| start % hop_ms == 0 && time_ms < shape.end(*start));
            let mut starts: Vec<u64> = shape.starts(time_ms).collect();
            starts.reverse();
            proptest::prop_assert_eq!(starts, all.collect::<Vec<_>>());
        }
    }
}
