//! The last changes that reached the transform: new code is tried on them, and people take samples of them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::event::{Change, Message};
use crate::limits;
use crate::pipeline::work::Sourced;
use crate::transform::Outcome;

/// The last changes, bounded by count and bytes.
#[derive(Debug, Default)]
pub struct RecentChanges(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    change: Change,
    /// The event; none for what an event brings about besides its own change.
    message: Option<Message>,
    /// Whether the code that served then took it.
    is_good: bool,
    bytes: usize,
}

impl RecentChanges {
    /// Notes those of a batch.
    pub fn note(&self, changes: &[Change], sources: &[Sourced], outcomes: &[Outcome]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let unneeded = changes.len().saturating_sub(limits::RECENT_CHANGES_MAX);
        for ((change, source), outcome) in changes.iter().zip(sources).zip(outcomes).skip(unneeded) {
            let row = |row: &Option<crate::event::JsonText>| row.as_ref().map_or(0, |row| row.len());
            let message = source.message.clone();
            let bytes = message.as_ref().map_or(0, Message::size_bytes).max(row(&change.after) + row(&change.before));
            kept.entries.push_back(Entry { change: change.clone(), message, is_good: outcome.is_ok(), bytes });
            kept.bytes += bytes;
            while kept.entries.len() > limits::RECENT_CHANGES_MAX || kept.bytes > limits::RECENT_CHANGES_BYTES_MAX {
                let gone = kept.entries.pop_front().map_or(0, |entry| entry.bytes);
                kept.bytes -= gone;
            }
        }
    }

    /// The changes that came to something, oldest first.
    pub fn good(&self) -> Vec<Change> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entries.iter().filter(|entry| entry.is_good).map(|entry| entry.change.clone()).collect()
    }

    /// The last `limit` events, oldest first, those that were rejected among them.
    pub fn events(&self, limit: usize) -> Vec<Message> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut events: Vec<Message> = kept.entries.iter().rev().filter_map(|entry| entry.message.clone()).take(limit).collect();
        events.reverse();
        events
    }
}

#[cfg(test)]
mod tests {
    use super::RecentChanges;
    use crate::event::{Change, Message, Origin, Version};
    use crate::limits::{RECENT_CHANGES_BYTES_MAX, RECENT_CHANGES_MAX};
    use crate::pipeline::work::Sourced;
    use crate::source::decode::LaneMemory;

    fn change(number: u64, bytes: usize) -> Change {
        Change { version: Version::new(number, 0), ..Change::inserted("x".repeat(bytes)) }
    }

    fn source() -> Sourced {
        let origin = Origin { topic: "t".into(), partition: 0, offset: 0 };
        let message = Message { lane: "l".into(), position: 0, origin, timestamp_ms: 0, key: None, value: None, headers: Vec::new() };
        Sourced::of_event(message, LaneMemory::default(), None)
    }

    fn kept(recent: &RecentChanges) -> Vec<u64> {
        recent.good().iter().map(|change| change.version.first).collect()
    }

    #[test]
    fn the_last_ones_are_kept_over_batches_of_any_size() {
        let recent = RecentChanges::default();
        for number in 0..3 {
            recent.note(&[change(number, 1)], &[source()], &[Ok(Vec::new())]);
        }
        assert_eq!(kept(&recent), [0, 1, 2]);
        recent.note(&[change(3, 1)], &[source()], &[Err("no".to_owned())]);
        assert_eq!(kept(&recent), [0, 1, 2], "what was rejected proves nothing");
        assert_eq!((recent.events(10).len(), recent.events(3).len()), (4, 3), "but it is worth a look");
        let many: Vec<_> = (10..10 + 2 * RECENT_CHANGES_MAX as u64).map(|number| change(number, 1)).collect();
        let (sources, outcomes) = (many.iter().map(|_| source()).collect::<Vec<_>>(), vec![Ok(Vec::new()); many.len()]);
        recent.note(&many, &sources, &outcomes);
        assert_eq!((kept(&recent).len(), kept(&recent)[0]), (RECENT_CHANGES_MAX, 10 + RECENT_CHANGES_MAX as u64));
        for number in 0..3 {
            recent.note(&[change(number, RECENT_CHANGES_BYTES_MAX / 2)], &[source()], &[Ok(Vec::new())]);
        }
        assert_eq!(kept(&recent), [1, 2]);
    }
}
