//! What is learnt from documents: the paths in them, and the kinds of their values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Paths that are learnt in one index; Elasticsearch's default limit is 1,000, above which it refuses documents. Documents
/// with more are kept and found by their words, only not filtered by those fields.
const FIELDS_MAX: usize = 2_000;
/// Names listed in an error.
const NAMES_LISTED_MAX: usize = 30;
/// How documents are laid out; another number means another layout.
const FORMAT: u32 = 1;

/// The kinds of values seen at a path, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Kinds(u8);

impl Kinds {
    /// Text that is neither a number nor a date.
    pub const TEXT: Kinds = Kinds(1);
    /// Text that is a number (`"12.50"`).
    pub const DIGITS: Kinds = Kinds(2);
    /// A number without a fraction.
    pub const INTEGER: Kinds = Kinds(4);
    /// A number with a fraction or an exponent.
    pub const FLOAT: Kinds = Kinds(8);
    /// A truth value.
    pub const BOOLEAN: Kinds = Kinds(16);
    /// Text that is an ISO date, with or without time.
    pub const DATE: Kinds = Kinds(32);
    /// Numbers of both shapes.
    pub const NUMBER: Kinds = Kinds(4 | 8);

    /// Each kind alone, with its word.
    const WORDS: [(Kinds, &'static str); 6] = [
        (Kinds::TEXT, "text"),
        (Kinds::DIGITS, "digits"),
        (Kinds::INTEGER, "integer"),
        (Kinds::FLOAT, "float"),
        (Kinds::BOOLEAN, "boolean"),
        (Kinds::DATE, "date"),
    ];

    /// Whether any kind of `other` is among these.
    pub fn has(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether values are compared as numbers: there were numbers, or every text was one.
    pub fn is_numeric(self) -> bool {
        self.has(Kinds::NUMBER) || (self.has(Kinds::DIGITS) && !self.has(Kinds(Kinds::TEXT.0 | Kinds::DATE.0)))
    }

    /// Whether there are words to look for.
    pub fn has_words(self) -> bool {
        self.has(Kinds(Kinds::TEXT.0 | Kinds::DIGITS.0))
    }

    /// The kinds for people: `text and numbers`.
    pub fn named(self) -> String {
        let number = Kinds(Kinds::NUMBER.0 | Kinds::DIGITS.0);
        let kinds = [(Kinds::TEXT, "text"), (number, "numbers"), (Kinds::BOOLEAN, "booleans"), (Kinds::DATE, "dates")];
        kinds.iter().filter(|(kind, _)| self.has(*kind)).map(|(_, word)| *word).collect::<Vec<_>>().join(" and ")
    }

    fn words(self) -> Vec<&'static str> {
        Self::WORDS.iter().filter(|(kind, _)| self.has(*kind)).map(|(_, word)| *word).collect()
    }
}

impl From<Vec<String>> for Kinds {
    fn from(words: Vec<String>) -> Self {
        Kinds(Self::WORDS.iter().filter(|(_, known)| words.iter().any(|word| word == known)).fold(0, |kinds, (kind, _)| kinds | kind.0))
    }
}

impl From<Kinds> for Vec<String> {
    fn from(kinds: Kinds) -> Self {
        kinds.words().into_iter().map(str::to_owned).collect()
    }
}

/// What is known of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSeen {
    /// What stands for the path in the index: shorter than the path, and free of its dots and odd characters.
    pub number: u32,
    /// What its values were.
    pub kinds: Kinds,
}

/// The fields of an index, learnt from its documents. Kept in the commit that holds the documents, so that it is never
/// older or newer than they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    format: u32,
    fields: BTreeMap<String, FieldSeen>,
    /// Set by every change, cleared by whoever writes it down.
    #[serde(skip)]
    pub is_changed: bool,
}

impl Default for Mapping {
    fn default() -> Self {
        Self { format: FORMAT, fields: BTreeMap::new(), is_changed: true }
    }
}

