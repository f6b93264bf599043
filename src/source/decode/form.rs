//! Messages that differ from one met before in their values only.
//!
//! Checking that a message is JSON, and finding out what it is, is most of the work of decoding, and it comes to the same
//! for all messages of a kind. So a message that was read in full is remembered without its values. The next one is compared
//! with what stands between the values, only the values are checked, and their places tell what is where: the same text
//! around other values is the same JSON with other values.

use std::sync::Arc;

use super::value;
use crate::event::fields::offset;
use crate::limits;

/// The forms met last, each with where its parts are.
#[derive(Clone, Debug)]
pub(super) struct Forms<T> {
    pub known: Vec<Arc<Form<T>>>,
    /// What may be spent on learning: each message earns some of it, and one of a known form more.
    pub credit: usize,
    /// The marks of the message being read.
    marks: Vec<usize>,
}

/// A message without its values.
#[derive(Debug)]
pub(super) struct Form<T> {
    topic: Arc<str>,
    /// What stands before each value and after the last one.
    fixed: Box<[u8]>,
    /// How long that is before each value.
    lengths: Box<[usize]>,
    parts: T,
}

/// A part of all messages of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(Place, Place);

/// So many bytes after a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    mark: u32,
    offset: u32,
}

/// Where a message starts, and where each of its values starts and ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks<'m, 't> {
    text: &'t str,
    marks: &'m [usize],
}

impl<T> Forms<T> {
    /// What `read` makes of the parts of `text`, when it is JSON of a form known for this topic.
    pub fn find<'t, R>(&mut self, text: &'t str, topic: &Arc<str>, read: impl FnOnce(&T, Marks<'_, 't>) -> Option<R>) -> Option<R> {
        let marks = &mut self.marks;
        let found = self.known.iter().position(|form| form.is_of(topic) && form.mark(text.as_bytes(), marks).is_some());
        // The next message is most likely of the same form.
        if let Some(place @ 1..) = found
            && let Some(recent) = self.known.get_mut(..=place)
        {
            recent.rotate_right(1);
        }
        let read = found.and_then(|_| read(&self.known.first()?.parts, Marks { text, marks: &self.marks }));
        self.credit += if read.is_some() { limits::FORM_LEARN_HITS } else { 1 };
        read
    }

    /// Remembers the form of `text`, which is JSON with these values in the order they stand in; `parts` tells where its
    /// parts are.
    pub fn learn<'t>(&mut self, text: &'t str, topic: &Arc<str>, values: &[&'t str], parts: impl FnOnce(Marks<'_, 't>) -> Option<T>) {
        if let Some(form) = Form::of(text, topic, values, parts) {
            self.make_room(topic);
            self.known.insert(0, Arc::new(form));
        }
    }

    /// Whether to learn from this message: not every time where messages are hardly ever of one form.
    pub fn is_learning(&mut self) -> bool {
        let credit = self.credit.min(limits::FORMS_IN_VAIN_MAX * limits::FORM_LEARN_COST);
        let left = credit.checked_sub(limits::FORM_LEARN_COST);
        self.credit = left.unwrap_or(credit);
        left.is_some()
    }

    fn make_room(&mut self, topic: &Arc<str>) {
        let mut of_topic = 0;
        self.known.retain(|form| {
            of_topic += usize::from(form.is_of(topic));
            !form.is_of(topic) || of_topic < limits::FORMS_OF_TOPIC_MAX
        });
        self.known.truncate(limits::FORMS_MAX - 1);
    }
}

impl<T> Default for Forms<T> {
    fn default() -> Self {
        Self { known: Vec::new(), credit: limits::FORMS_IN_VAIN_MAX * limits::FORM_LEARN_COST, marks: Vec::new() }
    }
}

impl<T> Form<T> {
    fn of<'t>(text: &'t str, topic: &Arc<str>, values: &[&'t str], parts: impl FnOnce(Marks<'_, 't>) -> Option<T>) -> Option<Self> {
        let (mut marks, mut fixed, mut lengths, mut at) = (vec![0], String::new(), Vec::new(), 0);
        for value in values {
            let start = offset(text, value)?;
            let before = text.get(at..start)?;
            fixed.push_str(before);
            lengths.push(before.len());
            at = start + value.len();
            marks.extend([start, at]);
        }
        fixed.push_str(text.get(at..)?);
        if fixed.len() > limits::FORM_BYTES_MAX {
            return None;
        }
        let parts = parts(Marks { text, marks: &marks })?;
        Some(Self { topic: Arc::clone(topic), fixed: fixed.into_bytes().into(), lengths: lengths.into(), parts })
    }

    pub fn is_of(&self, topic: &Arc<str>) -> bool {
        Arc::ptr_eq(&self.topic, topic) || self.topic == *topic
    }

    /// Notes where the values of `text` start and end; none when it is not of this form, or not JSON.
    fn mark(&self, text: &[u8], marks: &mut Vec<usize>) -> Option<()> {
        let (mut text_left, mut fixed_left) = (text, &*self.fixed);
        marks.resize(1 + 2 * self.lengths.len(), 0);
        let (marks, _) = marks.get_mut(1..)?.as_chunks_mut();
        for (length, [start, end]) in self.lengths.iter().zip(marks) {
            let (fixed, rest) = fixed_left.split_at_checked(*length)?;
            let value = text_left.strip_prefix(fixed)?;
            *start = text.len() - value.len();
            let length = value::length(value)?;
            *end = *start + length;
            (text_left, fixed_left) = (value.get(length..)?, rest);
        }
        (text_left == fixed_left).then_some(())
    }
}

impl<'t> Marks<'_, 't> {
    /// The part of this message.
    pub fn part(&self, Span(from, to): Span) -> Option<&'t str> {
        self.text.get(self.at(from)?..self.at(to)?)
    }

    /// Where that part is in all messages of the form; none for what lies inside of a value.
    pub fn span(&self, part: &str) -> Option<Span> {
        let start = offset(self.text, part)?;
        Some(Span(self.place(start)?, self.place(start + part.len())?))
    }

    fn at(&self, place: Place) -> Option<usize> {
        Some(self.marks.get(place.mark as usize)? + place.offset as usize)
    }

    fn place(&self, at: usize) -> Option<Place> {
        let mark = self.marks.partition_point(|mark| *mark <= at).checked_sub(1)?;
        let offset = at - self.marks.get(mark)?;
        let is_start_of_value = mark % 2 == 1;
        let place = Place { mark: mark.try_into().ok()?, offset: offset.try_into().ok()? };
        (!is_start_of_value || offset == 0).then_some(place)
    }
}
