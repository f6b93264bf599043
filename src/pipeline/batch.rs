//! What was read and waits, and how much of it makes a batch.

use std::collections::VecDeque;

use crate::config::BatchSettings;
use crate::event::{Lane, Message};
use crate::pipeline::replay::Replay;
use crate::source::decode::{DecodeError, Decoded, Decoder, LaneMemory};

/// One step of a lane, waiting for its batch.
#[derive(Clone, Debug)]
pub enum Item {
    /// A message, decoded.
    Event(Box<Event>),
    /// Nothing more comes before this position.
    Passed {
        /// The lane.
        lane: Lane,
        /// Where it stands.
        position: u64,
        /// What decoding remembers of it.
        memory: LaneMemory,
    },
}

impl Item {
    /// The lane, where it stands after this, and what decoding must remember from there on.
    pub fn place(&self) -> (&Lane, u64, &LaneMemory) {
        match self {
            Item::Event(event) => (&event.message.lane, event.message.position, &event.memory),
            Item::Passed { lane, position, memory } => (lane, *position, memory),
        }
    }
}

/// An event with what is needed to set it aside.
#[derive(Clone, Debug)]
pub struct Event {
    /// As it came.
    pub message: Message,
    /// What decoding remembers of its lane after it.
    pub memory: LaneMemory,
    /// What it came to.
    pub decoded: Result<Decoded, DecodeError>,
    /// The dead letter it is replayed from.
    pub replay: Option<Replay>,
}

/// Items in the order they came, until they are taken as a batch.
#[derive(Debug, Default)]
pub struct Backlog {
    items: VecDeque<(Item, usize)>,
    bytes: usize,
    deletes: usize,
}

impl Backlog {
    /// Decodes a message and puts it at the end.
    pub fn push(&mut self, message: Message, decoder: &mut Decoder, memory: &mut LaneMemory) {
        let decoded = decoder.decode(&message, memory);
        let size = message.size_bytes();
        let event = Event { message, memory: memory.clone(), decoded, replay: None };
        self.put(Item::Event(event.into()), size);
    }

    /// Makes room for so many more.
    pub fn reserve(&mut self, items: usize) {
        self.items.reserve(items);
    }

    /// Notes that a lane has moved on without an event.
    pub fn pass(&mut self, lane: Lane, position: u64, memory: &LaneMemory) {
        self.put(Item::Passed { lane, position, memory: memory.clone() }, 0);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether the next item is the emptying of a table, which is handled by itself.
    pub fn starts_with_truncate(&self) -> bool {
        self.items.front().is_some_and(|(item, _)| is_truncate(item))
    }

    /// Whether a batch need not wait for more: it is full, or holds a delete or a truncate, which never wait.
    pub fn is_due(&self, settings: &BatchSettings) -> bool {
        self.is_full(settings) || self.deletes > 0
    }

    /// Whether enough waits for a whole batch.
    pub fn is_full(&self, settings: &BatchSettings) -> bool {
        self.items.len() >= settings.max_documents || self.bytes >= settings.max_bytes
    }

    /// Takes the next batch: all that waits, up to the bounds, and a truncate only by itself.
    pub fn take(&mut self, settings: &BatchSettings) -> Vec<Item> {
        let mut batch = Vec::with_capacity(self.items.len().min(settings.max_documents));
        let mut bytes = 0;
        while let Some((item, size)) = self.items.front() {
            let is_alone = is_truncate(item);
            let is_full = batch.len() >= settings.max_documents || bytes + size > settings.max_bytes || is_alone;
            if is_full && !batch.is_empty() {
                break;
            }
            let Some((item, size)) = self.items.pop_front() else { break };
            bytes += size;
            self.bytes -= size;
            self.deletes -= usize::from(never_waits(&item));
            batch.push(item);
            if is_alone {
                break;
            }
        }
        batch
    }

    fn put(&mut self, item: Item, size: usize) {
        self.bytes += size;
        self.deletes += usize::from(never_waits(&item));
        self.items.push_back((item, size));
    }
}

fn is_truncate(item: &Item) -> bool {
    matches!(item, Item::Event(event) if matches!(event.decoded, Ok(Decoded::Truncate { .. })))
}

fn never_waits(item: &Item) -> bool {
    let Item::Event(event) = item else { return false };
    match &event.decoded {
        Ok(Decoded::Change(change)) => change.is_delete(),
        Ok(Decoded::Tombstone { .. } | Decoded::Truncate { .. }) => true,
        Ok(Decoded::Ignored(_)) | Err(_) => false,
    }
}
