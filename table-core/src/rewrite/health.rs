//! How healthy a table is, as one number that explains itself.
//!
//! # The formula
//!
//! A table starts with 100 points. Each fault takes points in proportion to how far it is from none to full; see
//! [`Fault::points_max`] for what each may take, and the constants for what is full. More cannot be lost than there are.
//!
//! | fault | none | full | points |
//! | --- | --- | --- | --- |
//! | small files | no file that a rewrite would save | 100 of them, and they are all files | 40 |
//! | deleted rows | no row deleted by position | 30 % of all rows | 30 |
//! | equality deletes | no file of them | 100 files | 20 |
//! | manifests | as many as their size needs | 100 more | 10 |
//! | snapshots | 100 | 1,000 | 10 |
//! | metadata | 1 MiB | 11 MiB | 10 |

use serde::{Deserialize, Serialize};

use crate::text::{count, part};

/// Java's default of `commit.manifest.target-size-bytes`.
const MANIFEST_BYTES: u64 = 8 << 20;
/// From so many files, delete files or manifests on that could be saved, it is as bad as it gets: some seconds of a scan, at
/// the tens of milliseconds that an object store takes for a file.
const SAVED_FULL: u64 = 100;
/// The part of deleted rows from which files are rewritten by default.
const DELETED_ROWS_FULL: f64 = 0.3;
/// An hour's commits, once a minute, and some.
const SNAPSHOTS_NONE: u64 = 100;
const SNAPSHOTS_FULL: u64 = 1_000;
/// What is parsed in milliseconds, and what clients notice at every load.
const METADATA_BYTES_NONE: u64 = 1 << 20;
const METADATA_BYTES_FULL: u64 = 11 << 20;

/// What is known of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Facts {
    /// Data files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their rows, the deleted ones included.
    pub rows: u64,
    /// Data files that are too small.
    pub small_files: u64,
    /// How many files would be left of those: one for each partition that has some, at least.
    pub small_files_merged: u64,
    /// Rows deleted by position deletes and deletion vectors.
    pub deleted_rows: u64,
    /// Files of equality deletes.
    pub equality_delete_files: u64,
    /// Manifests of the current snapshot.
    pub manifests: u64,
    /// Their bytes.
    pub manifest_bytes: u64,
    /// Snapshots that have not expired.
    pub snapshots: u64,
    /// The metadata file.
    pub metadata_bytes: u64,
}

/// What is wrong with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Scans open more files than they need to.
    SmallFiles,
    /// Scans read rows that are deleted.
    DeletedRows,
    /// Scans compare every row with deleted values.
    EqualityDeletes,
    /// Plans read more manifests than they need to.
    Manifests,
    /// The table keeps many versions, and the files of each.
    Snapshots,
    /// Clients load a large file before they can do anything.
    Metadata,
}

/// Points that a fault takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Deduction {
    /// Which fault.
    pub fault: Fault,
    /// How many points, at least one.
    pub points: u32,
    /// The numbers, in a sentence.
    pub why: String,
}

/// How healthy a table is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Health {
    /// 0 to 100, best last.
    pub score: u32,
    /// What was deducted, most first.
    pub deductions: Vec<Deduction>,
}

impl Fault {
    /// How many points it takes at most.
    pub fn points_max(self) -> u32 {
        match self {
            Fault::SmallFiles => 40,
            Fault::DeletedRows => 30,
            Fault::EqualityDeletes => 20,
            Fault::Manifests | Fault::Snapshots | Fault::Metadata => 10,
        }
    }
}

impl Health {
    /// Judges a table.
    pub fn of(facts: &Facts) -> Health {
        let judged = [
            (Fault::SmallFiles, small_files(facts)),
            (Fault::DeletedRows, deleted_rows(facts)),
            (Fault::EqualityDeletes, equality_deletes(facts)),
            (Fault::Manifests, manifests(facts)),
            (Fault::Snapshots, snapshots(facts)),
            (Fault::Metadata, metadata(facts)),
        ];
        let deductions = judged.into_iter().filter_map(|(fault, (share, why))| {
            let points = points(share, fault.points_max());
            (points > 0).then_some(Deduction { fault, points, why })
        });
        let mut deductions: Vec<_> = deductions.collect();
        deductions.sort_by_key(|deduction| std::cmp::Reverse(deduction.points));
        let lost: u32 = deductions.iter().map(|deduction| deduction.points).sum();
        Health { score: 100_u32.saturating_sub(lost), deductions }
    }
}

fn small_files(facts: &Facts) -> (f64, String) {
    let saved = facts.small_files.saturating_sub(facts.small_files_merged);
    let share = ratio(saved, SAVED_FULL).min(1.0) * ratio(saved, facts.files);
    let average = facts.bytes.checked_div(facts.files).unwrap_or(0);
    let small = part(facts.small_files, facts.files, ("data file", "data files"), ("is small", "are small"));
    let why =
        format!("{small}; a rewrite would save {saved} of them (the average file has {} KiB)", average >> 10);
    (share, why)
}

fn deleted_rows(facts: &Facts) -> (f64, String) {
    let share = ratio(facts.deleted_rows, facts.rows);
    let deleted = ("is deleted, but still read", "are deleted, but still read");
    let why = part(facts.deleted_rows, facts.rows, ("row", "rows"), deleted);
    (share / DELETED_ROWS_FULL, why)
}

fn equality_deletes(facts: &Facts) -> (f64, String) {
    let files = facts.equality_delete_files;
    let why = count(
        files,
        "file deletes rows by value, and is compared with each row that is read",
        "files delete rows by value, and are compared with each row that is read",
    );
    (ratio(files, SAVED_FULL), why)
}

fn manifests(facts: &Facts) -> (f64, String) {
    let needed = facts.manifest_bytes.div_ceil(MANIFEST_BYTES).max(1);
    let saved = facts.manifests.saturating_sub(needed);
    let needed = count(needed, "manifest", "manifests");
    (ratio(saved, SAVED_FULL), format!("{needed} would do for what {} hold", facts.manifests))
}

fn snapshots(facts: &Facts) -> (f64, String) {
    let over = facts.snapshots.saturating_sub(SNAPSHOTS_NONE);
    let why = count(facts.snapshots, "snapshot is kept", "snapshots are kept");
    (ratio(over, SNAPSHOTS_FULL - SNAPSHOTS_NONE), why)
}

fn metadata(facts: &Facts) -> (f64, String) {
    let over = facts.metadata_bytes.saturating_sub(METADATA_BYTES_NONE);
    let why = format!("the metadata file has {} KiB, which every client loads", facts.metadata_bytes >> 10);
    (ratio(over, METADATA_BYTES_FULL - METADATA_BYTES_NONE), why)
}

/// None of nothing is nothing.
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
