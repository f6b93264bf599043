//! What comes in: one change of one row.

use crate::error::{Result, reject};
use crate::{debezium, json};
use serde::Deserialize;

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A row was inserted.
    Create,
    /// A row was changed.
    Update,
    /// A row was deleted: there is no `after`.
    Delete,
    /// A row was read from a snapshot: it exists, when it was made is not known.
    Read,
    /// The row is as it was, but something it read, or the code, has changed.
    Refresh,
}

/// The place of a change in the history of its row; compared as a pair, only within one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Postgres: where the transaction stands in the log.
    pub first: u64,
    /// Postgres: where the change stands in the log.
    pub second: u64,
}

/// One change of one row. Rows are JSON text, parsed only when and as far as the function asks.
#[derive(Clone, Debug)]
pub struct Change {
    pub(crate) operation: Operation,
    pub(crate) source: String,
    pub(crate) table: String,
    pub(crate) key: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) version: Version,
    pub(crate) ts_ms: u64,
}

impl Change {
    /// What happened.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The name of the source, as the change events call it (Debezium's `topic.prefix`, or the topic).
    pub fn source(&self) -> &str {
        &self.source
    }

    /// `schema.table` (MySQL: `database.table`).
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The place of this change in the history of its row.
    pub fn version(&self) -> Version {
        self.version
    }

    /// When the change was committed at the source, in milliseconds since 1970-01-01 UTC; 0 when not known.
    pub fn ts_ms(&self) -> u64 {
        self.ts_ms
    }

    /// The row as it is now. Columns the type does not name are skipped, so a new column breaks nothing.
    ///
    /// The type may borrow from the text: `&str` (fails on text with escapes), [`column::Text`](crate::column::Text) (never
    /// fails), `&serde_json::value::RawValue`.
    ///
    /// # Errors
    /// When the row does not fit the type: the reason names the column. When there is no row: a delete.
    pub fn after<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        match &self.after {
            Some(text) => json::parse(text, "column"),
            None => Err(reject("a deleted row has no `after`")),
        }
    }

    /// The row before the change, when the configuration says `before = true` and the source knew it.
    ///
    /// # Errors
    /// When the row does not fit the type: the reason names the column.
    pub fn before<'a, T: Deserialize<'a>>(&'a self) -> Result<Option<T>> {
        let read = self.before.as_deref().map(|text| json::parse(text, "column"));
        read.transpose().map_err(|error| error.at("the row before the change"))
    }

    /// The key columns, as an object: `struct Key { id: u64 }`.
    ///
    /// # Errors
    /// When the key does not fit the type: the reason names the column. A table without a key has the key `null`.
    pub fn key<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        json::parse(&self.key, "key column")
    }

    /// The text of the row as it is now; none for a delete.
    pub fn after_text(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// The text of the row before the change, when it is given.
    pub fn before_text(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// The text of the key: an object, or `null`.
    pub fn key_text(&self) -> &str {
        &self.key
    }

    /// Whether some column of the row was not sent by the database, because it is long and did not change
    /// (see [`debezium::UNAVAILABLE`]). Reads the whole text once; where one column is in question,
    /// [`Text::is_unavailable`](crate::column::Text::is_unavailable) is cheaper.
    pub fn lacks_columns(&self) -> bool {
        self.after.as_deref().is_some_and(|text| text.contains(debezium::UNAVAILABLE))
    }
}

#[cfg(test)]
mod tests {
    use crate::column::Text;
    use crate::testing;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Row<'a> {
        id: u64,
        #[serde(borrow)]
        name: Text<'a>,
    }

    #[test]
    fn rows_are_typed_and_borrowed() {
        let change = testing::row("public.t", r#"{"id":18446744073709551615,"name":"a\"b","new_column":[1]}"#);
        let row: Row = change.after().unwrap();
        assert_eq!((row.id, &*row.name), (u64::MAX, "a\"b"));
    }

    #[test]
    fn a_reason_names_the_column() {
        let change = testing::row("public.t", r#"{"id":"x","name":""}"#);
        let reason = change.after::<Row>().err().unwrap();
        assert_eq!(reason.reason(), "column `id`: invalid type: string \"x\", expected u64");
        let deleted = testing::deleted("public.t", r#"{"id":1}"#);
        assert_eq!(deleted.after::<Row>().err().unwrap().reason(), "a deleted row has no `after`");
    }
}
