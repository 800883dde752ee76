//! Removal of files from manifests: selects the entries to remove and rewrites the manifest without them, as
//! Java's `ManifestFilterManager` does.

use std::collections::{HashMap, HashSet};

use super::change::{ChangeKind, DeleteKey, FileChange};
use super::error::{Conflict, SnapshotError};
use super::output::SnapshotOutput;
use super::partitions::may_contain;
use super::row_match::{PartitionMatch, RowMatch};
use super::summary::Summary;
use crate::manifest::data_file::DataFile;
use crate::manifest::entry::{File, FileContent};
use crate::manifest::file::Manifest;
use crate::manifest::list::{ManifestContent, ManifestFile};
use crate::manifest::partition::{PartitionTuple, PartitionType};
use crate::manifest::write::{EntryOrigin, UNASSIGNED_SEQUENCE_NUMBER};

/// Files that a change removes, with those found so far.
pub(super) struct FileRemoval {
    paths: HashSet<String>,
    deletes: HashSet<DeleteKey>,
    rows: Option<RowMatch>,
    /// Partitions of the data files to remove; `None` if some are unknown.
    partitions: Option<Vec<(i32, PartitionTuple)>>,
    /// Number of manifest entries of each data file that a rewrite has read.
    entries: HashMap<String, usize>,
    /// Data files that were found and removed, with the number of their manifest entries.
    removed: HashMap<String, usize>,
    removed_deletes: HashSet<DeleteKey>,
    /// Sequence number below which delete files apply to no data file.
    sequence_number_min: i64,
}

impl FileRemoval {
    pub(super) fn new(change: &FileChange, rows: Option<RowMatch>) -> FileRemoval {
        let known_paths = change.removed_data.iter().map(|file| &file.path);
        let partitions = change.removed_data.iter().map(|file| (file.spec_id, file.partition.clone()));
        let mut entries: HashMap<String, usize> = HashMap::new();
        if change.kind == ChangeKind::Replace {
            for file in &change.removed_data {
                *entries.entry(file.path.clone()).or_default() += 1;
            }
        }
        FileRemoval {
            paths: known_paths.chain(&change.removed_paths).cloned().collect(),
            deletes: change.removed_deletes.iter().cloned().collect(),
            partitions: change.removed_paths.is_empty().then(|| {
                let mut partitions: Vec<_> = partitions.collect();
                partitions.sort();
                partitions.dedup();
                partitions
            }),
            rows,
            entries,
            removed: HashMap::new(),
            removed_deletes: HashSet::new(),
            sequence_number_min: 0,
        }
    }

    /// Returns `true` if a data manifest may list a file to remove.
    pub(super) fn needs_data(&self, manifest_file: &ManifestFile, types: &PartitionType) -> bool {
        let may_list_path = || match &self.partitions {
            Some(partitions) => partitions.iter().any(|(spec_id, tuple)| {
                *spec_id == manifest_file.spec_id && may_contain(manifest_file, types, tuple)
            }),
            None => true,
        };
        manifest_file.may_have_live_files()
            && ((!self.paths.is_empty() && may_list_path())
                || self.rows.as_ref().is_some_and(|rows| rows.may_list(manifest_file)))
    }

    /// Returns `true` if a delete manifest may list a file to remove. The data manifests must have been
    /// processed before.
    pub(super) fn needs_deletes(&self, manifest_file: &ManifestFile) -> bool {
        manifest_file.may_have_live_files()
            && (!self.deletes.is_empty()
                || !self.removed.is_empty()
                || self.rows.as_ref().is_some_and(|rows| rows.may_list(manifest_file)))
    }

    /// Marks deletes that are older than every data file for removal, taking into account the data files in
    /// the remaining manifests and the added ones. Java does not consider the latter, to which a change may
    /// assign an older sequence number.
    pub(super) fn set_sequence_number_min(&mut self, sequence_number: i64) {
        self.sequence_number_min = sequence_number;
    }

    /// Rewrites a manifest without the files to remove and returns its new entry; `None` if it lists none of
    /// them.
    pub(super) fn apply(
        &mut self,
        output: &mut SnapshotOutput<'_>,
        summary: &mut Summary,
        manifest_file: &ManifestFile,
        manifest: &Manifest,
    ) -> Result<Option<ManifestFile>, SnapshotError> {
        let damaged = |reason| SnapshotError::manifest(&manifest_file.path)(reason);
        let tuples = manifest.partitions(&output.types(manifest_file.spec_id)?).map_err(damaged)?;
        let empty = PartitionTuple::new();
        let tuple = |file: &File<'_>| tuples.get(file.partition_number()).unwrap_or(&empty);
        let is_removed = self.select_removed(manifest_file, manifest, &tuples)?;
        if !is_removed.contains(&true) {
            return Ok(None);
        }
        let spec = output.spec(manifest_file.spec_id)?;
        let mut writer = output.writer(manifest_file.spec_id, manifest_file.content)?;
        for (file, is_removed) in manifest.files(manifest_file).zip(is_removed) {
            if !file.is_live() {
                continue;
            }
            let (origin, data_file) = (origin_of(&file), DataFile::read(&file, tuple(&file).clone()));
            if !is_removed {
                writer.existing(&data_file, origin).map_err(damaged)?;
                continue;
            }
            writer.deleted(&data_file, origin).map_err(damaged)?;
            summary.remove(spec, &data_file);
            if !self.is_first(&data_file) {
                summary.note_duplicate();
            }
        }
        output.finish(writer).map(Some)
    }

