//! The fixed fields that documents of every shape are laid out in.

use tantivy::Term;
use tantivy::fastfield::FastValue;
use tantivy::schema::{BytesOptions, FAST, Field, INDEXED, IndexRecordOption, JsonObjectOptions, NumericOptions, STORED, STRING, Schema};
use tantivy::schema::{TextFieldIndexing, TextOptions};

/// The name words are cut under.
pub const ANALYZER: &str = "rowmill";

/// The fields of every index. A tantivy schema cannot grow, so what a document holds is filed under the number of its
/// path in one field for each use.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// The document's id.
    pub id: Field,
    /// Its version.
    pub version: Field,
    /// There on tombstones only.
    pub gone: Field,
    /// When a tombstone was made, in milliseconds since 1970.
    pub gone_at: Field,
    /// The document as it came.
    pub source: Field,
    /// The words of all fields: what a search looks in when it names none, so that words may stand in different fields.
    pub all: Field,
    /// Words, by path.
    pub words: Field,
    /// Texts and truth values as they are, by path: to filter and to sort.
    pub exact: Field,
    /// Numbers as `f64`, by path, also those that came as text.
    pub number: Field,
    /// Times in microseconds, by path.
    pub time: Field,
}

impl Fields {
    /// The schema and its fields.
    pub fn schema() -> (Schema, Fields) {
        let mut schema = Schema::builder();
        let words = TextFieldIndexing::default().set_tokenizer(ANALYZER).set_index_option(IndexRecordOption::WithFreqs);
        let exact = TextFieldIndexing::default().set_tokenizer("raw").set_index_option(IndexRecordOption::Basic).set_fieldnorms(false);
        let fast = || JsonObjectOptions::default().set_fast("raw");
        let fields = Fields {
            id: schema.add_text_field("_id", STRING | STORED),
            version: schema.add_u64_field("_version", NumericOptions::default() | FAST),
            gone: schema.add_bool_field("_gone", INDEXED),
            gone_at: schema.add_u64_field("_gone_at", FAST),
            source: schema.add_bytes_field("_source", BytesOptions::default().set_stored()),
            all: schema.add_text_field("all", TextOptions::default().set_indexing_options(words.clone())),
            words: schema.add_json_field("words", JsonObjectOptions::default().set_indexing_options(words)),
            exact: schema.add_json_field("exact", fast().set_indexing_options(exact)),
            number: schema.add_json_field("number", fast()),
            time: schema.add_json_field("time", fast()),
        };
        (schema.build(), fields)
    }
}

/// The term of a text at a path.
pub fn text_term(field: Field, path_number: u32, text: &str) -> Term {
    let mut term = path_term(field, path_number);
    term.append_type_and_str(text);
    term
}

/// The term of a number or time at a path.
pub fn fast_term<T: FastValue>(field: Field, path_number: u32, value: T) -> Term {
    let mut term = path_term(field, path_number);
    term.append_type_and_fast_value(value);
    term
}

fn path_term(field: Field, path_number: u32) -> Term {
    Term::from_field_json_path(field, &path_number.to_string(), false)
}
