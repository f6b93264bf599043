//! How text becomes words, in documents and in searches.

use tantivy::tokenizer::{AsciiFoldingFilter, LowerCaser, RemoveLongFilter, TextAnalyzer, Token, TokenStream, Tokenizer};

/// A longer run of letters is no word (it is a hash, or a picture in base64).
const WORD_BYTES_MAX: usize = 120;

/// Cuts where letters and digits end, in lower case, without accents (`Café` is found by `cafe`). No stemming: rows are in
/// every language, and a stem of the wrong one finds too much.
pub fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(Words).filter(RemoveLongFilter::limit(WORD_BYTES_MAX)).filter(LowerCaser).filter(AsciiFoldingFilter).build()
}

/// Cuts text into runs of letters and digits. A Han or Hiragana character is a word of its own, as Elasticsearch has it,
/// because nothing in such text says where a word ends.
#[derive(Clone)]
struct Words;

impl Tokenizer for Words {
    type TokenStream<'a> = WordsOf<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordsOf<'a> {
        WordsOf { rest: text, at: 0, token: Token::default() }
    }
}

/// The words of one text.
struct WordsOf<'a> {
    rest: &'a str,
    /// Where the rest starts in the text.
    at: usize,
    token: Token,
}

impl WordsOf<'_> {
    /// Passes what is before `length`, and gives it.
    fn pass(&mut self, length: usize) -> &str {
        let (passed, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.at += passed.len();
        passed
    }
}

impl TokenStream for WordsOf<'_> {
    fn advance(&mut self) -> bool {
        self.pass(self.rest.find(char::is_alphanumeric).unwrap_or(self.rest.len()));
        let Some(first) = self.rest.chars().next() else { return false };
        let end = |character: char| !character.is_alphanumeric() || is_word_alone(character);
        let length = if is_word_alone(first) { first.len_utf8() } else { self.rest.find(end).unwrap_or(self.rest.len()) };
        let from = self.at;
        let word = self.pass(length).to_owned();
        self.token =
            Token { offset_from: from, offset_to: self.at, position: self.token.position.wrapping_add(1), text: word, position_length: 1 };
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

fn is_word_alone(character: char) -> bool {
    matches!(character, '\u{3040}'..='\u{309F}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::analyzer;

    #[test]
    fn text_is_cut_into_words() {
        for (text, words) in [
            ("Red Running-Shoe, 42.5!", "red running shoe 42 5"),
            ("Café ÜBER naïve Straße", "cafe uber naive strasse"),
            ("", ""),
            ("--- !!!", ""),
            ("東京タワーに行くABC1", "東 京 タワー に 行 く abc1"),
            ("서울 타워", "서울 타워"),
            (&format!("a {} b", "x".repeat(121)), "a b"),
        ] {
            let (mut analyzer, mut found) = (analyzer(), Vec::new());
            analyzer.token_stream(text).process(&mut |token| found.push((token.text.clone(), token.position)));
            assert_eq!(found.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>().join(" "), words);
            assert!(found.is_sorted_by_key(|(_, position)| *position));
        }
    }
}
