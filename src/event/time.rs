//! Times as people write them.

const MS_PER_DAY: i64 = 86_400_000;
const NS_PER_MS: u64 = 1_000_000;

/// Milliseconds since 1970 and the nanoseconds beyond them, of an ISO 8601 date or timestamp: `2026-11-21`,
/// `2026-11-21T04:52:27.851153Z`, `2026-11-21 04:52:27+01:00`. Without an offset it is UTC. None for anything else, and for
/// times before 1970.
pub fn parse(text: &str) -> Option<(u64, u64)> {
    let (date, time) = match text.get(10..) {
        // Debezium writes the dates of `time.precision.mode=isostring` with a Z.
        Some("" | "Z") => (text.get(..10)?, "00:00:00"),
        Some(time) => (text.get(..10)?, time.strip_prefix(['T', 't', ' '])?),
        None => return None,
    };
    let (time, offset_ms) = split_offset(time)?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let [hour, minute, second] = three(clock, ':', [2, 2, 2])?;
    if hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    let ns = nanoseconds(fraction)?;
    let ms_of_day = ((hour * 60 + minute) * 60 + second) * 1_000 + i64::try_from(ns / NS_PER_MS).ok()?;
    let ms = days(date)? * MS_PER_DAY + ms_of_day - offset_ms;
    Some((u64::try_from(ms).ok()?, ns % NS_PER_MS))
}

fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(at) = time.find(['+', '-']) else { return Some((time, 0)) };
    let (time, offset) = time.split_at_checked(at)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':').unwrap_or((offset.get(1..)?, "00"));
    let minutes = number(hours, 2)? * 60 + number(minutes, 2)?;
    Some((time, if offset.starts_with('-') { -minutes } else { minutes } * 60_000))
}

/// Days since 1970-01-01 (Howard Hinnant's `days_from_civil`: years from March, so that the leap day is the last).
fn days(date: &str) -> Option<i64> {
    let [year, month, day] = three(date, '-', [4, 2, 2])?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

fn nanoseconds(fraction: &str) -> Option<u64> {
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{fraction:0<9}").parse().ok()
}

fn three(text: &str, joint: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(joint);
    let [first, second, third] = digits;
    let numbers = [number(parts.next()?, first)?, number(parts.next()?, second)?, number(parts.next()?, third)?];
    parts.next().is_none().then_some(numbers)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}
