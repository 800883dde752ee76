//! Live files of a snapshot as required for planning: data files, each with the deletes that apply to it.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::expr::value::Value;
use crate::manifest::entry::{File, FileContent};
use crate::manifest::file::Manifest;
use crate::manifest::list::ManifestFile;
use crate::manifest::partition::{PartitionTuple, PartitionType};
use crate::scan::deletes::{DeleteIndex, sequence_number};
use crate::scan::error::ScanError;
use crate::scan::table_scan::Scan;

/// Live data files of a snapshot with their deletes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveFiles {
    /// Data files; those that were added to the table together are adjacent.
    pub files: Vec<LiveFile>,
    /// Delete files, which data files refer to by index.
    pub deletes: Vec<LiveDelete>,
}

/// Live data file.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveFile {
    /// Path of the file.
    pub path: String,
    /// File format in upper case, such as `PARQUET`.
    pub format: String,
    /// Size of the file in bytes.
    pub size_bytes: i64,
    /// Number of rows, including deleted rows.
    pub record_count: i64,
    /// Id of the partition spec that the file was written with.
    pub spec_id: i32,
    /// Partition tuple of the file, in that spec.
    pub partition: PartitionTuple,
    /// Data sequence number.
    pub sequence_number: i64,
    /// Row id of the first row (`first_row_id`), from format version 3 on.
    pub first_row_id: Option<i64>,
    /// Number of split offsets, which for Parquet is the number of row groups; 0 if unknown.
    pub row_groups: usize,
    /// `true` if the file is encrypted.
    pub is_encrypted: bool,
    /// Deletes that apply to the file, as indexes into [`LiveFiles::deletes`].
    pub deletes: Vec<usize>,
}

/// Live delete file, or deletion vector.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveDelete {
    /// Content of the file: position deletes or equality deletes.
    pub content: FileContent,
    /// Path of the file, which may contain several deletion vectors.
    pub path: String,
    /// File format in upper case; `PUFFIN` for deletion vectors.
    pub format: String,
    /// Size of the whole file in bytes, also for a deletion vector.
    pub size_bytes: i64,
    /// Number of deletes.
    pub record_count: i64,
    /// Id of the partition spec that the file was written with.
    pub spec_id: i32,
    /// Partition tuple of the file, in that spec.
    pub partition: PartitionTuple,
    /// Data sequence number.
    pub sequence_number: i64,
    /// Path of the only data file that its positions refer to, according to `referenced_data_file` or to the
    /// bounds of `file_path`.
    pub data_file: Option<String>,
    /// Offset of a deletion vector in the file (`content_offset`).
    pub content_offset: Option<i64>,
    /// Length of a deletion vector in bytes (`content_size_in_bytes`).
    pub content_size_bytes: Option<i64>,
    /// Field ids of the columns that an equality delete file compares (`equality_ids`).
    pub equality_ids: Vec<i32>,
}

/// Collector of the live data files of a snapshot, manifest by manifest.
pub struct Collector {
    index: DeleteIndex,
    live: LiveFiles,
}

impl Collector {
    /// Creates a collector from all delete manifests of the snapshot and a scan of the snapshot without a
    /// filter.
    ///
    /// # Errors
    ///
    /// Fails with [`ScanError::Invalid`] if the scan has a filter: files are rewritten as a whole, so deletes
    /// outside of the filter are needed, too. Fails as [`DeleteIndex::build`] does if the deletes cannot be
    /// indexed.
    pub fn new(
        unfiltered: &Scan,
        deletes: Vec<(Arc<Manifest>, ManifestFile)>,
    ) -> Result<Collector, ScanError> {
        if !unfiltered.is_unfiltered() {
            return Err(ScanError::Invalid(
                "deletes are collected without a filter, because files are rewritten as a whole".to_owned(),
            ));
        }
        let index = DeleteIndex::build_to_rewrite(unfiltered, deletes)?;
        let (manifests, numbers) = index.manifests();
        let tuples =
            manifests.iter().map(|(manifest, manifest_file)| unfiltered.tuples(manifest, manifest_file));
        let tuples = tuples.collect::<Result<Vec<_>, _>>()?;
        let mut deletes = Vec::with_capacity(index.len());
        for (number, manifest) in numbers.enumerate() {
            if let Some(file) = index.file(number) {
                deletes.push(LiveDelete::read(&file, tuple_of(&file, tuples.get(manifest)))?);
            }
        }
        Ok(Collector { index, live: LiveFiles { files: Vec::new(), deletes } })
    }

