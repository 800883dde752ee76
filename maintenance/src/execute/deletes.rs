//! The deletes that apply to the files of a group, loaded once each.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use roaring::RoaringTreemap;
use table_core::file::deletion_vector::DeletionVector;
use table_core::file::equality_deletes::EqualityDeletes;
use table_core::file::error::FileError;
use table_core::file::parquet_reader::{FileContext, FileReader};
use table_core::file::position_deletes::PositionDeletes;
use table_core::manifest::entry::Content;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::plan::{Delete, Group, Input};

use super::columns;
use crate::error::JobError;
use crate::files;

const VECTORS: &str = "PUFFIN";

/// The deletes of a group.
pub(super) struct GroupDeletes<'a> {
    metadata: &'a TableMetadata,
    group: &'a Group,
    /// Positions by data file, from position delete files by their place in the group.
    positions: BTreeMap<usize, PositionDeletes>,
    /// Sets of values by the delete files they are from: files of one age have the same.
    values: BTreeMap<Vec<usize>, Rc<Vec<EqualityDeletes>>>,
}

impl<'a> GroupDeletes<'a> {
    /// Reads the position deletes of a group; values are read when a file needs them.
    pub(super) fn new(metadata: &'a TableMetadata, group: &'a Group) -> Result<GroupDeletes<'a>, JobError> {
        let mut positions = BTreeMap::new();
        let inputs: BTreeSet<&str> = group.inputs.iter().map(|input| input.path.as_str()).collect();
        let is_file = |delete: &Delete| {
            delete.content == Content::PositionDeletes && !delete.format.eq_ignore_ascii_case(VECTORS)
        };
        for (number, delete) in group.deletes.iter().enumerate().filter(|(_, delete)| is_file(delete)) {
            check_parquet(delete)?;
            let mut read = PositionDeletes::default();
            let file = files::open(&delete.path)?;
            let columns = PositionDeletes::columns();
            let reader = FileReader::open(&file, &columns, FileContext::new(&*delete.path))
                .map_err(JobError::file(&delete.path))?;
            for batch in reader.read(&file) {
                batch
                    .and_then(|batch| read.add(&batch, |path| inputs.contains(path)))
                    .map_err(JobError::file(&delete.path))?;
            }
            positions.insert(number, read);
        }
        Ok(GroupDeletes { metadata, group, positions, values: BTreeMap::new() })
    }

    /// The columns that some delete of the group compares.
    pub(super) fn compared(group: &Group) -> Vec<i32> {
        let mut ids: Vec<i32> =
            group.deletes.iter().flat_map(|delete| delete.equality_ids.iter().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The deleted positions of a file.
    pub(super) fn positions(&self, input: &Input) -> Result<RoaringTreemap, JobError> {
        let mut deleted = RoaringTreemap::new();
        for number in &input.deletes {
            let Some(delete) = self.group.deletes.get(*number) else { continue };
            if delete.content == Content::PositionDeletes && delete.format.eq_ignore_ascii_case(VECTORS) {
                deleted.extend(vector(delete)?.iter());
            } else if let Some(read) = self.positions.get(number)
                && let Some(positions) = read.by_path.get(&input.path)
            {
                deleted |= positions;
            }
        }
        Ok(deleted)
    }

    /// The values that delete rows of a file.
    pub(super) fn values(&mut self, input: &Input) -> Result<Rc<Vec<EqualityDeletes>>, JobError> {
        let is_equality = |number: &usize| {
            let delete = self.group.deletes.get(*number);
            delete.is_some_and(|delete| delete.content == Content::EqualityDeletes)
        };
        let numbers: Vec<usize> = input.deletes.iter().copied().filter(is_equality).collect();
        if let Some(known) = self.values.get(&numbers) {
            return Ok(known.clone());
        }
        let mut by_columns: BTreeMap<Vec<i32>, EqualityDeletes> = BTreeMap::new();
        for delete in numbers.iter().filter_map(|number| self.group.deletes.get(*number)) {
            let set = by_columns
                .entry(delete.equality_ids.clone())
                .or_insert_with(|| EqualityDeletes::new(delete.equality_ids.clone()));
            read_values(self.metadata, delete, set)?;
        }
        let sets = Rc::new(by_columns.into_values().collect::<Vec<_>>());
        // Files come from old to new, so that sets become smaller and former ones are not asked for again.
        self.values.clear();
        self.values.insert(numbers, sets.clone());
        Ok(sets)
    }
}

/// The rows of a batch that no value deletes.
pub(super) fn keep(batch: RecordBatch, sets: &[EqualityDeletes]) -> Result<RecordBatch, FileError> {
    let mut batch = batch;
    for set in sets.iter().filter(|set| !set.is_empty()) {
        let kept: BooleanArray = set.keep(&batch)?;
        batch =
            filter_record_batch(&batch, &kept).map_err(|error| FileError::Malformed(error.to_string()))?;
    }
    Ok(batch)
}

fn vector(delete: &Delete) -> Result<DeletionVector, JobError> {
    let (Some(offset), Some(length)) = (delete.content_offset, delete.content_size_bytes) else {
        return Err(JobError::Verification(format!(
            "the deletion vector in `{}` does not say where it is",
            delete.path
        )));
    };
    let (offset, length) = (u64::try_from(offset).unwrap_or(u64::MAX), usize::try_from(length).unwrap_or(0));
    let blob = files::read_range(&delete.path, offset, length)?;
    let broken = |reason| JobError::Vector { location: delete.path.clone(), reason };
    let vector = DeletionVector::decode(&blob).map_err(broken)?;
    if i64::try_from(vector.cardinality()).ok() != Some(delete.record_count) {
        return Err(JobError::Verification(format!(
            "the deletion vector in `{}` deletes {} rows, but its manifest says {}",
            delete.path,
            vector.cardinality(),
            delete.record_count
        )));
    }
    Ok(vector)
}

fn read_values(metadata: &TableMetadata, delete: &Delete, set: &mut EqualityDeletes) -> Result<(), JobError> {
    check_parquet(delete)?;
    let columns = columns::select(metadata, &delete.equality_ids)?;
    let file = files::open(&delete.path)?;
    let reader = FileReader::open(&file, &columns, FileContext::new(&*delete.path))
        .map_err(JobError::file(&delete.path))?;
    for batch in reader.read(&file) {
        batch.and_then(|batch| set.add(&batch)).map_err(JobError::file(&delete.path))?;
    }
    Ok(())
}

fn check_parquet(delete: &Delete) -> Result<(), JobError> {
    if delete.format.eq_ignore_ascii_case("PARQUET") {
        return Ok(());
    }
    let told = format!("deletes of the format {} cannot be read; only Parquet and Puffin can", delete.format);
    Err(JobError::file(&delete.path)(FileError::Unsupported(told)))
}
