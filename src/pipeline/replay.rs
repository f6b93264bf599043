//! Dead letters played again.
//!
//! A replay carries the version its event had, and goes through the same gate: what is newer stays. One case is let through that the gate
//! would hold: the row stands at the very version of the letter, because the event was applied to the row before the transform or the sink
//! refused its documents. Then nothing newer can be overwritten, and only the documents are made again.

use std::sync::Arc;

use bytestring::ByteString;

use crate::error::Failure;
use crate::event::{Change, JsonText, Key, Message, Operation, Origin, Version};
use crate::pipeline::batch::Event;
use crate::pipeline::process::{self, Processor};
use crate::pipeline::work::Work;
use crate::source::decode::{DecodeError, Decoded, Decoder, LaneMemory};
use crate::state::{DeadCause, DeadLetter, Effects, RowRecord, Shown, WindowEffects};

/// The dead letter that an event is replayed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The letter's number: it keeps it when it dies again.
    pub id: u64,
    /// How often it was replayed before.
    pub replays: u32,
    /// Whether anything was known of the row before the event.
    pub is_known: bool,
    /// It is about a row, as the state has it, and no event.
    pub is_row: bool,
}

impl Replay {
    /// Whether a change was applied to its row already. A row alone is brought to what the state has of it.
    pub fn is_again(&self, change: &mut Change, record: Option<&RowRecord>, floor: Option<Version>) -> bool {
        let Some(record) = record else { return false };
        if self.is_row {
            change.version = record.version;
            change.operation = if record.deleted_ms.is_some() { Operation::Delete } else { Operation::Refresh };
            return true;
        }
        record.version == change.version && floor.is_none_or(|floor| change.version > floor)
    }
}

impl Processor {
    /// Works out dead letters as a batch of their own. With its effects they go, but for those that die again.
    pub fn replay(&mut self, letters: Vec<DeadLetter>, decoder: &mut Decoder) -> Result<Work, Failure> {
        let replayed = letters.iter().map(|letter| letter.id).collect();
        let (mut events, mut windows) = (Vec::with_capacity(letters.len()), WindowEffects::default());
        for letter in letters {
            if let (DeadCause::Window { start_ms, key }, Some(open)) = (&letter.cause, &mut self.windows)
                && open.show(*start_ms, &ByteString::from(key.as_str()))
            {
                // It is rendered again as it is now, and if it is refused again, that is told.
                let key = self.state.cell_key(*start_ms, key);
                let shown = self.state.shown(std::slice::from_ref(&key))?.pop().flatten();
                let shown = shown.map(|shown| Shown { is_refused: false, ..shown }).filter(|shown| !shown.is_empty());
                windows.shown.push((key, shown));
                continue;
            }
            events.push(event(letter, decoder).into());
        }
        self.work_out_events(events, Effects { replayed, windows, ..Effects::default() })
    }
}

fn event(letter: DeadLetter, decoder: &mut Decoder) -> Event {
    let DeadLetter { id, replays, origin: (topic, partition, offset), table, key, version, cause, .. } = letter;
    let origin = Origin { topic: topic.into(), partition, offset };
    let mut replay = Replay { id, replays, is_known: true, is_row: false };
    let (message, memory, decoded) = match cause {
        DeadCause::Event(event) => {
            let mut memory: LaneMemory = serde_json::from_slice(&event.memory).unwrap_or_default();
            // The tombstone that was taken for a delete of its own is not the second word on it.
            memory.deleted_key = None;
            replay.is_known = event.is_known;
            let message = event.into_message(origin);
            let decoded = decoder.decode(&message, &mut memory.clone());
            let decoded = decoded.and_then(|decoded| as_it_was(decoded, version, &message));
            (message, memory, decoded)
        }
        DeadCause::Row { key: json } => {
            replay.is_row = true;
            let message = nothing_at(origin);
            let change = refresh(table.unwrap_or_default().into(), key.unwrap_or_default(), json, &message);
            (message, LaneMemory::default(), Ok(Decoded::Change(change)))
        }
        DeadCause::Window { .. } => {
            let reason = "the row's window is closed: its documents stay as they are; drop this letter".to_owned();
            (nothing_at(origin), LaneMemory::default(), Err(DecodeError { reason, key, table: None, version: None }))
        }
        DeadCause::TooLarge => {
            let reason = "the event was too large to be kept: read the source again".to_owned();
            (nothing_at(origin), LaneMemory::default(), Err(DecodeError { reason, key, table: table.map(Arc::from), version }))
        }
    };
    Event { message, memory, decoded, replay: Some(replay) }
}

/// A replay carries the version the event had.
fn as_it_was(decoded: Decoded, version: Option<Version>, message: &Message) -> Result<Decoded, DecodeError> {
    match (decoded, version) {
        (Decoded::Change(change), Some(version)) => Ok(Decoded::Change(Change { version, ..change })),
        (Decoded::Tombstone { table, key }, Some(version)) => Ok(Decoded::Change(process::delete(table, key, version, message))),
        (Decoded::Tombstone { table, key }, None) => Err(not_replayed("a tombstone without a version", table, Some(key))),
        (Decoded::Truncate { table, .. }, _) => Err(not_replayed("the emptying of a table", table, None)),
        (decoded, _) => Ok(decoded),
    }
}

fn not_replayed(what: &str, table: Arc<str>, key: Option<Key>) -> DecodeError {
    let reason = format!("{what} is not replayed, for rows may have come since: compare the table with its index, and drop this letter");
    DecodeError { reason, key: key.map(|key| key.id.to_string()), table: Some(table), version: None }
}

fn nothing_at(origin: Origin) -> Message {
    let lane = origin.topic.clone();
    Message { lane, position: 0, origin, timestamp_ms: 0, key: None, value: None, headers: Vec::new() }
}

fn refresh(table: Arc<str>, id: String, json: String, message: &Message) -> Change {
    let key = Key { id: id.into(), json: JsonText::from(json) };
    let change = process::delete(table, key, Version::default(), message);
    Change { operation: Operation::Refresh, ..change }
}
