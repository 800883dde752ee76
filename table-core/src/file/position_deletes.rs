//! Position delete files: which rows of which data files are deleted, by their positions (specification, "Position Delete
//! Files"). Not deletion vectors, which say the same in another format.

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
use super::parquet_reader::{BATCH_ROWS, FileContext, FileReader};
use super::parquet_writer::options::WriterOptions;
use super::parquet_writer::{FileWriter, WrittenFile};
use super::reserved;
use crate::metadata::json::Raw;
use crate::metadata::schema::Schema;
use crate::metadata::types::StructType;

/// The columns of a position delete file, as Java writes its schema. Deleted rows themselves are not kept.
const SCHEMA: &str = r#"{"type":"struct","schema-id":0,"fields":[{"id":2147483546,"name":"file_path","required":true,"type":"string","doc":"Path of a file in which a deleted row is stored"},{"id":2147483545,"name":"pos","required":true,"type":"long","doc":"Ordinal position of a deleted row in the data file"}]}"#;

/// Deleted positions by the path of their data file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PositionDeletes {
    /// By path, in the order in which they are written.
    pub by_path: BTreeMap<String, RoaringTreemap>,
}

impl PositionDeletes {
    /// The columns that [`PositionDeletes::add`] wants to be read of a position delete file.
    pub fn columns() -> StructType {
        StructType {
            fields: vec![reserved::delete_file_path(), reserved::delete_position()],
            other: Vec::new(),
        }
    }

    /// Reads a position delete file that is at hand, and adds its deletes.
    pub fn read<R: ChunkReader>(&mut self, source: &R) -> Result<(), FileError> {
        let reader = FileReader::open(source, &PositionDeletes::columns(), FileContext::new(""))?;
        reader.read(source).try_for_each(|batch| self.add(&batch?, |_| true))
    }

    /// Whether all deletes of a position delete file that is at hand are for files which `is_one` says. `false`, too, if it
    /// holds more than `rows_max` deletes: it is not read on.
    ///
    /// Fails if it cannot be read.
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
            let paths =
                paths.ok_or_else(|| FileError::unfit("the rows are not those of a position delete file"))?;
            if rows > rows_max || !paths.iter().all(|path| path.is_some_and(&is_one)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds the deletes of a batch with [`PositionDeletes::columns`] that are for the files which `is_wanted` says.
    pub fn add(&mut self, batch: &RecordBatch, is_wanted: impl Fn(&str) -> bool) -> Result<(), FileError> {
        let wrong = || FileError::unfit("the rows are not those of a position delete file");
        let [paths, positions] = batch.columns() else { return Err(wrong()) };
        let paths = paths.as_string_opt::<i32>().ok_or_else(wrong)?;
        let positions = positions.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
        let mut row = 0;
        // Files list the deletes of one data file together, so a path is looked up once a run.
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

    /// Writes the deletes to one file, sorted by path and position. Its bounds are exact, so that a file for a single data
    /// file is known as such.
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
