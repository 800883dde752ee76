//! Options of compaction: which data files of a table are rewritten.

use serde::{Deserialize, Serialize};

use super::size_classes::SizeClasses;

/// Default target size of data files in bytes, Java's default of `write.target-file-size-bytes`.
const TARGET_BYTES: i64 = 512 << 20;

/// Default target size for small tables in bytes; with larger files, their scans would have too few files to
/// use all cores of even one machine.
const TARGET_OF_SMALL_TABLE_BYTES: i64 = 128 << 20;

/// Size of the data files, in bytes, below which a table is small.
const SMALL_TABLE_BYTES: i64 = 10 << 30;

/// Options of compaction. Names and defaults are those of Java's `rewrite_data_files` where it has them.
///
/// The partitions to compact are selected by the scan that files are collected with, see [`super::live`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CompactOptions {
    /// Target size of data files in bytes; by default 512 MiB, and 128 MiB for a table with less than 10 GiB.
    pub target_file_size_bytes: Option<i64>,
    /// Ratio of the target size below which a file is too small.
    pub small_ratio: f64,
    /// Multiple of the target size above which a file is too large.
    pub large_ratio: f64,
    /// Ratio of deleted rows from which a file is rewritten.
    pub delete_ratio: f64,
    /// Number of files that are rewritten together even if their total size is less than the target.
    pub min_input_files: usize,
    /// Maximum size of the files of a group after the rewrite, in bytes.
    pub max_file_group_size_bytes: i64,
    /// Number of equality delete files from which those of a data file that is not rewritten are converted to
    /// position deletes; also the number of dangling deletes from which these are removed before they are
    /// old.
    pub min_equality_deletes: usize,
}

/// Error of options that contradict each other.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the options are invalid: {0}")]
pub struct OptionsError(String);

impl Default for CompactOptions {
    fn default() -> CompactOptions {
        CompactOptions {
            target_file_size_bytes: None,
            small_ratio: 0.75,
            large_ratio: 1.8,
            delete_ratio: 0.3,
            min_input_files: 5,
            max_file_group_size_bytes: 100 << 30,
            min_equality_deletes: 10,
        }
    }
}

impl CompactOptions {
    /// Returns the file sizes for a table with `table_bytes` bytes of data.
    ///
    /// With the default target size, a file of a small table is too large only if it were too large in a
    /// large table as well. Otherwise a table of about 10 GiB would be rewritten repeatedly.
    ///
    /// # Errors
    ///
    /// Fails if `delete_ratio`, `small_ratio` or `large_ratio` is out of range, or if
    /// `max_file_group_size_bytes` is less than twice the target size.
    pub fn size_classes(&self, table_bytes: i64) -> Result<SizeClasses, OptionsError> {
        let default_bytes =
            if table_bytes < SMALL_TABLE_BYTES { TARGET_OF_SMALL_TABLE_BYTES } else { TARGET_BYTES };
        let target_bytes = self.target_file_size_bytes.unwrap_or(default_bytes);
        let largest_bytes = self.target_file_size_bytes.unwrap_or(TARGET_BYTES);
        if !(self.delete_ratio > 0.0 && self.delete_ratio <= 1.0) {
            return refuse("`delete-ratio` must be greater than 0 and at most 1");
        }
        let small_bytes = times(target_bytes, self.small_ratio);
        let Some(size_classes) =
            SizeClasses::new(target_bytes, small_bytes, times(largest_bytes, self.large_ratio))
        else {
            return refuse(
                "`small-ratio` must be greater than 0 and at most 1, and `large-ratio` \
                 at least 1 and at least twice the `small-ratio`",
            );
        };
        if self.max_file_group_size_bytes / 2 < size_classes.target_bytes() {
            return refuse("`group-bytes-max` must be at least twice the target size");
        }
        Ok(size_classes)
    }
}

fn refuse<T>(what: &str) -> Result<T, OptionsError> {
    Err(OptionsError(what.to_owned()))
}

/// Returns a multiple of a size; 0 for a ratio that is not a number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "thresholds are not exact, and casts from floats saturate"
)]
fn times(bytes: i64, ratio: f64) -> i64 {
    (bytes as f64 * ratio) as i64
}
