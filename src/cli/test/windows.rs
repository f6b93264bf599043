//! What a module of the world `aggregate` counts, as rows for it to render: windows without lateness, all closed at the end.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::aggregate::fields::time_of;
use crate::aggregate::settings::AggregateSettings;
use crate::aggregate::{Counted, Row, Shape, Span};
use crate::event::Change;
use crate::transform::{Outcome, Output};

/// The rows of all windows, each with the line of the last event that counted for it; ranked by their sums.
pub fn rows(changes: &[Change], outcomes: &[Outcome], events: &[u64], size: Option<Duration>) -> Vec<(u64, Row)> {
    let size_ms = size.map(|size| u64::try_from(size.as_millis()).unwrap_or(u64::MAX).max(1));
    let shape = size_ms.map_or(Shape::All, |size_ms| Shape::Hopping { size_ms, hop_ms: size_ms });
    let half_life_ms = size_ms.or(Some(600_000));
    let settings = AggregateSettings {
        append_only: true,
        extremes: true,
        distinct: true,
        average: true,
        half_life_ms,
        ..AggregateSettings::plain(shape)
    };
    let mut windows: BTreeMap<u64, BTreeMap<_, (u64, Counted)>> = BTreeMap::new();
    let mut newest_ms = 0;
    for ((change, outcome), event) in changes.iter().zip(outcomes).zip(events) {
        for output in outcome.iter().flatten() {
            let Output::Measure(measure) = output else { continue };
            // What has no time is in no window: its measure, which is shown, says so.
            let time_ms = match time_of(measure, change) {
                Ok(time_ms) => time_ms,
                Err(_) if size.is_some() => continue,
                Err(_) => 0,
            };
            newest_ms = newest_ms.max(time_ms);
            for start_ms in shape.starts(time_ms) {
                let (last, counted) = windows.entry(start_ms).or_default().entry(measure.key.clone()).or_default();
                *last = *event;
                counted.add(&settings, measure, time_ms);
            }
        }
    }
    let mut rows = Vec::new();
    for (start_ms, keys) in windows {
        let span = size.map(|_| Span::new(start_ms, shape.end(start_ms)));
        let mut ranked: Vec<_> = keys.into_iter().collect();
        ranked.sort_by_key(|(_, (_, counted))| Reverse(counted.rank(&settings)));
        for (place, (key, (event, counted))) in ranked.into_iter().enumerate() {
            let row = Row::of(&settings, key, span.clone(), &counted, newest_ms);
            rows.push((event, Row { rank: u32::try_from(place + 1).ok(), is_final: true, ..row }));
        }
    }
    rows
}
