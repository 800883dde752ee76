//! Rewrites a group: reads its files in order without their deleted rows, writes what is left, and counts both.

use std::collections::BTreeMap;

use table_core::expr::value::Value;
use table_core::file::parquet_reader::name_mapping::{NAME_MAPPING, NameMapping};
use table_core::file::parquet_reader::{FileContext, FileReader};
use table_core::file::parquet_writer::FileWriter;
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::manifest::data_file::DataFile;
use table_core::manifest::entry::Content;
use table_core::manifest::partition::{PartitionTuple, PartitionType};
use table_core::manifest::partition_fields::PartitionFields;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::transform::Transform;
use table_core::rewrite::live::partition_from_json;
use table_core::rewrite::plan::{Group, Input};

use super::columns::RewriteColumns;
use super::deletes::{GroupDeletes, keep};
use crate::error::JobError;
use crate::files::{self, NewFile};

/// What came of a group.
#[derive(Debug, Default)]
pub struct Rewritten {
    /// The new files.
    pub files: Vec<DataFile>,
    /// Rows read, the deleted ones included.
    pub rows_read: i64,
    /// Rows that some delete took.
    pub rows_deleted: i64,
    /// Rows written.
    pub rows_written: i64,
}

/// Says where the next file goes.
pub type NextLocation<'a> = dyn FnMut() -> String + 'a;

/// Hears of every location before there is a file, and may refuse.
pub type Announce<'a> = dyn FnMut(&str) -> Result<(), JobError> + 'a;

/// Rewrites one group into the partition it is for.
///
/// Fails if the rows do not add up, with nothing but files that nobody names: `announce` was told of each.
pub fn rewrite(
    metadata: &TableMetadata,
    group: &Group,
    output_spec_id: i32,
    next: &mut NextLocation<'_>,
    announce: &mut Announce<'_>,
) -> Result<Rewritten, JobError> {
    let partition = partition_of(metadata, group, output_spec_id)?;
    let columns = RewriteColumns::new(metadata, &GroupDeletes::compared(group))?;
    let table_columns = metadata.current_schema()?.columns()?;
    let options = WriterOptions::of_data(metadata.properties(), table_columns, metadata.default_sort_order());
    let mapping = metadata.property(NAME_MAPPING).map(NameMapping::parse).transpose()?;
    let mut deletes = GroupDeletes::new(metadata, group)?;
    let mut done = Rewritten::default();
    let mut output = Output { columns: &columns, options: &options, file_rows: file_rows(group), open: None };
    for input in &group.inputs {
        let positions = deletes.positions(input)?;
        let sets = deletes.values(input)?;
        let mut context = FileContext::new(&*input.path);
        context.name_mapping.clone_from(&mapping);
        context.constants = constants(metadata, input)?;
        context.first_row_id = input.first_row_id;
        context.sequence_number = Some(input.sequence_number);
        let by_position = i64::try_from(positions.len()).unwrap_or(i64::MAX);
        context.deleted = positions;
        let file = files::open(&input.path)?;
        let reader = FileReader::open(&file, &columns.read, context).map_err(JobError::file(&input.path))?;
        check_rows(&reader, input)?;
        let mut seen = 0_i64;
        for batch in reader.read(&file) {
            let batch = batch.map_err(JobError::file(&input.path))?;
            let before = batch.num_rows();
            seen += i64::try_from(before).unwrap_or(i64::MAX);
            let kept = keep(batch, &sets).map_err(JobError::file(&input.path))?;
            done.rows_deleted += i64::try_from(before - kept.num_rows()).unwrap_or(i64::MAX);
            if kept.num_rows() > 0 {
                output.write(&kept, &mut done, next, announce)?;
            }
        }
        if seen + by_position != input.record_count {
            return Err(JobError::Verification(format!(
                "`{}` has {} rows, of which {by_position} are deleted by position, but {seen} were read",
                input.path, input.record_count
            )));
        }
        done.rows_deleted += by_position;
        done.rows_read += input.record_count;
    }
    output.finish(&mut done)?;
    finish(&mut done, output_spec_id, &partition)?;
    Ok(done)
}

/// The rows add up, and the files say what they are.
fn finish(done: &mut Rewritten, spec_id: i32, partition: &PartitionTuple) -> Result<(), JobError> {
    if done.rows_read - done.rows_deleted != done.rows_written {
        return Err(JobError::Verification(format!(
            "{} rows were read, of which {} are deleted, but {} were written",
            done.rows_read, done.rows_deleted, done.rows_written
        )));
    }
    for file in &mut done.files {
        file.spec_id = spec_id;
        file.partition.clone_from(partition);
    }
    Ok(())
}

