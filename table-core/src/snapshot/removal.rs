//! Removal of files from manifests: selects the entries to remove and rewrites the manifest without them, as
//! Java's `ManifestFilterManager` does.

use std::collections::{HashMap, HashSet};

use super::change::{Change, DeleteKey, Kind};
use super::error::{Conflict, SnapshotError};
use super::output::Output;
use super::partitions::may_contain;
use super::row_match::{PartitionMatch, RowMatch};
use super::summary::Summary;
use crate::manifest::data_file::DataFile;
use crate::manifest::entry::{Content, File};
use crate::manifest::file::Manifest;
use crate::manifest::list::{ManifestContent, ManifestFile};
use crate::manifest::partition::{PartitionTuple, PartitionType};
use crate::manifest::write::{Origin, UNASSIGNED_SEQUENCE_NUMBER};

/// Files that a change removes, with those found so far.
pub(super) struct Removal {
    paths: HashSet<String>,
    deletes: HashSet<DeleteKey>,
    rows: Option<RowMatch>,
    /// Partitions of the data files to remove; `None` if some are unknown.
    partitions: Option<Vec<(i32, PartitionTuple)>>,
    /// Number of manifest entries of each data file that a rewrite has read.
    entries: HashMap<String, usize>,
    /// Data files that were found and removed, with the number of their manifest entries.
    gone: HashMap<String, usize>,
    gone_deletes: HashSet<DeleteKey>,
    /// Sequence number below which delete files apply to no data file.
    sequence_number_min: i64,
}

impl Removal {
    pub(super) fn new(change: &Change, rows: Option<RowMatch>) -> Removal {
        let known = change.removed_data.iter().map(|file| &file.path);
        let partitions = change.removed_data.iter().map(|file| (file.spec_id, file.partition.clone()));
        let mut entries: HashMap<String, usize> = HashMap::new();
        if change.kind == Kind::Replace {
            for file in &change.removed_data {
                *entries.entry(file.path.clone()).or_default() += 1;
            }
        }
        Removal {
            paths: known.chain(&change.removed_paths).cloned().collect(),
            deletes: change.removed_deletes.iter().cloned().collect(),
            partitions: change.removed_paths.is_empty().then(|| {
                let mut partitions: Vec<_> = partitions.collect();
                partitions.sort();
                partitions.dedup();
                partitions
            }),
            rows,
            entries,
            gone: HashMap::new(),
            gone_deletes: HashSet::new(),
            sequence_number_min: 0,
        }
    }

    /// Returns `true` if a data manifest may list a file to remove.
    pub(super) fn wants_data(&self, line: &ManifestFile, types: &PartitionType) -> bool {
        let may_list_path = || match &self.partitions {
            Some(partitions) => partitions
                .iter()
                .any(|(spec_id, tuple)| *spec_id == line.spec_id && may_contain(line, types, tuple)),
            None => true,
        };
        line.may_have_live_files()
            && ((!self.paths.is_empty() && may_list_path())
                || self.rows.as_ref().is_some_and(|rows| rows.may_list(line)))
    }

    /// Returns `true` if a delete manifest may list a file to remove. The data manifests must have been
    /// processed before.
    pub(super) fn wants_deletes(&self, line: &ManifestFile) -> bool {
        line.may_have_live_files()
            && (!self.deletes.is_empty()
                || !self.gone.is_empty()
                || self.rows.as_ref().is_some_and(|rows| rows.may_list(line)))
    }

    /// Marks deletes that are older than every data file for removal, taking into account the data files in
    /// the remaining manifests and the added ones. Java does not consider the latter, to which a change may
    /// assign an older sequence number.
    pub(super) fn forget_deletes_before(&mut self, sequence_number: i64) {
        self.sequence_number_min = sequence_number;
    }

