//! Costs that plans of all kinds count in, and their sums.

/// Cost of opening a file in a scan, expressed in bytes that could have been read instead: Iceberg's default
/// of `read.split.open-file-cost`.
pub(super) const OPEN_FILE_BYTES: i64 = 4 << 20;

/// Returns a saturating sum: the numbers in a damaged manifest may overflow.
pub(super) fn total(numbers: impl Iterator<Item = i64>) -> i64 {
    numbers.fold(0, i64::saturating_add)
}
