//! JSON that guests return, checked in one walk: no broken text reaches a sink.
//!
//! serde_json has the last word: what the walk does not know for certain to be good, it is asked about. It alone takes three times as
//! long, and would be followed by two more looks at the text, for its depth and for its line breaks.

use serde::de::IgnoredAny;

use crate::event::JsonText;
use crate::event::fields::plain_letters;
use crate::limits::JSON_DEPTH_MAX;

/// A JSON object, as [`any`] takes it.
pub fn object(body: String) -> Result<JsonText, String> {
    if !body.trim_start().starts_with('{') {
        return Err("a document that is not a JSON object".to_owned());
    }
    any("a document", body)
}

/// Checks the text without building anything of it, and puts it on one line: bulk requests and file sinks need that, and in
/// valid JSON a line break stands only between values.
pub fn any(what: &str, body: String) -> Result<JsonText, String> {
    let has_breaks = match walk(body.as_bytes()) {
        Some(good) => good.has_breaks,
        None => {
            serde_json::from_str::<IgnoredAny>(&body).map_err(|error| format!("{what} that is not valid JSON: {error}"))?;
            // Nothing else is valid and not walked through.
            return Err(format!("{what} nested deeper than {JSON_DEPTH_MAX} levels"));
        }
    };
    Ok(JsonText::from(if has_breaks { body.replace(['\n', '\r'], " ") } else { body }))
}

/// What is known of a text that is valid JSON.
struct Good {
    has_breaks: bool,
}

/// The place in a text, and what lies around it.
struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    has_breaks: bool,
    depth: usize,
    /// A bit for each object or list around this place, the innermost lowest: set for an object. 128 bits are one more than are needed.
    objects: u128,
}

/// Walks through `text` to its end; none where it is not valid JSON, or is nested too deep.
fn walk(text: &[u8]) -> Option<Good> {
    let mut walk = Walk { text, at: 0, has_breaks: false, depth: 0, objects: 0 };
    loop {
        if !walk.open_or_scalar()? {
            continue;
        }
        // A value has ended, and maybe those around it.
        loop {
            if walk.depth == 0 {
                return walk.peek().is_none().then_some(Good { has_breaks: walk.has_breaks });
            }
            let is_object = walk.objects & 1 == 1;
            match (walk.next()?, is_object) {
                (b',', true) => break walk.name()?,
                (b',', false) => break,
                (b'}', true) | (b']', false) => walk.close(),
                _ => return None,
            }
        }
    }
}

