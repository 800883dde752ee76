//! Data files and delete files that are read.

use std::collections::{BTreeMap, VecDeque};

use arrow_array::RecordBatch;
use roaring::RoaringTreemap;
use table_core::expr::value::Value;
use table_core::file::error::FileError;
use table_core::file::parquet_reader::FileReader;
use table_core::file::parquet_reader::batches::Batches;
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
use crate::files::input::InputFile;

/// Open file with its reader.
pub struct OpenFile {
    location: String,
    source: InputFile,
    reader: FileReader,
}

/// Rows of a file. While those of one row group are decoded, the bytes of the next one are read as far as the
/// limits of reads in flight permit; the rest of them is read after the former row group was dropped.
pub struct Rows<'f> {
    file: &'f OpenFile,
    row_groups: VecDeque<usize>,
    current: Option<Batches>,
}

impl OpenFile {
    /// Plans reading the columns `wanted` from a file.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::File`] if the file is not valid Parquet, or if its columns do not match.
    pub fn new(
        location: &str,
        source: InputFile,
        wanted: &StructType,
        context: FileContext,
    ) -> Result<OpenFile, JobError> {
        let reader = FileReader::open(&source, wanted, context).map_err(JobError::file(location))?;
        Ok(OpenFile { location: location.to_owned(), source, reader })
    }

    /// Reads the rows. Each item is a batch, or [`JobError::File`] if the file is damaged, or
    /// [`JobError::Storage`] if it cannot be read.
    pub fn rows(&self) -> Rows<'_> {
        Rows { file: self, row_groups: self.reader.row_groups().collect(), current: None }
    }
}

