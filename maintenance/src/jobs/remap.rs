//! Deletes that arrive for files while these are being rewritten: moved to where their rows have gone, in the same commit.

use std::collections::{BTreeMap, HashMap, HashSet};

use roaring::RoaringTreemap;
use table_core::file::data_location::DataLocations;
use table_core::file::deletion_vector::{self, DeletionVector, VectorOf};
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::file::position_deletes::PositionDeletes;
use table_core::manifest::data_file::DataFile;
use table_core::manifest::entry::Content;
use table_core::manifest::partition::PartitionTuple;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::plan::Delete;
use table_core::rewrite::remap::RowMap;
use table_core::snapshot::change::AddedDelete;
use table_core::snapshot::error::NewDelete;

use super::Work;
use crate::error::JobError;
use crate::execute::deletes::{is_vector, positions, vector};
use crate::execute::output::data_file;
use crate::execute::rewrite::Rewritten;
use crate::host::Outputs;

/// From this format version on, positions are deleted by deletion vectors.
const VECTORS_VERSION: i32 = 3;
const CREATED_BY: &str = concat!("Firn ", env!("CARGO_PKG_VERSION"));

/// Deletes that were moved.
#[derive(Default)]
pub(super) struct Moved {
    /// What was found.
    pub(super) found: Vec<NewDelete>,
    /// What takes its place.
    pub(super) deletes: Vec<AddedDelete>,
    /// The files of those.
    pub(super) locations: Vec<String>,
}

/// What became of deletes.
pub(super) enum Outcome {
    /// They were moved.
    Moved(Moved),
    /// It is not known where the rows of these files have gone.
    Impossible(HashSet<String>),
}

/// Moves deletes of some groups' inputs to their outputs, and writes them there.
pub(super) fn translate(
    work: &Work<'_>,
    metadata: &TableMetadata,
    rewritten: &[&Rewritten],
    found: Vec<NewDelete>,
    outputs: &Outputs<'_>,
) -> Result<Outcome, JobError> {
    let mut maps: Vec<RowMap> = Vec::new();
    for done in rewritten {
        if let Some(map) = done.row_map() {
            maps.push(map.map_err(|error| JobError::Internal(error.to_string()))?);
        }
    }
    let by_input = |path: &str| maps.iter().find(|map| map.holds(path));
    let mut lost = HashSet::new();
    let mut moved: BTreeMap<String, DeletionVector> = BTreeMap::new();
    for new in &found {
        if new.delete.content == Content::EqualityDeletes {
            // Those that go on to apply are no conflict. What others delete is not told by positions.
            lost.extend(new.data_files.iter().cloned());
            continue;
        }
        for (path, deleted) in read(work, new)? {
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
    let moved = moved.filter_map(|(path, vector)| Some((*files.get(path.as_str())?, vector))).collect();
    let writer = Writer { work, metadata, outputs };
    let (deletes, locations) = if metadata.format_version() < VECTORS_VERSION {
        writer.files(moved)?
    } else {
        writer.vectors(moved)?
    };
    let deletes = deletes.into_iter().map(|file| AddedDelete { file, sequence_number: None }).collect();
    Ok(Outcome::Moved(Moved { found, deletes, locations }))
}

/// What a delete deletes, by data file.
fn read(work: &Work<'_>, new: &NewDelete) -> Result<Vec<(String, DeletionVector)>, JobError> {
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
        return Ok(vec![(target, vector(work.files, &delete)?)]);
    }
    let wanted: HashSet<&str> = new.data_files.iter().map(String::as_str).collect();
    let found = positions(work.files, &delete, |path| wanted.contains(path))?;
    let vectors = found.into_iter().map(|(path, positions)| {
        let vector = DeletionVector::from_sorted(positions.iter());
        Ok((path, vector.map_err(|reason| JobError::Vector { location: delete.path.clone(), reason })?))
    });
    vectors.collect()
}

/// Writes deletes of new files.
struct Writer<'a> {
    work: &'a Work<'a>,
    metadata: &'a TableMetadata,
    outputs: &'a Outputs<'a>,
}

type Written = (Vec<DataFile>, Vec<String>);

impl Writer<'_> {
    /// As deletion vectors, all in one file.
    fn vectors(&self, moved: Vec<(&DataFile, DeletionVector)>) -> Result<Written, JobError> {
        let Some((first, _)) = moved.first() else { return Ok(Written::default()) };
        let location = self.location(first, "puffin")?;
        let vectors: Vec<_> = moved
            .into_iter()
            .map(|(file, vector)| VectorOf {
                data_file: file.path.clone(),
                spec_id: file.spec_id,
                partition: file.partition.clone(),
                vector,
            })
            .collect();
        let broken = |reason| JobError::Vector { location: location.clone(), reason };
        let (bytes, entries) = deletion_vector::write(&location, CREATED_BY, &vectors).map_err(broken)?;
        self.work.files.write(&location, &bytes)?;
        Ok((entries, vec![location]))
    }

    /// As position delete files, one for each partition.
    fn files(&self, moved: Vec<(&DataFile, DeletionVector)>) -> Result<Written, JobError> {
        let mut partitions: BTreeMap<(i32, &PartitionTuple), (&DataFile, PositionDeletes)> = BTreeMap::new();
        for (file, vector) in moved {
            let of_partition = partitions.entry((file.spec_id, &file.partition));
            let (_, deletes) = of_partition.or_insert_with(|| (file, PositionDeletes::default()));
            deletes.by_path.insert(file.path.clone(), vector.iter().collect::<RoaringTreemap>());
        }
        let options = WriterOptions::of_position_deletes(self.metadata.properties());
        let mut written = Written::default();
        for ((spec_id, partition), (first, deletes)) in partitions {
            let location = self.location(first, "parquet")?;
            let output = self.work.files.create(&location)?;
            let (output, file) = deletes.write(output, &options).map_err(JobError::file(&location))?;
            output.finish()?;
            let mut paths = deletes.by_path.into_keys();
            let only = paths.next().filter(|_| paths.next().is_none());
            let entry = data_file(location.clone(), spec_id, partition.clone(), file);
            written.0.push(DataFile {
                content: Content::PositionDeletes,
                referenced_data_file: only,
                ..entry
            });
            written.1.push(location);
        }
        Ok(written)
    }

    /// Deletes lie beside the files that they are for.
    fn location(&self, of: &DataFile, ending: &str) -> Result<String, JobError> {
        let specs = self.metadata.partition_specs();
        let spec = specs.iter().find(|spec| spec.id() == of.spec_id);
        let spec = spec.ok_or_else(|| JobError::Internal(format!("there is no spec {}", of.spec_id)))?;
        let locations =
            DataLocations::new(self.metadata).map_err(JobError::file(self.metadata.location()))?;
        let name = format!("{}-deletes.{ending}", (self.work.outside.uuid)());
        let location = locations.file(spec, &of.partition, &name);
        self.outputs.announce(std::slice::from_ref(&location))?;
        Ok(location)
    }
}
