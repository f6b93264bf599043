//! How a row is told from the others of its table.

use bytestring::ByteString;

use crate::event::JsonText;

/// The key of a row: what the state files it under, and a document's id unless the transform names another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// One column: its value as text (`42`). Several: joined by `|` in key order, `\` before a `|` or `\` of the data.
    pub id: ByteString,
    /// The key columns as JSON text (`{"id":42}`); a plain value for keys that are no object.
    pub json: JsonText,
}

impl Key {
    /// The id made of the values of the key columns in their order.
    ///
    /// One value stands as it is: only where values are joined can a `|` of the data be mistaken for the joint.
    pub fn id_of<'a>(values: impl ExactSizeIterator<Item = &'a str>) -> String {
        if values.len() == 1 {
            return values.map(str::to_owned).collect();
        }
        let mut id = String::new();
        for (place, value) in values.enumerate() {
            if place > 0 {
                id.push('|');
            }
            for character in value.chars() {
                if matches!(character, '|' | '\\') {
                    id.push('\\');
                }
                id.push(character);
            }
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn one_column_stands_as_it_is_and_several_are_joined() {
        for (values, id) in [
            (&["42"][..], "42"),
            (&["a|b\\"], "a|b\\"),
            (&["north", "7"], "north|7"),
            (&["no|rth", "7\\"], "no\\|rth|7\\\\"),
            (&["", ""], "|"),
        ] {
            assert_eq!(Key::id_of(values.iter().copied()), id);
        }
    }

    proptest::proptest! {
        #[test]
        fn different_values_have_different_ids(a in "[a|\\\\]{0,4}", b in "[a|\\\\]{0,4}", c in "[a|\\\\]{0,4}", d in "[a|\\\\]{0,4}") {
            let left = Key::id_of([a.as_str(), b.as_str()].into_iter());
            let right = Key::id_of([c.as_str(), d.as_str()].into_iter());
            proptest::prop_assert_eq!(left == right, (a, b) == (c, d));
        }
    }
}
