//! Default values of new columns, as readers parse them (specification, "JSON single-value serialization").

use crate::expr::civil;
use crate::metadata::types::Primitive;

/// Checks the JSON text of a default value, which is not `null`, against the type of its column.
///
/// On failure, the error describes the value that the type requires.
pub(super) fn check(text: &str, primitive: &Primitive) -> Result<(), &'static str> {
    let string = || serde_json::from_str::<String>(text).ok();
    let (is_valid, expected) = match primitive {
        Primitive::Boolean => (matches!(text, "true" | "false"), "`true` or `false`"),
        Primitive::Int => (text.parse::<i32>().is_ok(), "a whole number of 32 bits"),
        Primitive::Long => (text.parse::<i64>().is_ok(), "a whole number of 64 bits"),
        // Readers distinguish numbers with and without a fraction.
        Primitive::Float => {
            let number = text.parse::<f32>().ok().filter(|number| number.is_finite());
            (number.is_some() && has_fraction(text), "a number with a fraction, such as `1.0`")
        }
        Primitive::Double => {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            (number.is_some() && has_fraction(text), "a number with a fraction, such as `1.0`")
        }
        Primitive::Decimal { precision, scale } => (
            string().is_some_and(|text| is_decimal(&text, *precision, *scale)),
            "a string with a number of as many digits as the type's scale and precision say",
        ),
        Primitive::Date => (string().is_some_and(|text| is_date(&text)), "a string such as `2007-12-03`"),
        Primitive::Time => {
            (string().and_then(|text| civil::parse_time(&text)).is_some(), "a string such as `22:31:08`")
        }
        Primitive::Timestamp | Primitive::TimestampNs => (
            string().is_some_and(|text| fits(civil::parse_timestamp(&text), primitive)),
            "a string such as `2007-12-03T10:15:30`, in the range of the type",
        ),
        Primitive::Timestamptz | Primitive::TimestamptzNs => (
            string().is_some_and(|text| is_utc(&text) && fits(civil::parse_timestamptz(&text), primitive)),
            "a string such as `2007-12-03T10:15:30+00:00`, in UTC and in the range of the type",
        ),
        Primitive::String => (string().is_some(), "a string"),
        Primitive::Uuid => (
            string().is_some_and(|text| text.len() == 36 && uuid::Uuid::parse_str(&text).is_ok()),
            "a string with a UUID",
        ),
        Primitive::Fixed(length) => {
            let is_as_long = |text: &String| u64::try_from(text.len()).ok() == length.checked_mul(2);
            (
                string().filter(is_as_long).is_some_and(|text| is_hex(&text)),
                "a string of hexadecimal digits, as long as the type",
            )
        }
        Primitive::Binary => (string().is_some_and(|text| is_hex(&text)), "a string of hexadecimal digits"),
        Primitive::Variant | Primitive::Unknown | Primitive::Geometry(_) | Primitive::Geography(_) => {
            (false, "`null`, the only default of its type")
        }
        Primitive::Other(_) => (true, ""),
    };
    if is_valid { Ok(()) } else { Err(expected) }
}

fn has_fraction(text: &str) -> bool {
    text.contains(['.', 'e', 'E'])
}

/// Returns `true` if the number has exactly `scale` digits after its decimal point, and at most `precision`
/// in total.
fn is_decimal(text: &str, precision: u32, scale: u32) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (digits, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((digits, exponent)) => match exponent.parse::<i64>() {
            Ok(exponent) => (digits, exponent),
            Err(_) => return false,
        },
        None => (unsigned, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0
        || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
    {
        return false;
    }
    let written_scale = i64::try_from(fraction.len()).unwrap_or(i64::MAX).checked_sub(exponent);
    let significant = [whole, fraction].concat().trim_start_matches('0').len();
    written_scale == Some(i64::from(scale))
        && u32::try_from(significant).is_ok_and(|digits| digits <= precision)
}

fn is_date(text: &str) -> bool {
    civil::parse_date(text).is_some_and(|days| i32::try_from(days).is_ok())
}

fn fits(nanos: Option<i128>, primitive: &Primitive) -> bool {
    let unit = match primitive {
        Primitive::TimestampNs | Primitive::TimestamptzNs => 1,
        _ => 1000,
    };
    nanos.is_some_and(|nanos| i64::try_from(nanos.div_euclid(unit)).is_ok())
}

fn is_utc(text: &str) -> bool {
    ["Z", "z", "+00:00", "-00:00"].iter().any(|offset| text.ends_with(offset))
}

fn is_hex(text: &str) -> bool {
    text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
