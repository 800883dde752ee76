//! Search for the files that only expired snapshots refer to: their manifest lists, manifests, data files and
//! delete files. As in Java's `ReachableFileCleanup`, no file is reported that is reachable from a remaining
//! snapshot, regardless of the history in between. Metadata files are not reported either, even if a manifest
//! lists one as a data file.
//!
//! Java's faster alternative, which trusts the deleted entries of manifests, is not used: it would lose a
//! file that was removed and added again, or has two manifest entries.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::error::SnapshotError;
use super::expire::check_allowed;
use super::history::embedded;
use super::plan::Needs;
use crate::location::file_key;
use crate::manifest::entry::File;
use crate::manifest::file::Manifest;
use crate::manifest::list::ManifestFile;
use crate::metadata::file_name::is_metadata_file;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::statistics::StatisticsFile;
use crate::metadata::table::TableMetadata;

/// Type of an unreachable file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnreachableKind {
    /// Data file or delete file.
    File,
    /// Manifest.
    Manifest,
    /// Manifest list.
    ManifestList,
    /// Statistics file or partition statistics file.
    Statistics,
}

/// File that is not reachable any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreachable {
    /// Type of the file.
    pub kind: UnreachableKind,
    /// Path of the file.
    pub path: String,
}

/// Incremental search for unreachable files.
///
/// Pass in what [`Cleanup::needs`] requests until it requests nothing, and call [`Cleanup::take_found`]
/// after each step. The memory used is that of the manifest file entries of removed manifests, the paths of
/// the remaining manifests, and the paths of at most `files_max` files, or those in one manifest. If there
/// are more files, the remaining manifests are requested again for each further batch.
///
/// ```text
/// let mut cleanup = Cleanup::new(&before, &after, &[], 1_000_000)?;
/// loop {
///     delete(cleanup.take_found());
///     match cleanup.needs() {
///         Needs::Lists(paths) => for path in paths { cleanup.supply_list(&path, read_list(&path)) },
///         Needs::Manifests(entries) => for entry in entries {
///             cleanup.supply_manifest(&entry.path, &read_manifest(&entry));
///         },
///         Needs::Nothing => break,
///     }
/// }
/// ```
pub struct Cleanup {
    files_max: u64,
    /// Manifest lists that have not been read yet, of removed and of remaining snapshots.
    removed_lists: BTreeSet<String>,
    remaining_lists: BTreeSet<String>,
    /// Manifests of removed snapshots that have not been found to be reachable, by path.
    removed_manifests: BTreeMap<String, ManifestFile>,
    /// Manifests of remaining snapshots that have live files, by path.
    remaining_manifests: BTreeMap<String, ManifestFile>,
    /// Keys ([`file_key`]) of everything that must not be deleted: all manifests of remaining snapshots,
    /// including those without files, their manifest lists, and the files that table metadata refers to.
    retained_keys: HashSet<String>,
    /// Current batch: removed manifests that have not been read yet, those that were read, the files in them,
    /// and (`unchecked_manifests`) the remaining manifests that have not been read yet.
    unread_manifests: BTreeMap<String, ManifestFile>,
    read_manifests: Vec<String>,
    /// Paths by [`file_key`], because engines write the location of the same file in several ways.
    files: HashMap<String, String>,
    /// Type of the files of the batch.
    file_kind: UnreachableKind,
    /// Statistics files to delete, which any client may have registered at any location.
    statistics: HashMap<String, String>,
    unchecked_manifests: BTreeMap<String, ManifestFile>,
    /// Files that are reported after all others.
    last: Vec<Unreachable>,
    found: Vec<Unreachable>,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Reading manifest lists, to find all manifests.
    Lists,
    /// Reading removed manifests, to find their files.
    Reading,
    /// Reading remaining manifests, to find which of these files are still reachable.
    Checking,
    Done,
}

