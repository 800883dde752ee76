//! What is measured: which files a table has, and which of its rows are deleted. All of it follows from numbers.

use std::ops::Range;

use super::files::Left;
use super::rows::Rows;

/// A table to compact.
pub struct Case {
    /// What it is chosen by.
    pub id: &'static str,
    /// What it is, for people.
    pub title: String,
    /// What its rows are like.
    pub rows: Rows,
    /// How many data files it has.
    pub files: u32,
    /// Rows of each of them.
    pub rows_each: u64,
    /// Which rows are deleted.
    pub deletes: Deletes,
    /// Whether memory is capped.
    pub is_capped: bool,
    /// Whether Firn does it once more with requests to the files that take [`SLOW_MS`] each, one after the other.
    pub is_slowed: bool,
}

/// Which rows are deleted, and by what.
#[derive(Clone, Copy)]
pub enum Deletes {
    /// None.
    None,
    /// For each data file a file of positions and one of keys, each of which takes one row of [`Deletes::STEP`]. The keys are those
    /// of rows in all data files.
    Both,
    /// Every second row, by their keys; where the data ends, keys go on that nothing has.
    Keys {
        /// Delete files.
        files: u32,
        /// Keys in each of them.
        each: u64,
    },
}

impl Deletes {
    /// One row of so many is deleted by its position, another one by its keys.
    pub const STEP: u64 = 100;
}

/// What an object store on the other side of a country takes for a request.
pub const SLOW_MS: u32 = 50;

/// Rows of a file of 11 MB.
const M1_ROWS: u64 = 360_000;
/// Rows of a file of 63 KB.
const M6_ROWS: u64 = 2_000;
/// As in the published benchmark that M2 follows.
const M2_ROWS: u64 = 10_000;
/// Keys in an equality delete file of 12.5 MB, and rows of a data file beside it.
const M3_ROWS: u64 = 1_000_000;

impl Case {
    /// All cases, smaller by a factor where they have one.
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
                is_capped: false,
                is_slowed: false,
            },
            Case {
                id: "m2",
                title: format!("{m2} data, {m2} position delete and {m2} equality delete files"),
                rows: Rows::Keyed,
                files: m2,
                rows_each: M2_ROWS,
                deletes: Deletes::Both,
                is_capped: true,
                is_slowed: false,
            },
            Case {
                id: "m3",
                title: format!("{m3} equality delete files of 12.5 MB"),
                rows: Rows::Keyed,
                // As many as make it worth while, however few deletes there are.
                files: m3.max(5),
                rows_each: M3_ROWS * u64::from(m3) / u64::from(m3.max(5)),
                deletes: Deletes::Keys { files: m3, each: M3_ROWS },
                is_capped: true,
                is_slowed: false,
            },
            Case {
                id: "m6",
                title: "5 files of 315 KB in all".to_owned(),
                rows: Rows::Events,
                files: 5,
                rows_each: M6_ROWS,
                deletes: Deletes::None,
                is_capped: false,
                is_slowed: true,
            },
        ]
    }

    /// Whether a row is deleted by its position.
    pub fn is_deleted_by_position(&self, number: u64) -> bool {
        matches!(self.deletes, Deletes::Both) && number.is_multiple_of(Deletes::STEP)
    }

    /// The row whose keys are deleted as the `index`th ones.
    pub fn deleted_by_key(&self, index: u64) -> u64 {
        match self.deletes {
            Deletes::Both => index * Deletes::STEP + Deletes::STEP / 2,
            Deletes::None | Deletes::Keys { .. } => index * 2,
        }
    }

    /// What is left of a run of rows.
    pub fn left_of(&self, numbers: Range<u64>) -> Left {
        let mut left = Left::default();
        for number in numbers.filter(|number| !self.is_deleted(*number)) {
            left.rows += 1;
            left.sum += i128::from(self.rows.summand(number));
        }
        left
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

/// A number made smaller, and not less than `least`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts from floats saturate")]
pub fn scaled(number: u32, scale: f64, least: u32) -> u32 {
    ((f64::from(number) * scale).ceil() as u32).max(least)
}
