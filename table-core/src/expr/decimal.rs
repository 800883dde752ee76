//! Decimals: exact numbers of up to 38 digits, their text form, and their conversion to another scale.

use std::cmp::Ordering;
use std::fmt;

/// Decimal number: `unscaled / 10^scale`. Compared by numeric value: `1.0` equals `1.00`.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    /// Digits, as a whole number.
    pub unscaled: i128,
    /// Number of digits after the decimal point.
    pub scale: u32,
}

/// Result of converting a number to a type that does not contain every number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fit<T> {
    /// The number is exactly this value.
    Exact(T),
    /// The number is greater than this value, and less than the next one of the type.
    Above(T),
    /// The number is between two values, as in [`Fit::Above`], but some clients round it to one of them.
    Between(Neighbours<T>),
    /// The number is greater than every value of the type.
    AboveMax,
    /// The number is less than every value of the type.
    BelowMin,
}

/// Number between two values of a type, with the values that clients round it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Neighbours<T> {
    /// Greatest value below the number.
    pub(crate) below: T,
    /// Values that the number is rounded to, in ascending order: two if it is in the middle, where clients
    /// differ.
    pub(crate) rounded: Vec<T>,
}

impl<T> Fit<T> {
    /// Converts the values to another representation.
    pub(crate) fn map<U>(self, to: impl Fn(T) -> U) -> Fit<U> {
        match self {
            Fit::Exact(value) => Fit::Exact(to(value)),
            Fit::Above(value) => Fit::Above(to(value)),
            Fit::Between(Neighbours { below, rounded }) => {
                Fit::Between(Neighbours { below: to(below), rounded: rounded.into_iter().map(to).collect() })
            }
            Fit::AboveMax => Fit::AboveMax,
            Fit::BelowMin => Fit::BelowMin,
        }
    }
}

impl Decimal {
    /// Parses a number that fits the scale exactly, such as `-12.50` or `2E+20`.
    pub fn parse(text: &str, scale: u32) -> Option<Decimal> {
        match Number::parse(text)?.fit(scale) {
            Fit::Exact(unscaled) => Some(Decimal { unscaled, scale }),
            Fit::Above(_) | Fit::Between(_) | Fit::AboveMax | Fit::BelowMin => None,
        }
    }

    /// Converts the decimal to another scale.
    pub(crate) fn fit(self, scale: u32) -> Fit<i128> {
        if self.scale == scale {
            return Fit::Exact(self.unscaled);
        }
        let digits = self.unscaled.unsigned_abs().to_string();
        Number { negative: self.unscaled < 0, digits, exponent: -i64::from(self.scale) }.fit(scale)
    }

