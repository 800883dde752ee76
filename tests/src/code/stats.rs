//! Percentiles, shares and means of counts, in whole numbers.

use std::fmt;

/// Median, 95th percentile and maximum of some counts, by nearest rank; zeros if there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// The least value that at least half of all are at most.
    pub median: usize,
    /// The least value that at least 95 % of all are at most.
    pub p95: usize,
    /// The greatest value.
    pub max: usize,
}

impl Spread {
    /// Spread of some values.
    pub fn of(mut values: Vec<usize>) -> Self {
        values.sort_unstable();
        let percentile = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).copied().unwrap_or(0)
        };
        Self { median: percentile(50), p95: percentile(95), max: percentile(100) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} / {} / {}", self.median, self.p95, self.max))
    }
}

/// Part of a total; prints itself as a percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The part.
    pub count: usize,
    /// The total.
    pub total: usize,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match tenths(self.count * 100, self.total) {
            Some(percent) => f.pad(&format!("{percent} %")),
            None => f.pad("-"),
        }
    }
}

/// Mean of some counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mean {
    /// Sum of the counts.
    pub sum: usize,
    /// Number of the counts.
    pub count: usize,
}

impl fmt::Display for Mean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match tenths(self.sum, self.count) {
            Some(mean) => f.pad(&mean),
            None => f.pad("-"),
        }
    }
}

/// A quotient with one decimal, rounded half up; `None` if the divisor is zero.
fn tenths(dividend: usize, divisor: usize) -> Option<String> {
    let tenths = (dividend * 20 + divisor).checked_div(divisor * 2)?;
    Some(format!("{}.{}", tenths / 10, tenths % 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_by_nearest_rank() {
        assert_eq!(Spread::of((1..=100).rev().collect()), Spread { median: 50, p95: 95, max: 100 });
        assert_eq!(Spread::of(vec![3, 1]), Spread { median: 1, p95: 3, max: 3 });
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }

    #[test]
    fn shares_and_means_have_one_decimal() {
        assert_eq!(Share { count: 1, total: 3 }.to_string(), "33.3 %");
        assert_eq!(Share { count: 2, total: 3 }.to_string(), "66.7 %");
        assert_eq!(Share { count: 0, total: 0 }.to_string(), "-");
        assert_eq!(Mean { sum: 21, count: 2 }.to_string(), "10.5");
    }
}
