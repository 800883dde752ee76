//! Cases of the benchmark: the files of a table, and its deleted rows. All content is computed from row
//! numbers.

use std::ops::Range;

use super::files::RowTotals;
use super::rows::Rows;

/// Table to be compacted.
pub struct Case {
    /// Name by which the case is selected with `--only`.
    pub id: &'static str,
    /// Description for the output.
    pub title: String,
    /// Kind of rows.
    pub rows: Rows,
    /// Number of data files.
    pub files: u32,
    /// Number of rows of each data file.
    pub rows_each: u64,
    /// Deleted rows.
    pub deletes: Deletes,
    /// `true` if the memory of contenders is limited.
    pub is_memory_limited: bool,
    /// `true` if Firn compacts the table a second time with a limited rate of requests, as if each request
    /// took [`SLOW_MS`].
    pub is_rate_limited: bool,
}

/// Choice of deleted rows, and of the delete files.
#[derive(Clone, Copy)]
pub enum Deletes {
    /// No deletes.
    None,
    /// One position delete file and one equality delete file for each data file, each of which deletes one
    /// row out of [`Deletes::STEP`]. The deletes of an equality delete file apply to rows of all data files.
    Both,
    /// Every second row is deleted by equality deletes. Deletes beyond the number of rows match no row.
    Keys {
        /// Number of equality delete files.
        files: u32,
        /// Number of deletes in each file.
        each: u64,
    },
}

impl Deletes {
    /// One row out of this number is deleted by a position delete, another one by an equality delete.
    pub const STEP: u64 = 100;
}

/// Duration of a request to a distant object store, in milliseconds.
pub const SLOW_MS: u32 = 50;

/// Number of rows of a file of 11 MB.
const M1_ROWS: u64 = 360_000;
/// Number of rows of a file of 63 KB.
const M6_ROWS: u64 = 2_000;
/// Number of rows of a file, as in the published benchmark on which M2 is modelled.
const M2_ROWS: u64 = 10_000;
/// Number of deletes in an equality delete file of 12.5 MB, and about the number of rows of a data file
/// beside it.
const M3_ROWS: u64 = 1_000_000;

impl Case {
    /// Returns all cases. Numbers of files are multiplied by `scale`, except in cases of fixed size.
    pub fn all(scale: f64) -> Vec<Case> {
        let m1 = scaled(1_085, scale, 5);
        let m2 = scaled(1_250, scale, 10);
        let m3 = scaled(100, scale, 1);
        vec![
            Case {
                id: "m1",
                title: format!("{m1} files of 11 MB, no deletes"),
                rows: Rows::Events,
                files: m1,
                rows_each: M1_ROWS,
                deletes: Deletes::None,
                is_memory_limited: false,
                is_rate_limited: false,
            },
            Case {
                id: "m2",
                title: format!("{m2} data, {m2} position delete and {m2} equality delete files"),
                rows: Rows::Keyed,
                files: m2,
                rows_each: M2_ROWS,
                deletes: Deletes::Both,
                is_memory_limited: true,
                is_rate_limited: false,
            },
            Case {
                id: "m3",
                title: format!("{m3} equality delete files of 12.5 MB"),
                rows: Rows::Keyed,
                // At least as many files as are worth a compaction, even if there are few deletes.
                files: m3.max(5),
                rows_each: M3_ROWS * u64::from(m3) / u64::from(m3.max(5)),
                deletes: Deletes::Keys { files: m3, each: M3_ROWS },
                is_memory_limited: true,
                is_rate_limited: false,
            },
            Case {
                id: "m6",
                title: "5 files of 315 KB in all".to_owned(),
                rows: Rows::Events,
                files: 5,
                rows_each: M6_ROWS,
                deletes: Deletes::None,
                is_memory_limited: false,
                is_rate_limited: true,
            },
        ]
    }

    /// Returns `true` if a row is deleted by a position delete.
    pub fn is_deleted_by_position(&self, number: u64) -> bool {
        matches!(self.deletes, Deletes::Both) && number.is_multiple_of(Deletes::STEP)
    }

    /// Returns the number of the row that the equality delete with this index deletes.
    pub fn deleted_by_key(&self, index: u64) -> u64 {
        match self.deletes {
            Deletes::Both => index * Deletes::STEP + Deletes::STEP / 2,
            Deletes::None | Deletes::Keys { .. } => index * 2,
        }
    }

    /// Returns the number and the sum of the rows of a range that are not deleted.
    pub fn remaining_rows(&self, numbers: Range<u64>) -> RowTotals {
        let mut remaining = RowTotals::default();
        for number in numbers.filter(|number| !self.is_deleted(*number)) {
            remaining.rows += 1;
            remaining.sum += i128::from(self.rows.summand(number));
        }
        remaining
    }

    fn is_deleted(&self, number: u64) -> bool {
        match self.deletes {
            Deletes::None => false,
            Deletes::Both => {
                self.is_deleted_by_position(number) || number % Deletes::STEP == Deletes::STEP / 2
            }
            Deletes::Keys { files, each } => number.is_multiple_of(2) && number / 2 < u64::from(files) * each,
        }
    }
}

/// Multiplies a number by a factor, with a minimum of `least`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts from floats saturate")]
pub fn scaled(number: u32, scale: f64, least: u32) -> u32 {
    ((f64::from(number) * scale).ceil() as u32).max(least)
}