impl Walk<'_> {
    /// The next byte that is not blank.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            match byte {
                b' ' | b'\t' => {}
                b'\n' | b'\r' => self.has_breaks = true,
                _ => return Some(byte),
            }
            self.at += 1;
        }
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Walks through a number, a text, a word or an empty list or object, or into another; says whether a value has ended.
    #[inline]
    fn open_or_scalar(&mut self) -> Option<bool> {
        match self.next()? {
            b'"' => self.string()?,
            b'{' => {
                self.open(1)?;
                if self.peek()? != b'}' {
                    self.name()?;
                    return Some(false);
                }
                self.at += 1;
                self.close();
            }
            b'[' => {
                self.open(0)?;
                if self.peek()? != b']' {
                    return Some(false);
                }
                self.at += 1;
                self.close();
            }
            b't' => self.rest_of_word(b"rue")?,
            b'f' => self.rest_of_word(b"alse")?,
            b'n' => self.rest_of_word(b"ull")?,
            b'-' => {
                let digit = *self.text.get(self.at)?;
                self.at += 1;
                self.number(digit)?;
            }
            digit => self.number(digit)?,
        }
        Some(true)
    }

    fn open(&mut self, is_object: u128) -> Option<()> {
        self.depth += 1;
        self.objects = self.objects << 1 | is_object;
        (self.depth <= JSON_DEPTH_MAX).then_some(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }

    /// A name and its colon.
    #[inline]
    fn name(&mut self) -> Option<()> {
        if self.next()? != b'"' {
            return None;
        }
        self.string()?;
        (self.next()? == b':').then_some(())
    }

    /// The rest of a string whose first quote has been read.
    #[inline]
    fn string(&mut self) -> Option<()> {
        loop {
            self.at += plain_letters(self.text.get(self.at..)?);
            match self.text.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        self.at += match self.text.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' if self.text.get(self.at + 2..self.at + 6)?.iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return None,
        };
        Some(())
    }

    fn rest_of_word(&mut self, rest: &[u8]) -> Option<()> {
        let found = self.text.get(self.at..)?.starts_with(rest);
        self.at += rest.len();
        found.then_some(())
    }

    /// The rest of a number behind its first digit.
    #[inline]
    fn number(&mut self, first: u8) -> Option<()> {
        match first {
            b'0' => {}
            b'1'..=b'9' => _ = self.digits(),
            _ => return None,
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// One digit or more.
    #[inline]
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};
    use serde::de::IgnoredAny;

    use super::walk;
    use crate::event::fields::depth;
    use crate::limits::JSON_DEPTH_MAX;

    /// The walk and serde_json say the same of `text`.
    fn check(text: &str) {
        let expected = serde_json::from_str::<IgnoredAny>(text).is_ok() && depth(text) <= JSON_DEPTH_MAX;
        let walked = walk(text.as_bytes());
        assert_eq!(walked.is_some(), expected, "{text}");
        // Within a valid text no line break stands inside of a value.
        assert!(walked.is_none_or(|good| good.has_breaks == text.contains(['\n', '\r'])), "{text}");
    }

    const DOCUMENT: &str = "{ \"a\":\t[1, -0.5e+10, 0, \"x\\u00e9\\\"\\\\é 😀, long enough for eights\"],\r\n\"\":{},\"b\" :[[],true,false,null,{\"c\":12E-3}] }\n";

    #[test]
    fn what_is_known_is_told_as_serde_json_has_it() {
        for text in
            ["0", "-0", "-", "01", "1.", ".1", "1e", "1e+", "1E5", "--1", "+1", "\"\\u12\"", "\"\\x\"", "\"\\ud800\"", "nul", "nullx"]
        {
            check(text);
        }
        for text in [
            "",
            " ",
            "{",
            "[",
            "{]",
            "[}",
            "[1,]",
            "{\"a\":1,}",
            "{,}",
            "[,]",
            "{\"a\"}",
            "{1:2}",
            "{} {}",
            "\u{b}1",
            "1,",
            "[1 2]",
            "[1\n]",
            "[\r1]",
        ] {
            check(text);
        }
        for levels in [JSON_DEPTH_MAX, JSON_DEPTH_MAX + 1, 1_000] {
            check(&format!("{}1{}", "[".repeat(levels), "]".repeat(levels)));
            check(&format!("{}1{}", "{\"[\":".repeat(levels), "}".repeat(levels)));
        }
    }

    #[test]
    fn every_byte_is_looked_at() {
        check(DOCUMENT);
        for (at, character) in DOCUMENT.char_indices() {
            check(&DOCUMENT[..at]);
            for other in (0..0x80).filter_map(char::from_u32).chain(['é', '😀']) {
                let (before, after) = (&DOCUMENT[..at], &DOCUMENT[at + character.len_utf8()..]);
                check(&format!("{before}{other}{after}"));
                check(&format!("{before}{other}{character}{after}"));
            }
        }
    }

    proptest! {
        #[test]
        fn of_any_text_the_same_is_said(parts in prop::collection::vec(any::<prop::sample::Index>(), 0..30), letters in ".{0,12}") {
            let quoted = serde_json::Value::from(letters.clone()).to_string();
            let pieces = ["{", "}", "[", "]", ",", ":", "\"a\"", "1", "-2.5e3", "null", " ", "\n", "\\", "\"", &quoted, &letters];
            check(&parts.iter().map(|part| *part.get(&pieces)).collect::<String>());
        }
    }
}
