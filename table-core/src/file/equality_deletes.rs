//! Equality deletes: rows that are deleted by their values, and whether a row is among them (specification, "Equality Delete
//! Files"). All in memory; the caller bounds how much by which files it adds. For many files of many ages there is
//! [`super::deleted_keys`].

use std::collections::HashSet;

use arrow_array::{BooleanArray, RecordBatch};

use super::error::FileError;
use super::row_keys::RowKeys;

/// Rows that are deleted by some columns.
///
/// Null equals null, NaN equals NaN, and `-0.0` is not `0.0`, as in Java.
#[derive(Debug, Clone)]
pub struct EqualityDeletes {
    /// The ids of the columns, all of them without parts, and not in a list or map.
    field_ids: Vec<i32>,
    rows: HashSet<Box<[u8]>>,
    key_bytes: usize,
}

impl EqualityDeletes {
    /// No deletes yet, by the columns with these ids.
    pub fn new(field_ids: Vec<i32>) -> EqualityDeletes {
        EqualityDeletes { field_ids, rows: HashSet::new(), key_bytes: 0 }
    }

    /// How many different rows are deleted.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing is deleted.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How much memory they take, about.
    pub fn memory_bytes(&self) -> usize {
        self.key_bytes + self.rows.capacity() * size_of::<Box<[u8]>>()
    }

    /// Adds the rows of a batch of an equality delete file, read with the types that the table has.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), FileError> {
        for key in RowKeys::new(batch, &self.field_ids)?.iter() {
            if !self.rows.contains(key) {
                self.rows.insert(key.into());
                self.key_bytes += key.len();
            }
        }
        Ok(())
    }

    /// Which rows of a batch of data are left.
    pub fn keep(&self, batch: &RecordBatch) -> Result<BooleanArray, FileError> {
        let keys = RowKeys::new(batch, &self.field_ids)?;
        Ok(keys.iter().map(|key| Some(!self.rows.contains(key))).collect())
    }
}
