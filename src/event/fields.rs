//! Looking for a few fields in JSON text that has been checked before.
//!
//! serde_json checks a message once, as a whole. Walking the same text again for some fields needs no checks and builds
//! nothing: names and values are slices of it. On text that is no JSON the walk ends early; it never fails.

use std::borrow::Cow;

/// One field of an object, as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name between its quotes, escapes as they stand.
    pub name: &'a str,
    /// The value's text.
    pub value: &'a str,
    /// Where the name's first quote stands in the object's text.
    pub start: usize,
    /// Where the value ends.
    pub end: usize,
}

/// The fields of an object in their order; none for what is no object.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Fields<'a> {
    /// The fields of the object that `text` is.
    pub fn of(text: &'a str) -> Self {
        Self { text, at: if is_object(text) { 1 } else { text.len() } }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let bytes = self.text.as_bytes();
        let start = after_joint(bytes, self.at, b',');
        if bytes.get(start) != Some(&b'"') {
            return None;
        }
        let name_end = string_end(bytes, start + 1)?;
        let value_start = after_joint(bytes, name_end, b':');
        let end = value_end(bytes, value_start)?;
        self.at = end;
        let name = self.text.get(start + 1..name_end.checked_sub(1)?)?;
        Some(Field { name, value: self.text.get(value_start..end)?, start, end })
    }
}

/// The value of the field `name`, `null` included.
pub fn find<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    Fields::of(object).find(|field| field.name == name).map(|field| field.value)
}

/// Whether this is the text of an object.
pub fn is_object(value: &str) -> bool {
    value.starts_with('{')
}

/// The value without its quotes, escapes as they stand; none for `null`.
pub fn bare(value: &str) -> Option<&str> {
    match value {
        "null" => None,
        _ => Some(value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)),
    }
}

/// The value as people write it: a string unescaped, anything else as its JSON text.
pub fn plain(value: &str) -> Cow<'_, str> {
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        None => Cow::Borrowed(value),
        Some(inner) if !inner.contains('\\') => Cow::Borrowed(inner),
        // Only half of a surrogate pair fails here: it has no character, so its escape is the plainest there is.
        Some(inner) => serde_json::from_str(value).map_or(Cow::Borrowed(inner), Cow::Owned),
    }
}

/// How deep objects and arrays lie in each other.
pub fn depth(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut deepest) = (0, 0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => at = string_end(bytes, at).unwrap_or(bytes.len()),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Where `part` stands in `whole`; none for what is no slice of it.
pub fn offset(whole: &str, part: &str) -> Option<usize> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (start + part.len() <= whole.len()).then_some(start)
}

/// The place after the value that starts at `at`; none where no value starts.
fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at + 1),
        b'{' | b'[' => nested_end(bytes, at),
        _ => {
            let end = skip(bytes, at + digits(bytes.get(at..)?), |byte| !matches!(byte, b',' | b'}' | b']') && !is_blank(byte));
            (end > at).then_some(end)
        }
    }
}

/// The place after the object or array that starts at `at`.
fn nested_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        let byte = bytes.get(at)?;
        at += 1;
        match byte {
            b'"' => at = string_end(bytes, at)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
}

/// The place after the quote that ends the string whose inside starts at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += plain_letters(bytes.get(at..)?);
        at += match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => 2,
            _ => 1,
        };
    }
}

/// How many bytes come before the first quote, backslash or control character.
///
/// Eight bytes at a time. A byte's highest bit tells what it is: a subtraction borrows into it where the byte was too
/// small. A borrow may reach the next byte up, so only the lowest bit set is to be believed.
#[inline]
pub fn plain_letters(bytes: &[u8]) -> usize {
    let (eights, rest) = bytes.as_chunks();
    for (place, eight) in eights.iter().enumerate() {
        let eight = u64::from_le_bytes(*eight);
        let (quote, backslash) = (eight ^ (ONES * 0x22), eight ^ (ONES * 0x5c));
        let small = eight.wrapping_sub(ONES * 0x20) | quote.wrapping_sub(ONES) | backslash.wrapping_sub(ONES);
        let found = small & !eight & HIGHEST;
        if found != 0 {
            return place * 8 + lowest_byte(found);
        }
    }
    let in_rest = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' ')).unwrap_or(rest.len());
    eights.len() * 8 + in_rest
}

/// How many digits come first.
#[inline]
pub fn digits(bytes: &[u8]) -> usize {
    let (eights, rest) = bytes.as_chunks();
    for (place, eight) in eights.iter().enumerate() {
        // A digit becomes 0 to 9; what is above 9 comes to have its highest bit by the addition, or had it before.
        let digits = u64::from_le_bytes(*eight) ^ (ONES * 0x30);
        let found = (((digits & !HIGHEST) + ONES * 0x76) | digits) & HIGHEST;
        if found != 0 {
            return place * 8 + lowest_byte(found);
        }
    }
    eights.len() * 8 + rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len())
}

/// The whole number that `text` is, as `str::parse` has it, in fewer steps.
pub fn whole_number(text: &str) -> Option<u64> {
    // So few digits cannot overflow.
    let is_short = (1..=18).contains(&text.len());
    let digit = |number: u64, byte: u8| Some(number * 10 + u64::from(byte.wrapping_sub(b'0'))).filter(|_| byte.is_ascii_digit());
    let number = if is_short { text.bytes().try_fold(0, digit) } else { None };
    number.or_else(|| text.parse().ok())
}

/// One in each of eight bytes.
const ONES: u64 = 0x0101_0101_0101_0101;

/// The highest bit of each of eight bytes.
const HIGHEST: u64 = ONES << 7;

fn lowest_byte(bits: u64) -> usize {
    bits.trailing_zeros() as usize / 8
}

/// The place after the joint between two parts of an object, and after blanks.
fn after_joint(bytes: &[u8], at: usize, joint: u8) -> usize {
    match bytes.get(at..at + 2) {
        Some([first, second]) if *first == joint && *second > b' ' && *second != joint => at + 1,
        _ => skip(bytes, at, |byte| byte == joint || is_blank(byte)),
    }
}

/// The first place from `at` on whose byte is not `skipped`.
fn skip(bytes: &[u8], at: usize, skipped: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !skipped(*byte)).unwrap_or(rest.len())
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::whole_number;

    proptest::proptest! {
        #[test]
        fn a_whole_number_is_what_the_standard_library_takes_for_one(text in "[0-9]{0,22}|[+ -]?[0-9]{1,3}[ .a٣]?") {
            proptest::prop_assert_eq!(whole_number(&text), text.parse().ok());
        }
    }
}