    /// Adds the live files of a data manifest that may contain rows matching the scan `scan`.
    ///
    /// # Errors
    ///
    /// Fails with [`ScanError::Damaged`] if the partition spec of the manifest does not exist, if a file
    /// lacks its sequence number or is newer than its deletion vector, and with [`ScanError::Manifest`] if
    /// the partition tuples cannot be decoded.
    pub fn add(
        &mut self,
        scan: &Scan,
        manifest: &Manifest,
        manifest_file: &ManifestFile,
    ) -> Result<(), ScanError> {
        let spec = scan.spec(manifest_file)?;
        let tuples = scan.tuples(manifest, manifest_file)?;
        for file in manifest.files(manifest_file).filter(File::is_live) {
            let partition = tuple_of(&file, Some(&tuples));
            if !scan.might_match(&file, spec, &partition) {
                continue;
            }
            let mut deletes = Vec::new();
            self.index.find(
                &file,
                self.index.of_partition(manifest_file.spec_id, &partition),
                &mut deletes,
            )?;
            self.live.files.push(LiveFile::read(&file, partition, deletes)?);
        }
        Ok(())
    }

    /// Returns all files that were added, oldest first.
    pub fn finish(mut self) -> LiveFiles {
        self.live.files.sort_by_key(|file| file.sequence_number);
        self.live
    }
}

impl LiveFile {
    fn read(file: &File<'_>, partition: PartitionTuple, deletes: Vec<usize>) -> Result<LiveFile, ScanError> {
        Ok(LiveFile {
            path: file.path().to_owned(),
            format: file.format().to_ascii_uppercase(),
            size_bytes: file.size_bytes().max(0),
            record_count: file.record_count().max(0),
            spec_id: file.spec_id(),
            partition,
            sequence_number: sequence_number(file)?,
            first_row_id: file.first_row_id(),
            row_groups: file.split_offsets().into_iter().flatten().count(),
            is_encrypted: file.key_metadata().is_some(),
            deletes,
        })
    }
}

impl LiveDelete {
    /// Converts an entry of a delete manifest; `partition` is its partition tuple.
    ///
    /// # Errors
    ///
    /// Fails with [`ScanError::Damaged`] if the entry lacks its sequence number.
    pub fn read(file: &File<'_>, partition: PartitionTuple) -> Result<LiveDelete, ScanError> {
        let ids = file.equality_ids().into_iter().flatten();
        Ok(LiveDelete {
            content: file.content(),
            path: file.path().to_owned(),
            format: file.format().to_ascii_uppercase(),
            size_bytes: file.size_bytes().max(0),
            record_count: file.record_count().max(0),
            spec_id: file.spec_id(),
            partition,
            sequence_number: sequence_number(file)?,
            data_file: file.sole_data_file().map(str::to_owned),
            content_offset: file.content_offset(),
            content_size_bytes: file.content_size_bytes(),
            equality_ids: ids.filter_map(|id| id.try_into().ok()).collect(),
        })
    }
}

fn tuple_of(file: &File<'_>, tuples: Option<&Vec<PartitionTuple>>) -> PartitionTuple {
    tuples.and_then(|tuples| tuples.get(file.partition_number())).cloned().unwrap_or_default()
}

/// Returns the JSON form of a partition tuple in plans: single values, in the order of the spec's fields.
pub fn partition_to_json(tuple: &PartitionTuple) -> Vec<Json> {
    tuple.iter().map(|value| value.as_ref().map_or(Json::Null, Value::to_json)).collect()
}

/// Parses the JSON form of a partition tuple, given the types of the spec's fields. `None` if the values do
/// not match the spec, or if the type of a field is unknown.
pub fn partition_from_json(values: &[Json], types: &PartitionType) -> Option<PartitionTuple> {
    if values.len() != types.len() {
        return None;
    }
    let values = values.iter().zip(types).map(|(value, (_, value_type))| match value {
        Json::Null => Some(None),
        value => Value::from_json(value, value_type.as_ref()?).ok().map(Some),
    });
    values.collect()
}
