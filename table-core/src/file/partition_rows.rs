//! Which partition each row of a batch belongs to. Where the files of a partition go is in [`super::data_location`].

use std::collections::HashMap;

use arrow_array::RecordBatch;

use super::error::FileError;
use super::transformed::{Results, TransformedColumn, too_long};
use crate::manifest::partition::PartitionTuple;
use crate::metadata::partition::PartitionSpec;
use crate::metadata::types::StructType;

/// Tells the partitions of rows under one partition spec.
#[derive(Debug, Clone)]
pub struct Partitioner {
    /// In the order of the spec; `None` for those that are always null.
    fields: Vec<Option<TransformedColumn>>,
}

/// The partition of each row of a batch, as far as some of the fields tell.
struct Groups {
    /// The different tuples, in the order of their first rows.
    tuples: Vec<PartitionTuple>,
    /// Which of them each row has.
    places: Vec<u32>,
}

impl Partitioner {
    /// Partitions rows of these columns.
    ///
    /// Fails if what the spec asks for is not known here: a transform of several columns, or one without a meaning; and if
    /// a column that it needs is gone.
    pub fn new(columns: &StructType, spec: &PartitionSpec) -> Result<Partitioner, FileError> {
        let fields = spec.fields().iter();
        let fields = fields.map(|field| TransformedColumn::new(columns, &field.source_ids, &field.transform));
        Ok(Partitioner { fields: fields.collect::<Result<_, _>>()? })
    }

    /// The partitions of a batch's rows: each with the numbers of its rows, which ascend; in the order of their first
    /// rows.
    ///
    /// The batch has its columns by field id and in the types of [`super::arrow_schema`]; it may have others, too. Values
    /// are the same partition as [`crate::expr::value::Value`] has it: all NaN are one, `-0.0` and `0.0` are two. Fails if
    /// a value is out of the range of its transform.
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
    /// The groups, divided by one more field.
    fn divided(&self, results: &Results) -> Groups {
        let mut divided = Groups { tuples: Vec::new(), places: Vec::with_capacity(self.places.len()) };
        let mut known: HashMap<(u32, u32), u32> = HashMap::new();
        for (group, result) in self.places.iter().zip(&results.places) {
            let place = *known.entry((*group, *result)).or_insert_with(|| {
                // There are as many groups as rows at most, which were counted in as many bits.
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
