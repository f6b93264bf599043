//! What was read, key by key, to be compared with what is read later and to be shown to people.

use std::collections::BTreeMap;

use super::{Secret, is_reference};
use crate::limits::SETTING_SHOWN_CHARACTERS_MAX;

/// Values by their keys.
pub type Settings = BTreeMap<String, Setting>;

/// One value as it was read.
#[derive(Clone, Debug)]
pub struct Setting {
    shown: String,
    /// What it comes to; for a reference that may be a secret.
    held: Secret,
    is_default: bool,
}

impl Setting {
    /// A text: where it is a reference, that is shown, and never what it stands for.
    pub(super) fn text(written: &str, held: &str, is_hidden: bool) -> Self {
        match is_hidden && !is_reference(written) {
            true => Self { shown: "(not shown)".to_owned(), held: Secret::new(held), is_default: false },
            false => Self::written(&format!("{written:?}"), held.to_owned()),
        }
    }

    /// A value as it stands in the file, and what it comes to.
    pub(super) fn written(shown: &str, held: String) -> Self {
        let line = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_long = line.chars().count() > SETTING_SHOWN_CHARACTERS_MAX;
        let cut: String = line.chars().take(SETTING_SHOWN_CHARACTERS_MAX).collect();
        Self { shown: if is_long { format!("{cut}…") } else { line }, held: Secret::new(held), is_default: false }
    }

    /// A value that does not stand in the file.
    pub(super) fn default_of(shown: String, held: String) -> Self {
        Self { shown, held: Secret::new(held), is_default: true }
    }

    /// The same, which comes to `held`.
    pub(super) fn holding(self, held: String) -> Self {
        Self { held: Secret::new(held), ..self }
    }

    /// For people, without any secret.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether it comes to the same, however it is written.
    pub fn is_same(&self, other: &Self) -> bool {
        self.held == other.held
    }

    /// Whether it is there although it does not stand in the file.
    pub fn is_default(&self) -> bool {
        self.is_default
    }
}