/// Files being written, one at a time.
struct Output<'a> {
    columns: &'a RewriteColumns,
    options: &'a WriterOptions,
    file_rows: usize,
    open: Option<Open>,
}

struct Open {
    location: String,
    writer: FileWriter<NewFile>,
    rows: usize,
}

impl Output<'_> {
    fn write(
        &mut self,
        batch: &arrow_array::RecordBatch,
        done: &mut Rewritten,
        next: &mut NextLocation<'_>,
        announce: &mut Announce<'_>,
    ) -> Result<(), JobError> {
        let wanted: Vec<usize> = (0..self.columns.written_count).collect();
        let batch = batch.project(&wanted).map_err(|error| JobError::Internal(error.to_string()))?;
        let mut start = 0;
        while start < batch.num_rows() {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.begin(next(), announce)?,
            };
            let rows = (batch.num_rows() - start).min(self.file_rows - open.rows);
            open.writer.write(&batch.slice(start, rows)).map_err(JobError::file(&open.location))?;
            open.rows += rows;
            start += rows;
            let is_full = open.rows == self.file_rows;
            self.open = Some(open);
            if is_full {
                self.finish(done)?;
            }
        }
        Ok(())
    }

    fn begin(&self, location: String, announce: &mut Announce<'_>) -> Result<Open, JobError> {
        announce(&location)?;
        let file = files::create(&location)?;
        let writer =
            FileWriter::new(file, &self.columns.written, self.options).map_err(JobError::file(&location))?;
        Ok(Open { location, writer, rows: 0 })
    }

    fn finish(&mut self, done: &mut Rewritten) -> Result<(), JobError> {
        let Some(Open { location, writer, .. }) = self.open.take() else { return Ok(()) };
        let (file, written) = writer.finish().map_err(JobError::file(&location))?;
        file.sync()?;
        done.rows_written += written.record_count;
        done.files.push(DataFile {
            content: Content::Data,
            path: location,
            format: "PARQUET".to_owned(),
            spec_id: 0,
            partition: PartitionTuple::new(),
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
        });
        Ok(())
    }
}

/// After how many rows a new file is begun: all files get equally many of those that are likely to be left. How many bytes they
/// come to is known too late, when a row group was compressed.
fn file_rows(group: &Group) -> usize {
    let rows: i128 = group.inputs.iter().map(|input| i128::from(input.record_count)).sum();
    let left = rows * i128::from(group.output_bytes) / i128::from(group.input_bytes.max(1));
    let outputs = i128::from(group.outputs.max(1));
    let each = if outputs == 1 { rows } else { (left + outputs - 1) / outputs };
    usize::try_from(each).unwrap_or(usize::MAX).max(1)
}

fn check_rows(reader: &FileReader, input: &Input) -> Result<(), JobError> {
    let rows = reader.metadata().file_metadata().num_rows();
    if rows == input.record_count {
        return Ok(());
    }
    Err(JobError::Verification(format!(
        "`{}` holds {rows} rows, but its manifest says {}",
        input.path, input.record_count
    )))
}

fn partition_of(metadata: &TableMetadata, group: &Group, spec_id: i32) -> Result<PartitionTuple, JobError> {
    let values = group.partition.as_deref().unwrap_or_default();
    partition_from_json(values, &types_of(metadata, spec_id)?)
        .ok_or_else(|| JobError::Internal(format!("the partition {values:?} does not fit spec {spec_id}")))
}

fn types_of(metadata: &TableMetadata, spec_id: i32) -> Result<PartitionType, JobError> {
    let Some(spec) = metadata.partition_specs().iter().find(|spec| spec.id() == spec_id) else {
        return Err(JobError::Internal(format!("the table has no partition spec {spec_id}")));
    };
    let current = std::iter::once(metadata.current_schema()?);
    let schemas = current.chain(metadata.schemas().iter().rev());
    Ok(PartitionFields::of(spec, schemas)?.types())
}

/// The values of columns that a file may lack because its partition says them.
fn constants(metadata: &TableMetadata, input: &Input) -> Result<BTreeMap<i32, Option<Value>>, JobError> {
    let Some(spec) = metadata.partition_specs().iter().find(|spec| spec.id() == input.spec_id) else {
        return Ok(BTreeMap::new());
    };
    let types = types_of(metadata, input.spec_id)?;
    let Some(tuple) = partition_from_json(&input.partition, &types) else { return Ok(BTreeMap::new()) };
    let identities = spec.fields().iter().zip(tuple).filter_map(|(field, value)| {
        let [source] = field.source_ids[..] else { return None };
        (field.transform == Transform::Identity).then_some((source, value))
    });
    Ok(identities.collect())
}
