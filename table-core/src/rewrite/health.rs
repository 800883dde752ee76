//! Health of a table as a single score with an explanation.
//!
//! # Formula
//!
//! A table starts with 100 points. Each fault deducts points in proportion to its severity, from the level at
//! which it deducts none to the level at which it deducts all of its points; see [`Fault::points_max`] for
//! the points of each fault, and the constants for the levels. The score is never below 0.
//!
//! | fault | no deduction | full deduction | points |
//! | --- | --- | --- | --- |
//! | small files | no file that a rewrite would save | 100 of them, which are all files | 40 |
//! | deleted rows | no row deleted by position | 30 % of all rows | 30 |
//! | equality deletes | no equality delete file | 100 files | 20 |
//! | manifests | as many as their size requires | 100 more | 10 |
//! | snapshots | 100 | 1,000 | 10 |
//! | metadata | 1 MiB | 11 MiB | 10 |

use serde::{Deserialize, Serialize};

use crate::text::{count, part};

/// Target size of manifests in bytes: Java's default of `commit.manifest.target-size-bytes`.
const MANIFEST_BYTES: u64 = 8 << 20;
/// Number of avoidable data files, equality delete files or manifests at which the deduction is full: opening
/// them takes some seconds of a scan, at the tens of milliseconds that an object store needs per file.
const SAVED_FULL: u64 = 100;
/// Ratio of deleted rows at which the deduction is full, the default ratio at which files are rewritten.
const DELETED_ROWS_FULL: f64 = 0.3;
/// Number of snapshots up to which nothing is deducted: more than one hour of commits at one per minute.
const SNAPSHOTS_NONE: u64 = 100;
const SNAPSHOTS_FULL: u64 = 1_000;
/// Size of a metadata file, in bytes, up to which nothing is deducted: it is parsed in milliseconds, whereas
/// clients notice a larger one at every load.
const METADATA_BYTES_NONE: u64 = 1 << 20;
const METADATA_BYTES_FULL: u64 = 11 << 20;

/// Measurements of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct TableFacts {
    /// Number of data files.
    pub files: u64,
    /// Size of the data files in bytes.
    pub bytes: u64,
    /// Number of rows of the data files, including deleted rows.
    pub rows: u64,
    /// Number of data files that are too small.
    pub small_files: u64,
    /// Number of data files that would remain of the small ones after a rewrite: at least one per partition
    /// that has some.
    pub small_files_merged: u64,
    /// Number of rows deleted by position delete files and deletion vectors.
    pub deleted_rows: u64,
    /// Number of equality delete files.
    pub equality_delete_files: u64,
    /// Number of manifests of the current snapshot.
    pub manifests: u64,
    /// Size of these manifests in bytes.
    pub manifest_bytes: u64,
    /// Number of snapshots that have not expired.
    pub snapshots: u64,
    /// Size of the metadata file in bytes.
    pub metadata_bytes: u64,
}

/// Fault of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Scans open more files than necessary.
    SmallFiles,
    /// Scans read rows that are deleted.
    DeletedRows,
    /// Scans compare every row with the keys of equality deletes.
    EqualityDeletes,
    /// Scan planning reads more manifests than necessary.
    Manifests,
    /// The table retains many snapshots, with the files of each.
    Snapshots,
    /// Clients load a large metadata file before they can do anything.
    Metadata,
}

/// Points deducted for a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HealthDeduction {
    /// The fault.
    pub fault: Fault,
    /// Number of points, at least one.
    pub points: u32,
    /// Explanation with the measurements, as a sentence.
    pub reason: String,
}

/// Health of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TableHealth {
    /// Score from 0 (worst) to 100 (best).
    pub score: u32,
    /// Deductions, largest first.
    pub deductions: Vec<HealthDeduction>,
}

