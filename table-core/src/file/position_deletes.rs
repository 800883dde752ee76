//! Position delete files, which list deleted rows by data file and position (specification, "Position Delete
//! Files"). Deletion vectors, their replacement from format version 3 on, are in [`super::deletion_vector`].

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch, StringArray};
use parquet::file::reader::ChunkReader;
use roaring::RoaringTreemap;

use super::arrow_schema::to_arrow;
use super::error::FileError;
use super::parquet_reader::FileReader;
use super::parquet_reader::context::{BATCH_ROWS, FileContext};
use super::parquet_writer::options::WriterOptions;
use super::parquet_writer::{FileWriter, WrittenFile};
use crate::metadata::json::Raw;
use crate::metadata::reserved;
use crate::metadata::schema::Schema;
use crate::metadata::types::StructType;

/// Schema of a position delete file, as Java writes it, without the optional column `row` for the deleted
/// rows.
const SCHEMA: &str = r#"{"type":"struct","schema-id":0,"fields":[{"id":2147483546,"name":"file_path","required":true,"type":"string","doc":"Path of a file in which a deleted row is stored"},{"id":2147483545,"name":"pos","required":true,"type":"long","doc":"Ordinal position of a deleted row in the data file"}]}"#;

/// Deleted positions by the path of their data file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PositionDeletes {
    /// Positions by the path of the data file, in the order in which they are written.
    pub by_path: BTreeMap<String, RoaringTreemap>,
}

impl PositionDeletes {
    /// Returns the columns of a position delete file that [`PositionDeletes::add`] requires.
    pub fn columns() -> StructType {
        StructType {
            fields: vec![reserved::delete_file_path(), reserved::delete_position()],
            other: Vec::new(),
        }
    }

    /// Reads a position delete file that is available as a [`ChunkReader`] and adds all of its deletes.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read as a Parquet file with [`PositionDeletes::columns`], and with
    /// [`FileError::Malformed`] if a position is negative.
    pub fn read<R: ChunkReader>(&mut self, source: &R) -> Result<(), FileError> {
        let reader = FileReader::open(source, &PositionDeletes::columns(), FileContext::new(""))?;
        reader.read(source).try_for_each(|batch| self.add(&batch?, |_| true))
    }

    /// Returns `true` if `is_one` is true for the data file of every delete of a position delete file, which
    /// must be available as a [`ChunkReader`]. Returns `false` also if the file has more than `rows_max`
    /// deletes, in which case reading stops.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read as a Parquet file with the column `file_path`.
    pub fn are_all_for<R: ChunkReader>(
        source: &R,
        is_one: impl Fn(&str) -> bool,
        rows_max: usize,
    ) -> Result<bool, FileError> {
        let columns = StructType { fields: vec![reserved::delete_file_path()], other: Vec::new() };
        let reader = FileReader::open(source, &columns, FileContext::new(""))?;
        let mut rows = 0;
        for batch in reader.read(source) {
            let batch = batch?;
            rows += batch.num_rows();
            let paths = batch.columns().first().and_then(|paths| paths.as_string_opt::<i32>());
            let paths = paths.ok_or_else(|| {
                FileError::unfit("the rows do not have the columns of a position delete file")
            })?;
            if rows > rows_max || !paths.iter().all(|path| path.is_some_and(&is_one)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds the deletes of a batch with [`PositionDeletes::columns`] for whose data file `is_wanted` returns
    /// `true`.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Unfit`] if the batch has other columns, and with [`FileError::Malformed`] if a
    /// position is negative.
    pub fn add(&mut self, batch: &RecordBatch, is_wanted: impl Fn(&str) -> bool) -> Result<(), FileError> {
        let wrong = || FileError::unfit("the rows do not have the columns of a position delete file");
        let [paths, positions] = batch.columns() else { return Err(wrong()) };
        let paths = paths.as_string_opt::<i32>().ok_or_else(wrong)?;
        let positions = positions.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
        let mut row = 0;
        // Delete files list the deletes of one data file consecutively, so a path is looked up once per run.
        while row < batch.num_rows() {
            let path = paths.value(row);
            let end = (row..batch.num_rows()).find(|next| paths.value(*next) != path);
            let end = end.unwrap_or(batch.num_rows());
            if is_wanted(path) {
                self.insert(path, positions.values().get(row..end).unwrap_or_default())?;
            }
            row = end;
        }
        Ok(())
    }

    fn insert(&mut self, path: &str, positions: &[i64]) -> Result<(), FileError> {
        if !self.by_path.contains_key(path) {
            self.by_path.insert(path.to_owned(), RoaringTreemap::new());
        }
        let Some(deleted) = self.by_path.get_mut(path) else { return Ok(()) };
        for position in positions {
            let wrong = |_| FileError::malformed(format!("{position} is not a position in a file"));
            deleted.insert(u64::try_from(*position).map_err(wrong)?);
        }
        Ok(())
    }

    /// Writes the deletes to one file, sorted by path and position. With
    /// [`WriterOptions::of_position_deletes`] its bounds are exact, so that readers recognise a delete file
    /// for a single data file.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Io`] if the output cannot be written.
    pub fn write<W: Write + Send>(
        &self,
        output: W,
        options: &WriterOptions,
    ) -> Result<(W, WrittenFile), FileError> {
        let schema = Raw::parse(SCHEMA).and_then(Schema::parse);
        let schema = schema.map_err(|error| FileError::unsupported(error.to_string()))?;
        let arrow = to_arrow(&PositionDeletes::columns())?;
        let mut writer = FileWriter::new(output, &schema, options)?;
        writer.set_metadata("delete-type", "position");
        for (path, positions) in &self.by_path {
            let mut positions = positions.iter().peekable();
            while positions.peek().is_some() {
                let run: Int64Array = positions.by_ref().take(BATCH_ROWS).map(to_long).collect();
                let paths = StringArray::from_iter_values(std::iter::repeat_n(path, run.len()));
                let batch = RecordBatch::try_new(arrow.clone(), vec![Arc::new(paths), Arc::new(run)]);
                writer.write(&batch.map_err(|error| FileError::shaping(&error))?)?;
            }
        }
        writer.finish()
    }
}

fn to_long(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
