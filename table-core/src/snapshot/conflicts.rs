//! Conflict detection: validates a change against the commits since it was computed. It follows the
//! validations of Java's `MergingSnapshotProducer`, with one stricter rule: deletes added by a rewrite count
//! like those of any other commit.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::change::{ChangeKind, DeleteKey, FileChange, vector_of};
use super::error::{Conflict, NewDelete, SnapshotError};
use super::history::{SnapshotHistory, operation};
use super::output::SnapshotOutput;
use super::removed_entries::RemovedEntries;
use super::row_match::{PartitionMatch, RowMatch};
use crate::expr::expression::Expression;
use crate::manifest::data_file::DataFile;
use crate::manifest::entry::{File, FileContent, Status};
use crate::manifest::file::Manifest;
use crate::manifest::list::{ManifestContent, ManifestFile};
use crate::manifest::partition::PartitionTuple;
use crate::metadata::partition::PartitionSpec;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;

/// Conflicts that are checked.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a check of its own")]
struct ConflictKinds {
    new_data: bool,
    new_deletes: bool,
    data_removed: bool,
    deletes_of_removed: bool,
    references: bool,
    vectors: bool,
}

/// Commits since the change was computed, with the conflicts found in them.
pub(super) struct Conflicts<'a> {
    change: &'a FileChange,
    kinds: ConflictKinds,
    filter: Option<RowMatch>,
    /// Snapshots since the change was computed, by id, with their operations.
    snapshots: HashMap<i64, (&'a Snapshot, Option<String>)>,
    /// Sequence number above which deletes are new.
    since_number: i64,
    /// Data files to remove.
    files: RemovedEntries<'a>,
    /// Unpartitioned specs, whose equality deletes apply to the files of all partitions.
    unpartitioned: HashSet<i32>,
    targets: HashSet<&'a str>,
    translated: HashSet<&'a DeleteKey>,
    references: HashSet<&'a str>,
    missing: Vec<String>,
    data: Vec<String>,
    delete_files: Vec<String>,
    removed: Vec<String>,
    of_removed: BTreeMap<DeleteKey, NewDelete>,
    vectors: Vec<String>,
}

impl ConflictKinds {
    fn of(change: &FileChange) -> ConflictKinds {
        let checks = &change.checks;
        let removes_paths = !change.removed_data.is_empty() || !change.removed_paths.is_empty();
        let by_rows = change.removed_rows.is_some();
        let is_delta = change.kind == ChangeKind::RowDelta;
        ConflictKinds {
            new_data: checks.no_new_data,
            new_deletes: checks.no_new_deletes && (is_delta || by_rows),
            data_removed: checks.no_new_deletes && by_rows,
            deletes_of_removed: removes_paths
                && (change.kind == ChangeKind::Replace || checks.no_new_deletes),
            references: !checks.referenced_files.is_empty(),
            vectors: change.added_deletes.iter().any(|added| vector_of(&added.file).is_some()),
        }
    }

    fn data(self) -> bool {
        self.new_data || self.data_removed || self.references
    }

    fn deletes(self) -> bool {
        self.new_deletes || self.deletes_of_removed || self.vectors
    }
}

