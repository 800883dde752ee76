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
use super::plan::Wanted;
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
pub enum Was {
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
    pub was: Was,
    /// Path of the file.
    pub path: String,
}

/// Incremental search for unreachable files.
///
/// Pass in what [`Cleanup::wanted`] requests until it requests nothing, and call [`Cleanup::take_found`]
/// after each step. The memory used is that of the manifest file entries of removed manifests, the paths of
/// the remaining manifests, and the paths of at most `files_max` files, or those in one manifest. If there
/// are more files, the remaining manifests are requested again for each further batch.
///
/// ```text
/// let mut cleanup = Cleanup::new(&before, &after, &[], 1_000_000)?;
/// loop {
///     delete(cleanup.take_found());
///     match cleanup.wanted() {
///         Wanted::Lists(paths) => for path in paths { cleanup.give_list(&path, read_list(&path)) },
///         Wanted::Manifests(entries) => for entry in entries {
///             cleanup.give_manifest(&entry.path, &read_manifest(&entry));
///         },
///         Wanted::Nothing => break,
///     }
/// }
/// ```
pub struct Cleanup {
    files_max: u64,
    /// Manifest lists that have not been read yet, of removed and of remaining snapshots.
    gone_lists: BTreeSet<String>,
    kept_lists: BTreeSet<String>,
    /// Manifests of removed snapshots that have not been found to be reachable, by path.
    gone: BTreeMap<String, ManifestFile>,
    /// Manifests of remaining snapshots that have live files, by path.
    kept: BTreeMap<String, ManifestFile>,
    /// Keys ([`file_key`]) of everything that must not be deleted: all manifests of remaining snapshots,
    /// including those without files, their manifest lists, and the files that table metadata refers to.
    kept_paths: HashSet<String>,
    /// Current batch: removed manifests that have not been read yet, those that were read, the files in them,
    /// and (`unchecked`) the remaining manifests that have not been read yet.
    unread: BTreeMap<String, ManifestFile>,
    read: Vec<String>,
    /// Paths by [`file_key`], because engines write the location of the same file in several ways.
    files: HashMap<String, String>,
    /// Type of the files of the batch.
    files_were: Was,
    /// Statistics files to delete, which any client may have registered at any location.
    statistics: HashMap<String, String>,
    unchecked: BTreeMap<String, ManifestFile>,
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
    /// snapshots `served`, to which readers of earlier versions may still be directed although the table does
    /// not contain them any more. `files_max` limits the number of files per batch.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Invalid`] if the table does not permit deleting files (`gc.enabled`) or if
    /// the two metadata files belong to different tables, and with [`SnapshotError::Metadata`] if a snapshot
    /// is malformed.
    pub fn new(
        before: &TableMetadata,
        after: &TableMetadata,
        served: &[Snapshot],
        files_max: u64,
    ) -> Result<Cleanup, SnapshotError> {
        check_allowed(before)?;
        check_allowed(after)?;
        if before.uuid() != after.uuid() {
            return Err(SnapshotError::invalid("the two documents are not of one table"));
        }
        let mut cleanup = Cleanup {
            files_max: files_max.max(1),
            gone_lists: BTreeSet::new(),
            kept_lists: BTreeSet::new(),
            gone: BTreeMap::new(),
            kept: BTreeMap::new(),
            kept_paths: HashSet::new(),
            unread: BTreeMap::new(),
            read: Vec::new(),
            files: HashMap::new(),
            files_were: Was::File,
            statistics: HashMap::new(),
            unchecked: BTreeMap::new(),
            last: Vec::new(),
            found: Vec::new(),
            step: Step::Lists,
        };
        let stays: HashSet<_> = after.snapshots().iter().chain(served).map(Snapshot::id).collect();
        for snapshot in after.snapshots().iter().chain(served) {
            cleanup.keep(snapshot)?;
        }
        for snapshot in before.snapshots().iter().filter(|snapshot| !stays.contains(&snapshot.id())) {
            cleanup.drop_snapshot(snapshot)?;
        }
        cleanup.drop_statistics(before, after, served);
        let former = before.metadata_log().iter().map(|entry| entry.metadata_file.as_str());
        cleanup.kept_paths.extend(named_by(after).chain(former).map(file_key));
        if cleanup.gone_lists.is_empty() && cleanup.gone.is_empty() && cleanup.statistics.is_empty() {
            // Without removed files there is no need to read the remaining ones.
            cleanup.kept_lists.clear();
        }
        cleanup.go_on();
        Ok(cleanup)
    }

