//! Partition and sort transforms: reading their names and knowing which types they accept. Not applying them.

use std::fmt;

use super::types::Primitive;

/// A transform as written in a partition or sort field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transform {
    /// The value itself.
    Identity,
    /// Hash modulo the number of buckets.
    Bucket(u32),
    /// Value truncated to a width.
    Truncate(u32),
    /// Years since 1970.
    Year,
    /// Months since 1970.
    Month,
    /// Days since 1970.
    Day,
    /// Hours since 1970.
    Hour,
    /// Always null: what remains of a dropped field in version 1.
    Void,
    /// Anything we do not know. It is carried, never judged.
    Other(String),
}

impl Transform {
    /// Reads a name; whatever is not understood becomes [`Transform::Other`].
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

    /// Whether readers fail on the text instead of taking it for a transform that they do not know: a number in brackets
    /// that they cannot read, or for which a known transform is impossible.
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

    /// Whether a column of this type can be transformed; `None` if we cannot know.
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
