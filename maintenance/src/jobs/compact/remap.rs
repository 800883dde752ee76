//! Translation of deletes that were committed for data files while these were rewritten. They are written for
//! the new files in the commit that replaces the old ones.

use std::collections::{BTreeMap, HashMap, HashSet};

use table_core::file::deletion_vector::{DeletionVector, VectorOf};
use table_core::manifest::data_file::DataFile;
use table_core::manifest::entry::FileContent;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::plan::Delete;
use table_core::rewrite::remap::RowMap;
use table_core::snapshot::error::NewDelete;

use crate::context::JobContext;
use crate::error::JobError;
use crate::execute::deletes::{is_vector, positions, read_vector};
use crate::execute::new_deletes::{self, NewDeletes};
use crate::execute::rewrite::Rewritten;
use crate::output_ledger::OutputLedger;

/// Translated deletes.
#[derive(Default)]
pub(super) struct Moved {
    /// Concurrently committed deletes that were translated.
    pub(super) found: Vec<NewDelete>,
    /// Deletes that replace them.
    pub(super) written: NewDeletes,
}

/// Outcome of translating deletes.
pub(super) enum Outcome {
    /// All deletes were translated.
    Moved(Moved),
    /// The deletes cannot be translated, because the new positions of the rows of these data files are
    /// unknown.
    Impossible(HashSet<String>),
}

/// Translates deletes from the inputs of some groups to their outputs, and writes the new deletes.
pub(super) fn translate(
    job: &JobContext<'_>,
    metadata: &TableMetadata,
    rewritten: &[&Rewritten],
    found: Vec<NewDelete>,
    outputs: &OutputLedger<'_>,
) -> Result<Outcome, JobError> {
    let mut maps: Vec<RowMap> = Vec::new();
    for done in rewritten {
        if let Some(map) = done.row_map() {
            maps.push(map.map_err(|error| JobError::Internal(error.to_string()))?);
        }
    }
    let by_input = |path: &str| maps.iter().find(|map| map.contains(path));
    let mut lost = HashSet::new();
    let mut moved: BTreeMap<String, DeletionVector> = BTreeMap::new();
    for new in &found {
        if new.delete.content == FileContent::EqualityDeletes {
            // Equality deletes that also apply to the new files are no conflict. The rows that others delete
            // are not known by position.
            lost.extend(new.data_files.iter().cloned());
            continue;
        }
        for (path, deleted) in read(job, new)? {
            match by_input(&path) {
                Some(map) => {
                    let to = map.translate(&path, &deleted);
                    for (output, vector) in to.map_err(|error| JobError::Internal(error.to_string()))? {
                        moved.entry(output.to_owned()).or_default().union_with(&vector);
                    }
                }
                None => {
                    lost.insert(path);
                }
            }
        }
    }
    if !lost.is_empty() {
        return Ok(Outcome::Impossible(lost));
    }
    let files: HashMap<&str, &DataFile> =
        rewritten.iter().flat_map(|done| &done.files).map(|file| (file.path.as_str(), file)).collect();
    let moved = moved.into_iter().filter(|(_, vector)| !vector.is_empty());
    let moved = moved.filter_map(|(path, vector)| Some(positions_of(files.get(path.as_str())?, vector)));
    let written = new_deletes::write(job, metadata, outputs, moved.collect())?;
    Ok(Outcome::Moved(Moved { found, written }))
}

/// Reads the positions that a delete contains, by path of the data file.
fn read(job: &JobContext<'_>, new: &NewDelete) -> Result<Vec<(String, DeletionVector)>, JobError> {
    let file = &new.delete;
    let delete = Delete {
        content: file.content,
        path: file.path.clone(),
        format: file.format.clone(),
        size_bytes: file.size_bytes,
        record_count: file.record_count,
        sequence_number: new.sequence_number,
        data_file: file.referenced_data_file.clone(),
        content_offset: file.content_offset,
        content_size_bytes: file.content_size_bytes,
        equality_ids: file.equality_ids.clone(),
    };
    if is_vector(&delete) {
        let target = delete.data_file.clone().unwrap_or_default();
        return Ok(vec![(target, read_vector(job.files, &delete)?)]);
    }
    let wanted: HashSet<&str> = new.data_files.iter().map(String::as_str).collect();
    let found =
        positions(job.files.open(&delete.path, delete.size_bytes)?, &delete, |path| wanted.contains(path))?;
    let vectors = found.into_iter().map(|(path, positions)| {
        let vector = DeletionVector::from_sorted(positions.iter());
        Ok((path, vector.map_err(|reason| JobError::Vector { location: delete.path.clone(), reason })?))
    });
    vectors.collect()
}

fn positions_of(file: &DataFile, vector: DeletionVector) -> VectorOf {
    VectorOf {
        data_file: file.path.clone(),
        spec_id: file.spec_id,
        partition: file.partition.clone(),
        vector,
    }
}
