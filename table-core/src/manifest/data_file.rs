//! Data files and delete files as self-contained values, from which manifests are written. Entries that were
//! read from a manifest are [`super::entry::File`]s, which borrow the same values from the manifest.

use std::collections::BTreeMap;

use super::entry::{File, FileContent};
use super::partition::PartitionTuple;
use crate::expr::metrics::FileMetrics;

/// Data file or delete file of a table, as described by a manifest entry (spec `data_file`).
#[derive(Debug, Clone, PartialEq)]
pub struct DataFile {
    /// Content of the file: data, position deletes or equality deletes.
    pub content: FileContent,
    /// URI of the file, as in the manifest (not normalised).
    pub path: String,
    /// File format in upper case, such as `PARQUET`.
    pub format: String,
    /// Id of the partition spec that the file was written with.
    pub spec_id: i32,
    /// Partition tuple: the values of the fields of that spec, in order.
    pub partition: PartitionTuple,
    /// Number of rows in the file, or of deletes in a delete file.
    pub record_count: i64,
    /// Size of the file, in bytes.
    pub size_bytes: i64,
    /// Metrics of its columns.
    pub metrics: ColumnMetrics,
    /// Offsets at which the file may be split, in bytes, ascending; empty if unknown.
    pub split_offsets: Vec<i64>,
    /// Field ids of the columns that an equality delete file compares; empty for other files.
    pub equality_ids: Vec<i32>,
    /// Id of the sort order of the rows in the file.
    pub sort_order_id: Option<i32>,
    /// Row id of the first row (format version 3). `None` for files that inherit it from their manifest, and
    /// for delete files.
    pub first_row_id: Option<i64>,
    /// URI of the only data file that all deletes in the file refer to.
    pub referenced_data_file: Option<String>,
    /// Offset of the deletion vector in the file, in bytes.
    pub content_offset: Option<i64>,
    /// Length of the deletion vector, in bytes.
    pub content_size_bytes: Option<i64>,
    /// Encryption key metadata of the file.
    pub key_metadata: Option<Vec<u8>>,
}

/// Metrics by column id. For a column that is missing in a map, the metric is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnMetrics {
    /// Size in the file, in bytes.
    pub column_sizes: BTreeMap<i32, i64>,
    /// Number of values, nulls and NaNs included.
    pub value_counts: BTreeMap<i32, i64>,
    /// Number of nulls.
    pub null_value_counts: BTreeMap<i32, i64>,
    /// Number of NaNs.
    pub nan_value_counts: BTreeMap<i32, i64>,
    /// Lower bound: a value that is less than or equal to all others, in binary single-value serialization.
    pub lower_bounds: BTreeMap<i32, Vec<u8>>,
    /// Upper bound: a value that is greater than or equal to all others, in binary single-value
    /// serialization.
    pub upper_bounds: BTreeMap<i32, Vec<u8>>,
}

impl DataFile {
    /// Copies the file of a manifest entry; `partition` is its partition tuple.
    ///
    /// The first row id is the effective one, inherited or explicit.
    pub fn read(file: &File<'_>, partition: PartitionTuple) -> DataFile {
        let bounds = |bounds: Option<super::metrics::Bounds<'_>>| {
            bounds.into_iter().flatten().map(|(id, bound)| (id, bound.to_vec())).collect()
        };
        let counts = |counts: Option<super::metrics::Counts<'_>>| counts.into_iter().flatten().collect();
        DataFile {
            content: file.content(),
            path: file.path().to_owned(),
            format: file.format().to_ascii_uppercase(),
            spec_id: file.spec_id(),
            partition,
            record_count: file.record_count(),
            size_bytes: file.size_bytes(),
            metrics: ColumnMetrics {
                column_sizes: counts(file.column_sizes()),
                value_counts: counts(file.value_counts()),
                null_value_counts: counts(file.null_value_counts()),
                nan_value_counts: counts(file.nan_value_counts()),
                lower_bounds: bounds(file.lower_bounds()),
                upper_bounds: bounds(file.upper_bounds()),
            },
            split_offsets: file.split_offsets().into_iter().flatten().collect(),
            equality_ids: file
                .equality_ids()
                .into_iter()
                .flatten()
                .filter_map(|id| id.try_into().ok())
                .collect(),
            sort_order_id: file.sort_order_id(),
            first_row_id: file.first_row_id(),
            referenced_data_file: file.referenced_data_file().map(str::to_owned),
            content_offset: file.content_offset(),
            content_size_bytes: file.content_size_bytes(),
            key_metadata: file.key_metadata().map(<[u8]>::to_vec),
        }
    }
}

impl FileMetrics for DataFile {
    fn record_count(&self) -> i64 {
        self.record_count
    }

    fn value_count(&self, field_id: i32) -> Option<i64> {
        self.metrics.value_counts.get(&field_id).copied()
    }

    fn null_count(&self, field_id: i32) -> Option<i64> {
        self.metrics.null_value_counts.get(&field_id).copied()
    }

    fn nan_count(&self, field_id: i32) -> Option<i64> {
        self.metrics.nan_value_counts.get(&field_id).copied()
    }

    fn lower(&self, field_id: i32) -> Option<&[u8]> {
        self.metrics.lower_bounds.get(&field_id).map(Vec::as_slice)
    }

    fn upper(&self, field_id: i32) -> Option<&[u8]> {
        self.metrics.upper_bounds.get(&field_id).map(Vec::as_slice)
    }
}
