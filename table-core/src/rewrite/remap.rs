//! Mapping of row positions by a rewrite that preserves the order of the rows, so that deletes that were
//! committed for the old files in the meantime can be moved to the new ones.
//!
//! The rows of the inputs, one input after the other and without those that were deleted when they were read,
//! are the rows of the outputs, one output after the other. The ordinal number of a row in this sequence
//! therefore determines its position on either side, and the map takes no more memory than the deletion
//! vectors that were applied.

use std::collections::{BTreeMap, HashMap};

use crate::file::deletion_vector::DeletionVector;

/// Input file of a rewrite.
#[derive(Debug, Clone, PartialEq)]
pub struct InputRows {
    /// Path of the file.
    pub path: String,
    /// Number of rows, including deleted rows.
    pub rows: u64,
    /// Positions of the rows that were omitted, deleted by any kind of delete.
    pub deleted: DeletionVector,
}

/// Output file of a rewrite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputRows {
    /// Path of the file.
    pub path: String,
    /// Number of rows.
    pub rows: u64,
}

/// Map from positions in the inputs to positions in the outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct RowMap {
    /// Inputs by path, with the ordinal number of their first remaining row; several if a file has more than
    /// one manifest entry in the table.
    inputs: HashMap<String, Vec<(u64, InputRows)>>,
    /// Outputs in order, with the ordinal number of their first row.
    outputs: Vec<(u64, OutputRows)>,
}

/// Error of building a map or of translating a delete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemapError {
    /// The outputs do not have as many rows as remained of the inputs.
    #[error("{remaining} rows of the inputs were retained, but the outputs have {written}")]
    RowsDiffer {
        /// Number of rows of the inputs that were not deleted.
        remaining: u64,
        /// Number of rows of the outputs.
        written: u64,
    },
    /// A file, named by its path, is not among the inputs.
    #[error("the file `{0}` was not rewritten")]
    Unknown(String),
    /// A position is not in the file.
    #[error("the file `{path}` has {rows} rows and no position {position}")]
    NoRow {
        /// Path of the file.
        path: String,
        /// Number of rows of the file.
        rows: u64,
        /// Position that was looked up.
        position: u64,
    },
    /// There are more rows than can be counted, or more than a deletion vector has positions.
    #[error("too many rows to map")]
    TooMany,
}

impl RowMap {
    /// Creates the map of inputs to outputs, both in the order in which their rows were read and written. A
    /// file with several manifest entries in the table is an input once per entry.
    ///
    /// # Errors
    ///
    /// Fails with [`RemapError::RowsDiffer`] unless the outputs have as many rows as remained of the inputs,
    /// which ensures that no row was lost or duplicated. Fails with [`RemapError::NoRow`] if a deleted
    /// position is beyond the end of its input, and with [`RemapError::TooMany`] if the rows cannot be
    /// counted in 64 bits.
    pub fn new(inputs: Vec<InputRows>, outputs: Vec<OutputRows>) -> Result<RowMap, RemapError> {
        let mut remaining = 0_u64;
        let mut by_path: HashMap<String, Vec<_>> = HashMap::with_capacity(inputs.len());
        for input in inputs {
            input.check(&input.deleted)?;
            let first = remaining;
            let rows = input.rows - input.deleted.cardinality();
            remaining = remaining.checked_add(rows).ok_or(RemapError::TooMany)?;
            by_path.entry(input.path.clone()).or_default().push((first, input));
        }
        let mut written = 0_u64;
        let mut in_order = Vec::with_capacity(outputs.len());
        for output in outputs {
            let first = written;
            written = written.checked_add(output.rows).ok_or(RemapError::TooMany)?;
            in_order.push((first, output));
        }
        if remaining != written {
            return Err(RemapError::RowsDiffer { remaining, written });
        }
        Ok(RowMap { inputs: by_path, outputs: in_order })
    }

    /// Returns `true` if a file is among the inputs.
    pub fn contains(&self, path: &str) -> bool {
        self.inputs.contains_key(path)
    }

    /// Translates deletes of one input file. Returns the path of each affected output, with the positions
    /// deleted in it.
    ///
    /// Positions that were already deleted when the input was read are in no output and are ignored, so a
    /// deletion vector may be passed as it is, including its older positions. If the file was read several
    /// times, each copy of its rows is translated.
    ///
    /// # Errors
    ///
    /// Fails with [`RemapError::Unknown`] if the file is not an input, with [`RemapError::NoRow`] if it has
    /// no row at one of the positions, and with [`RemapError::TooMany`] if a translated position is too large
    /// for a deletion vector.
    pub fn translate(
        &self,
        path: &str,
        deleted: &DeletionVector,
    ) -> Result<BTreeMap<&str, DeletionVector>, RemapError> {
        let readings = self.inputs.get(path).ok_or_else(|| RemapError::Unknown(path.to_owned()))?;
        let mut moved: BTreeMap<&str, DeletionVector> = BTreeMap::new();
        for (first, input) in readings {
            self.translate_reading(*first, input, deleted, &mut moved)?;
        }
        Ok(moved)
    }

    fn translate_reading<'m>(
        &'m self,
        first: u64,
        input: &InputRows,
        deleted: &DeletionVector,
        moved: &mut BTreeMap<&'m str, DeletionVector>,
    ) -> Result<(), RemapError> {
        input.check(deleted)?;
        let mut deleted_before = input.deleted.iter().peekable();
        let mut deleted_rows_before = 0;
        let mut output = self.output_of(first);
        for position in deleted.iter() {
            while deleted_before.next_if(|deleted_before| *deleted_before < position).is_some() {
                deleted_rows_before += 1;
            }
            if deleted_before.peek() == Some(&position) {
                continue;
            }
            let number = first + position - deleted_rows_before;
            // Outputs without rows are skipped, too.
            while self.outputs.get(output + 1).is_some_and(|(first, _)| *first <= number) {
                output += 1;
            }
            let Some((first_of_output, output)) = self.outputs.get(output) else { continue };
            let vector = moved.entry(output.path.as_str()).or_default();
            vector.insert(number - first_of_output).map_err(|_| RemapError::TooMany)?;
        }
        Ok(())
    }

    /// Translates deletes of several input files. Returns the positions to be added to the deletes of each
    /// output, by its path.
    ///
    /// # Errors
    ///
    /// Fails as [`RowMap::translate`] does.
    pub fn translate_all<'a>(
        &self,
        deleted: impl IntoIterator<Item = (&'a str, &'a DeletionVector)>,
    ) -> Result<BTreeMap<&str, DeletionVector>, RemapError> {
        let mut all: BTreeMap<&str, DeletionVector> = BTreeMap::new();
        for (path, deleted) in deleted {
            for (output, vector) in self.translate(path, deleted)? {
                all.entry(output).or_default().union_with(&vector);
            }
        }
        Ok(all)
    }

    /// Returns the index of the output that contains a row, or of an empty output before it.
    fn output_of(&self, number: u64) -> usize {
        self.outputs.partition_point(|(first, _)| *first <= number).saturating_sub(1)
    }
}

impl InputRows {
    fn check(&self, positions: &DeletionVector) -> Result<(), RemapError> {
        match positions.last() {
            Some(position) if position >= self.rows => {
                Err(RemapError::NoRow { path: self.path.clone(), rows: self.rows, position })
            }
            _ => Ok(()),
        }
    }
}
