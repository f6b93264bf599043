//! Dead letters on their way to a sink of their own, beside the state.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::error::Failure;
use crate::event::{Action, DocumentVersion, JsonText, Write};
use crate::pipeline::deliver::{Answer, Deliverer};
use crate::pipeline::status::DeadLetterStatus;
use crate::state::DeadLetter;

/// Sends dead letters to a topic or an index. Cheap to clone.
#[derive(Clone)]
pub struct Courier {
    deliverer: Deliverer,
    index: Arc<str>,
    pipeline: Arc<str>,
    /// Whether the state keeps them too: then one that the sink refuses is not lost.
    is_kept: bool,
}

impl Courier {
    /// For the letters of one pipeline, which go to `index`.
    pub fn new(deliverer: Deliverer, index: &str, pipeline: &str, is_kept: bool) -> Self {
        Self { deliverer, index: index.into(), pipeline: pipeline.into(), is_kept }
    }

    /// Reaches out to the sink until it answers.
    pub async fn prepare(&self) -> Result<(), Failure> {
        self.deliverer.prepare(Some(&self.index)).await
    }

    /// The letters as JSON, each under where its event stood: one that is sent again takes its own place.
    pub fn writes(&self, letters: &[DeadLetter]) -> Vec<Write> {
        letters.iter().map(|letter| self.write(letter)).collect()
    }

    /// Sends them, for as long as it takes.
    pub async fn deliver(&self, writes: &[Write]) -> Result<(), Failure> {
        let answers = self.deliverer.deliver(writes).await?;
        for (write, answer) in writes.iter().zip(answers) {
            let Answer::Refused(reason) = answer else { continue };
            let message = format!("the dead letter of {} was refused by its own sink: {reason}", write.id);
            if !self.is_kept {
                return Err(Failure::misconfigured(format!("{message}: keep dead letters in the state (dead_letters.max_count)")));
            }
            tracing::warn!(pipeline = &*self.pipeline, "{message}: it is kept in the state alone");
        }
        Ok(())
    }

    fn write(&self, letter: &DeadLetter) -> Write {
        let (topic, partition, offset) = &letter.origin;
        let id = format!("{}/{topic}/{partition}@{offset}", self.pipeline);
        let mut body = json!(DeadLetterStatus::new(letter.clone(), usize::MAX));
        if let Some(fields) = body.as_object_mut() {
            // The number is given with the commit, which comes after this.
            fields.remove("id");
            fields.insert("pipeline".to_owned(), Value::from(&*self.pipeline));
        }
        Write {
            index: self.index.clone(),
            id: id.into(),
            routing: None,
            version: DocumentVersion(letter.at_ms),
            action: Action::Index(JsonText::from(body.to_string())),
        }
    }
}
