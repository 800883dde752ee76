//! Position deletes that are written: as deletion vectors from format version 3 on, as position delete files
//! before.

use roaring::RoaringTreemap;
use table_core::file::data_location::DataLocations;
use table_core::file::deletion_vector::{self, VectorOf};
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::file::position_deletes::PositionDeletes;
use table_core::manifest::data_file::DataFile;
use table_core::manifest::entry::FileContent;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::change::AddedDelete;

use super::output::data_file;
use crate::context::JobContext;
use crate::error::JobError;
use crate::output_ledger::OutputLedger;

/// First format version that deletes positions by deletion vectors.
const VECTORS_VERSION: i32 = 3;
const CREATED_BY: &str = concat!("Firn ", env!("CARGO_PKG_VERSION"));

/// Deletes that are written, but not part of the table yet.
#[derive(Default)]
pub struct NewDeletes {
    /// Manifest data of the deletes. They take the sequence number of the commit.
    pub deletes: Vec<AddedDelete>,
    /// Locations of the files that contain them.
    pub locations: Vec<String>,
}

/// Returns `true` if the table's format version requires deletion vectors.
pub fn are_vectors(metadata: &TableMetadata) -> bool {
    metadata.format_version() >= VECTORS_VERSION
}

/// Writes at most one delete per data file, in the form that the table's format version requires.
///
/// # Errors
///
/// Fails if the files cannot be announced, created or written, or if a deletion vector cannot be encoded.
pub fn write(
    job: &JobContext<'_>,
    metadata: &TableMetadata,
    outputs: &OutputLedger<'_>,
    deleted: Vec<VectorOf>,
) -> Result<NewDeletes, JobError> {
    let has_vectors = are_vectors(metadata);
    // All deletion vectors are in one Puffin file, which is in the folder of the first data file.
    let (files, ending) =
        if has_vectors { (deleted.len().min(1), "puffin") } else { (deleted.len(), "parquet") };
    let mut writer = Writer { job, metadata, written: NewDeletes::default() };
    let locations = deleted.iter().take(files).map(|of_file| writer.location(of_file, ending));
    let locations: Vec<String> = locations.collect::<Result<_, _>>()?;
    outputs.register(&locations)?;
    if has_vectors {
        locations.first().map(|location| writer.vectors(location, &deleted)).transpose()?;
    } else {
        for (location, of_file) in locations.iter().zip(deleted) {
            writer.position_deletes(location, of_file)?;
        }
    }
    writer.written.locations = locations;
    Ok(writer.written)
}

struct Writer<'a> {
    job: &'a JobContext<'a>,
    metadata: &'a TableMetadata,
    written: NewDeletes,
}

impl Writer<'_> {
    fn vectors(&mut self, location: &str, deleted: &[VectorOf]) -> Result<(), JobError> {
        let broken = |reason| JobError::Vector { location: location.to_owned(), reason };
        let (bytes, entries) = deletion_vector::write(location, CREATED_BY, deleted).map_err(broken)?;
        self.job.files.write(location, &bytes)?;
        self.written.deletes.extend(entries.into_iter().map(as_old_as_the_commit));
        Ok(())
    }

    /// Writes a position delete file for a single data file, so that the number of its deleted rows is known
    /// from the manifest.
    fn position_deletes(&mut self, location: &str, deleted: VectorOf) -> Result<(), JobError> {
        let positions: RoaringTreemap = deleted.vector.iter().collect();
        let content = PositionDeletes { by_path: [(deleted.data_file.clone(), positions)].into() };
        let options = WriterOptions::of_position_deletes(self.metadata.properties());
        let output = self.job.files.create(location)?;
        let (output, file) = content.write(output, &options).map_err(JobError::file(location))?;
        output.finish()?;
        let entry = data_file(location.to_owned(), deleted.spec_id, deleted.partition, file);
        self.written.deletes.push(as_old_as_the_commit(DataFile {
            content: FileContent::PositionDeletes,
            referenced_data_file: Some(deleted.data_file),
            ..entry
        }));
        Ok(())
    }

    /// Returns a location in the folder of the data file.
    fn location(&self, of: &VectorOf, ending: &str) -> Result<String, JobError> {
        let specs = self.metadata.partition_specs();
        let spec = specs.iter().find(|spec| spec.id() == of.spec_id);
        let spec = spec
            .ok_or_else(|| JobError::Internal(format!("the table has no partition spec {}", of.spec_id)))?;
        let locations =
            DataLocations::new(self.metadata).map_err(JobError::file(self.metadata.location()))?;
        let name = format!("{}-deletes.{ending}", (self.job.environment.uuid)());
        Ok(locations.file(spec, &of.partition, &name))
    }
}

fn as_old_as_the_commit(file: DataFile) -> AddedDelete {
    AddedDelete { file, sequence_number: None }
}
