//! Where rows have gone in a rewrite that keeps their order, so that deletes which arrive for the old files meanwhile can be
//! moved to the new ones.
//!
//! The rows of the inputs, one input after the other and without those that were deleted when they were read, are the rows of
//! the outputs, one output after the other. So a row's number among them says where it is on either side, and the map takes
//! no more memory than the deletion vectors that were applied.

use std::collections::{BTreeMap, HashMap};

use crate::file::deletion_vector::DeletionVector;

/// A file that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct InputRows {
    /// Where it is.
    pub path: String,
    /// How many rows it holds, the deleted ones included.
    pub rows: u64,
    /// The rows that were left out, by whichever kind of delete.
    pub deleted: DeletionVector,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputRows {
    /// Where it is.
    pub path: String,
    /// How many rows it holds.
    pub rows: u64,
}

/// The map from positions in the inputs to positions in the outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct RowMap {
    /// By path, with the number of its first row that was kept; several where a table lists a file more than once.
    inputs: HashMap<String, Vec<(u64, InputRows)>>,
    /// In order, with the number of its first row.
    outputs: Vec<(u64, OutputRows)>,
}

/// Why there is no map, or why a delete cannot be moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemapError {
    /// The outputs do not hold exactly the rows that were kept of the inputs.
    #[error("{kept} rows were kept of the inputs, but the outputs hold {written}")]
    RowsDiffer {
        /// Rows of the inputs that were not deleted.
        kept: u64,
        /// Rows of the outputs.
        written: u64,
    },
    /// A file is not among the inputs.
    #[error("the file `{0}` was not rewritten")]
    Unknown(String),
    /// A position is not in the file.
    #[error("the file `{path}` has {rows} rows, none at position {position}")]
    NoRow {
        /// Which file.
        path: String,
        /// How many rows it holds.
        rows: u64,
        /// The position that was asked for.
        position: u64,
    },
    /// There are more rows than can be counted, or more than a deletion vector has positions.
    #[error("there are too many rows to be mapped")]
    TooMany,
}

impl RowMap {
    /// The map of inputs to outputs, both in the order in which their rows were read and written. A file that a table lists
    /// several times is an input as often.
    ///
    /// Fails unless the outputs hold as many rows as were kept, so that nothing was lost or doubled.
    pub fn new(inputs: Vec<InputRows>, outputs: Vec<OutputRows>) -> Result<RowMap, RemapError> {
        let mut kept = 0_u64;
        let mut by_path: HashMap<String, Vec<_>> = HashMap::with_capacity(inputs.len());
        for input in inputs {
            input.check(&input.deleted)?;
            let first = kept;
            let rows = input.rows - input.deleted.cardinality();
            kept = kept.checked_add(rows).ok_or(RemapError::TooMany)?;
            by_path.entry(input.path.clone()).or_default().push((first, input));
        }
        let mut written = 0_u64;
        let mut in_order = Vec::with_capacity(outputs.len());
        for output in outputs {
            let first = written;
            written = written.checked_add(output.rows).ok_or(RemapError::TooMany)?;
            in_order.push((first, output));
        }
        if kept != written {
            return Err(RemapError::RowsDiffer { kept, written });
        }
        Ok(RowMap { inputs: by_path, outputs: in_order })
    }

    /// Whether a file is among the inputs.
    pub fn holds(&self, path: &str) -> bool {
        self.inputs.contains_key(path)
    }

    /// Where deletes of one input file have to go: for each output that is affected, its path and the positions in it.
    ///
    /// Positions that were deleted when the input was read are not in any output, and are passed over; so a deletion vector
    /// may be given as it is, with all that it held before. Each time that the file was read has rows of its own.
    ///
    /// Fails if the file is not an input, or has no row at one of the positions.
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
        let mut gone = input.deleted.iter().peekable();
        let mut gone_before = 0;
        let mut output = self.output_of(first);
        for position in deleted.iter() {
            while gone.next_if(|gone| *gone < position).is_some() {
                gone_before += 1;
            }
            if gone.peek() == Some(&position) {
                continue;
            }
            let number = first + position - gone_before;
            // Outputs without rows are passed over too.
            while self.outputs.get(output + 1).is_some_and(|(first, _)| *first <= number) {
                output += 1;
            }
            let Some((first_of_output, output)) = self.outputs.get(output) else { continue };
            let vector = moved.entry(output.path.as_str()).or_default();
            vector.insert(number - first_of_output).map_err(|_| RemapError::TooMany)?;
        }
        Ok(())
    }

    /// As [`RowMap::translate`], for deletes of several inputs: what has to be added to each output's deletes.
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

    /// The place of the output that holds a row, or of one without rows before it.
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
