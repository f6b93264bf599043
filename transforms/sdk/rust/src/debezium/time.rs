//! Counts since 1970-01-01 as ISO 8601 text.

/// A date: `date(19782)` is `2024-02-29`. Debezium's `io.debezium.time.Date`, Connect's `Date`.
pub fn date(days: i32) -> String {
    let (year, month, day) = civil(i64::from(days));
    format!("{}-{month:02}-{day:02}", year_text(year))
}

/// `timestamp_millis(1710041400654)` is `2024-03-10T03:30:00.654Z`. Debezium's `Timestamp`, Connect's `Timestamp`.
pub fn timestamp_millis(millis: i64) -> String {
    timestamp(millis, 1_000, 3)
}

/// `timestamp_micros(1710041400654321)` is `2024-03-10T03:30:00.654321Z`. Debezium's `MicroTimestamp`.
pub fn timestamp_micros(micros: i64) -> String {
    timestamp(micros, 1_000_000, 6)
}

/// Debezium's `NanoTimestamp`.
pub fn timestamp_nanos(nanos: i64) -> String {
    timestamp(nanos, 1_000_000_000, 9)
}

fn timestamp(count: i64, per_second: i64, digits: usize) -> String {
    let (seconds, fraction) = (count.div_euclid(per_second), count.rem_euclid(per_second));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:0digits$}Z", year_text(year))
}

/// Years outside 0..=9999 carry a sign, as ISO 8601 wants it.
fn year_text(year: i64) -> String {
    match year {
        0..=9999 => format!("{year:04}"),
        10_000.. => format!("+{year}"),
        ..0 => format!("-{:04}", -year),
    }
}

/// Days since 1970-01-01 to year, month, day (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_dates() {
        let cases = [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (19_782, "2024-02-29"),
            (11_016, "2000-02-29"),
            (-25_509, "1900-02-28"),
            (-25_508, "1900-03-01"),
            (-719_528, "0000-01-01"),
            (-719_529, "-0001-12-31"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "+10000-01-01"),
        ];
        for (days, expected) in cases {
            assert_eq!(date(days), expected, "{days}");
        }
        date(i32::MIN);
        date(i32::MAX);
    }

    #[test]
    fn timestamps_keep_their_digits() {
        assert_eq!(timestamp_micros(1_710_041_400_654_321), "2024-03-10T03:30:00.654321Z");
        assert_eq!(timestamp_millis(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(timestamp_nanos(1), "1970-01-01T00:00:00.000000001Z");
        timestamp_millis(i64::MIN);
        timestamp_millis(i64::MAX);
    }
}
