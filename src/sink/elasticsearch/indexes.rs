//! Which indexes are known to be there, and which names no index can have.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use crate::event::Write;
use crate::limits;

/// The indexes that were seen to be there (or made), since the start, since the server last missed one or since they were too many.
#[derive(Debug, Default)]
pub struct Indexes {
    prepared: RwLock<HashSet<Arc<str>>>,
}

impl Indexes {
    /// Notes that `index` is there.
    pub fn note(&self, index: &Arc<str>) {
        let mut prepared = self.prepared.write().unwrap_or_else(PoisonError::into_inner);
        if prepared.len() >= limits::INDEXES_KNOWN_MAX {
            // Those that are still written to are asked for again.
            prepared.clear();
        }
        prepared.insert(Arc::clone(index));
    }

    /// Notes that `index` is gone.
    pub fn forget(&self, index: &str) {
        self.prepared.write().unwrap_or_else(PoisonError::into_inner).remove(index);
    }

    /// Whether `index` is known to be there.
    pub fn holds(&self, index: &str) -> bool {
        self.prepared.read().unwrap_or_else(PoisonError::into_inner).contains(index)
    }

    /// All that are known to be there.
    pub fn names(&self) -> Vec<String> {
        self.prepared.read().unwrap_or_else(PoisonError::into_inner).iter().map(ToString::to_string).collect()
    }

    /// The first index written to that was not seen yet. Names that no index can have are passed over: their writes are refused.
    pub fn first_unprepared(&self, writes: &[Write]) -> Option<String> {
        let prepared = self.prepared.read().unwrap_or_else(PoisonError::into_inner);
        let mut last: &str = "";
        for write in writes {
            if *write.index != *last && !prepared.contains(&write.index) && name_problem(&write.index).is_none() {
                return Some(write.index.to_string());
            }
            last = &write.index;
        }
        None
    }
}

/// Why no index can have this name.
///
/// We refuse such a name ourselves: in a path it could mean several indexes or something else altogether, and one in a
/// bulk request fails every item of it.
pub fn name_problem(name: &str) -> Option<&'static str> {
    let forbidden =
        |character: char| matches!(character, '\\' | '/' | '*' | '?' | '"' | '<' | '>' | '|' | ',' | '#' | ':') || character <= ' ';
    if name.is_empty() || name == "." || name == ".." {
        Some("it needs a letter or digit")
    } else if name.len() > limits::INDEX_NAME_BYTES_MAX {
        Some("it is longer than 255 bytes")
    } else if name.starts_with(['-', '_', '+']) {
        Some("it begins with -, _ or +")
    } else if name.contains(forbidden) {
        Some("it holds a blank or one of \\ / * ? \" < > | , # :")
    } else if name.chars().any(char::is_uppercase) {
        Some("it holds a capital letter")
    } else {
        None
    }
}

/// `text` as one part of a path.
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            _ => {
                encoded.push('%');
                encoded
                    .extend([byte >> 4, byte & 15].map(|half| char::from_digit(u32::from(half), 16).unwrap_or('0').to_ascii_uppercase()));
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{Indexes, encoded, name_problem};
    use crate::limits::INDEXES_KNOWN_MAX;

    #[test]
    fn no_more_names_are_held_than_a_bound_and_the_last_is_known() {
        let indexes = Indexes::default();
        for day in 0..=INDEXES_KNOWN_MAX {
            indexes.note(&format!("orders-{day}").into());
            assert!(indexes.holds(&format!("orders-{day}")));
        }
        assert!(indexes.names().len() <= INDEXES_KNOWN_MAX);
    }

    #[test]
    fn names_that_the_servers_refuse_are_refused() {
        for good in ["a", "dbserver1.public.products", "products-2026-01-24", "ünï", "a_b", "1", ".hidden", "a+b&c=d%"] {
            assert_eq!(name_problem(good), None, "{good}");
        }
        let long = "x".repeat(256);
        for bad in ["", ".", "..", "_all", "-a", "+a", "a b", "a,b", "a*", "a/b", "A", "É", "a:b", "a#", "<a>", "a\n", &long] {
            assert!(name_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_plain_is_percent_encoded() {
        assert_eq!(encoded("a.b-c_1~"), "a.b-c_1~");
        assert_eq!(encoded("ä%b c"), "%C3%A4%25b%20c");
    }
}