impl Mapping {
    /// Reads what a commit holds; an empty index has none.
    pub fn read(payload: Option<&str>) -> Result<Self, String> {
        let Some(payload) = payload else { return Ok(Self::default()) };
        let mapping: Self = serde_json::from_str(payload).map_err(|error| format!("its mapping cannot be read ({error})"))?;
        if mapping.format != FORMAT {
            return Err(format!("it is of format {}, and this version of rowmill reads {FORMAT}", mapping.format));
        }
        Ok(mapping)
    }

    /// The text for a commit.
    pub fn payload(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Notes a value of a path. None when there are too many paths.
    pub fn learn(&mut self, path: &str, kinds: Kinds) -> Option<FieldSeen> {
        if let Some(field) = self.fields.get_mut(path) {
            let both = Kinds(field.kinds.0 | kinds.0);
            self.is_changed |= both != field.kinds;
            field.kinds = both;
            return Some(*field);
        }
        if self.fields.len() >= FIELDS_MAX {
            return None;
        }
        let number = u32::try_from(self.fields.len()).ok()?;
        self.is_changed = true;
        let field = FieldSeen { number, kinds };
        self.fields.insert(path.to_owned(), field);
        Some(field)
    }

    /// Whether nothing has been learnt yet.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The field at a path, or a sentence that names those there are.
    pub fn field(&self, path: &str) -> Result<FieldSeen, String> {
        self.fields.get(path).copied().ok_or_else(|| self.missing(path))
    }

    /// The field at a path and all fields below it (`maker` gives `maker.name`), or a sentence that names those there are.
    pub fn fields_at(&self, path: &str) -> Result<Vec<FieldSeen>, String> {
        let below = |name: &str| name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let found: Vec<_> = self.fields.iter().filter(|(name, _)| below(name)).map(|(_, field)| *field).collect();
        if found.is_empty() { Err(self.missing(path)) } else { Ok(found) }
    }

    fn missing(&self, path: &str) -> String {
        let names: Vec<&str> = self.fields.keys().map(String::as_str).take(NAMES_LISTED_MAX).collect();
        let more = if self.fields.len() > NAMES_LISTED_MAX { ", …" } else { "" };
        format!("field {path} does not exist; known fields: {}{more}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::{FIELDS_MAX, Kinds, Mapping};

    #[test]
    fn a_mapping_learns_kinds_and_is_read_back() {
        let mut mapping = Mapping::default();
        assert_eq!(mapping.learn("price", Kinds::DIGITS).unwrap().number, 0);
        assert!(mapping.field("price").unwrap().kinds.is_numeric());
        assert_eq!(mapping.learn("maker.name", Kinds::TEXT).unwrap().number, 1);
        mapping.is_changed = false;
        mapping.learn("price", Kinds::DIGITS);
        assert!(!mapping.is_changed);
        assert_eq!(mapping.learn("price", Kinds::TEXT).unwrap().number, 0);
        assert!(mapping.is_changed);
        assert!(!mapping.field("price").unwrap().kinds.is_numeric());
        assert_eq!(mapping.fields_at("maker").unwrap().len(), 1);
        assert_eq!(mapping.fields_at("make").unwrap_err(), "field make does not exist; known fields: maker.name, price");

        let payload = mapping.payload();
        expect_test::expect![[
            r#"{"format":1,"fields":{"maker.name":{"number":1,"kinds":["text"]},"price":{"number":0,"kinds":["text","digits"]}}}"#
        ]]
        .assert_eq(&payload);
        mapping.is_changed = false;
        assert_eq!(Mapping::read(Some(&payload)).unwrap(), mapping);
        assert!(Mapping::read(Some(&payload.replace("\"format\":1", "\"format\":9"))).is_err());
        assert!(Mapping::read(Some("{")).is_err());
    }

    #[test]
    fn there_is_an_end_to_new_fields() {
        let mut mapping = Mapping::default();
        for number in 0..FIELDS_MAX {
            assert!(mapping.learn(&format!("f{number}"), Kinds::TEXT).is_some());
        }
        assert!(mapping.learn("one more", Kinds::TEXT).is_none());
        assert!(mapping.learn("f7", Kinds::DATE).is_some());
    }
}