    /// Returns what has to be read next.
    pub fn wanted(&self) -> Wanted {
        let manifests =
            |lines: &BTreeMap<String, ManifestFile>| Wanted::Manifests(lines.values().cloned().collect());
        let lists = [&self.gone_lists, &self.kept_lists].into_iter().find(|lists| !lists.is_empty());
        if let Some(lists) = lists {
            return Wanted::Lists(lists.iter().cloned().collect());
        }
        if !self.unread.is_empty() {
            return manifests(&self.unread);
        }
        if self.unchecked.is_empty() { Wanted::Nothing } else { manifests(&self.unchecked) }
    }

    /// Passes in the entries of a manifest list that was requested. Other manifest lists are ignored.
    pub fn give_list(&mut self, path: &str, lines: Vec<ManifestFile>) {
        let (is_gone, is_kept) = (self.gone_lists.remove(path), self.kept_lists.remove(path));
        if is_kept {
            for line in lines {
                self.gone.remove(&line.path);
                self.keep_manifest(line);
            }
        } else if is_gone {
            self.gone.extend(lines.into_iter().map(|line| (line.path.clone(), short(line))));
        }
        self.go_on();
    }

    /// Passes in a manifest that was requested. Other manifests are ignored.
    pub fn give_manifest(&mut self, path: &str, manifest: &Manifest) {
        if let Some(line) = self.unread.remove(path) {
            let files = manifest.files(&line).filter(File::is_live);
            self.files.extend(files.map(|file| (file_key(file.path()), file.path().to_owned())));
            self.read.push(line.path.clone());
        } else if let Some(line) = self.unchecked.remove(path) {
            for file in manifest.files(&line).filter(File::is_live) {
                self.files.remove(&file_key(file.path()));
            }
        }
        self.go_on();
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
    pub fn give_missing(&mut self, path: &str) -> Result<(), SnapshotError> {
        if self.kept_lists.contains(path) || self.unchecked.contains_key(path) {
            return Err(SnapshotError::Invalid(format!("`{path}` is missing, which a snapshot still needs")));
        }
        self.gone_lists.remove(path);
        if self.unread.remove(path).is_some() {
            self.read.push(path.to_owned());
        }
        self.go_on();
        Ok(())
    }

    /// Returns the files found since the last call. Files come before the manifests that list them, and
    /// manifests before their manifest lists, so that deletion in this order can be interrupted and repeated.
    /// A file in manifests of two batches is returned twice.
    pub fn take_found(&mut self) -> Vec<Unreachable> {
        std::mem::take(&mut self.found)
    }

    fn keep(&mut self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        match snapshot.manifest_list()? {
            Some(path) => {
                self.kept_paths.insert(file_key(&path));
                self.kept_lists.insert(path);
            }
            None => {
                for line in embedded(snapshot)? {
                    self.keep_manifest(line);
                }
            }
        }
        Ok(())
    }

    fn drop_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        match snapshot.manifest_list()? {
            // Another snapshot has the same manifest list, which is unusual.
            Some(path) if self.kept_paths.contains(&file_key(&path)) => {}
            Some(path) => {
                self.last.push(Unreachable { was: Was::ManifestList, path: path.clone() });
                self.gone_lists.insert(path);
            }
            None => {
                self.gone.extend(embedded(snapshot)?.into_iter().map(|line| (line.path.clone(), line)));
            }
        }
        Ok(())
    }