    /// Rewrites a manifest without the files to remove and returns its new entry; `None` if it lists none of
    /// them.
    pub(super) fn apply(
        &mut self,
        output: &mut Output<'_>,
        summary: &mut Summary,
        line: &ManifestFile,
        manifest: &Manifest,
    ) -> Result<Option<ManifestFile>, SnapshotError> {
        let damaged = |reason| SnapshotError::manifest(&line.path)(reason);
        let tuples = manifest.partitions(&output.types(line.spec_id)?).map_err(damaged)?;
        let empty = PartitionTuple::new();
        let tuple = |file: &File<'_>| tuples.get(file.partition_number()).unwrap_or(&empty);
        let goes = self.which_go(line, manifest, &tuples)?;
        if !goes.contains(&true) {
            return Ok(None);
        }
        let spec = output.spec(line.spec_id)?;
        let mut writer = output.writer(line.spec_id, line.content)?;
        for (file, goes) in manifest.files(line).zip(goes) {
            if !file.is_live() {
                continue;
            }
            let (origin, owned) = (origin_of(&file), DataFile::read(&file, tuple(&file).clone()));
            if !goes {
                writer.existing(&owned, origin).map_err(damaged)?;
                continue;
            }
            writer.deleted(&owned, origin).map_err(damaged)?;
            summary.remove(spec, &owned);
            if !self.is_first(&owned) {
                summary.note_duplicate();
            }
        }
        output.finish(writer).map(Some)
    }

    /// Fails if a file to remove was not found, or if a data file has another number of manifest entries than
    /// when the rewrite that removes it read it.
    pub(super) fn check_found(&self) -> Result<(), SnapshotError> {
        let paths = self.paths.iter().filter(|path| !self.gone.contains_key(*path)).cloned();
        let deletes = self.deletes.difference(&self.gone_deletes).map(|key| key.path.clone());
        let mut missing: Vec<_> = paths.chain(deletes).collect();
        missing.sort();
        if !missing.is_empty() {
            return Err(Conflict::FilesGone(missing).into());
        }
        let other = self.entries.iter().filter(|(path, count)| self.gone.get(*path) != Some(*count));
        let mut other: Vec<_> = other.map(|(path, _)| path.clone()).collect();
        other.sort();
        if other.is_empty() { Ok(()) } else { Err(Conflict::EntriesChanged(other).into()) }
    }

    /// Returns for each entry of a manifest whether its file is removed.
    fn which_go(
        &self,
        line: &ManifestFile,
        manifest: &Manifest,
        tuples: &[PartitionTuple],
    ) -> Result<Vec<bool>, SnapshotError> {
        let in_partition =
            |tuple: &PartitionTuple| self.rows.as_ref().map(|rows| rows.in_partition(line.spec_id, tuple));
        let rows: Vec<_> = tuples.iter().map(in_partition).collect();
        let goes = manifest.files(line).map(|file| {
            let rows = rows.get(file.partition_number()).and_then(Option::as_ref);
            Ok(file.is_live() && self.goes(&file, rows)?)
        });
        goes.collect()
    }

    fn is_first(&mut self, file: &DataFile) -> bool {
        match file.content {
            Content::Data => {
                let count = self.gone.entry(file.path.clone()).or_default();
                *count += 1;
                *count == 1
            }
            Content::PositionDeletes | Content::EqualityDeletes => {
                self.gone_deletes.insert(DeleteKey::of(file))
            }
        }
    }

    fn goes(&self, file: &File<'_>, rows: Option<&PartitionMatch>) -> Result<bool, SnapshotError> {
        let is_data = file.content() == Content::Data;
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
            "some rows of `{}` match the filter and others may not, so that the file cannot be removed as a whole",
            file.path()
        )))
    }

    /// Returns `true` if a delete file does not apply to any data file any more.
    fn is_dangling(&self, file: &File<'_>) -> bool {
        let number = file.sequence_number().unwrap_or(0);
        let is_old = number > 0 && number < self.sequence_number_min;
        is_old || file.sole_data_file().is_some_and(|path| self.gone.contains_key(path))
    }
}

/// Returns the snapshot id and sequence numbers of an entry.
pub(super) fn origin_of(file: &File<'_>) -> Origin {
    Origin {
        snapshot_id: file.snapshot_id(),
        sequence_number: file.sequence_number(),
        file_sequence_number: file.file_sequence_number(),
    }
}

/// Returns the least data sequence number of the live files in data manifests, where files of new manifests
/// inherit that of the commit.
pub(super) fn sequence_number_min<'l>(lines: impl Iterator<Item = &'l ManifestFile>, next: i64) -> i64 {
    lines
        .filter(|line| line.content == ManifestContent::Data && line.may_have_live_files())
        .map(|line| match line.min_sequence_number {
            UNASSIGNED_SEQUENCE_NUMBER => next,
            number => number,
        })
        .fold(next, i64::min)
}
