//! Data files and delete files that are read.

use std::collections::BTreeMap;

use roaring::RoaringTreemap;
use table_core::expr::value::Value;
use table_core::file::error::FileError;
use table_core::file::parquet_reader::FileReader;
use table_core::file::parquet_reader::context::FileContext;
use table_core::file::parquet_reader::name_mapping::{NAME_MAPPING, NameMapping};
use table_core::file::parquet_writer::WrittenFile;
use table_core::manifest::data_file::{ColumnMetrics, DataFile};
use table_core::manifest::partition::PartitionType;
use table_core::manifest::partition_fields::PartitionFields;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::transform::Transform;
use table_core::metadata::types::StructType;
use table_core::rewrite::live::partition_from_json;
use table_core::rewrite::plan::{Delete, Input};
use table_core::text::count;

use super::output::data_file;
use crate::error::JobError;
use crate::files::Files;
use crate::files::source::Source;

/// Open file with its reader.
pub struct OpenFile {
    /// Bytes of the file.
    pub source: Source,
    /// Reader that decodes the rows.
    pub reader: FileReader,
}

/// Opens a data file to read some columns, without the rows at the positions `deleted`.
///
/// # Errors
///
/// Fails with [`JobError::File`] if the file is not valid Parquet, if its columns do not match the table, or
/// if its number of rows differs from its manifest entry; with [`JobError::Storage`] or
/// [`JobError::NotAllowed`] if it cannot be read, and with [`JobError::Metadata`] if the table's metadata is
/// malformed.
pub fn open_data(
    files: &Files,
    metadata: &TableMetadata,
    input: &Input,
    wanted: &StructType,
    deleted: RoaringTreemap,
) -> Result<OpenFile, JobError> {
    let mut context = context(metadata, input)?;
    context.deleted = deleted;
    let source = files.open(&input.path, input.size_bytes)?;
    let reader = FileReader::open(&source, wanted, context).map_err(JobError::file(&input.path))?;
    let rows = reader.metadata().file_metadata().num_rows();
    if rows != input.record_count {
        return Err(miscounted(input, rows));
    }
    Ok(OpenFile { source, reader })
}

/// Returns the error of a file whose number of rows differs from its manifest entry.
pub(super) fn miscounted(input: &Input, rows: i64) -> JobError {
    let rows = count(rows.unsigned_abs(), "row", "rows");
    let told = format!("it holds {rows}, but its manifest says {}", input.record_count);
    JobError::file(&input.path)(FileError::Malformed(told))
}

/// Opens a delete file to read some columns.
///
/// # Errors
///
/// Fails with [`JobError::File`] if the file is not a valid Parquet file or its columns do not match, and
/// with [`JobError::Storage`] or [`JobError::NotAllowed`] if it cannot be read.
pub fn open_delete(files: &Files, delete: &Delete, wanted: &StructType) -> Result<OpenFile, JobError> {
    if !delete.format.eq_ignore_ascii_case("PARQUET") {
        let told =
            format!("deletes of the format {} cannot be read; only Parquet and Puffin can", delete.format);
        return Err(JobError::file(&delete.path)(FileError::Unsupported(told)));
    }
    let source = files.open(&delete.path, delete.size_bytes)?;
    let reader = FileReader::open(&source, wanted, FileContext::new(&*delete.path))
        .map_err(JobError::file(&delete.path))?;
    Ok(OpenFile { source, reader })
}

/// Returns the manifest data of an input that are required to remove it: its path and partition.
///
/// # Errors
///
/// Fails with [`JobError::Internal`] if its partition does not match its partition spec, or if the table does
/// not have that spec.
pub fn removed(metadata: &TableMetadata, input: &Input) -> Result<DataFile, JobError> {
    let partition = partition_from_json(&input.partition, &types_of(metadata, input.spec_id)?);
    let partition = partition.ok_or_else(|| {
        JobError::Internal(format!("the partition of `{}` does not fit spec {}", input.path, input.spec_id))
    })?;
    let known = WrittenFile {
        record_count: input.record_count,
        size_bytes: input.size_bytes,
        split_offsets: Vec::new(),
        metrics: ColumnMetrics::default(),
    };
    Ok(data_file(input.path.clone(), input.spec_id, partition, known))
}

/// Returns the properties of a data file that its reader takes from the manifest and the table.
pub(super) fn context(metadata: &TableMetadata, input: &Input) -> Result<FileContext, JobError> {
    let mut context = FileContext::new(&*input.path);
    context.name_mapping = metadata.property(NAME_MAPPING).map(NameMapping::parse).transpose()?;
    context.constants = constants(metadata, input)?;
    context.first_row_id = input.first_row_id;
    context.sequence_number = Some(input.sequence_number);
    Ok(context)
}

/// Returns the types of the partition values of a spec.
pub(crate) fn types_of(metadata: &TableMetadata, spec_id: i32) -> Result<PartitionType, JobError> {
    let Some(spec) = metadata.partition_specs().iter().find(|spec| spec.id() == spec_id) else {
        return Err(JobError::Internal(format!("the table has no partition spec {spec_id}")));
    };
    let current = std::iter::once(metadata.current_schema()?);
    let schemas = current.chain(metadata.schemas().iter().rev());
    Ok(PartitionFields::of(spec, schemas)?.types())
}

/// Returns the values of identity-partitioned columns by field id, which the data file itself may lack.
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