    /// Returns the big-endian two's complement in as few bytes as possible, in which the specification stores
    /// and hashes decimals.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let bytes = self.unscaled.to_be_bytes();
        let fill = if self.unscaled < 0 { 0xff } else { 0 };
        let mut start = 0;
        while let Some([first, second]) = bytes.get(start..start + 2) {
            // A leading byte is redundant if it only repeats the sign of the next one.
            if *first != fill || (*second ^ fill) & 0x80 != 0 {
                break;
            }
            start += 1;
        }
        bytes.get(start..).unwrap_or_default().to_vec()
    }

    /// Parses what [`Decimal::to_bytes`] returns. Longer representations are accepted, because files may
    /// contain them.
    pub(crate) fn from_bytes(bytes: &[u8], scale: u32) -> Option<Decimal> {
        let fill = if *bytes.first()? & 0x80 == 0 { 0 } else { 0xff };
        let start = bytes.len().saturating_sub(16);
        let (extra, kept) = bytes.split_at_checked(start)?;
        if extra.iter().any(|byte| *byte != fill) {
            return None;
        }
        let mut wide = [fill; 16];
        wide.get_mut(16 - kept.len()..)?.copy_from_slice(kept);
        // The sign bit must not have been in the bytes that were cut off.
        ((wide[0] ^ fill) & 0x80 == 0).then(|| Decimal { unscaled: i128::from_be_bytes(wide), scale })
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        match self.scale.cmp(&other.scale) {
            Ordering::Equal => self.unscaled.cmp(&other.unscaled),
            Ordering::Less => compare_raised(self.unscaled, other.scale - self.scale, other.unscaled),
            Ordering::Greater => {
                compare_raised(other.unscaled, self.scale - other.scale, self.unscaled).reverse()
            }
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

/// Compares `low * 10^digits` with `high`.
fn compare_raised(low: i128, digits: u32, high: i128) -> Ordering {
    match 10_i128.checked_pow(digits).and_then(|factor| low.checked_mul(factor)) {
        Some(raised) => raised.cmp(&high),
        // The product is too large for the type, so it is larger in magnitude than every value of the type.
        None => low.cmp(&0),
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.unscaled < 0 { "-" } else { "" };
        let scale = usize::try_from(self.scale).unwrap_or(usize::MAX);
        let digits = format!("{:0>width$}", self.unscaled.unsigned_abs(), width = scale.saturating_add(1));
        match digits.split_at_checked(digits.len().saturating_sub(scale)) {
            Some((whole, fraction)) if !fraction.is_empty() => write!(f, "{sign}{whole}.{fraction}"),
            _ => write!(f, "{sign}{digits}"),
        }
    }
}

/// Maximum number of digits of a decimal (specification, "Primitive Types").
const DECIMAL_DIGITS_MAX: usize = 38;

/// Maximum number of digits of a decimal literal after the decimal point: 38 digits that follow as many
/// zeros.
const LITERAL_SCALE_MAX: u32 = 76;

/// Number of any size: `digits * 10^exponent`.
#[derive(Debug)]
pub(crate) struct Number {
    negative: bool,
    digits: String,
    exponent: i64,
}

/// Digits of a number, split at the decimal point of a scale.
struct Cut {
    /// Magnitude before the point; `None` if it is too large.
    whole: Option<i128>,
    /// Result of comparing the part after the point with one half.
    half: Ordering,
    /// `true` if the part after the point is not zero.
    inexact: bool,
}

impl Number {
    /// Parses a number as Java's `BigDecimal` does: a sign, digits with at most one point, an exponent.
    pub(crate) fn parse(text: &str) -> Option<Number> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let behind = i64::try_from(fraction.len()).ok()?;
        Some(Number { negative, digits, exponent: i64::from(exponent) - behind })
    }

    /// Returns the digits without leading and trailing zeros, and the exponent that belongs to them.
    fn significant(&self) -> (&str, i64) {
        let digits = self.digits.trim_start_matches('0');
        let short = digits.trim_end_matches('0');
        let dropped = i64::try_from(digits.len() - short.len()).unwrap_or(i64::MAX);
        (short, if short.is_empty() { 0 } else { self.exponent.saturating_add(dropped) })
    }

    /// Returns `true` if both are the same number, in any notation. Zero has no sign.
    pub(crate) fn is_equal(&self, other: &Number) -> bool {
        let significant = self.significant();
        significant == other.significant() && (self.negative == other.negative || significant.0.is_empty())
    }

    /// Returns the number as a decimal of up to [`DECIMAL_DIGITS_MAX`] digits; `None` if it has more digits,
    /// more than [`LITERAL_SCALE_MAX`] of them after the decimal point, or is too large.
    pub(crate) fn to_decimal(&self) -> Option<Decimal> {
        let (digits, exponent) = self.significant();
        let scale = u32::try_from(exponent.saturating_neg().max(0)).ok()?;
        if digits.len() > DECIMAL_DIGITS_MAX || scale > LITERAL_SCALE_MAX {
            return None;
        }
        match self.fit(scale) {
            Fit::Exact(unscaled) => Some(Decimal { unscaled, scale }),
            _ => None,
        }
    }

    /// Converts the number to an unscaled value of a scale.
    pub(crate) fn fit(&self, scale: u32) -> Fit<i128> {
        let cut = self.cut(scale);
        match (cut.whole, self.negative) {
            (None, false) => Fit::AboveMax,
            (None, true) => Fit::BelowMin,
            (Some(whole), false) if cut.inexact => Fit::Above(whole),
            (Some(whole), true) if cut.inexact => Fit::Above(-whole - 1),
            (Some(whole), false) => Fit::Exact(whole),
            (Some(whole), true) => Fit::Exact(-whole),
        }
    }

    /// Converts the number to an unscaled value of a scale, with the values that clients round it to that
    /// treat it as a double.
    pub(crate) fn fit_rounded(&self, scale: u32) -> Fit<i128> {
        let Fit::Above(below) = self.fit(scale) else { return self.fit(scale) };
        let cut = self.cut(scale);
        // The comparison with one half is that of the magnitude, so it is reversed for negative numbers.
        let rounded = match (cut.half, self.negative) {
            (Ordering::Less, false) | (Ordering::Greater, true) => vec![below],
            (Ordering::Equal, _) => vec![below, below + 1],
            (Ordering::Greater, false) | (Ordering::Less, true) => vec![below + 1],
        };
        Fit::Between(Neighbours { below, rounded })
    }

    fn cut(&self, scale: u32) -> Cut {
        // Leaves room for the increment by rounding.
        const WHOLE_MAX: i128 = i128::MAX - 1;

        let digits = self.digits.trim_start_matches('0');
        if digits.is_empty() {
            return Cut { whole: Some(0), half: Ordering::Less, inexact: false };
        }
        let shift = self.exponent + i64::from(scale);
        if let Ok(zeros) = u32::try_from(shift) {
            let raised = digits.parse::<i128>().ok().zip(10_i128.checked_pow(zeros));
            let whole = raised.and_then(|(digits, factor)| digits.checked_mul(factor));
            let whole = whole.filter(|whole| *whole <= WHOLE_MAX);
            return Cut { whole, half: Ordering::Less, inexact: false };
        }
        if shift > 0 {
            return Cut { whole: None, half: Ordering::Less, inexact: false };
        }
        let behind = usize::try_from(-shift).unwrap_or(usize::MAX);
        let Some(point) = digits.len().checked_sub(behind) else {
            // Less than a tenth of a unit: the fraction begins with zeros.
            return Cut { whole: Some(0), half: Ordering::Less, inexact: true };
        };
        let (whole, fraction) = digits.split_at_checked(point).unwrap_or((digits, ""));
        let whole = if whole.is_empty() { Some(0) } else { whole.parse().ok() };
        Cut {
            whole: whole.filter(|whole| *whole <= WHOLE_MAX),
            half: fraction.trim_end_matches('0').cmp("5"),
            inexact: fraction.bytes().any(|digit| digit != b'0'),
        }
    }
}
