//! Determination of deleted rows: by position delete files, deletion vectors and equality deletes.
//!
//! Rows that are deleted by equality deletes are determined before the rows themselves are read, by reading
//! only the compared columns. The deleted keys are stored as fingerprints with the sequence number of the
//! delete, so that data files with any sequence number are processed in one pass. If the keys do not fit into
//! memory, there are several passes, each for a part of the fingerprints.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use roaring::RoaringTreemap;
use table_core::file::deleted_keys::{DeletedKeys, KeyPart};
use table_core::file::deletion_vector::DeletionVector;
use table_core::file::equality_columns;
use table_core::file::error::FileError;
use table_core::file::position_deletes::PositionDeletes;
use table_core::manifest::entry::FileContent;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::plan::{Delete, Input};
use table_core::text::count;

use super::input::{OpenFile, open_data, open_delete};
use crate::context::JobContext;
use crate::error::JobError;
use crate::files::JobFiles;
use crate::files::input::InputFile;

const VECTORS: &str = "PUFFIN";

/// Data files and the deletes that apply to them. The inputs refer to the deletes by index.
#[derive(Clone, Copy)]
pub struct Targets<'a> {
    /// Data files.
    pub inputs: &'a [Input],
    /// Deletes that apply to at least one of them.
    pub deletes: &'a [Delete],
}

/// Returns the positions of the deleted rows of each input, in the order of the inputs.
///
/// # Errors
///
/// Fails if the job has to stop, or if a delete file or, for equality deletes, a data file cannot be read or
/// does not match its manifest entry.
pub fn deleted_positions(
    job: &JobContext<'_>,
    metadata: &TableMetadata,
    targets: Targets<'_>,
) -> Result<Vec<RoaringTreemap>, JobError> {
    let mut deleted = vec![RoaringTreemap::new(); targets.inputs.len()];
    by_position(job, targets, &mut deleted)?;
    for inputs in alike(targets.inputs) {
        by_value(job, metadata, targets, &inputs, &mut deleted)?;
    }
    // Positions beyond the last row have no effect, however many there are.
    for (positions, input) in deleted.iter_mut().zip(targets.inputs) {
        positions.remove_range(u64::try_from(input.record_count).unwrap_or(0)..);
    }
    Ok(deleted)
}

fn by_position(
    job: &JobContext<'_>,
    targets: Targets<'_>,
    deleted: &mut [RoaringTreemap],
) -> Result<(), JobError> {
    // A file with several manifest entries is several inputs.
    let mut inputs: HashMap<&str, Vec<usize>> = HashMap::with_capacity(targets.inputs.len());
    for (number, input) in targets.inputs.iter().enumerate() {
        inputs.entry(&input.path).or_default().push(number);
    }
    let mut apply = |number: usize, path: &str, positions: &RoaringTreemap| {
        // Deletes apply only as planned: a position delete file may contain positions in a data file with a
        // greater sequence number than its own.
        for input in inputs.get(path).into_iter().flatten() {
            let applies = targets.inputs.get(*input).is_some_and(|input| input.deletes.contains(&number));
            if let Some(all) = deleted.get_mut(*input).filter(|_| applies) {
                *all |= positions;
            }
        }
    };
    let numbered = targets.deletes.iter().enumerate();
    let by_position = numbered.filter(|(_, delete)| delete.content == FileContent::PositionDeletes);
    let (vectors, files): (Vec<_>, Vec<_>) = by_position.partition(|(_, delete)| is_vector(delete));
    let read = read_vectors(job.files, vectors.iter().map(|(_, delete)| *delete));
    for ((number, delete), vector) in vectors.iter().zip(read) {
        job.control.check()?;
        let data_file = delete.data_file.as_deref().unwrap_or_default();
        apply(*number, data_file, &vector?.into_positions());
    }
    let sources = job.files.open_all(files.iter().map(|(_, delete)| (&*delete.path, delete.size_bytes)));
    for ((number, delete), source) in files.iter().zip(sources) {
        job.control.check()?;
        for (path, positions) in positions(source?, delete, |path| inputs.contains_key(path))? {
            apply(*number, &path, &positions);
        }
    }
    Ok(())
}

