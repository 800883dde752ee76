//! Partition and sort transforms: their names, and the types they accept. Their evaluation is in
//! [`crate::expr`].

use std::fmt;

use super::types::Primitive;

/// Transform of a partition field or sort field (specification, "Partition Transforms").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transform {
    /// `identity`: the source value, unchanged.
    Identity,
    /// `bucket[N]`: hash of the value, modulo N.
    Bucket(u32),
    /// `truncate[W]`: value truncated to width W.
    Truncate(u32),
    /// `year`: years since 1970.
    Year,
    /// `month`: months since 1970-01.
    Month,
    /// `day`: days since 1970-01-01.
    Day,
    /// `hour`: hours since 1970-01-01 00:00.
    Hour,
    /// `void`: always null; what remains of a dropped partition field in format version 1.
    Void,
    /// Unknown transform, as written. It is preserved but not validated.
    Other(String),
}

impl Transform {
    /// Parses the name of a transform; a name that is not understood becomes [`Transform::Other`].
    pub fn parse(text: &str) -> Transform {
        let lower = text.to_ascii_lowercase();
        match lower.as_str() {
            "identity" => return Transform::Identity,
            "year" => return Transform::Year,
            "month" => return Transform::Month,
            "day" => return Transform::Day,
            "hour" => return Transform::Hour,
            "void" => return Transform::Void,
            _ => {}
        }
        let parameter = |name: &str| -> Option<u32> {
            lower
                .strip_prefix(name)?
                .strip_prefix('[')?
                .strip_suffix(']')?
                .parse::<i32>()
                .ok()
                .and_then(|value| u32::try_from(value).ok())
                .filter(|value| *value > 0 && !lower.contains('+'))
        };
        if let Some(buckets) = parameter("bucket") {
            Transform::Bucket(buckets)
        } else if let Some(width) = parameter("truncate") {
            Transform::Truncate(width)
        } else {
            Transform::Other(text.to_owned())
        }
    }

    /// Returns `true` if readers fail on the name instead of taking it for an unknown transform: a number in
    /// brackets that they cannot parse, or that is not a valid parameter of `bucket` or `truncate`.
    pub(crate) fn is_unreadable(&self) -> bool {
        let Transform::Other(text) = self else { return false };
        let Some((name, number)) = text.strip_suffix(']').and_then(|text| text.split_once('[')) else {
            return false;
        };
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number
            && (number.parse::<i32>().is_err()
                || matches!(name.to_ascii_lowercase().as_str(), "bucket" | "truncate"))
    }

    /// Returns `true` if the transform accepts a source column of this type; `None` if transform or type is
    /// unknown.
    pub fn accepts(&self, source: &Primitive) -> Option<bool> {
        use Primitive::{
            Binary, Date, Decimal, Fixed, Geography, Geometry, Int, Long, Other, String, Time, Timestamp,
            TimestampNs, Timestamptz, TimestamptzNs, Uuid, Variant,
        };
        if matches!(source, Other(_)) {
            return None;
        }
        let is_timestamp = matches!(source, Timestamp | Timestamptz | TimestampNs | TimestamptzNs);
        match self {
            Transform::Void => Some(true),
            Transform::Identity => Some(!matches!(source, Variant | Geometry(_) | Geography(_))),
            Transform::Bucket(_) => {
                let hashable = matches!(
                    source,
                    Int | Long | Decimal { .. } | Date | Time | String | Uuid | Fixed(_) | Binary
                );
                Some(hashable || is_timestamp)
            }
            Transform::Truncate(_) => Some(matches!(source, Int | Long | Decimal { .. } | String | Binary)),
            Transform::Year | Transform::Month | Transform::Day => {
                Some(is_timestamp || matches!(source, Date))
            }
            Transform::Hour => Some(is_timestamp),
            Transform::Other(_) => None,
        }
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Transform::Identity => f.write_str("identity"),
            Transform::Bucket(buckets) => write!(f, "bucket[{buckets}]"),
            Transform::Truncate(width) => write!(f, "truncate[{width}]"),
            Transform::Year => f.write_str("year"),
            Transform::Month => f.write_str("month"),
            Transform::Day => f.write_str("day"),
            Transform::Hour => f.write_str("hour"),
            Transform::Void => f.write_str("void"),
            Transform::Other(text) => f.write_str(text),
        }
    }
}
