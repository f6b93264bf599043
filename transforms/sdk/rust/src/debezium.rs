//! What Debezium makes of values that JSON has no type for.
//!
//! A connector with `decimal.handling.mode = string` and `time.precision.mode = isostring` sends readable text and needs none
//! of this. With the defaults, decimals are base64, dates are days and timestamps are counts since 1970.

use crate::error::{Result, reject};

mod decimal;
mod time;

pub use decimal::decimal;
pub use time::{date, timestamp_micros, timestamp_millis, timestamp_nanos};

/// Stands in place of a long value that did not change: Postgres does not send those again (TOAST).
///
/// With `state.keep = "rows"` Rowmill fills it in before the transform sees the row.
pub const UNAVAILABLE: &str = "__debezium_unavailable_value";

/// The bytes of a `bytea` column, or of a decimal: base64 with or without padding.
///
/// # Errors
/// When the text is no base64.
pub fn bytes(base64: &str) -> Result<Vec<u8>> {
    let digits = base64.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0);
    for character in digits.bytes() {
        let six = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(reject(format!("`{base64}` is not base64"))),
        };
        held = held << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    if bits == 6 { Err(reject(format!("`{base64}` is not base64"))) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        assert_eq!(bytes("AAAAAQ==").unwrap(), [0, 0, 0, 1]);
        assert_eq!(bytes("aGVsbG8gZnJvbSB0aGUgbG9n").unwrap(), b"hello from the log");
        assert_eq!(bytes("+/8").unwrap(), [0xfb, 0xff]);
        assert!(bytes("").unwrap().is_empty());
        assert_eq!(bytes("12.50").unwrap_err().reason(), "`12.50` is not base64");
        assert!(bytes("A").is_err());
    }
}
