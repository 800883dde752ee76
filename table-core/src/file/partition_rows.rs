//! Partitioning of the rows of record batches. The locations of the files of a partition are chosen in
//! [`super::data_location`].

use std::collections::HashMap;

use arrow_array::RecordBatch;

use super::error::FileError;
use super::transformed::{Results, TransformedColumn, too_long};
use crate::manifest::partition::PartitionTuple;
use crate::metadata::partition::PartitionSpec;
use crate::metadata::types::StructType;

/// Splitter of rows into the partitions of one partition spec.
#[derive(Debug, Clone)]
pub struct Partitioner {
    /// Partition fields, in the order of the spec; `None` for those that are always null.
    fields: Vec<Option<TransformedColumn>>,
}

/// Partition of each row of a batch, for the partition fields processed so far.
struct Groups {
    /// Distinct tuples, in the order of their first rows.
    tuples: Vec<PartitionTuple>,
    /// Index into `tuples` of the tuple of each row.
    places: Vec<u32>,
}

impl Partitioner {
    /// Creates a partitioner for rows with these columns.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Unsupported`] if a partition field has an unknown transform or one with
    /// several source columns, or if its source column does not exist or does not have a type that the
    /// transform accepts.
    pub fn new(columns: &StructType, spec: &PartitionSpec) -> Result<Partitioner, FileError> {
        let fields = spec.fields().iter();
        let fields = fields.map(|field| TransformedColumn::new(columns, &field.source_ids, &field.transform));
        Ok(Partitioner { fields: fields.collect::<Result<_, _>>()? })
    }

    /// Returns the partitions of a batch, in the order of their first rows, each with the numbers of its rows
    /// in ascending order.
    ///
    /// The columns of the batch are found by field id and have the types of [`super::arrow_schema`];
    /// additional columns are ignored. Values are in the same partition if they are equal as
    /// [`crate::expr::value::Value`]: all NaNs are equal, `-0.0` and `0.0` are not.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Unfit`] if the batch lacks a source column or has it in another type, or if a
    /// value is out of the range of its transform, and with [`FileError::Unsupported`] if the batch has more
    /// rows than can be counted in 32 bits.
    pub fn split(&self, batch: &RecordBatch) -> Result<Vec<(PartitionTuple, Vec<u32>)>, FileError> {
        let rows = u32::try_from(batch.num_rows()).map_err(|_| too_long())?;
        if rows == 0 {
            return Ok(Vec::new());
        }
        let mut groups = Groups { tuples: vec![Vec::new()], places: vec![0; batch.num_rows()] };
        for field in &self.fields {
            match field {
                Some(column) => groups = groups.divided(&column.results(batch)?),
                None => groups.tuples.iter_mut().for_each(|tuple| tuple.push(None)),
            }
        }
        let mut parts: Vec<_> = groups.tuples.into_iter().map(|tuple| (tuple, Vec::new())).collect();
        for (row, place) in (0..rows).zip(groups.places) {
            parts[place as usize].1.push(row);
        }
        Ok(parts)
    }
}

impl Groups {
    /// Divides the groups by one more field.
    fn divided(&self, results: &Results) -> Groups {
        let mut divided = Groups { tuples: Vec::new(), places: Vec::with_capacity(self.places.len()) };
        let mut known: HashMap<(u32, u32), u32> = HashMap::new();
        for (group, result) in self.places.iter().zip(&results.places) {
            let place = *known.entry((*group, *result)).or_insert_with(|| {
                // There are at most as many groups as rows, whose number fits into 32 bits.
                let place = u32::try_from(divided.tuples.len()).unwrap_or(u32::MAX);
                let mut tuple = self.tuples[*group as usize].clone();
                tuple.push(results.values[*result as usize].clone());
                divided.tuples.push(tuple);
                place
            });
            divided.places.push(place);
        }
        divided
    }
}
