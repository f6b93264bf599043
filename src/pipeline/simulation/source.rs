//! The partitions, read from the stored positions in stretches by chance; a lane may start again at any time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt;

use super::database::{Entry, PARTITIONS, lane};
use super::{Chance, coverage, trace};
use crate::error::Failure;
use crate::event::Lane;
use crate::pipeline::positions::Positions;
use crate::source::{Arrival, Source, StoredPositions};

pub struct SimSource {
    log: Vec<Vec<Entry>>,
    /// The next entry of each partition.
    next: Vec<usize>,
    positions: Arc<Positions>,
    chance: Chance,
    /// How many more times a lane is started again.
    restarts: u32,
    /// The partitions of this process, where others read the rest.
    held: Option<Vec<usize>>,
    settled: Box<dyn Fn(&[(Lane, u64)]) + Send + Sync>,
}

impl SimSource {
    /// `settled` is told of positions when the pipeline settles them.
    pub fn new(
        log: Vec<Vec<Entry>>,
        positions: Arc<Positions>,
        chance: Chance,
        settled: impl Fn(&[(Lane, u64)]) + Send + Sync + 'static,
    ) -> Self {
        let restarts = chance.lock().unwrap().random_range(0..3);
        let mut source = Self { log, next: Vec::new(), positions, chance, restarts, held: None, settled: Box::new(settled) };
        source.next = (0..PARTITIONS).map(|partition| source.stored(partition)).collect();
        source
    }

    /// Reads these partitions only; others are another process's.
    pub fn holding(self, held: Vec<usize>) -> Self {
        Self { held: Some(held), ..self }
    }

    fn is_held(&self, partition: usize) -> bool {
        self.held.as_ref().is_none_or(|held| held.contains(&partition))
    }

    /// The first entry behind the stored position.
    fn stored(&self, partition: usize) -> usize {
        // Entries have the positions 1, 2, 3 …
        self.positions.position(&lane(partition)).unwrap_or(0) as usize
    }
}

#[async_trait]
impl Source for SimSource {
    async fn next(&mut self) -> Result<Arrival, Failure> {
        let (lane, count, pause, starts_again) = {
            let mut chance = self.chance.lock().unwrap();
            (chance.random_range(0..PARTITIONS), chance.random_range(1..9), chance.random_range(0..20), chance.random_bool(0.03))
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if starts_again && self.restarts > 0 {
            coverage::saw("lane started again");
            self.restarts -= 1;
            self.next[lane] = self.stored(lane);
        }
        let has_more = |lane: usize| self.is_held(lane) && self.next[lane] < self.log[lane].len();
        let lane = if has_more(lane) { lane } else { (lane + 1) % PARTITIONS };
        if !has_more(lane) {
            return Ok(Arrival::Finished);
        }
        let mut messages = Vec::new();
        for entry in self.log[lane].iter().skip(self.next[lane]).take(count) {
            match entry {
                Entry::Message(message) => {
                    trace::say(|| format!("{} {:?} {:?} {:?}", message.origin, message.key, message.headers, message.value));
                    messages.push(message.clone());
                }
                Entry::Marker(position) if messages.is_empty() => {
                    self.next[lane] += 1;
                    return Ok(Arrival::Passed { lane: super::database::lane(lane).into(), position: *position });
                }
                Entry::Marker(_) => break,
            }
        }
        self.next[lane] += messages.len();
        Ok(Arrival::Messages(messages))
    }

    fn settle(&self, positions: &[(Lane, u64)]) {
        (self.settled)(positions);
    }

    async fn ends(&self) -> Result<Vec<(Lane, u64)>, Failure> {
        Ok(Vec::new())
    }

    fn newest(&self) -> Vec<(Lane, u64)> {
        let held = self.log.iter().enumerate().filter(|(partition, _)| self.is_held(*partition));
        held.map(|(partition, log)| (lane(partition).into(), log.len() as u64)).collect()
    }

    fn lanes(&self) -> Option<Vec<(Lane, u64)>> {
        self.held.as_ref().map(|held| held.iter().map(|partition| (lane(*partition).into(), 1)).collect())
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