impl Rows<'_> {
    /// Reads the bytes of a row group, and begins to read those of the next one.
    fn open(&self, row_group: usize) -> Result<Batches, JobError> {
        let OpenFile { location, source, reader } = self.file;
        let broken = || JobError::file(location);
        let ranges = reader.ranges(row_group).map_err(broken())?;
        if ranges.iter().any(|range| range.end > source.size_bytes()) {
            let reason = FileError::Malformed("a column is beyond the end of the file".to_owned());
            return Err(broken()(reason));
        }
        let chunks = source.ranges(&ranges)?;
        // An error of the next row group is reported when its turn comes.
        if let Some(Ok(next)) = self.row_groups.front().map(|next| reader.ranges(*next)) {
            source.prefetch(&next);
        }
        reader.batches(row_group, chunks).map_err(broken())
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<RecordBatch, JobError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.current.as_mut().and_then(Iterator::next) {
                return Some(batch.map_err(JobError::file(&self.file.location)));
            }
            // Two row groups must not be in memory at the same time.
            self.current = None;
            let row_group = self.row_groups.pop_front()?;
            match self.open(row_group) {
                Ok(batches) => self.current = Some(batches),
                Err(error) => {
                    self.row_groups.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Prepares reading some columns of a data file, without the rows at the positions `deleted`.
///
/// # Errors
///
/// Fails with [`JobError::File`] if the file is not valid Parquet, if its columns do not match the table, or
/// if its number of rows differs from its manifest entry; and with [`JobError::Metadata`] if the table's metadata
/// is malformed.
pub fn open_data(
    source: InputFile,
    metadata: &TableMetadata,
    input: &Input,
    wanted: &StructType,
    deleted: RoaringTreemap,
) -> Result<OpenFile, JobError> {
    let mut context = context(metadata, input)?;
    context.deleted = deleted;
    let file = OpenFile::new(&input.path, source, wanted, context)?;
    let rows = file.reader.metadata().file_metadata().num_rows();
    if rows != input.record_count {
        return Err(miscounted(input, rows));
    }
    Ok(file)
}

/// Returns the error of a file whose number of rows differs from its manifest entry.
pub(super) fn miscounted(input: &Input, rows: i64) -> JobError {
    let rows = count(rows.unsigned_abs(), "row", "rows");
    let message = format!("it has {rows}, but its manifest entry says {}", input.record_count);
    JobError::file(&input.path)(FileError::Malformed(message))
}

/// Prepares reading some columns of a delete file.
///
/// # Errors
///
/// Fails with [`JobError::File`] if the file is not a valid Parquet file or its columns do not match.
pub fn open_delete(source: InputFile, delete: &Delete, wanted: &StructType) -> Result<OpenFile, JobError> {
    if !delete.format.eq_ignore_ascii_case("PARQUET") {
        let message =
            format!("deletes of the format {} cannot be read; only Parquet and Puffin can", delete.format);
        return Err(JobError::file(&delete.path)(FileError::Unsupported(message)));
    }
    OpenFile::new(&delete.path, source, wanted, FileContext::new(&*delete.path))
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

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use parquet::data_type::Int64Type;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use storage::error::StorageError;
    use storage::file::{FileState, Listed};
    use storage::place::Place;
    use storage::read_ahead::Concurrency;
    use storage::scope::{Reads, Scope};
    use storage::store::{Store, Upload};
    use table_core::location::Location;
    use table_core::metadata::reserved;
    use tokio::runtime::Runtime;

    use super::*;
    use crate::files::JobFiles;

    const ROWS: i64 = 400_000;
    const ROW_GROUPS: i64 = 4;

    /// Bytes that were read, and are counted until they are dropped.
    struct Held {
        bytes: Vec<u8>,
        now: Arc<AtomicUsize>,
    }

    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            self.now.fetch_sub(self.bytes.len(), Ordering::SeqCst);
        }
    }

    /// Store of one file, which counts the bytes that its readers hold.
    #[derive(Debug, Default)]
    struct OneFile {
        content: Vec<u8>,
        now: Arc<AtomicUsize>,
        most: AtomicUsize,
    }

    fn refused<T>(place: &Place) -> Result<T, StorageError> {
        Err(StorageError::UnsupportedScheme(place.as_str().to_owned()))
    }

    #[async_trait::async_trait]
    impl Store for OneFile {
        async fn read(&self, place: &Place, _: usize) -> Result<Bytes, StorageError> {
            refused(place)
        }

        async fn read_range(&self, _: &Place, range: Range<u64>) -> Result<Bytes, StorageError> {
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            let bytes = self.content[range].to_vec();
            self.most
                .fetch_max(self.now.fetch_add(bytes.len(), Ordering::SeqCst) + bytes.len(), Ordering::SeqCst);
            Ok(Bytes::from_owner(Held { bytes, now: self.now.clone() }))
        }

        async fn write_new(&self, place: &Place, _: Bytes) -> Result<(), StorageError> {
            refused(place)
        }

        async fn create(&self, place: &Place) -> Result<Box<dyn Upload>, StorageError> {
            refused(place)
        }

        fn part_bytes(&self, _: &Place) -> usize {
            1
        }

        async fn state(&self, place: &Place) -> Result<FileState, StorageError> {
            refused(place)
        }

        fn state_in_memory(&self, _: &Place) -> FileState {
            FileState::Unknown
        }

        async fn delete(&self, place: &Place) -> Result<(), StorageError> {
            refused(place)
        }

        async fn delete_below(&self, place: &Place, _: usize) -> Result<usize, StorageError> {
            refused(place)
        }

        async fn list(&self, place: &Place, _: usize) -> Result<Vec<Listed>, StorageError> {
            refused(place)
        }

        async fn create_folder(&self, place: &Place) -> Result<(), StorageError> {
            refused(place)
        }

        async fn prepare_root(&self, place: &Place) -> Result<(), StorageError> {
            refused(place)
        }

        async fn find_below(&self, place: &Place, _: &str, _: usize) -> Result<bool, StorageError> {
            refused(place)
        }
    }

    /// Returns a Parquet file of numbers in ascending order, with row groups of about 3 MiB.
    fn numbers() -> Vec<u8> {
        let schema = parse_message_type("message m { required int64 pos = 2147483545; }").unwrap();
        let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
        let mut writer =
            SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)).unwrap();
        for row_group in 0..ROW_GROUPS {
            let values: Vec<i64> = (row_group * ROWS..(row_group + 1) * ROWS).collect();
            let mut columns = writer.next_row_group().unwrap();
            let mut column = columns.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(&values, None, None).unwrap();
            column.close().unwrap();
            columns.close().unwrap();
        }
        writer.into_inner().unwrap()
    }

    #[test]
    fn one_row_group_is_in_memory_at_a_time() {
        let runtime = Runtime::new().unwrap();
        let store = Arc::new(OneFile { content: numbers(), ..OneFile::default() });
        let own = Location::parse("memory://w").unwrap();
        let files = JobFiles::new(store.clone(), runtime.handle().clone(), Concurrency::SEQUENTIAL, None)
            .within(Scope::new(Vec::new(), vec![own], Reads::Own));
        let size_bytes = i64::try_from(store.content.len()).unwrap();
        let input = files.open("memory://w/x", size_bytes).unwrap();
        let wanted = StructType { fields: vec![reserved::delete_position()], other: Vec::new() };
        let file = OpenFile::new("memory://w/x", input, &wanted, FileContext::new("memory://w/x")).unwrap();
        let rows: usize = file.rows().map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(i64::try_from(rows).unwrap(), ROWS * ROW_GROUPS);
        // The tail of the file is in memory, too.
        let row_group_bytes = store.content.len() / usize::try_from(ROW_GROUPS).unwrap();
        let most = store.most.load(Ordering::SeqCst);
        assert!(most > row_group_bytes && most < row_group_bytes * 3 / 2, "{most} of {row_group_bytes}");
        drop(file);
        assert_eq!(store.now.load(Ordering::SeqCst), 0);
    }
}
