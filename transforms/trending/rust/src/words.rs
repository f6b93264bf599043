//! The words of a query.

/// Letters and digits of ASCII, lower-cased, at least two in a row; each word once, in order.
pub fn words(query: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in query.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| word.len() >= 2) {
        let word = word.to_ascii_lowercase();
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_and_digits() {
        assert_eq!(words("Red  LAPTOP-bag!"), ["red", "laptop", "bag"]);
        assert_eq!(words("4K tv, 4k TV"), ["4k", "tv"]);
        assert_eq!(words("crème brûlée"), ["cr", "me", "br"]);
        assert!(words(" a é-! ").is_empty());
    }
}
