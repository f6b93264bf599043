//! Windows that follow their events: a key's session lasts as long as its events follow each other within a gap.

use serde::{Deserialize, Serialize};

use crate::aggregate::Counted;
use crate::aggregate::settings::AggregateSettings;
use crate::event::Measure;

/// The open sessions of one key, in order of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sessions {
    /// The sessions; between two of them is more than the gap, but where one is closed: that stays here until it has been shown.
    pub open: Vec<Session>,
    /// Starts of sessions that may be shown: what is not among `open` any more is to be deleted.
    pub shown: Vec<u64>,
}

/// One session: from its first event to its last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Time of the first event.
    pub first_ms: u64,
    /// Time of the last one.
    pub last_ms: u64,
    /// What was counted, where nothing is ever taken back.
    counted: Counted,
    /// Every measure by its time, where they may be: a session falls apart when the one goes that held it together.
    measures: Vec<(u64, Measure)>,
}

impl Session {
    fn of(settings: &AggregateSettings, measure: &Measure, time_ms: u64) -> Self {
        let mut session = Self { first_ms: time_ms, last_ms: time_ms, counted: Counted::default(), measures: Vec::new() };
        if settings.append_only {
            session.counted.add(settings, measure, time_ms);
        } else {
            session.measures.push((time_ms, measure.clone()));
        }
        session
    }

    fn join(&mut self, settings: &AggregateSettings, other: Session) {
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
        self.counted.merge(settings, &other.counted);
        self.measures.extend(other.measures);
        self.measures.sort_by_key(|(time_ms, _)| *time_ms);
    }

    /// What was counted.
    pub fn counted(&self, settings: &AggregateSettings) -> Counted {
        if settings.append_only {
            return self.counted.clone();
        }
        // All of it is here: so it is counted as what is never taken back.
        let settings = AggregateSettings { append_only: true, ..settings.clone() };
        let mut counted = Counted::default();
        for (time_ms, measure) in &self.measures {
            counted.add(&settings, measure, *time_ms);
        }
        counted
    }

    /// What it takes in memory.
    pub(super) fn size_bytes(&self) -> usize {
        self.counted.size_bytes() + self.measures.iter().map(|(_, measure)| size_of_val(measure) + measure.key.len()).sum::<usize>()
    }

    /// When nothing can be added to it any more, but for the grace.
    pub fn end_ms(&self, gap_ms: u64) -> u64 {
        self.last_ms.saturating_add(gap_ms)
    }
}

impl Sessions {
    /// Adds a measure: to the session it falls into, to one of its own, or joining several.
    /// False: it is too late, at that watermark. A session that is closed does not change, and none begins where one may be closed: its
    /// start, which tells it from others, could be the same.
    pub fn add(&mut self, settings: &AggregateSettings, measure: &Measure, time_ms: u64, gap_ms: u64, watermark_ms: u64) -> bool {
        let mut session = Session::of(settings, measure, time_ms);
        let is_open = |session: &Session| settings.closes_at(session.end_ms(gap_ms)) > watermark_ms;
        let is_near =
            |other: &Session| is_open(other) && other.first_ms <= time_ms.saturating_add(gap_ms) && time_ms <= other.end_ms(gap_ms);
        if !is_open(&session) && !self.open.iter().any(|other| is_near(other) && other.first_ms <= time_ms) {
            return false;
        }
        let (near, apart) = std::mem::take(&mut self.open).into_iter().partition(is_near);
        self.open = apart;
        for other in near {
            session.join(settings, other);
        }
        let place = self.open.partition_point(|other| other.first_ms < session.first_ms);
        self.open.insert(place, session);
        true
    }

