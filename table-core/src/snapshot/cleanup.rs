//! What only snapshots needed that are gone: their manifest lists, manifests and files. As Java's `ReachableFileCleanup`:
//! nothing is listed that a snapshot which is still there leads to, whatever the history between. Nor is a metadata file listed,
//! whatever a manifest calls it.
//!
//! Java's quicker way, which believes the deleted entries of manifests, is not taken: a file that was removed and added
//! again, or is listed twice, would be lost.

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

/// What a file was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Was {
    /// A data or delete file.
    File,
    /// A manifest.
    Manifest,
    /// A manifest list.
    ManifestList,
    /// A statistics file or partition statistics file.
    Statistics,
}

/// A file that nothing needs any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreachable {
    /// What it was.
    pub was: Was,
    /// Where it is.
    pub path: String,
}

/// A search for unreachable files.
///
/// Give it what it wants until it wants nothing, and take what it has found after each step. It holds the lines of
/// manifests that go, the paths of those that stay, and the paths of at most as many files as it is told, or those of one
/// manifest. If there are more, the manifests that stay are wanted once more for every further batch.
pub struct Cleanup {
    files_max: u64,
    /// Lists that are still to be seen: of snapshots that are gone, and of those that stay.
    gone_lists: BTreeSet<String>,
    kept_lists: BTreeSet<String>,
    /// Manifests of snapshots that are gone, until it is known that they are needed.
    gone: BTreeMap<String, ManifestFile>,
    /// Manifests of snapshots that stay, as far as they have files.
    kept: BTreeMap<String, ManifestFile>,
    /// All of them, those without files included, the lists of snapshots that stay, and what the documents name themselves; by
    /// [`file_key`].
    kept_paths: HashSet<String>,
    /// The batch at hand: manifests that go and are still to be seen, those that were, the files in them, and the manifests
    /// that stay and are still to be seen.
    unread: BTreeMap<String, ManifestFile>,
    read: Vec<String>,
    /// By [`file_key`]: engines spell the location of one file in several ways.
    files: HashMap<String, String>,
    /// What the files of the batch were.
    files_were: Was,
    /// Statistics that go, which anybody may have told to be anywhere.
    statistics: HashMap<String, String>,
    unchecked: BTreeMap<String, ManifestFile>,
    /// What goes when everything else is found.
    last: Vec<Unreachable>,
    found: Vec<Unreachable>,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Which manifests are there?
    Lists,
    /// Which files are in the manifests that go?
    Reading,
    /// Which of these are in manifests that stay?
    Checking,
    Done,
}

impl Cleanup {
    /// Begins a search, given the table before its snapshots were removed, and as it is now: all that is in the latter stays, and
    /// all that the `served` snapshots lead to, which readers of the past may still be led to although the table is without them.
    ///
    /// Fails with [`SnapshotError::Invalid`] if the table does not allow it (`gc.enabled`), or if the two are not of one
    /// table.
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
            // Nothing is gone, so nothing has to be known of what stays.
            cleanup.kept_lists.clear();
        }
        cleanup.go_on();
        Ok(cleanup)
    }

    /// What has to be seen next.
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

    /// Shows it a manifest list that it wants. One that it does not want is passed over.
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

    /// Shows it a manifest that it wants. One that it does not want is passed over.
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

    /// Says that something it wants does not exist.
    ///
    /// What only snapshots that are gone needed may be gone as well, if an earlier search was cut short; what it led to is
    /// left to whoever looks for orphans. Fails with [`SnapshotError::Invalid`] for what is still needed: nothing that was not
    /// taken yet may be deleted then.
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

    /// Takes what was found so far. Files come before the manifests that name them, and these before their lists, so that
    /// deleting in this order can be taken up again. A file that is in the manifests of two batches is found twice.
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
            // Needed by another snapshot as well, which is not usual.
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

    /// Goes on to the next step that wants something.
    fn go_on(&mut self) {
        loop {
            match self.step {
                Step::Lists if self.gone_lists.is_empty() => {
                    let kept = &self.kept_paths;
                    self.gone.retain(|path, _| !kept.contains(&file_key(path)));
                    if self.gone.is_empty() && self.statistics.is_empty() {
                        // Every manifest is needed, so nothing more has to be known.
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
                // Once no file is left, nothing that is still to be checked can change anything.
                Step::Checking if self.unchecked.is_empty() || self.files.is_empty() => {
                    self.end_batch();
                    self.begin_batch();
                }
                Step::Lists | Step::Reading | Step::Checking | Step::Done => return,
            }
        }
    }

    /// Takes the next manifests that go, up to as many files as may be held.
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
                // One that does not say how many it has gets a batch of its own, as far as that is possible.
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
        // What is named as a file and is something else that stays, stays.
        let kept = &self.kept_paths;
        let files = self.files.drain().filter(|(key, _)| !kept.contains(key) && !is_metadata_file(key));
        let mut files: Vec<_> = files.map(|(_, path)| path).collect();
        files.sort_unstable();
        self.found.extend(files.into_iter().map(|path| Unreachable { was: self.files_were, path }));
        self.found.extend(self.read.drain(..).map(|path| Unreachable { was: Was::Manifest, path }));
    }
}

/// The files that a document names itself: statistics and former documents.
pub fn named_by(metadata: &TableMetadata) -> impl Iterator<Item = &str> {
    let former = metadata.metadata_log().iter().map(|entry| entry.metadata_file.as_str());
    statistics(metadata).map(StatisticsFile::path).chain(former)
}

fn statistics(metadata: &TableMetadata) -> impl Iterator<Item = &StatisticsFile> {
    metadata.statistics().iter().chain(metadata.partition_statistics())
}

/// The line without what is not needed here.
fn short(line: ManifestFile) -> ManifestFile {
    ManifestFile { partitions: None, key_metadata: None, ..line }
}
