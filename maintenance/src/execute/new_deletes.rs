//! Deletes by position that are written: as deletion vectors from format version 3 on, as position delete files before.

use roaring::RoaringTreemap;
use table_core::file::data_location::DataLocations;
use table_core::file::deletion_vector::{self, VectorOf};
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::file::position_deletes::PositionDeletes;
use table_core::manifest::data_file::DataFile;
use table_core::manifest::entry::Content;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::change::AddedDelete;

use super::output::data_file;
use crate::error::JobError;
use crate::host::Outputs;
use crate::jobs::Work;

/// From this format version on, positions are deleted by deletion vectors.
const VECTORS_VERSION: i32 = 3;
const CREATED_BY: &str = concat!("Firn ", env!("CARGO_PKG_VERSION"));

/// Deletes that are written, but not part of the table yet.
#[derive(Default)]
pub struct NewDeletes {
    /// As the manifest will have them. They are as old as the commit.
    pub deletes: Vec<AddedDelete>,
    /// The files they are in.
    pub locations: Vec<String>,
}

/// Whether the table's positions are deleted by vectors.
pub fn are_vectors(metadata: &TableMetadata) -> bool {
    metadata.format_version() >= VECTORS_VERSION
}

/// Writes deletes, at most one of each data file, in the form of the table's format version.
pub fn write(
    work: &Work<'_>,
    metadata: &TableMetadata,
    outputs: &Outputs<'_>,
    deleted: Vec<VectorOf>,
) -> Result<NewDeletes, JobError> {
    let has_vectors = are_vectors(metadata);
    // Vectors are all in one file, beside the first of their data files.
    let (files, ending) =
        if has_vectors { (deleted.len().min(1), "puffin") } else { (deleted.len(), "parquet") };
    let mut writer = Writer { work, metadata, written: NewDeletes::default() };
    let locations = deleted.iter().take(files).map(|of_file| writer.location(of_file, ending));
    let locations: Vec<String> = locations.collect::<Result<_, _>>()?;
    outputs.announce(&locations)?;
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
    work: &'a Work<'a>,
    metadata: &'a TableMetadata,
    written: NewDeletes,
}

impl Writer<'_> {
    fn vectors(&mut self, location: &str, deleted: &[VectorOf]) -> Result<(), JobError> {
        let broken = |reason| JobError::Vector { location: location.to_owned(), reason };
        let (bytes, entries) = deletion_vector::write(location, CREATED_BY, deleted).map_err(broken)?;
        self.work.files.write(location, &bytes)?;
        self.written.deletes.extend(entries.into_iter().map(as_old_as_the_commit));
        Ok(())
    }

    /// A file for one data file alone: then everybody knows how many of its rows are deleted.
    fn position_deletes(&mut self, location: &str, deleted: VectorOf) -> Result<(), JobError> {
        let positions: RoaringTreemap = deleted.vector.iter().collect();
        let content = PositionDeletes { by_path: [(deleted.data_file.clone(), positions)].into() };
        let options = WriterOptions::of_position_deletes(self.metadata.properties());
        let output = self.work.files.create(location)?;
        let (output, file) = content.write(output, &options).map_err(JobError::file(location))?;
        output.finish()?;
        let entry = data_file(location.to_owned(), deleted.spec_id, deleted.partition, file);
        self.written.deletes.push(as_old_as_the_commit(DataFile {
            content: Content::PositionDeletes,
            referenced_data_file: Some(deleted.data_file),
            ..entry
        }));
        Ok(())
    }

    /// Deletes lie beside the files that they are for.
    fn location(&self, of: &VectorOf, ending: &str) -> Result<String, JobError> {
        let specs = self.metadata.partition_specs();
        let spec = specs.iter().find(|spec| spec.id() == of.spec_id);
        let spec = spec.ok_or_else(|| JobError::Internal(format!("there is no spec {}", of.spec_id)))?;
        let locations =
            DataLocations::new(self.metadata).map_err(JobError::file(self.metadata.location()))?;
        let name = format!("{}-deletes.{ending}", (self.work.outside.uuid)());
        Ok(locations.file(spec, &of.partition, &name))
    }
}

fn as_old_as_the_commit(file: DataFile) -> AddedDelete {
    AddedDelete { file, sequence_number: None }
}