    /// Fails if a file to remove was not found, or if a data file has another number of manifest entries than
    /// when the rewrite that removes it read it.
    pub(super) fn check_found(&self) -> Result<(), SnapshotError> {
        let paths = self.paths.iter().filter(|path| !self.removed.contains_key(*path)).cloned();
        let deletes = self.deletes.difference(&self.removed_deletes).map(|key| key.path.clone());
        let mut missing: Vec<_> = paths.chain(deletes).collect();
        missing.sort();
        if !missing.is_empty() {
            return Err(Conflict::FilesGone(missing).into());
        }
        let other = self.entries.iter().filter(|(path, count)| self.removed.get(*path) != Some(*count));
        let mut other: Vec<_> = other.map(|(path, _)| path.clone()).collect();
        other.sort();
        if other.is_empty() { Ok(()) } else { Err(Conflict::EntriesChanged(other).into()) }
    }

    /// Returns for each entry of a manifest whether its file is removed.
    fn select_removed(
        &self,
        manifest_file: &ManifestFile,
        manifest: &Manifest,
        tuples: &[PartitionTuple],
    ) -> Result<Vec<bool>, SnapshotError> {
        let in_partition = |tuple: &PartitionTuple| {
            self.rows.as_ref().map(|rows| rows.in_partition(manifest_file.spec_id, tuple))
        };
        let rows: Vec<_> = tuples.iter().map(in_partition).collect();
        let is_removed = manifest.files(manifest_file).map(|file| {
            let rows = rows.get(file.partition_number()).and_then(Option::as_ref);
            Ok(file.is_live() && self.is_removed(&file, rows)?)
        });
        is_removed.collect()
    }

    fn is_first(&mut self, file: &DataFile) -> bool {
        match file.content {
            FileContent::Data => {
                let count = self.removed.entry(file.path.clone()).or_default();
                *count += 1;
                *count == 1
            }
            FileContent::PositionDeletes | FileContent::EqualityDeletes => {
                self.removed_deletes.insert(DeleteKey::of(file))
            }
        }
    }

    fn is_removed(&self, file: &File<'_>, rows: Option<&PartitionMatch>) -> Result<bool, SnapshotError> {
        let is_data = file.content() == FileContent::Data;
        let is_named = if is_data {
            self.paths.contains(file.path())
        } else {
            self.deletes.contains(&DeleteKey::read(file)) || self.is_dangling(file)
        };
        if is_named {
            return Ok(true);
        }
        let Some(rows) = rows else { return Ok(false) };
        // The column metrics of a delete file describe the deleted rows, if anything; only its partition can
        // be relied on.
        if !is_data {
            return Ok(rows.is_certain());
        }
        if !rows.might_match(file) {
            return Ok(false);
        }
        if rows.must_match(file) {
            return Ok(true);
        }
        Err(SnapshotError::Invalid(format!(
            "only some rows of `{}` match the filter, so that the file cannot be removed as a whole",
            file.path()
        )))
    }

    /// Returns `true` if a delete file does not apply to any data file any more.
    fn is_dangling(&self, file: &File<'_>) -> bool {
        let number = file.sequence_number().unwrap_or(0);
        let is_old = number > 0 && number < self.sequence_number_min;
        is_old || file.sole_data_file().is_some_and(|path| self.removed.contains_key(path))
    }
}

/// Returns the snapshot id and sequence numbers of an entry.
pub(super) fn origin_of(file: &File<'_>) -> EntryOrigin {
    EntryOrigin {
        snapshot_id: file.snapshot_id(),
        sequence_number: file.sequence_number(),
        file_sequence_number: file.file_sequence_number(),
    }
}

/// Returns the least data sequence number of the live files in data manifests, where files of new manifests
/// inherit that of the commit.
pub(super) fn sequence_number_min<'l>(
    manifest_files: impl Iterator<Item = &'l ManifestFile>,
    next: i64,
) -> i64 {
    manifest_files
        .filter(|manifest_file| {
            manifest_file.content == ManifestContent::Data && manifest_file.may_have_live_files()
        })
        .map(|manifest_file| match manifest_file.min_sequence_number {
            UNASSIGNED_SEQUENCE_NUMBER => next,
            number => number,
        })
        .fold(next, i64::min)
}
