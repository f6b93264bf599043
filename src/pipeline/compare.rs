//! What one module makes of changes held against what another makes of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::event::{Change, Measure};
use crate::limits;
use crate::transform::{Outcome, Output};

/// How the documents of two modules differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Changes that both were given.
    pub changes: u64,
    /// Documents of the present module.
    pub documents: u64,
    /// Documents that are another with the new one, or are there with one of them alone; deletes and messages count as documents do.
    pub documents_changed: u64,
    /// Changes that the present module takes and the new one rejects, or traps on.
    pub failed: u64,
    /// Some of those that differ, the first ones.
    pub examples: Vec<Difference>,
}

/// One output that is another with the new module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `schema.table`.
    pub table: String,
    /// The row's key; none for a table without one.
    pub key: Option<String>,
    /// With the present module: a document, a message, or nothing.
    pub present: Option<String>,
    /// With the new one; a reason where it fails.
    pub new: Option<String>,
}

/// Which output: its action, and what it names.
type Named<'a> = (&'static str, Option<&'a str>, Option<&'a str>, Option<&'a str>, usize);

impl Comparison {
    /// What two modules made of the same changes, compared.
    pub fn of(changes: &[Change], present: &[Outcome], new: &[Outcome]) -> Self {
        let mut compared = Self::default();
        for ((change, present), new) in changes.iter().zip(present).zip(new) {
            compared.compare(change, present, new);
        }
        compared
    }

    /// Adds what was found in more changes.
    pub fn add(&mut self, more: Self) {
        self.changes += more.changes;
        self.documents += more.documents;
        self.documents_changed += more.documents_changed;
        self.failed += more.failed;
        self.examples.extend(more.examples);
        self.examples.truncate(limits::DIFFERENCES_SHOWN_MAX);
    }

    fn compare(&mut self, change: &Change, present: &Outcome, new: &Outcome) {
        self.changes += 1;
        // What the present module does not take either is no difference.
        let Ok(present) = present else { return };
        let before = named(present);
        self.documents += before.len() as u64;
        match new {
            Err(reason) => {
                self.failed += 1;
                self.example(change, before.values().next().map(AsRef::as_ref), Some(reason));
            }
            Ok(new) => {
                let after = named(new);
                let names: BTreeSet<&Named<'_>> = before.keys().chain(after.keys()).collect();
                for name in names {
                    let (was, is) = (before.get(name).map(AsRef::as_ref), after.get(name).map(AsRef::as_ref));
                    if was != is {
                        self.documents_changed += 1;
                        self.example(change, was, is);
                    }
                }
            }
        }
    }

    fn example(&mut self, change: &Change, present: Option<&str>, new: Option<&str>) {
        if self.examples.len() < limits::DIFFERENCES_SHOWN_MAX {
            let short = |text: &str| text.get(..text.floor_char_boundary(limits::DIFFERENCE_BYTES_MAX)).unwrap_or_default().to_owned();
            self.examples.push(Difference {
                table: change.table.to_string(),
                key: change.key.as_ref().map(|key| key.id.to_string()),
                present: present.map(short),
                new: new.map(short),
            });
        }
    }
}

/// The outputs of a change by what they name; several of one name (a message sent twice) by their order.
fn named(outputs: &[Output]) -> BTreeMap<Named<'_>, Cow<'_, str>> {
    let mut named: BTreeMap<Named<'_>, Cow<'_, str>> = BTreeMap::new();
    for output in outputs {
        let (action, target, text) = match output {
            Output::Index { target, body } => {
                ("index", (target.index.as_deref(), target.id.as_deref(), target.routing.as_deref()), Cow::Borrowed(&**body))
            }
            Output::Delete { target } => {
                ("delete", (target.index.as_deref(), target.id.as_deref(), target.routing.as_deref()), Cow::Borrowed(""))
            }
            Output::Emit { topic, key, body } => ("emit", (Some(topic.as_str()), key.as_deref(), None), Cow::Borrowed(&**body)),
            Output::Measure(Measure { key, time_ms, weight, .. }) => {
                let time = time_ms.map_or("its change's time".to_owned(), |time_ms| time_ms.to_string());
                ("measure", (None, Some(&**key), None), Cow::Owned(format!("{weight} at {time}")))
            }
        };
        let mut name = (action, target.0, target.1, target.2, 0);
        while named.contains_key(&name) {
            name.4 += 1;
        }
        named.insert(name, text);
    }
    named
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Difference};
    use crate::event::{Change, JsonText};
    use crate::limits::DIFFERENCES_SHOWN_MAX;
    use crate::transform::{Outcome, Output, Target};

    fn changes(count: usize) -> Vec<Change> {
        vec![Change::inserted("{}"); count]
    }

    fn index(id: &str, body: &str) -> Output {
        let target = Target { id: Some(id.to_owned().into()), ..Target::default() };
        Output::Index { target, body: JsonText::from(body) }
    }

    fn compared(present: &[Outcome], new: &[Outcome]) -> Comparison {
        Comparison::of(&changes(present.len()), present, new)
    }

    #[test]
    fn documents_are_compared_by_name_whatever_their_order() {
        let (a, b) = (index("a", "{}"), index("b", "{}"));
        let same = compared(&[Ok(vec![a.clone(), b.clone()])], &[Ok(vec![b.clone(), a.clone()])]);
        assert_eq!((same.changes, same.documents, same.documents_changed, same.failed), (1, 2, 0, 0));
        let other = compared(&[Ok(vec![a.clone(), b])], &[Ok(vec![index("a", "{\"x\":1}"), index("c", "{}")])]);
        assert_eq!(other.documents_changed, 3, "one is another, one is gone, one is new");
        let example = Difference { table: "public.t".into(), key: None, present: Some("{}".into()), new: Some("{\"x\":1}".into()) };
        assert_eq!(other.examples[0], example);
        let twice = compared(&[Ok(vec![a.clone(), a.clone()])], &[Ok(vec![a])]);
        assert_eq!(twice.documents_changed, 1);
    }

    #[test]
    fn only_what_the_present_module_takes_can_fail() {
        let no = || Err("no".to_owned());
        let compared = compared(&[Ok(vec![index("a", "{}")]), no(), no()], &[no(), no(), Ok(vec![index("b", "{}")])]);
        assert_eq!((compared.changes, compared.documents, compared.documents_changed, compared.failed), (3, 1, 0, 1));
        assert_eq!(compared.examples[0].new.as_deref(), Some("no"));
    }

    #[test]
    fn sums_are_of_all_changes_and_examples_only_so_many() {
        let one = || compared(&[Ok(vec![index("a", "{}")])], &[Ok(vec![index("a", "{\"x\":1}")])]);
        let mut sum = Comparison::default();
        (0..20).for_each(|_| sum.add(one()));
        assert_eq!((sum.changes, sum.documents, sum.documents_changed, sum.examples.len()), (20, 20, 20, DIFFERENCES_SHOWN_MAX));
    }
}