impl Cleanup {
    /// Begins a search, given the table's metadata before its snapshots were removed and its current
    /// metadata. Everything reachable from `after` is retained, and also everything reachable from the
    /// snapshots `served_snapshots`, to which readers of earlier versions may still be directed although the
    /// table does not contain them any more. `files_max` limits the number of files per batch.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Invalid`] if the table does not permit deleting files (`gc.enabled`) or if
    /// the two metadata files belong to different tables, and with [`SnapshotError::Metadata`] if a snapshot
    /// is malformed.
    pub fn new(
        before: &TableMetadata,
        after: &TableMetadata,
        served_snapshots: &[Snapshot],
        files_max: u64,
    ) -> Result<Cleanup, SnapshotError> {
        check_allowed(before)?;
        check_allowed(after)?;
        if before.uuid() != after.uuid() {
            return Err(SnapshotError::invalid("the two documents are not of one table"));
        }
        let mut cleanup = Cleanup {
            files_max: files_max.max(1),
            removed_lists: BTreeSet::new(),
            remaining_lists: BTreeSet::new(),
            removed_manifests: BTreeMap::new(),
            remaining_manifests: BTreeMap::new(),
            retained_keys: HashSet::new(),
            unread_manifests: BTreeMap::new(),
            read_manifests: Vec::new(),
            files: HashMap::new(),
            file_kind: UnreachableKind::File,
            statistics: HashMap::new(),
            unchecked_manifests: BTreeMap::new(),
            last: Vec::new(),
            found: Vec::new(),
            step: Step::Lists,
        };
        let remaining_ids: HashSet<_> =
            after.snapshots().iter().chain(served_snapshots).map(Snapshot::id).collect();
        for snapshot in after.snapshots().iter().chain(served_snapshots) {
            cleanup.retain_snapshot(snapshot)?;
        }
        for snapshot in before.snapshots().iter().filter(|snapshot| !remaining_ids.contains(&snapshot.id())) {
            cleanup.remove_snapshot(snapshot)?;
        }
        cleanup.remove_statistics(before, after, served_snapshots);
        let former = before.metadata_log().iter().map(|entry| entry.metadata_file.as_str());
        cleanup.retained_keys.extend(named_by(after).chain(former).map(file_key));
        if cleanup.removed_lists.is_empty()
            && cleanup.removed_manifests.is_empty()
            && cleanup.statistics.is_empty()
        {
            // Without removed files there is no need to read the remaining ones.
            cleanup.remaining_lists.clear();
        }
        cleanup.advance();
        Ok(cleanup)
    }

    /// Returns what has to be read next.
    pub fn needs(&self) -> Needs {
        let manifests = |manifest_files: &BTreeMap<String, ManifestFile>| {
            Needs::Manifests(manifest_files.values().cloned().collect())
        };
        let lists = [&self.removed_lists, &self.remaining_lists].into_iter().find(|lists| !lists.is_empty());
        if let Some(lists) = lists {
            return Needs::Lists(lists.iter().cloned().collect());
        }
        if !self.unread_manifests.is_empty() {
            return manifests(&self.unread_manifests);
        }
        if self.unchecked_manifests.is_empty() {
            Needs::Nothing
        } else {
            manifests(&self.unchecked_manifests)
        }
    }

    /// Passes in the entries of a manifest list that was requested. Other manifest lists are ignored.
    pub fn supply_list(&mut self, path: &str, manifest_files: Vec<ManifestFile>) {
        let (is_removed, is_remaining) = (self.removed_lists.remove(path), self.remaining_lists.remove(path));
        if is_remaining {
            for manifest_file in manifest_files {
                self.removed_manifests.remove(&manifest_file.path);
                self.retain_manifest(manifest_file);
            }
        } else if is_removed {
            self.removed_manifests.extend(
                manifest_files
                    .into_iter()
                    .map(|manifest_file| (manifest_file.path.clone(), short(manifest_file))),
            );
        }
        self.advance();
    }

    /// Passes in a manifest that was requested. Other manifests are ignored.
    pub fn supply_manifest(&mut self, path: &str, manifest: &Manifest) {
        if let Some(manifest_file) = self.unread_manifests.remove(path) {
            let files = manifest.files(&manifest_file).filter(File::is_live);
            self.files.extend(files.map(|file| (file_key(file.path()), file.path().to_owned())));
            self.read_manifests.push(manifest_file.path.clone());
        } else if let Some(manifest_file) = self.unchecked_manifests.remove(path) {
            for file in manifest.files(&manifest_file).filter(File::is_live) {
                self.files.remove(&file_key(file.path()));
            }
        }
        self.advance();
    }

    /// Reports that a requested file does not exist.
    ///
    /// Files of removed snapshots may have been deleted already, if an earlier search was interrupted; files
    /// that are reachable only through them have to be found by an orphan search.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Invalid`] if a remaining snapshot refers to the file: then nothing that is
    /// not yet taken may be deleted.
    pub fn report_missing(&mut self, path: &str) -> Result<(), SnapshotError> {
        if self.remaining_lists.contains(path) || self.unchecked_manifests.contains_key(path) {
            return Err(SnapshotError::Invalid(format!(
                "`{path}` is missing, but a snapshot still needs it"
            )));
        }
        self.removed_lists.remove(path);
        if self.unread_manifests.remove(path).is_some() {
            self.read_manifests.push(path.to_owned());
        }
        self.advance();
        Ok(())
    }

    /// Returns the files found since the last call. Files come before the manifests that list them, and
    /// manifests before their manifest lists, so that deletion in this order can be interrupted and repeated.
    /// A file in manifests of two batches is returned twice.
    pub fn take_found(&mut self) -> Vec<Unreachable> {
        std::mem::take(&mut self.found)
    }

