//! Files of a case: written once, in a folder outside of all tables, so that the tables of all contenders
//! share the same files. A compaction does not delete the files that it replaces.

use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::ScopedJoinHandle;

use anyhow::{Context, anyhow};
use arrow_array::{ArrayRef, RecordBatch};
use serde_json::{Value, json};
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::file::parquet_writer::{FileWriter, WrittenFile};
use table_core::file::position_deletes::PositionDeletes;
use table_core::manifest::data_file::DataFile;
use table_core::manifest::entry::FileContent;
use table_core::metadata::json::Raw;
use table_core::metadata::properties::Properties;
use table_core::metadata::schema::Schema;

use super::cases::{Case, Deletes};
use super::rows::{self, Rows};

/// Number of rows that are generated at a time.
const BATCH_ROWS: u64 = 8_192;

/// Files of a case, and the rows that remain after applying deletes.
pub struct Files {
    /// Folder with the subfolders `data` and `deletes`.
    pub folder: PathBuf,
    /// Data files.
    pub data: Vec<DataFile>,
    /// Position delete files.
    pub positions: Vec<DataFile>,
    /// Equality delete files.
    pub equality: Vec<DataFile>,
    /// Rows that remain after applying deletes.
    pub remaining: RowTotals,
}

/// Number of rows, and the sum of the column that identifies them.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct RowTotals {
    /// Number of rows.
    pub rows: u64,
    /// Sum of the column [`Rows::summed`].
    pub sum: i128,
}

impl Files {
    /// Writes the files of a case, on all cores.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be encoded or written.
    pub fn write(case: &Case, folder: PathBuf) -> anyhow::Result<Files> {
        for part in ["data", "deletes"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let written = on_all_cores(case.files, |number| {
            let path = folder.join(format!("data/{number:05}.parquet"));
            let first = u64::from(number) * case.rows_each;
            let numbers = first..first + case.rows_each;
            Ok((write_data(&path, case.rows, numbers.clone())?, case.remaining_rows(numbers)))
        })?;
        let mut remaining = RowTotals::default();
        let mut data = Vec::new();
        for (file, part) in written {
            remaining.rows += part.rows;
            remaining.sum += part.sum;
            data.push(file);
        }
        let mut files = Files { folder, data, positions: Vec::new(), equality: Vec::new(), remaining };
        match case.deletes {
            Deletes::None => {}
            Deletes::Both => {
                files.positions = on_all_cores(case.files, |number| files.write_positions(number, case))?;
                files.equality = on_all_cores(case.files, |number| {
                    files.write_equality(number, case, case.files, case.rows_each / Deletes::STEP)
                })?;
            }
            Deletes::Keys { files: count, each } => {
                files.equality =
                    on_all_cores(count, |number| files.write_equality(number, case, count, each))?;
            }
        }
        Ok(files)
    }

    /// Returns the size of all files in bytes.
    pub fn bytes(&self) -> i64 {
        [&self.data, &self.positions, &self.equality].into_iter().flatten().map(|file| file.size_bytes).sum()
    }

    fn write_positions(&self, number: u32, case: &Case) -> anyhow::Result<DataFile> {
        let data = self.data.get(number as usize).context("a data file")?;
        let first = u64::from(number) * case.rows_each;
        let mut deletes = PositionDeletes::default();
        let positions = deletes.by_path.entry(data.path.clone()).or_default();
        for position in (0..case.rows_each).filter(|position| case.is_deleted_by_position(first + position)) {
            positions.insert(position);
        }
        let path = self.folder.join(format!("deletes/{number:05}-positions.parquet"));
        let options = WriterOptions::of_position_deletes(&Properties::default());
        let (_, written) = deletes.write(File::create(&path)?, &options)?;
        Ok(DataFile {
            referenced_data_file: Some(data.path.clone()),
            ..describe(FileContent::PositionDeletes, &path, written)
        })
    }

    /// Writes an equality delete file whose deletes apply to data files all over the table, so that a reader
    /// of any data file needs all of them.
    fn write_equality(&self, number: u32, case: &Case, count: u32, each: u64) -> anyhow::Result<DataFile> {
        let fields: Vec<_> = case.rows.schema()["fields"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|field| Rows::KEYS.iter().any(|(id, _)| field["id"] == *id))
            .cloned()
            .collect();
        let schema = parse(&json!({ "type": "struct", "schema-id": 0, "fields": fields }))?;
        let options = WriterOptions::of_equality_deletes(&Properties::default(), schema.columns()?);
        let path = self.folder.join(format!("deletes/{number:05}-equality.parquet"));
        let written = write(&path, &schema, &options, 0..each, |part| {
            rows::keys(part.map(|index| case.deleted_by_key(index * u64::from(count) + u64::from(number))))
        })?;
        Ok(DataFile {
            equality_ids: Rows::KEYS.map(|(id, _)| id).into(),
            ..describe(FileContent::EqualityDeletes, &path, written)
        })
    }
}

/// Writes a data file with the rows of these numbers.
///
/// # Errors
///
/// Fails if the file cannot be encoded or written.
pub fn write_data(path: &Path, rows: Rows, numbers: Range<u64>) -> anyhow::Result<DataFile> {
    let schema = parse(&rows.schema())?;
    let options = WriterOptions::of_data(&Properties::default(), schema.columns()?, None);
    let written = write(path, &schema, &options, numbers, |part| rows.columns(part))?;
    Ok(describe(FileContent::Data, path, written))
}

/// Returns the location (URI) of a local file.
pub fn location(path: &Path) -> String {
    format!("file://{}", path.display())
}

fn write(
    path: &Path,
    schema: &Schema,
    options: &WriterOptions,
    numbers: Range<u64>,
    columns: impl Fn(Range<u64>) -> Vec<ArrayRef>,
) -> anyhow::Result<WrittenFile> {
    let mut writer = FileWriter::new(File::create(path)?, schema, options)?;
    let mut start = numbers.start;
    while start < numbers.end {
        let end = numbers.end.min(start + BATCH_ROWS);
        writer.write(&RecordBatch::try_new(Arc::clone(writer.schema()), columns(start..end))?)?;
        start = end;
    }
    Ok(writer.finish()?.1)
}

fn parse(schema: &Value) -> anyhow::Result<Schema> {
    Ok(Schema::parse(Raw::parse(&schema.to_string())?)?)
}

fn describe(content: FileContent, path: &Path, written: WrittenFile) -> DataFile {
    DataFile {
        content,
        path: location(path),
        format: "PARQUET".to_owned(),
        spec_id: 0,
        partition: Vec::new(),
        record_count: written.record_count,
        size_bytes: written.size_bytes,
        metrics: written.metrics,
        split_offsets: written.split_offsets,
        equality_ids: Vec::new(),
        sort_order_id: None,
        first_row_id: None,
        referenced_data_file: None,
        content_offset: None,
        content_size_bytes: None,
        key_metadata: None,
    }
}

/// Calls `work` for each number below `count` on all cores, and returns the results in order.
fn on_all_cores<T: Send>(
    count: u32,
    work: impl Fn(u32) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let next = AtomicU32::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return anyhow::Ok(done);
            }
            done.push((number, work(number)?));
        }
    };
    let threads = std::thread::available_parallelism()?.get();
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(ScopedJoinHandle::join).collect()
    });
    let mut all = Vec::new();
    for result in results {
        all.extend(result.map_err(|_| anyhow!("a writer panicked"))??);
    }
    all.sort_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, made)| made).collect())
}
