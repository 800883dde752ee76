//! A plan to rewrite data files: what is read together, what comes of it, and why; as it is sent to whoever carries it out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::live::{LiveDelete, LiveFile, partition_to_json};
use super::sizes::Sizes;
use crate::manifest::entry::Content;

/// Which data files of a snapshot are rewritten.
///
/// The groups are independent of each other: each may be committed alone. New files take `sequence_number`, so that deletes
/// committed since then still apply to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// The snapshot it is for.
    pub snapshot_id: i64,
    /// That snapshot's sequence number.
    pub sequence_number: i64,
    /// The partition spec of new files.
    pub output_spec_id: i32,
    /// What counts as too small and too large.
    pub sizes: Sizes,
    /// What is rewritten, what saves most for its cost first.
    pub groups: Vec<Group>,
    /// Of which files equality deletes are turned into positions, what saves most for its cost first. Done after the groups: some
    /// of those deletes are for files of theirs too.
    pub conversions: Vec<Conversion>,
    /// How many deletes are for no file of the snapshot, if there are enough to be worth a commit. They go with any other, too.
    pub dangling: usize,
    /// What is not rewritten, by reason.
    pub left: BTreeMap<Left, Tally>,
}

/// Files that are read together, in this order, to be written as fewer, or as ones without deletes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Group {
    /// The partition of the output spec that all of it lies in; `None` for files of other specs, whose rows may go into any.
    pub partition: Option<Vec<Json>>,
    /// The files, in the order that their rows keep.
    pub inputs: Vec<Input>,
    /// The deletes that apply to them.
    pub deletes: Vec<Delete>,
    /// What is read.
    pub input_bytes: i64,
    /// About what is written: deleted rows do not count, as far as is known.
    pub output_bytes: i64,
    /// How many files come of it; for files of other specs, at least. None if no row is left.
    pub outputs: i64,
    /// A new file is begun after this many bytes.
    pub split_bytes: i64,
    /// Whether rows stay in their order, so that positions in the inputs can be mapped to positions in the outputs.
    pub keeps_order: bool,
    /// Whether it may be that row groups can be copied as they are: Parquet files without deletes, in the spec they stay in,
    /// with row groups large enough to be kept. Whether the schemas are one, only the files tell.
    pub may_splice: bool,
    /// What a later scan of all inputs saves, in bytes that it need not read.
    pub benefit_bytes: i64,
    /// What is read and written to get there.
    pub cost_bytes: i64,
}

/// Files that stay as they are, but for the rows that equality deletes take from them: these are deleted by their positions from
/// then on, so that no scan has to compare values any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Conversion {
    /// The files, each with those of the deletes that apply to it.
    pub inputs: Vec<Input>,
    /// The equality deletes, all of which can be removed then.
    pub deletes: Vec<Delete>,
    /// What is read at most. Of the files, only the columns that are compared.
    pub input_bytes: i64,
    /// What a later scan of all files saves, in bytes that it need not read.
    pub benefit_bytes: i64,
    /// What is read and written to get there, at most.
    pub cost_bytes: i64,
}

/// A data file to be rewritten, or to be read for what is deleted from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Input {
    /// Where it is.
    pub path: String,
    /// Its size.
    pub size_bytes: i64,
    /// How many rows it holds, the deleted ones included.
    pub record_count: i64,
    /// The partition spec it was written with.
    pub spec_id: i32,
    /// The values of that spec's fields.
    pub partition: Vec<Json>,
    /// Its data sequence number.
    pub sequence_number: i64,
    /// The id of its first row, from format version 3 on.
    pub first_row_id: Option<i64>,
    /// The deletes that apply to it, by their place in [`Group::deletes`] or [`Conversion::deletes`].
    pub deletes: Vec<usize>,
    /// Why it is looked at.
    pub reason: Reason,
}

/// A delete file, or deletion vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Delete {
    /// What it holds.
    pub content: Content,
    /// Where it is.
    pub path: String,
    /// Its format; `PUFFIN` for deletion vectors.
    pub format: String,
    /// The size of the file.
    pub size_bytes: i64,
    /// How many deletes it holds.
    pub record_count: i64,
    /// Its data sequence number.
    pub sequence_number: i64,
    /// The one data file it is for, if it is for one.
    pub data_file: Option<String>,
    /// Where in the file a deletion vector begins.
    pub content_offset: Option<i64>,
    /// How long a deletion vector is.
    pub content_size_bytes: Option<i64>,
    /// The columns it compares, if it holds values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub equality_ids: Vec<i32>,
}

/// Why a file is worth rewriting, with the numbers that say so.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Reason {
    /// Too many of its rows are deleted. Reason enough to rewrite it alone.
    Deletes {
        /// How many of its rows are known to be deleted.
        deleted_rows: i64,
        /// From which part of its rows on it is rewritten.
        limit_ratio: f64,
    },
    /// It is too small.
    Small {
        /// Below which size it is.
        limit_bytes: i64,
    },
    /// It is too large.
    Large {
        /// Above which size it is.
        limit_bytes: i64,
    },
    /// Its rows have to be compared with many deleted values, or those of files that share some of these deletes have.
    EqualityDeletes {
        /// How many files of them there are for it.
        files: i64,
    },
}

/// Why a file is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// Its size is right, and it has few deletes.
    Good,
    /// Its partition is being written to: a rewrite would make the writer's commit fail, or be made to fail by it.
    Hot,
    /// It has the wrong size, but there is nothing in its partition to rewrite it with, so that it would come out the same.
    Alone,
    /// It has the wrong size, but there is too little in its partition to be worth a rewrite yet.
    TooLittle,
    /// It is not a Parquet file.
    Format,
    /// It is encrypted.
    Encrypted,
    /// The table lists it several times, in different partitions of one spec.
    Contradictory,
    /// It, or a delete that applies to it, could not be read before.
    Unreadable,
}

/// How many files, and how many bytes of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tally {
    /// Files.
    pub files: i64,
    /// Their bytes.
    pub bytes: i64,
}

impl Input {
    /// A live file, with the deletes that it names by their place in a group.
    pub(super) fn of(file: &LiveFile, deletes: Vec<usize>, reason: Reason) -> Input {
        Input {
            path: file.path.clone(),
            size_bytes: file.size_bytes,
            record_count: file.record_count,
            spec_id: file.spec_id,
            partition: partition_to_json(&file.partition),
            sequence_number: file.sequence_number,
            first_row_id: file.first_row_id,
            deletes,
            reason,
        }
    }
}

impl Delete {
    /// A live delete.
    pub fn of(delete: &LiveDelete) -> Delete {
        Delete {
            content: delete.content,
            path: delete.path.clone(),
            format: delete.format.clone(),
            size_bytes: delete.size_bytes,
            record_count: delete.record_count,
            sequence_number: delete.sequence_number,
            data_file: delete.data_file.clone(),
            content_offset: delete.content_offset,
            content_size_bytes: delete.content_size_bytes,
            equality_ids: delete.equality_ids.clone(),
        }
    }
}