/// Returns the positions in a position delete file, by path of the data file, for the data files that
/// `is_wanted` selects.
///
/// # Errors
///
/// Fails if the file cannot be read, is not a Parquet file, or is malformed.
pub fn positions(
    source: InputFile,
    delete: &Delete,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, RoaringTreemap>, JobError> {
    let mut read = PositionDeletes::default();
    for batch in open_delete(source, delete, &PositionDeletes::columns())?.rows() {
        read.add(&batch?, &is_wanted).map_err(JobError::file(&delete.path))?;
    }
    Ok(read.by_path)
}

/// Reads deletion vectors in order, while the next ones are on their way. An item is [`JobError::File`] if the
/// manifest entry of the vector has no offset and size or another number of rows, [`JobError::Vector`] if the
/// vector is malformed, and [`JobError::Storage`] if it cannot be read.
pub fn read_vectors<'f>(
    files: &'f JobFiles,
    deletes: impl Iterator<Item = &'f Delete> + Clone + 'f,
) -> impl Iterator<Item = Result<DeletionVector, JobError>> + 'f {
    let ranges = deletes.clone().map(|delete| Ok((&*delete.path, range_of(delete)?)));
    files.read_ranges(ranges).zip(deletes).map(|(blob, delete)| decode(&blob?, delete))
}

/// Reads one deletion vector.
///
/// # Errors
///
/// Fails for the same reasons as an item of [`read_vectors`].
pub fn read_vector(files: &JobFiles, delete: &Delete) -> Result<DeletionVector, JobError> {
    let internal = || JobError::Internal(format!("`{}` was not read", delete.path));
    read_vectors(files, std::iter::once(delete)).next().unwrap_or_else(|| Err(internal()))
}

/// Returns the range of a deletion vector in its Puffin file.
fn range_of(delete: &Delete) -> Result<Range<u64>, JobError> {
    let place = delete.content_offset.zip(delete.content_size_bytes);
    let place =
        place.and_then(|(offset, length)| Some((u64::try_from(offset).ok()?, u64::try_from(length).ok()?)));
    let Some((offset, length)) = place else {
        let message = "its manifest does not contain the offset and length of the deletion vector".to_owned();
        return Err(JobError::file(&delete.path)(FileError::Malformed(message)));
    };
    Ok(offset..offset.saturating_add(length))
}

fn decode(blob: &[u8], delete: &Delete) -> Result<DeletionVector, JobError> {
    let broken = |reason| JobError::Vector { location: delete.path.clone(), reason };
    let vector = DeletionVector::decode(blob).map_err(broken)?;
    if i64::try_from(vector.cardinality()).ok() != Some(delete.record_count) {
        let rows = count(vector.cardinality(), "row", "rows");
        let said = delete.record_count;
        let message = format!("its deletion vector has {rows}, but its manifest entry says {said}");
        return Err(JobError::file(&delete.path)(FileError::Malformed(message)));
    }
    Ok(vector)
}

/// Returns `true` for a deletion vector, `false` for a position delete file.
pub fn is_vector(delete: &Delete) -> bool {
    delete.format.eq_ignore_ascii_case(VECTORS)
}

/// Groups the indexes of inputs by partition. All equality deletes of a partition apply to all of its data
/// files with a smaller sequence number.
fn alike(inputs: &[Input]) -> Vec<Vec<usize>> {
    let mut alike: BTreeMap<(i32, String), Vec<usize>> = BTreeMap::new();
    for (number, input) in inputs.iter().enumerate() {
        let partition = serde_json::Value::from(input.partition.clone()).to_string();
        alike.entry((input.spec_id, partition)).or_default().push(number);
    }
    alike.into_values().collect()
}

