//! What a function answers, and how many outputs that is.

use crate::document::{Document, DocumentRef, Message};
use crate::error::{Error, Result};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write a document.
    Index(Document),
    /// Delete a document.
    Delete(DocumentRef),
    /// Send a message on.
    Emit(Message),
    /// This change cannot be used: it becomes a dead letter with this reason.
    Reject(String),
}

/// One result, and which change of the batch it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The change's place in the batch, from 0.
    pub change: u32,
    /// What is to be done.
    pub action: Action,
}

/// Several outputs of one change: `outputs.index(document); outputs.emit(message); Ok(outputs)`.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Outputs {
    actions: Vec<Action>,
}

impl Outputs {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a document.
    pub fn index(&mut self, document: Document) {
        self.actions.push(Action::Index(document));
    }

    /// Deletes a document.
    pub fn delete(&mut self, document: DocumentRef) {
        self.actions.push(Action::Delete(document));
    }

    /// Sends a message.
    pub fn emit(&mut self, message: Message) {
        self.actions.push(Action::Emit(message));
    }
}

/// What a transform's function may return: a [`Document`], a [`Message`], [`Outputs`], an `Option` or a `Vec` of those,
/// and each of them in a [`Result`]. What is measured answers in the same way, with a [`Measure`](crate::Measure).
pub trait Answer<Item = Action> {
    /// Hands every item to `put`.
    ///
    /// # Errors
    /// The change is rejected; nothing has been put.
    fn answer(self, put: &mut impl FnMut(Item)) -> Result<()>;
}

impl Answer for Document {
    fn answer(self, put: &mut impl FnMut(Action)) -> Result<()> {
        put(Action::Index(self));
        Ok(())
    }
}

impl Answer for Message {
    fn answer(self, put: &mut impl FnMut(Action)) -> Result<()> {
        put(Action::Emit(self));
        Ok(())
    }
}

impl Answer for Outputs {
    fn answer(self, put: &mut impl FnMut(Action)) -> Result<()> {
        self.actions.into_iter().for_each(put);
        Ok(())
    }
}

impl<I, T: Infallible<I>> Answer<I> for Option<T> {
    fn answer(self, put: &mut impl FnMut(I)) -> Result<()> {
        self.map_or(Ok(()), |one| one.answer(put))
    }
}

impl<I, T: Infallible<I>> Answer<I> for Vec<T> {
    fn answer(self, put: &mut impl FnMut(I)) -> Result<()> {
        self.into_iter().try_for_each(|one| one.answer(put))
    }
}

impl<I, T: Infallible<I>> Answer<I> for Result<T, Error> {
    fn answer(self, put: &mut impl FnMut(I)) -> Result<()> {
        self?.answer(put)
    }
}

/// Answers that are no `Result`: so that no list can be half put when one of its items fails.
pub trait Infallible<Item = Action>: Answer<Item> {}
impl Infallible for Document {}
impl Infallible for Message {}
impl Infallible for Outputs {}
impl<I, T: Infallible<I>> Infallible<I> for Option<T> {}
impl<I, T: Infallible<I>> Infallible<I> for Vec<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::reject;

    fn count(answer: impl Answer) -> Result<usize> {
        let mut count = 0;
        answer.answer(&mut |_| count += 1).map(|()| count)
    }

    #[test]
    fn answers_come_in_many_shapes() {
        let document = || Document::from_text("{}");
        assert_eq!(count(document()).unwrap(), 1);
        assert_eq!(count(None::<Document>).unwrap(), 0);
        assert_eq!(count(Ok(vec![document(), document()])).unwrap(), 2);
        assert_eq!(count(Err::<Document, _>(reject("no"))).unwrap_err().reason(), "no");
        let mut outputs = Outputs::new();
        outputs.index(document());
        outputs.delete(DocumentRef::of_row().id(3));
        outputs.emit(Message::new("topic", &1).unwrap());
        assert_eq!(count(Ok(Some(outputs))).unwrap(), 3);
    }
}