impl Fault {
    /// Returns the maximum number of points deducted for the fault.
    pub fn points_max(self) -> u32 {
        match self {
            Fault::SmallFiles => 40,
            Fault::DeletedRows => 30,
            Fault::EqualityDeletes => 20,
            Fault::Manifests | Fault::Snapshots | Fault::Metadata => 10,
        }
    }
}

impl TableHealth {
    /// Computes the health of a table.
    pub fn of(facts: &TableFacts) -> TableHealth {
        let assessed = [
            (Fault::SmallFiles, small_files(facts)),
            (Fault::DeletedRows, deleted_rows(facts)),
            (Fault::EqualityDeletes, equality_deletes(facts)),
            (Fault::Manifests, manifests(facts)),
            (Fault::Snapshots, snapshots(facts)),
            (Fault::Metadata, metadata(facts)),
        ];
        let deductions = assessed.into_iter().filter_map(|(fault, (share, reason))| {
            let points = points(share, fault.points_max());
            (points > 0).then_some(HealthDeduction { fault, points, reason })
        });
        let mut deductions: Vec<_> = deductions.collect();
        deductions.sort_by_key(|deduction| std::cmp::Reverse(deduction.points));
        let deducted: u32 = deductions.iter().map(|deduction| deduction.points).sum();
        TableHealth { score: 100_u32.saturating_sub(deducted), deductions }
    }
}

fn small_files(facts: &TableFacts) -> (f64, String) {
    let saved = facts.small_files.saturating_sub(facts.small_files_merged);
    let share = ratio(saved, SAVED_FULL).min(1.0) * ratio(saved, facts.files);
    let average = facts.bytes.checked_div(facts.files).unwrap_or(0);
    let small = part(facts.small_files, facts.files, ("data file", "data files"), ("is small", "are small"));
    let reason =
        format!("{small}; a rewrite would save {saved} of them (the average file has {} KiB)", average >> 10);
    (share, reason)
}

fn deleted_rows(facts: &TableFacts) -> (f64, String) {
    let share = ratio(facts.deleted_rows, facts.rows);
    let deleted = ("is deleted, but still read", "are deleted, but still read");
    let reason = part(facts.deleted_rows, facts.rows, ("row", "rows"), deleted);
    (share / DELETED_ROWS_FULL, reason)
}

fn equality_deletes(facts: &TableFacts) -> (f64, String) {
    let files = facts.equality_delete_files;
    let reason = count(
        files,
        "file deletes rows by value, and is compared with each row that is read",
        "files delete rows by value, and are compared with each row that is read",
    );
    (ratio(files, SAVED_FULL), reason)
}

fn manifests(facts: &TableFacts) -> (f64, String) {
    let needed = facts.manifest_bytes.div_ceil(MANIFEST_BYTES).max(1);
    let saved = facts.manifests.saturating_sub(needed);
    let needed = count(needed, "manifest", "manifests");
    (ratio(saved, SAVED_FULL), format!("{needed} would suffice instead of {}", facts.manifests))
}

fn snapshots(facts: &TableFacts) -> (f64, String) {
    let over = facts.snapshots.saturating_sub(SNAPSHOTS_NONE);
    let reason = count(facts.snapshots, "snapshot is retained", "snapshots are retained");
    (ratio(over, SNAPSHOTS_FULL - SNAPSHOTS_NONE), reason)
}

fn metadata(facts: &TableFacts) -> (f64, String) {
    let over = facts.metadata_bytes.saturating_sub(METADATA_BYTES_NONE);
    let reason =
        format!("the metadata file has {} KiB, which every client loads", facts.metadata_bytes >> 10);
    (ratio(over, METADATA_BYTES_FULL - METADATA_BYTES_NONE), reason)
}

/// Returns a ratio; 0 if `whole` is 0.
#[expect(clippy::cast_precision_loss, reason = "points are not that exact")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the points there are"
)]
fn points(share: f64, points_max: u32) -> u32 {
    (share.clamp(0.0, 1.0) * f64::from(points_max)).round() as u32
}
