//! Partition directories, formatted as Java does (`PartitionSpec.partitionToPath`). Their base directory is
//! chosen in [`super::data_location`].

use std::fmt::{Display, LowerExp, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::expr::civil::{Precision, civil_from_days, format_time, format_timestamp};
use crate::expr::decimal::Decimal;
use crate::expr::value::Value;
use crate::metadata::partition::{PartitionField, PartitionSpec};
use crate::metadata::transform::Transform;

/// Returns the directories of a partition, one per field of its spec, such as `day=2017-11-16/id_bucket=3`. A
/// value that is missing in the tuple counts as null.
pub fn partition_path(spec: &PartitionSpec, partition: &[Option<Value>]) -> String {
    let folder = |(place, field): (usize, &PartitionField)| {
        let value = partition.get(place).and_then(Option::as_ref);
        format!("{}={}", form_encoded(&field.name), form_encoded(&human(&field.transform, value)))
    };
    spec.fields().iter().enumerate().map(folder).collect::<Vec<_>>().join("/")
}

/// Formats a partition value for humans, as Java's `Transform.toHumanString` does.
fn human(transform: &Transform, value: Option<&Value>) -> String {
    let Some(value) = value else { return "null".to_owned() };
    match (transform, value) {
        (Transform::Void, _) => "null".to_owned(),
        (Transform::Year, Value::Int(years)) => format!("{:04}", 1970 + i64::from(*years)),
        (Transform::Month, Value::Int(months)) => {
            let months = i64::from(*months);
            format!("{:04}-{:02}", 1970 + months.div_euclid(12), 1 + months.rem_euclid(12))
        }
        (_, Value::Date(days)) | (Transform::Day, Value::Int(days)) => day(i64::from(*days)),
        (Transform::Hour, Value::Int(hours)) => {
            let hours = i64::from(*hours);
            format!("{}-{:02}", day(hours.div_euclid(24)), hours.rem_euclid(24))
        }
        (_, value) => human_value(value),
    }
}

fn human_value(value: &Value) -> String {
    match value {
        Value::Boolean(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::Float(value) => float(*value),
        Value::Double(value) => float(*value),
        Value::Decimal(value) => decimal(*value),
        Value::Date(days) => day(i64::from(*days)),
        Value::Time(micros) => time(*micros),
        Value::Timestamp(micros) => timestamp(i128::from(*micros) * 1000),
        Value::Timestamptz(micros) => timestamp(i128::from(*micros) * 1000) + "+00:00",
        Value::TimestampNs(nanos) => timestamp(i128::from(*nanos)),
        Value::TimestamptzNs(nanos) => timestamp(i128::from(*nanos)) + "+00:00",
        Value::String(text) | Value::Number(text) => text.clone(),
        Value::Uuid(value) => value.to_string(),
        Value::Fixed(bytes) | Value::Binary(bytes) => STANDARD.encode(bytes),
    }
}

/// Formats a day. Unlike [`format_timestamp`] it follows Java's `%04d`: the sign of a year counts as one of
/// the four characters, and years after 9999 have no sign.
fn day(days: i64) -> String {
    let (year, month, day) = civil_from_days(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Formats a time as `LocalTime.toString` does: seconds are omitted if they are zero, and a fraction has
/// three, six or nine digits.
fn time(micros: i64) -> String {
    let text = format_time(micros.saturating_mul(1000), Precision::Nanos);
    let length = match micros {
        _ if micros % 60_000_000 == 0 => "10:15".len(),
        _ if micros % 1_000_000 == 0 => "10:15:30".len(),
        _ if micros % 1000 == 0 => "10:15:30.123".len(),
        _ => "10:15:30.123456".len(),
    };
    text.get(..length).unwrap_or(&text).to_owned()
}

/// Formats a timestamp as `DateTimeFormatter.ISO_LOCAL_DATE_TIME` does: the fraction has as many digits as
/// needed, and years after 9999 have a sign.
fn timestamp(nanos: i128) -> String {
    let text = format_timestamp(nanos, Precision::Nanos);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Formats a decimal as `BigDecimal.toString` does: in scientific notation if there are more than five zeros
/// after the decimal point.
fn decimal(value: Decimal) -> String {
    let digits = value.unscaled.unsigned_abs().to_string();
    let exponent = i64::try_from(digits.len()).unwrap_or(i64::MAX) - 1 - i64::from(value.scale);
    if exponent >= -6 || value.scale == 0 {
        return value.to_string();
    }
    let sign = if value.unscaled < 0 { "-" } else { "" };
    match digits.split_at_checked(1) {
        Some((first, rest)) if !rest.is_empty() => format!("{sign}{first}.{rest}E{exponent}"),
        _ => format!("{sign}{digits}E{exponent}"),
    }
}

/// Formats a number as `Double.toString` and `Float.toString` do since Java 19; earlier versions print more
/// digits than necessary for some numbers.
fn float<F: Display + LowerExp>(value: F) -> String {
    let mut scientific = format!("{value:e}");
    if !scientific.contains('.') {
        // Where one digit is sufficient, Java prints the closest two: 4.9E-324, which is the same number as
        // 5e-324.
        scientific = format!("{value:.1e}");
    }
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific.replace("inf", "Infinity");
    };
    if exponent.parse().is_ok_and(|exponent: i32| !(-3..7).contains(&exponent)) {
        return format!("{digits}E{exponent}");
    }
    let plain = value.to_string();
    if plain.contains('.') { plain } else { plain + ".0" }
}

/// Encodes a string as `URLEncoder.encode` does, which is intended for forms: a space becomes `+`.
fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            _ => {
                // Writing to a `String` cannot fail.
                let _written = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}
