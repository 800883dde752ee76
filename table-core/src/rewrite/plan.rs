//! Plan of a compaction: the files that are read together, the expected output, and the reasons. It is
//! serialised to be sent to the process that carries it out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::live::{LiveDelete, LiveFile, partition_to_json};
use super::size_classes::SizeClasses;
use crate::manifest::entry::FileContent;

/// Plan to rewrite data files of a snapshot.
///
/// The groups are independent of each other: each may be committed separately. New files take
/// `sequence_number` as their data sequence number, so that deletes committed after the snapshot apply to
/// them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CompactionPlan {
    /// Id of the snapshot that was planned.
    pub snapshot_id: i64,
    /// Sequence number of that snapshot.
    pub sequence_number: i64,
    /// Id of the partition spec of new files.
    pub output_spec_id: i32,
    /// Limits of the size of a file.
    pub size_classes: SizeClasses,
    /// Groups of files to rewrite, in descending order of benefit for their cost.
    pub groups: Vec<Group>,
    /// Conversions of equality deletes to position deletes, in descending order of benefit for their cost.
    /// They are carried out after the groups, because some of the deletes apply to files of the groups, too.
    pub conversions: Vec<Conversion>,
    /// Number of dangling deletes of the snapshot, if there are enough of them to be worth a commit, else 0.
    /// Dangling deletes are also removed by every other commit of the plan.
    pub dangling: usize,
    /// Number and size of the files that are not rewritten, by reason.
    pub skipped: BTreeMap<SkipReason, FileCount>,
}

/// Data files that are read together, in this order, and written as fewer files, or as files without deletes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Group {
    /// Partition of the output spec that all files belong to; `None` for files of other specs, whose rows may
    /// belong to any partition.
    pub partition: Option<Vec<Json>>,
    /// Data files, in the order in which their rows are written.
    pub inputs: Vec<Input>,
    /// Deletes that apply to these files.
    pub deletes: Vec<Delete>,
    /// Size of the data files to read, in bytes.
    pub input_bytes: i64,
    /// Estimated size of the data files to write, in bytes, without the rows that are known to be deleted.
    pub output_bytes: i64,
    /// Number of data files to write; for files of other specs, the minimum. 0 if no row remains.
    pub outputs: i64,
    /// Size, in bytes, after which a new file is begun.
    pub split_bytes: i64,
    /// `true` if rows stay in their order, so that positions in the inputs can be mapped to positions in the
    /// outputs.
    pub keeps_order: bool,
    /// `true` if row groups can possibly be copied as they are ([`crate::file::splice`]): Parquet files
    /// without deletes, already in the output spec, with row groups large enough to be retained. Whether
    /// their schemas are equal is known only from the files.
    pub may_splice: bool,
    /// Bytes that a later scan of all inputs does not have to read, including the cost of opening files.
    pub benefit_bytes: i64,
    /// Bytes that are read and written to carry out the group.
    pub cost_bytes: i64,
}

/// Data files that are not rewritten, but whose rows deleted by equality deletes are deleted by position
/// instead, so that scans do not have to compare values any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Conversion {
    /// Data files, each with the equality deletes of this conversion that apply to it.
    pub inputs: Vec<Input>,
    /// Equality deletes, all of which can be removed after the conversion.
    pub deletes: Vec<Delete>,
    /// Maximum number of bytes of data files to read: only the compared columns are read.
    pub input_bytes: i64,
    /// Benefit for a later scan of all files, in bytes: the cost of opening delete files that it saves.
    pub benefit_bytes: i64,
    /// Maximum number of bytes that are read and written to carry out the conversion.
    pub cost_bytes: i64,
}

/// Data file that is rewritten, or that is read to find its deleted rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Input {
    /// Path of the file.
    pub path: String,
    /// Size of the file in bytes.
    pub size_bytes: i64,
    /// Number of rows, including deleted rows.
    pub record_count: i64,
    /// Id of the partition spec that the file was written with.
    pub spec_id: i32,
    /// Partition tuple of the file, in that spec: single values in JSON form.
    pub partition: Vec<Json>,
    /// Data sequence number.
    pub sequence_number: i64,
    /// Row id of the first row (`first_row_id`), from format version 3 on.
    pub first_row_id: Option<i64>,
    /// Deletes that apply to the file, as indexes into [`Group::deletes`] or [`Conversion::deletes`].
    pub deletes: Vec<usize>,
    /// Reason why the file is in the plan.
    pub reason: Reason,
}

/// Delete file, or deletion vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Delete {
    /// Content of the file: position deletes or equality deletes.
    pub content: FileContent,
    /// Path of the file.
    pub path: String,
    /// File format in upper case; `PUFFIN` for deletion vectors.
    pub format: String,
    /// Size of the file in bytes.
    pub size_bytes: i64,
    /// Number of deletes.
    pub record_count: i64,
    /// Data sequence number.
    pub sequence_number: i64,
    /// Path of the only data file that it applies to, if there is only one.
    pub data_file: Option<String>,
    /// Offset of a deletion vector in the file (`content_offset`).
    pub content_offset: Option<i64>,
    /// Length of a deletion vector in bytes (`content_size_in_bytes`).
    pub content_size_bytes: Option<i64>,
    /// Field ids of the columns that an equality delete file compares (`equality_ids`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub equality_ids: Vec<i32>,
}

/// Reason why a file is worth rewriting, with the numbers that led to the decision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Reason {
    /// High ratio of deleted rows, for which a file is rewritten even alone.
    Deletes {
        /// Number of rows that are known to be deleted.
        deleted_rows: i64,
        /// Ratio of deleted rows from which a file is rewritten.
        limit_ratio: f64,
    },
    /// File size below the lower limit.
    Small {
        /// Size in bytes below which a file is too small.
        limit_bytes: i64,
    },
    /// File size above the upper limit.
    Large {
        /// Size in bytes above which a file is too large.
        limit_bytes: i64,
    },
    /// Many equality deletes that apply to the file, or to files with which it shares equality deletes.
    EqualityDeletes {
        /// Number of equality delete files that apply to the file.
        files: i64,
    },
}

/// Reason why a file is not rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// File of the right size with few deletes.
    WellSized,
    /// File in a recently written partition: a rewrite would make the writer's next commit fail, or fail
    /// because of it.
    ActivePartition,
    /// File of the wrong size without another file in its partition to rewrite it with, so that the result
    /// would be the same.
    Single,
    /// File of the wrong size in a partition with too little to rewrite yet.
    BelowMinimum,
    /// File in another format than Parquet.
    Format,
    /// Encrypted file.
    Encrypted,
    /// File with several manifest entries in different partitions of one spec.
    Contradictory,
    /// File that could not be read before, or to which a delete applies that could not be read.
    Unreadable,
}

/// Number and total size of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileCount {
    /// Number of files.
    pub files: i64,
    /// Total size of the files in bytes.
    pub bytes: i64,
}

impl Input {
    /// Converts a live file; `deletes` are the indexes of its deletes in the group.
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
    /// Converts a live delete.
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
