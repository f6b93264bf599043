//! Which partitions are ours, and what their lanes are called.

use std::collections::HashMap;
use std::sync::Arc;

use crate::event::Lane;

/// The partitions assigned to us, and how far each has been handed over.
#[derive(Default)]
pub(super) struct Lanes {
    by_topic: HashMap<Arc<str>, HashMap<i32, Reading>>,
    /// How many came so far.
    tenures: u64,
}

/// How far one partition has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// `topic/partition`, shared by all of its messages.
    pub(super) lane: Lane,
    /// The topic, shared likewise.
    pub(super) topic: Arc<str>,
    /// The partition.
    pub(super) partition: i32,
    /// Where it stands; none until the first record when the place to start could not be asked for.
    pub(super) position: Option<u64>,
    /// How often in a row the position was seen to lie beyond the end.
    pub(super) beyond: u32,
    /// Another whenever the partition is assigned to us.
    pub(super) tenure: u64,
}

/// The lane of a partition.
pub(super) fn lane_name(topic: &str, partition: i32) -> Lane {
    format!("{topic}/{partition}").into()
}

/// The partition of a lane.
pub(super) fn partition_of(lane: &str) -> Option<(&str, i32)> {
    let (topic, partition) = lane.rsplit_once('/')?;
    Some((topic, partition.parse().ok()?))
}

impl Lanes {
    /// A partition is ours from `position` on.
    pub(super) fn insert(&mut self, topic: &str, partition: i32, position: Option<u64>) {
        self.tenures += 1;
        let shared = self.by_topic.get_key_value(topic).map_or_else(|| Arc::from(topic), |(shared, _)| Arc::clone(shared));
        let lane = lane_name(topic, partition);
        let reading = Reading { lane, topic: Arc::clone(&shared), partition, position, beyond: 0, tenure: self.tenures };
        self.by_topic.entry(shared).or_default().insert(partition, reading);
    }

    /// A partition is no longer ours.
    pub(super) fn remove(&mut self, topic: &str, partition: i32) {
        if let Some(partitions) = self.by_topic.get_mut(topic) {
            partitions.remove(&partition);
        }
    }

    /// Whether a partition is ours.
    pub(super) fn holds(&self, topic: &str, partition: i32) -> bool {
        self.by_topic.get(topic).is_some_and(|partitions| partitions.contains_key(&partition))
    }

    /// What is known of a partition of ours.
    pub(super) fn get_mut(&mut self, topic: &str, partition: i32) -> Option<&mut Reading> {
        self.by_topic.get_mut(topic)?.get_mut(&partition)
    }

    /// All partitions of ours.
    pub(super) fn all(&self) -> impl Iterator<Item = &Reading> {
        self.by_topic.values().flat_map(HashMap::values)
    }
}