    /// Takes a measure back; false: its session is closed.
    pub fn take_back(&mut self, settings: &AggregateSettings, measure: &Measure, time_ms: u64, gap_ms: u64, watermark_ms: u64) -> bool {
        let is_open = |session: &Session| settings.closes_at(session.end_ms(gap_ms)) > watermark_ms;
        let holds = |session: &Session| is_open(session) && session.first_ms <= time_ms && time_ms <= session.last_ms;
        let Some(place) = self.open.iter().position(holds) else { return false };
        let mut session = self.open.remove(place);
        let Some(at) = session.measures.iter().position(|kept| kept.0 == time_ms && kept.1 == *measure) else {
            self.open.insert(place, session);
            return false;
        };
        session.measures.remove(at);
        let mut parts: Vec<Session> = Vec::new();
        for (time_ms, measure) in session.measures {
            match parts.last_mut() {
                Some(part) if time_ms <= part.end_ms(gap_ms) => {
                    part.last_ms = time_ms;
                    part.measures.push((time_ms, measure));
                }
                _ => {
                    let measures = vec![(time_ms, measure)];
                    parts.push(Session { first_ms: time_ms, last_ms: time_ms, counted: Counted::default(), measures });
                }
            }
        }
        self.open.splice(place..place, parts);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Sessions;
    use crate::aggregate::settings::AggregateSettings;
    use crate::event::Measure;

    const GAP: u64 = 10;

    fn measure(number: usize) -> Measure {
        Measure { key: "k".into(), time_ms: None, weight: number.into(), distinct: Some(number as u64) }
    }

    /// First, last and count of each session, by the definition.
    fn expected(mut times: Vec<u64>) -> Vec<(u64, u64, u64)> {
        times.sort_unstable();
        let mut sessions: Vec<(u64, u64, u64)> = Vec::new();
        for time in times {
            match sessions.last_mut() {
                Some((_, last, count)) if time <= *last + GAP => (*last, *count) = (time, *count + 1),
                _ => sessions.push((time, time, 1)),
            }
        }
        sessions
    }

    fn shown(sessions: &Sessions, settings: &AggregateSettings) -> Vec<(u64, u64, u64)> {
        sessions.open.iter().map(|session| (session.first_ms, session.last_ms, session.counted(settings).count)).collect()
    }

    #[test]
    fn a_closed_session_does_not_change() {
        for append_only in [true, false] {
            let settings = AggregateSettings { append_only, grace_ms: 5, ..AggregateSettings::of_everything() };
            let mut sessions = Sessions::default();
            assert!(sessions.add(&settings, &measure(0), 100, GAP, 0));
            // With the second it ends at 111 and is closed at 116.
            assert!(sessions.add(&settings, &measure(1), 101, GAP, 114));
            assert!(!sessions.add(&settings, &measure(2), 101, GAP, 116), "too late for any");
            assert!(sessions.add(&settings, &measure(3), 108, GAP, 116), "a session of its own");
            assert_eq!(shown(&sessions, &settings), [(100, 101, 2), (108, 108, 1)]);
            assert!(!sessions.add(&settings, &measure(4), 100, GAP, 119), "within reach of the second, which would begin as the first did");
            assert!(!sessions.add(&settings, &measure(4), 103, GAP, 119));
            assert!(sessions.add(&settings, &measure(5), 104, GAP, 118), "before it, in time");
            assert!(sessions.add(&settings, &measure(6), 106, GAP, 122), "late, but within a session that is open");
            assert_eq!(shown(&sessions, &settings), [(100, 101, 2), (104, 108, 3)]);
            if !append_only {
                assert!(!sessions.take_back(&settings, &measure(0), 100, GAP, 122));
                assert!(sessions.take_back(&settings, &measure(6), 106, GAP, 122));
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn sessions_join_and_fall_apart_as_the_definition_says(
            times in proptest::collection::vec(0..150_u64, 1..40),
            gone in proptest::collection::vec(proptest::prelude::any::<bool>(), 40),
        ) {
            for append_only in [true, false] {
                let settings = AggregateSettings { append_only, ..AggregateSettings::of_everything() };
                let mut sessions = Sessions::default();
                for (number, time) in times.iter().enumerate() {
                    proptest::prop_assert!(sessions.add(&settings, &measure(number), *time, GAP, 0));
                }
                proptest::prop_assert_eq!(shown(&sessions, &settings), expected(times.clone()));
                if append_only { continue }
                let mut left = Vec::new();
                for (number, (time, is_gone)) in times.iter().zip(&gone).enumerate() {
                    if *is_gone {
                        proptest::prop_assert!(sessions.take_back(&settings, &measure(number), *time, GAP, 0));
                    } else {
                        left.push(*time);
                    }
                }
                proptest::prop_assert_eq!(shown(&sessions, &settings), expected(left));
                proptest::prop_assert!(!sessions.take_back(&settings, &measure(1_000), times[0], GAP, 0));
            }
        }
    }
}
