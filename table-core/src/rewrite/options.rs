//! Which data files a table's owner wants to have rewritten.

use serde::{Deserialize, Serialize};

use super::sizes::Sizes;

/// Java's default of `write.target-file-size-bytes`.
const TARGET_BYTES: i64 = 512 << 20;

/// For small tables, whose scans would otherwise have too few files to be spread over the cores of even one machine.
const TARGET_OF_SMALL_TABLE_BYTES: i64 = 128 << 20;

/// A table that holds less is small.
const SMALL_TABLE_BYTES: i64 = 10 << 30;

/// When and how data files are rewritten. The names and defaults are those of Java's `rewrite_data_files` where it has them.
///
/// Which partitions are looked at is decided by the scan that files are collected with, [`super::live`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CompactOptions {
    /// The size to aim at; by default 512 MB, and 128 MB for a table that holds less than 10 GB.
    pub target_file_size_bytes: Option<i64>,
    /// A file is too small below this part of the target.
    pub small_ratio: f64,
    /// A file is too large above this multiple of the target.
    pub large_ratio: f64,
    /// A file is rewritten from this part of deleted rows on.
    pub delete_ratio: f64,
    /// So many files are rewritten together even if they do not make up one of the target's size.
    pub min_input_files: usize,
    /// A group writes no more than this.
    pub max_file_group_size_bytes: i64,
    /// From so many files of equality deletes on, those for a file that is not rewritten are turned into positions; and from so many
    /// of them on that are for nothing, they are removed before they are old.
    pub min_equality_deletes: usize,
}

/// Why options cannot be followed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("this cannot be followed: {0}")]
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
    /// The sizes it asks for in a table that holds so many bytes, if it can be followed at all.
    ///
    /// With the default target, a file of a small table is too large only if it were so in a large table. Otherwise a table
    /// around 10 GB would be rewritten again and again.
    pub fn sizes(&self, table_bytes: i64) -> Result<Sizes, OptionsError> {
        let default_bytes =
            if table_bytes < SMALL_TABLE_BYTES { TARGET_OF_SMALL_TABLE_BYTES } else { TARGET_BYTES };
        let target_bytes = self.target_file_size_bytes.unwrap_or(default_bytes);
        let largest_bytes = self.target_file_size_bytes.unwrap_or(TARGET_BYTES);
        if !(self.delete_ratio > 0.0 && self.delete_ratio <= 1.0) {
            return refuse("`delete-ratio` lies above 0 and is at most 1");
        }
        let small_bytes = times(target_bytes, self.small_ratio);
        let Some(sizes) = Sizes::new(target_bytes, small_bytes, times(largest_bytes, self.large_ratio))
        else {
            return refuse(
                "`small-ratio` lies above 0 and is at most 1, and `large-ratio` is at least 1 and twice the `small-ratio`: \
                 else there are files that are too small alone and too large together",
            );
        };
        if self.max_file_group_size_bytes / 2 < sizes.target_bytes() {
            return refuse("a group (`group-bytes-max`) takes at least twice the target size");
        }
        Ok(sizes)
    }
}

fn refuse<T>(what: &str) -> Result<T, OptionsError> {
    Err(OptionsError(what.to_owned()))
}

/// A part or multiple of a size; 0 for what makes no sense.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "thresholds are not exact, and casts from floats saturate"
)]
fn times(bytes: i64, ratio: f64) -> i64 {
    (bytes as f64 * ratio) as i64
}