    fn drop_statistics(&mut self, before: &TableMetadata, after: &TableMetadata, served: &[Snapshot]) {
        let is_served =
            |file: &&StatisticsFile| served.iter().any(|snapshot| snapshot.id() == file.snapshot_id());
        let of_served = statistics(before).filter(is_served).map(|file| file_key(file.path()));
        self.kept_paths.extend(of_served);
        let all = |metadata: &TableMetadata| -> HashMap<String, String> {
            let paths = statistics(metadata).filter(|file| !is_served(file)).map(StatisticsFile::path);
            paths.map(|path| (file_key(path), path.to_owned())).collect()
        };
        let after = all(after);
        self.statistics = all(before);
        self.statistics.retain(|key, _| !after.contains_key(key));
    }

    fn keep_manifest(&mut self, line: ManifestFile) {
        self.kept_paths.insert(file_key(&line.path));
        if line.may_have_live_files() {
            self.kept.entry(line.path.clone()).or_insert_with(|| short(line));
        }
    }

    /// Advances to the next step that requires input.
    fn go_on(&mut self) {
        loop {
            match self.step {
                Step::Lists if self.gone_lists.is_empty() => {
                    let kept = &self.kept_paths;
                    self.gone.retain(|path, _| !kept.contains(&file_key(path)));
                    if self.gone.is_empty() && self.statistics.is_empty() {
                        // All manifests are still reachable, so no files have to be compared.
                        self.kept_lists.clear();
                    } else if !self.kept_lists.is_empty() {
                        return;
                    }
                    self.begin_batch();
                }
                Step::Reading if self.unread.is_empty() => {
                    self.unchecked = if self.files.is_empty() { BTreeMap::new() } else { self.kept.clone() };
                    self.step = Step::Checking;
                }
                // Once no file is left, the remaining manifests do not have to be read.
                Step::Checking if self.unchecked.is_empty() || self.files.is_empty() => {
                    self.end_batch();
                    self.begin_batch();
                }
                Step::Lists | Step::Reading | Step::Checking | Step::Done => return,
            }
        }
    }

    /// Selects the next removed manifests, up to the maximum number of files.
    fn begin_batch(&mut self) {
        if self.gone.is_empty() && !self.statistics.is_empty() {
            self.files = std::mem::take(&mut self.statistics);
            self.files_were = Was::Statistics;
            self.step = Step::Reading;
            return;
        }
        if self.gone.is_empty() {
            self.found.append(&mut self.last);
            self.step = Step::Done;
            return;
        }
        let mut files = 0_u64;
        while files < self.files_max
            && let Some((path, line)) = self.gone.pop_first()
        {
            if line.may_have_live_files() {
                // A manifest without file counts gets a batch of its own, as far as possible.
                let live = line.live_files().and_then(|live| u64::try_from(live).ok());
                files = files.saturating_add(live.unwrap_or(self.files_max));
                self.unread.insert(path, line);
            } else {
                self.read.push(path);
            }
        }
        self.step = Step::Reading;
    }

    fn end_batch(&mut self) {
        self.unchecked.clear();
        // Excludes paths listed as data files that are in fact remaining manifests, metadata files or the
        // like.
        let kept = &self.kept_paths;
        let files = self.files.drain().filter(|(key, _)| !kept.contains(key) && !is_metadata_file(key));
        let mut files: Vec<_> = files.map(|(_, path)| path).collect();
        files.sort_unstable();
        self.found.extend(files.into_iter().map(|path| Unreachable { was: self.files_were, path }));
        self.found.extend(self.read.drain(..).map(|path| Unreachable { was: Was::Manifest, path }));
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
fn short(line: ManifestFile) -> ManifestFile {
    ManifestFile { partitions: None, key_metadata: None, ..line }
}