    fn retain_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        match snapshot.manifest_list()? {
            Some(path) => {
                self.retained_keys.insert(file_key(&path));
                self.remaining_lists.insert(path);
            }
            None => {
                for manifest_file in embedded(snapshot)? {
                    self.retain_manifest(manifest_file);
                }
            }
        }
        Ok(())
    }

    fn remove_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        match snapshot.manifest_list()? {
            // Another snapshot has the same manifest list, which is unusual.
            Some(path) if self.retained_keys.contains(&file_key(&path)) => {}
            Some(path) => {
                self.last.push(Unreachable { kind: UnreachableKind::ManifestList, path: path.clone() });
                self.removed_lists.insert(path);
            }
            None => {
                self.removed_manifests.extend(
                    embedded(snapshot)?
                        .into_iter()
                        .map(|manifest_file| (manifest_file.path.clone(), manifest_file)),
                );
            }
        }
        Ok(())
    }

    fn remove_statistics(
        &mut self,
        before: &TableMetadata,
        after: &TableMetadata,
        served_snapshots: &[Snapshot],
    ) {
        let is_served = |file: &&StatisticsFile| {
            served_snapshots.iter().any(|snapshot| snapshot.id() == file.snapshot_id())
        };
        let of_served = statistics(before).filter(is_served).map(|file| file_key(file.path()));
        self.retained_keys.extend(of_served);
        let all = |metadata: &TableMetadata| -> HashMap<String, String> {
            let paths = statistics(metadata).filter(|file| !is_served(file)).map(StatisticsFile::path);
            paths.map(|path| (file_key(path), path.to_owned())).collect()
        };
        let after = all(after);
        self.statistics = all(before);
        self.statistics.retain(|key, _| !after.contains_key(key));
    }

    fn retain_manifest(&mut self, manifest_file: ManifestFile) {
        self.retained_keys.insert(file_key(&manifest_file.path));
        if manifest_file.may_have_live_files() {
            self.remaining_manifests
                .entry(manifest_file.path.clone())
                .or_insert_with(|| short(manifest_file));
        }
    }

    /// Advances to the next step that requires input.
    fn advance(&mut self) {
        loop {
            match self.step {
                Step::Lists if self.removed_lists.is_empty() => {
                    let retained = &self.retained_keys;
                    self.removed_manifests.retain(|path, _| !retained.contains(&file_key(path)));
                    if self.removed_manifests.is_empty() && self.statistics.is_empty() {
                        // All manifests are still reachable, so no files have to be compared.
                        self.remaining_lists.clear();
                    } else if !self.remaining_lists.is_empty() {
                        return;
                    }
                    self.begin_batch();
                }
                Step::Reading if self.unread_manifests.is_empty() => {
                    self.unchecked_manifests = if self.files.is_empty() {
                        BTreeMap::new()
                    } else {
                        self.remaining_manifests.clone()
                    };
                    self.step = Step::Checking;
                }
                // Once no file is left, the remaining manifests do not have to be read.
                Step::Checking if self.unchecked_manifests.is_empty() || self.files.is_empty() => {
                    self.end_batch();
                    self.begin_batch();
                }
                Step::Lists | Step::Reading | Step::Checking | Step::Done => return,
            }
        }
    }

    /// Selects the next removed manifests, up to the maximum number of files.
    fn begin_batch(&mut self) {
        if self.removed_manifests.is_empty() && !self.statistics.is_empty() {
            self.files = std::mem::take(&mut self.statistics);
            self.file_kind = UnreachableKind::Statistics;
            self.step = Step::Reading;
            return;
        }
        if self.removed_manifests.is_empty() {
            self.found.append(&mut self.last);
            self.step = Step::Done;
            return;
        }
        let mut files = 0_u64;
        while files < self.files_max
            && let Some((path, manifest_file)) = self.removed_manifests.pop_first()
        {
            if manifest_file.may_have_live_files() {
                // A manifest without file counts gets a batch of its own, as far as possible.
                let live = manifest_file.live_files().and_then(|live| u64::try_from(live).ok());
                files = files.saturating_add(live.unwrap_or(self.files_max));
                self.unread_manifests.insert(path, manifest_file);
            } else {
                self.read_manifests.push(path);
            }
        }
        self.step = Step::Reading;
    }

    fn end_batch(&mut self) {
        self.unchecked_manifests.clear();
        // Excludes paths listed as data files that are in fact remaining manifests, metadata files or the
        // like.
        let retained = &self.retained_keys;
        let files = self.files.drain().filter(|(key, _)| !retained.contains(key) && !is_metadata_file(key));
        let mut files: Vec<_> = files.map(|(_, path)| path).collect();
        files.sort_unstable();
        self.found.extend(files.into_iter().map(|path| Unreachable { kind: self.file_kind, path }));
        self.found.extend(
            self.read_manifests.drain(..).map(|path| Unreachable { kind: UnreachableKind::Manifest, path }),
        );
    }
}

/// Returns the paths that table metadata itself refers to: statistics files and previous metadata files.
pub fn named_by(metadata: &TableMetadata) -> impl Iterator<Item = &str> {
    let former = metadata.metadata_log().iter().map(|entry| entry.metadata_file.as_str());
    statistics(metadata).map(StatisticsFile::path).chain(former)
}

fn statistics(metadata: &TableMetadata) -> impl Iterator<Item = &StatisticsFile> {
    metadata.statistics().iter().chain(metadata.partition_statistics())
}

/// Returns the manifest file entry without the fields that are not needed here.
fn short(manifest_file: ManifestFile) -> ManifestFile {
    ManifestFile { partitions: None, key_metadata: None, ..manifest_file }
}
