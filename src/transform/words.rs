//! Texts of guests, made fit for a line of ours.

/// `text` up to `bytes_max`, with a space for each line break and other control character: it cannot pass for a line, or a
/// colour, of ours.
pub fn one_line(text: &str, bytes_max: usize) -> String {
    let cut = text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default();
    cut.chars().map(|character| if character.is_control() { ' ' } else { character }).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn texts_are_cut_between_characters_and_cannot_forge_lines() {
        for (text, bytes_max, expected) in
            [("aé", 2, "a"), ("aé", 3, "aé"), (" a\nERROR forged\u{1b}[31m\r", 100, "a ERROR forged [31m"), ("", 5, "")]
        {
            assert_eq!(one_line(text, bytes_max), expected);
        }
    }
}