fn by_value(
    job: &JobContext<'_>,
    metadata: &TableMetadata,
    targets: Targets<'_>,
    inputs: &[usize],
    deleted: &mut [RoaringTreemap],
) -> Result<(), JobError> {
    let of_inputs = inputs.iter().filter_map(|input| targets.inputs.get(*input));
    let mut numbers: Vec<usize> = of_inputs.flat_map(|input| input.deletes.iter().copied()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut by_columns: BTreeMap<&[i32], Vec<&Delete>> = BTreeMap::new();
    for delete in numbers.iter().filter_map(|number| targets.deletes.get(*number)) {
        if delete.content == FileContent::EqualityDeletes {
            by_columns.entry(&delete.equality_ids).or_default().push(delete);
        }
    }
    for (ids, deletes) in by_columns {
        let keys = deletes.iter().map(|delete| u64::try_from(delete.record_count).unwrap_or(0)).sum();
        // The other half is for the rows that are compared.
        let count = KeyPart::count(keys, job.budget.memory_bytes / 2);
        // All parts use the same key, because it determines the part that a value belongs to.
        let hash_key = (job.environment.uuid)().as_u64_pair();
        for number in 0..count {
            let part = KeyPart { number, count };
            let found = Pass { job, metadata, inputs: targets.inputs, ids, deletes: &deletes, hash_key }
                .run(inputs, part)?;
            for (input, positions) in found {
                if let Some(all) = deleted.get_mut(input) {
                    *all |= positions;
                }
            }
        }
    }
    Ok(())
}

/// Pass over the data files of a partition, for a part of the keys that are deleted on the same columns.
struct Pass<'a> {
    job: &'a JobContext<'a>,
    metadata: &'a TableMetadata,
    inputs: &'a [Input],
    ids: &'a [i32],
    deletes: &'a [&'a Delete],
    hash_key: (u64, u64),
}

impl Pass<'_> {
    fn run(&self, numbers: &[usize], part: KeyPart) -> Result<Vec<(usize, RoaringTreemap)>, JobError> {
        let columns = equality_columns::columns(self.metadata, self.ids)?;
        let mut keys = DeletedKeys::new(self.ids.to_vec(), self.hash_key, part);
        let files = self.job.files;
        let sources = files.open_all(self.deletes.iter().map(|delete| (&*delete.path, delete.size_bytes)));
        for (delete, source) in self.deletes.iter().zip(sources) {
            self.job.control.check()?;
            for batch in open_delete(source?, delete, &columns)?.rows() {
                keys.add(&batch?, delete.sequence_number).map_err(JobError::file(&delete.path))?;
            }
        }
        let mut found = Vec::new();
        let newest = self.deletes.iter().map(|delete| delete.sequence_number).max().unwrap_or(0);
        let inputs = numbers.iter().filter_map(|number| Some((*number, self.inputs.get(*number)?)));
        let older: Vec<_> = inputs.filter(|(_, input)| input.sequence_number < newest).collect();
        let sources = files.open_all(older.iter().map(|(_, input)| (&*input.path, input.size_bytes)));
        for ((number, input), source) in older.iter().zip(sources) {
            self.job.control.check()?;
            let file = open_data(source?, self.metadata, input, &columns, RoaringTreemap::new())?;
            found.push((*number, rows(&file, input, &keys)?));
        }
        Ok(found)
    }
}

fn rows(file: &OpenFile, input: &Input, keys: &DeletedKeys) -> Result<RoaringTreemap, JobError> {
    let mut deleted = RoaringTreemap::new();
    let mut start = 0_u64;
    for batch in file.rows() {
        let batch = batch?;
        let is_deleted = keys.deleted(&batch, input.sequence_number).map_err(JobError::file(&input.path))?;
        deleted.extend(is_deleted.values().set_indices().map(|row| start + row as u64));
        start += batch.num_rows() as u64;
    }
    Ok(deleted)
}
