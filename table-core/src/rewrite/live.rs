//! The live files of a snapshot, as far as plans look at them: data files, each with the deletes that apply to it.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::expr::value::Value;
use crate::manifest::entry::{Content, File};
use crate::manifest::file::Manifest;
use crate::manifest::list::ManifestFile;
use crate::manifest::partition::{PartitionTuple, PartitionType};
use crate::scan::deletes::{DeleteIndex, sequence_number};
use crate::scan::error::ScanError;
use crate::scan::table_scan::Scan;

/// Data files with their deletes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    /// Data files; those that came into the table together stand together.
    pub files: Vec<LiveFile>,
    /// Delete files, which data files name by their place here.
    pub deletes: Vec<LiveDelete>,
}

/// A live data file.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveFile {
    /// Where it is.
    pub path: String,
    /// Its format in capitals, such as `PARQUET`.
    pub format: String,
    /// Its size.
    pub size_bytes: i64,
    /// How many rows it holds, the deleted ones included.
    pub record_count: i64,
    /// The partition spec it was written with.
    pub spec_id: i32,
    /// The values of that spec's fields.
    pub partition: PartitionTuple,
    /// Its data sequence number.
    pub sequence_number: i64,
    /// The id of its first row, from format version 3 on.
    pub first_row_id: Option<i64>,
    /// In how many parts it may be read, which for Parquet are row groups; 0 if that is not known.
    pub row_groups: usize,
    /// Whether it is encrypted.
    pub is_encrypted: bool,
    /// The delete files that apply to it, by their place in [`Live::deletes`].
    pub deletes: Vec<usize>,
}

/// A live delete file, or deletion vector.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveDelete {
    /// What it holds: positions or values.
    pub content: Content,
    /// Where it is. Several deletion vectors may be in one file.
    pub path: String,
    /// Its format in capitals; `PUFFIN` for deletion vectors.
    pub format: String,
    /// The size of the file, whatever else it holds.
    pub size_bytes: i64,
    /// How many deletes it holds.
    pub record_count: i64,
    /// The partition spec it was written with.
    pub spec_id: i32,
    /// The values of that spec's fields.
    pub partition: PartitionTuple,
    /// Its data sequence number.
    pub sequence_number: i64,
    /// The one data file that all its positions are for, as it is written or as its bounds have it.
    pub data_file: Option<String>,
    /// Where in the file a deletion vector begins.
    pub content_offset: Option<i64>,
    /// How long a deletion vector is.
    pub content_size_bytes: Option<i64>,
    /// The columns it compares, if it holds values.
    pub equality_ids: Vec<i32>,
}

/// Collects the data files of a snapshot, manifest by manifest.
pub struct Collector {
    index: DeleteIndex,
    live: Live,
}

impl Collector {
    /// Begins with all delete manifests of the snapshot, and a scan of the snapshot that has no filter.
    ///
    /// Deletes outside of a filter are needed too, because a file is rewritten as a whole: a scan with a filter is refused.
    pub fn new(all: &Scan, deletes: Vec<(Arc<Manifest>, ManifestFile)>) -> Result<Collector, ScanError> {
        if !all.is_unfiltered() {
            return Err(ScanError::Invalid(
                "deletes are collected without a filter, because files are rewritten as a whole".to_owned(),
            ));
        }
        let index = DeleteIndex::build_to_rewrite(all, deletes)?;
        let (manifests, numbers) = index.manifests();
        let tuples = manifests.iter().map(|(manifest, listed)| all.tuples(manifest, listed));
        let tuples = tuples.collect::<Result<Vec<_>, _>>()?;
        let mut deletes = Vec::with_capacity(index.len());
        for (number, manifest) in numbers.enumerate() {
            if let Some(file) = index.file(number) {
                deletes.push(LiveDelete::read(&file, tuple_of(&file, tuples.get(manifest)))?);
            }
        }
        Ok(Collector { index, live: Live { files: Vec::new(), deletes } })
    }

    /// Adds the live files of a data manifest that may hold a row that `wanted` asks for.
    pub fn add(
        &mut self,
        wanted: &Scan,
        manifest: &Manifest,
        listed: &ManifestFile,
    ) -> Result<(), ScanError> {
        let spec = wanted.spec(listed)?;
        let tuples = wanted.tuples(manifest, listed)?;
        for file in manifest.files(listed).filter(File::is_live) {
            let partition = tuple_of(&file, Some(&tuples));
            if !wanted.might_match(&file, spec, &partition) {
                continue;
            }
            let mut deletes = Vec::new();
            self.index.find(&file, self.index.of_partition(listed.spec_id, &partition), &mut deletes)?;
            self.live.files.push(LiveFile::read(&file, partition, deletes)?);
        }
        Ok(())
    }

    /// All that was added, oldest first.
    pub fn finish(mut self) -> Live {
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
    /// What an entry of a delete manifest tells, `partition` being its tuple.
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

/// A partition as plans tell it: single values in their JSON form, in the order of the spec's fields.
pub fn partition_to_json(tuple: &PartitionTuple) -> Vec<Json> {
    tuple.iter().map(|value| value.as_ref().map_or(Json::Null, Value::to_json)).collect()
}

/// A partition as a plan told it, given the types of the spec's fields. `None` if it is not of that spec, or of one with a
/// field whose type is not known.
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
