//! A data or delete file, told in full: what a writer of files hands to a writer of manifests. Entries that were read from a
//! manifest are [`super::entry::File`]s, which know the same without holding it.

use std::collections::BTreeMap;

use super::entry::{Content, File};
use super::partition::PartitionTuple;
use crate::expr::metrics::FileMetrics;

/// A file of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct DataFile {
    /// What it holds.
    pub content: Content,
    /// Where it is.
    pub path: String,
    /// Its format in capitals, such as `PARQUET`.
    pub format: String,
    /// The partition spec it was written with.
    pub spec_id: i32,
    /// The values of that spec's fields, in its order.
    pub partition: PartitionTuple,
    /// How many rows, or deletes, it holds.
    pub record_count: i64,
    /// Its size.
    pub size_bytes: i64,
    /// What is known of its columns.
    pub metrics: ColumnMetrics,
    /// Where it may be split, in bytes, ascending; empty if that is not known.
    pub split_offsets: Vec<i64>,
    /// The columns by which rows are deleted; empty but for equality deletes.
    pub equality_ids: Vec<i32>,
    /// The order its rows are in.
    pub sort_order_id: Option<i32>,
    /// The id of its first row; `None` for what gets one from its manifest, and for delete files.
    pub first_row_id: Option<i64>,
    /// The one data file that all its deletes are for.
    pub referenced_data_file: Option<String>,
    /// Where in the file a deletion vector begins, in bytes.
    pub content_offset: Option<i64>,
    /// How long a deletion vector is, in bytes.
    pub content_size_bytes: Option<i64>,
    /// What is needed to decrypt it.
    pub key_metadata: Option<Vec<u8>>,
}

/// Metrics by column id. A column that is missing from a map is one that nothing is known of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnMetrics {
    /// Bytes in the file.
    pub column_sizes: BTreeMap<i32, i64>,
    /// Values, null and NaN included.
    pub value_counts: BTreeMap<i32, i64>,
    /// Nulls.
    pub null_value_counts: BTreeMap<i32, i64>,
    /// NaNs.
    pub nan_value_counts: BTreeMap<i32, i64>,
    /// The binary form of a value that no other is less than.
    pub lower_bounds: BTreeMap<i32, Vec<u8>>,
    /// The binary form of a value that no other is greater than.
    pub upper_bounds: BTreeMap<i32, Vec<u8>>,
}

impl DataFile {
    /// What an entry of a manifest tells, `partition` being its tuple.
    ///
    /// The first row id is the one that the file has by now, be it inherited or its own.
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