impl<'a> Conflicts<'a> {
    /// Determines the snapshots since the change was computed, up to the head of the branch.
    pub(super) fn new(
        metadata: &'a TableMetadata,
        change: &'a FileChange,
        head: Option<&Snapshot>,
    ) -> Result<Conflicts<'a>, SnapshotError> {
        let checks = &change.checks;
        let kinds = ConflictKinds::of(change);
        let mut snapshots = HashMap::new();
        if let Some(head) = head.filter(|_| kinds.data() || kinds.deletes()) {
            for snapshot in SnapshotHistory::new(metadata).since(head.id(), checks.since)? {
                snapshots.insert(snapshot.id(), (snapshot, operation(snapshot)?));
            }
        } else if let (None, Some(since)) = (head, checks.since) {
            return Err(Conflict::HistoryGone { since }.into());
        }
        let filter = filter_of(change).map(|filter| RowMatch::new(metadata, filter)).transpose()?;
        let since = checks.since.and_then(|id| metadata.snapshot(id));
        let unpartitioned = metadata.partition_specs().iter().filter(|spec| spec.is_unpartitioned());
        let unpartitioned: HashSet<i32> = unpartitioned.map(PartitionSpec::id).collect();
        Ok(Conflicts {
            change,
            kinds,
            filter,
            snapshots,
            since_number: since.map_or(0, Snapshot::sequence_number),
            files: RemovedEntries::new(change, unpartitioned.iter().copied().collect()),
            unpartitioned,
            targets: change.added_deletes.iter().filter_map(|added| vector_of(&added.file)).collect(),
            translated: checks.translated.iter().collect(),
            references: checks.referenced_files.iter().map(String::as_str).collect(),
            missing: Vec::new(),
            data: Vec::new(),
            delete_files: Vec::new(),
            removed: Vec::new(),
            of_removed: BTreeMap::new(),
            vectors: Vec::new(),
        })
    }

    /// Returns the snapshots whose manifest lists have to be read.
    pub(super) fn snapshots(&self) -> impl Iterator<Item = &'a Snapshot> {
        self.snapshots.values().map(|(snapshot, _)| *snapshot)
    }

    /// Returns `true` if a manifest in the manifest list of the snapshot `listed_by` has to be read.
    pub(super) fn needs_manifest(&self, listed_by: i64, manifest_file: &ManifestFile) -> bool {
        let is_added_by =
            manifest_file.added_snapshot_id == listed_by && self.snapshots.contains_key(&listed_by);
        is_added_by
            && match manifest_file.content {
                ManifestContent::Data => self.kinds.data(),
                ManifestContent::Deletes => self.kinds.deletes(),
            }
    }

    /// Checks the entries of a manifest for conflicts.
    pub(super) fn search(
        &mut self,
        output: &mut SnapshotOutput<'_>,
        manifest_file: &ManifestFile,
        manifest: &Manifest,
    ) -> Result<(), SnapshotError> {
        let types = output.types(manifest_file.spec_id)?;
        let tuples = manifest.partitions(&types).map_err(SnapshotError::manifest(&manifest_file.path))?;
        let in_partition = |tuple: &PartitionTuple| {
            self.filter.as_ref().map(|filter| filter.in_partition(manifest_file.spec_id, tuple))
        };
        let filters: Vec<_> = tuples.iter().map(in_partition).collect();
        let empty = PartitionTuple::new();
        for file in manifest.files(manifest_file) {
            let Some((_, operation)) = self.snapshots.get(&file.snapshot_id()) else { continue };
            let operation = operation.clone();
            let tuple = tuples.get(file.partition_number()).unwrap_or(&empty);
            let filter = filters.get(file.partition_number()).and_then(Option::as_ref);
            match manifest_file.content {
                ManifestContent::Data => self.check_data_file(&file, filter, operation.as_deref()),
                ManifestContent::Deletes if file.is_live() => self.check_delete_file(&file, tuple, filter),
                ManifestContent::Deletes => {}
            }
        }
        Ok(())
    }

    /// Fails with the first conflict that was found, in the order of relevance to callers.
    pub(super) fn check(&self) -> Result<(), SnapshotError> {
        let paths = |paths: &[String], conflict: fn(Vec<String>) -> Conflict| {
            let mut paths = paths.to_vec();
            paths.sort();
            paths.dedup();
            if paths.is_empty() { Ok(()) } else { Err(conflict(paths)) }
        };
        paths(&self.missing, Conflict::FilesGone)?;
        paths(&self.data, Conflict::NewData)?;
        if !self.of_removed.is_empty() {
            return Err(Conflict::NewDeletes(self.of_removed.values().cloned().collect()).into());
        }
        paths(&self.delete_files, Conflict::NewDeleteFiles)?;
        paths(&self.removed, Conflict::DataRemoved)?;
        paths(&self.vectors, Conflict::NewVectors)?;
        Ok(())
    }

    fn check_data_file(&mut self, file: &File<'_>, filter: Option<&PartitionMatch>, operation: Option<&str>) {
        // An unknown operation may have done anything.
        let is_any_of =
            |operations: &[&str]| operation.is_none_or(|operation| operations.contains(&operation));
        let matches = || filter.is_none_or(|filter| filter.might_match(file));
        match file.status() {
            Status::Added if self.kinds.new_data && is_any_of(&["append", "overwrite"]) && matches() => {
                self.data.push(file.path().to_owned());
            }
            Status::Deleted if is_any_of(&["overwrite", "replace", "delete"]) => {
                let is_ignored = self.change.checks.ignores_deletions && operation == Some("delete");
                if self.references.contains(file.path()) && !is_ignored {
                    self.missing.push(file.path().to_owned());
                }
                if self.kinds.data_removed && matches() {
                    self.removed.push(file.path().to_owned());
                }
            }
            Status::Added | Status::Deleted | Status::Existing => {}
        }
    }

    fn check_delete_file(
        &mut self,
        file: &File<'_>,
        tuple: &PartitionTuple,
        filter: Option<&PartitionMatch>,
    ) {
        if self.kinds.vectors
            && file.format().eq_ignore_ascii_case("puffin")
            && let Some(target) = file.sole_data_file().filter(|path| self.targets.contains(path))
        {
            self.vectors.push(target.to_owned());
        }
        let is_older = file.sequence_number().is_some_and(|number| number <= self.since_number);
        if is_older || self.translated.contains(&DeleteKey::read(file)) {
            return;
        }
        // The column metrics of a delete file describe the deleted rows, if anything; only its partition can
        // be relied on.
        if !filter.is_none_or(PartitionMatch::is_possible) {
            return;
        }
        if self.kinds.new_deletes {
            self.delete_files.push(file.path().to_owned());
        }
        if self.kinds.deletes_of_removed && !self.still_applies(file) {
            self.check_removed_files(file, tuple);
        }
    }

    /// Returns `true` if a delete applies to the added files as well: it is an equality delete, the added
    /// files retain a sequence number that is not newer than the snapshot the change was computed from, and
    /// the delete does not end with a partition spec that the rows are moved out of.
    fn still_applies(&self, delete: &File<'_>) -> bool {
        let retains_number =
            self.change.data_sequence_number.is_some_and(|number| number <= self.since_number);
        let is_in_spec = |file: &DataFile| file.spec_id == delete.spec_id();
        delete.content() == FileContent::EqualityDeletes
            && retains_number
            && (self.unpartitioned.contains(&delete.spec_id())
                || self.change.added_data.iter().all(is_in_spec))
    }

    fn check_removed_files(&mut self, delete: &File<'_>, tuple: &PartitionTuple) {
        let affected = self.files.affected_by(delete, tuple);
        if affected.is_empty() {
            return;
        }
        // A later commit may carry over what an earlier one added, so that a delete is seen twice; or it has
        // two manifest entries, for the files of two partitions.
        let found = self.of_removed.entry(DeleteKey::read(delete)).or_insert_with(|| NewDelete {
            data_files: Vec::new(),
            delete: DataFile::read(delete, tuple.clone()),
            sequence_number: delete.sequence_number().unwrap_or(self.since_number + 1),
        });
        found.data_files.extend(affected.into_iter().map(str::to_owned));
        found.data_files.sort_unstable();
        found.data_files.dedup();
    }
}

/// Returns the filter to which the search for conflicts is restricted: that of the caller, or else the filter
/// of removed rows if the change removes nothing else.
fn filter_of(change: &FileChange) -> Option<&Expression> {
    let only_rows = change.removed_data.is_empty() && change.removed_paths.is_empty();
    let removed = change.removed_rows.as_ref().filter(|_| only_rows);
    change.checks.filter.as_ref().or(removed)
}
