//! Dates and times as ISO 8601 text, in the proleptic Gregorian calendar and UTC, as far as JSON single-value
//! serialization needs them.

use std::fmt::Write;

/// Nanoseconds per day.
pub const DAY_NANOS: i64 = 86_400_000_000_000;

const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// Days in 400 years, after which the calendar repeats.
const ERA_DAYS: i64 = 146_097;
/// Days from 0000-03-01, where eras start so that leap days come last, to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;
/// Greatest year that `java.time` supports, in magnitude; its nanoseconds fit an `i128`.
const YEAR_MAX: i64 = 999_999_999;

/// Returns the days since 1970-01-01. The month counts from 1; neither month nor day is checked.
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let (months, year) = if month > 2 { (month - 3, year) } else { (month + 9, year - 1) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = i64::from((153 * months + 2) / 5) + i64::from(day) - 1;
    era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - EPOCH_DAYS
}

/// Returns year, month (from 1) and day of the month of a number of days since 1970-01-01.
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + EPOCH_DAYS;
    let (era, day_of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let leaps = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months + 2) / 5 + 1;
    let month = if months < 10 { months + 3 } else { months - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

/// Parses `2007-12-03` to days since 1970-01-01. Years of more than four digits need a sign.
pub fn parse_date(text: &str) -> Option<i64> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    let (year, rest) = unsigned.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let has_sign = unsigned.len() < text.len();
    if year.len() < 4 || year.len() > 10 || (year.len() > 4 && !has_sign) {
        return None;
    }
    let year = sign * i64::from(number(year, year.len())?);
    let (month, day) = (number(month, 2)?, number(day, 2)?);
    if year.abs() > YEAR_MAX || !(1..=12).contains(&month) || day < 1 || day > days_of_month(year, month) {
        return None;
    }
    Some(days_from_civil(year, month, day))
}

/// Parses `22:31`, `22:31:08` or `22:31:08.123456789` to nanoseconds since midnight.
pub fn parse_time(text: &str) -> Option<i64> {
    let (hour, rest) = text.split_once(':')?;
    let (minute, rest) = rest.split_once(':').unwrap_or((rest, "00"));
    let (second, fraction) = rest.split_once('.').unwrap_or((rest, "0"));
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    if hour > 23 || minute > 59 || second > 59 || fraction.len() > 9 {
        return None;
    }
    let mut nanos = i64::from(number(fraction, fraction.len())?);
    for _ in fraction.len()..9 {
        nanos *= 10;
    }
    Some(i64::from(hour * 3600 + minute * 60 + second) * NANOS_PER_SECOND + nanos)
}

/// Parses `2007-12-03T10:15:30.123456` to nanoseconds since 1970-01-01 00:00.
pub fn parse_timestamp(text: &str) -> Option<i128> {
    let (date, time) = text.split_once(['T', 't'])?;
    Some(i128::from(parse_date(date)?) * i128::from(DAY_NANOS) + i128::from(parse_time(time)?))
}

/// Parses `2007-12-03T10:15:30.123456+00:00`, with any offset or `Z`, to nanoseconds since 1970-01-01 00:00
/// UTC.
pub fn parse_timestamptz(text: &str) -> Option<i128> {
    if let Some(local) = text.strip_suffix(['Z', 'z']) {
        return parse_timestamp(local);
    }
    let time = text.find(['T', 't'])?;
    let sign = time + text.get(time..)?.find(['+', '-'])?;
    let (local, offset) = text.split_at_checked(sign)?;
    let seconds = parse_time(offset.get(1..)?)?;
    let east = if offset.starts_with('-') { -1 } else { 1 };
    Some(parse_timestamp(local)? - i128::from(east * seconds))
}

/// Formats days since 1970-01-01 as `2007-12-03`.
pub fn format_date(days: i64) -> String {
    let (year, month, day) = civil_from_days(days);
    let sign = match year {
        ..0 => "-",
        0..=9999 => "",
        _ => "+",
    };
    format!("{sign}{:04}-{month:02}-{day:02}", year.unsigned_abs())
}

/// Number of digits for fractions of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Microseconds: six digits.
    Micros,
    /// Nanoseconds: nine digits.
    Nanos,
}

/// Formats nanoseconds since midnight as `22:31:08.123456`.
pub fn format_time(nanos: i64, precision: Precision) -> String {
    let (seconds, fraction) = (nanos.div_euclid(NANOS_PER_SECOND), nanos.rem_euclid(NANOS_PER_SECOND));
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    // Writing to a `String` cannot fail.
    let _written = match precision {
        Precision::Micros => write!(text, ".{:06}", fraction / 1000),
        Precision::Nanos => write!(text, ".{fraction:09}"),
    };
    text
}

/// Formats nanoseconds since 1970-01-01 00:00 as `2007-12-03T10:15:30.123456`.
pub fn format_timestamp(nanos: i128, precision: Precision) -> String {
    let day = i128::from(DAY_NANOS);
    let days = i64::try_from(nanos.div_euclid(day)).unwrap_or(0);
    let rest = i64::try_from(nanos.rem_euclid(day)).unwrap_or(0);
    format!("{}T{}", format_date(days), format_time(rest, precision))
}

fn days_of_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Parses a number of exactly this many digits, and at least one.
fn number(text: &str, digits: usize) -> Option<u32> {
    let is_number =
        !text.is_empty() && text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}
