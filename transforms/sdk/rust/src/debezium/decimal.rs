//! Decimals: a whole number in two's complement, and where the point stands.

use crate::debezium::bytes;
use crate::error::{Result, reject};

/// The digits of a decimal as text: `decimal("BNM=", 2)` is `12.35`.
///
/// `base64` holds a whole number (two's complement, highest byte first), of which the last `scale` digits stand behind the
/// point; a negative scale adds zeros. `{"scale":…,"value":…}` columns are read by [`column::Decimal`](crate::column::Decimal).
///
/// # Errors
/// When the text is no base64, or holds more than a `numeric` of Postgres can.
pub fn decimal(base64: &str, scale: i32) -> Result<String> {
    /// Postgres: at most 131,072 digits before the point and 16,383 after it.
    const SCALE_MAX: u32 = 131_072;
    const BYTES_MAX: usize = 65_536;
    let bytes = bytes(base64)?;
    if bytes.len() > BYTES_MAX || scale.unsigned_abs() > SCALE_MAX {
        return Err(reject(format!("a decimal of {} bytes and scale {scale} is too long", bytes.len())));
    }
    let negative = bytes.first().is_some_and(|&byte| byte >= 0x80);
    let mut digits = digits(magnitude(&bytes, negative));
    if scale < 0 && digits != "0" {
        digits.extend(std::iter::repeat_n('0', scale.unsigned_abs() as usize));
    }
    let behind = usize::try_from(scale).unwrap_or(0);
    if digits.len() <= behind {
        digits.insert_str(0, &"0".repeat(behind + 1 - digits.len()));
    }
    if behind > 0 {
        digits.insert(digits.len() - behind, '.');
    }
    if negative {
        digits.insert(0, '-');
    }
    Ok(digits)
}

/// The amount without its sign, in words of 32 bits, the highest first.
fn magnitude(bytes: &[u8], negative: bool) -> Vec<u32> {
    let flip = if negative { 0xff } else { 0 };
    let word = |chunk: &[u8]| chunk.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte ^ flip));
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let mut words: Vec<u32> = reversed.chunks(4).map(word).collect();
    let mut carry = negative;
    for word in &mut words {
        (*word, carry) = word.overflowing_add(u32::from(carry));
    }
    if carry {
        words.push(1);
    }
    words.reverse();
    words
}

/// Divides by 10⁹ again and again: each remainder is nine digits.
fn digits(mut words: Vec<u32>) -> String {
    const NINE_DIGITS: u64 = 1_000_000_000;
    let mut groups = Vec::new();
    while words.iter().any(|&word| word != 0) {
        let mut rest = 0_u64;
        for word in &mut words {
            let value = rest << 32 | u64::from(*word);
            *word = (value / NINE_DIGITS) as u32;
            rest = value % NINE_DIGITS;
        }
        groups.push(rest);
        if words.first() == Some(&0) {
            words.remove(0);
        }
    }
    let mut groups = groups.into_iter().rev();
    let mut text = groups.next().unwrap_or(0).to_string();
    groups.for_each(|group| text.push_str(&format!("{group:09}")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_every_digit() {
        let cases = [
            // As recorded from Debezium.
            ("BNM=", 2, "12.35"),
            ("fQ==", 2, "1.25"),
            ("AMc=", 2, "1.99"),
            ("AQ==", 0, "1"),
            ("AA==", 2, "0.00"),
            ("", 0, "0"),
            ("AQ==", 3, "0.001"),
            ("/w==", 2, "-0.01"),
            ("/zg=", 2, "-2.00"),
            ("gA==", 0, "-128"),
            ("gAAAAA==", 0, "-2147483648"),
            ("gAAAAAAAAAA=", 4, "-922337203685477.5808"),
            ("AQ==", -3, "1000"),
            ("AA==", -3, "0"),
            ("AP//////////", 0, "18446744073709551615"),
        ];
        for (base64, scale, expected) in cases {
            assert_eq!(decimal(base64, scale).unwrap(), expected, "{base64} {scale}");
        }
    }

    #[test]
    fn every_length_fits_its_words() {
        for length in 1..=16 {
            let value = (i128::MAX >> (128 - 8 * length)) - 12345_i128.min(i128::MAX >> (128 - 8 * length));
            for value in [value, -value - 1] {
                let bytes = &value.to_be_bytes()[16 - length as usize..];
                assert_eq!(decimal(&encode(bytes), 0).unwrap(), value.to_string());
            }
        }
    }

    #[test]
    fn what_is_too_long_is_refused() {
        assert!(decimal(&encode(&vec![1; 70_000]), 0).is_err());
        assert!(decimal("AQ==", i32::MIN).is_err());
        assert_eq!(decimal("12.50", 2).unwrap_err().reason(), "`12.50` is not base64");
    }

    fn encode(bytes: &[u8]) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
        bits.chunks(6)
            .map(|six| six.iter().chain(std::iter::repeat(&0)).take(6).fold(0_usize, |sum, &bit| sum << 1 | bit as usize))
            .map(|place| ALPHABET[place] as char)
            .collect()
    }
}
