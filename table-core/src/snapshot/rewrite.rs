//! Rewriting of manifests without changing the files of the table: merging small manifests, or grouping the
//! files of a partition, so that scans read less. It works like Java's `RewriteManifests`, but also for
//! delete manifests.

use std::collections::BTreeMap;

use super::commit::{self, NewSnapshot, SnapshotHeader};
use super::context::Context;
use super::error::SnapshotError;
use super::history;
use super::output::SnapshotOutput;
use super::plan::Needs;
use super::remove_files::origin_of;
use super::summary::Summary;
use crate::manifest::data_file::DataFile;
use crate::manifest::entry::File;
use crate::manifest::file::Manifest;
use crate::manifest::list::{ManifestContent, ManifestFile};
use crate::manifest::partition::PartitionTuple;
use crate::manifest::write::ManifestWriter;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;

/// Predicate that selects the manifests to rewrite.
pub type Choice<'a> = Box<dyn Fn(&ManifestFile) -> bool + 'a>;

/// Distribution of files among the new manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clustering {
    /// In the order in which the manifests are passed in.
    AsRead,
    /// Grouped by partition, with partitions in their order. Every manifest has to be read twice.
    ByPartition,
}

/// Content (`true` for delete manifests) and partition spec id of manifests that are merged.
type Group = (bool, i32);

/// Incremental rewrite of manifests, which is driven like a [`super::plan::SnapshotPlan`].
pub struct Rewrite<'a> {
    output: SnapshotOutput<'a>,
    parent: Option<&'a Snapshot>,
    is_selected: Choice<'a>,
    clustering: Clustering,
    list: Option<String>,
    retained: Vec<ManifestFile>,
    selected: Vec<ManifestFile>,
    /// Manifests whose partitions have not been counted yet, and those whose entries have not been moved yet;
    /// by path, once per entry in the parent's manifest list.
    uncounted: BTreeMap<String, Vec<ManifestFile>>,
    unmoved: BTreeMap<String, Vec<ManifestFile>>,
    /// Number of files of each partition, later replaced by the number of its writer.
    files: BTreeMap<(Group, PartitionTuple), u64>,
    writers: BTreeMap<(Group, u64), ManifestWriter>,
    manifest_files: Vec<ManifestFile>,
    entries: i64,
}

impl<'a> Rewrite<'a> {
    /// Begins a rewrite of the manifests of a branch.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Invalid`] if the branch is a tag, if the snapshot id is not usable, or if
    /// manifests cannot be compressed with the codec that the table specifies. Fails with
    /// [`super::error::Conflict::HistoryGone`] if the head of the branch does not exist, and with
    /// [`SnapshotError::Metadata`] if it is malformed.
    pub fn new(
        metadata: &'a TableMetadata,
        context: Context,
        is_selected: Choice<'a>,
        clustering: Clustering,
    ) -> Result<Rewrite<'a>, SnapshotError> {
        let parent = history::parent(metadata, &context)?;
        let mut rewrite = Rewrite {
            output: SnapshotOutput::new(metadata, context)?,
            parent,
            is_selected,
            clustering,
            list: parent.map(Snapshot::manifest_list).transpose()?.flatten(),
            retained: Vec::new(),
            selected: Vec::new(),
            uncounted: BTreeMap::new(),
            unmoved: BTreeMap::new(),
            files: BTreeMap::new(),
            writers: BTreeMap::new(),
            manifest_files: Vec::new(),
            entries: 0,
        };
        if let (None, Some(parent)) = (&rewrite.list, parent) {
            rewrite.add_manifest_files(history::embedded(parent)?);
        }
        Ok(rewrite)
    }

    /// Returns what has to be read next.
    pub fn needs(&self) -> Needs {
        let manifest_files = |manifest_files: &BTreeMap<String, Vec<ManifestFile>>| {
            Needs::Manifests(
                manifest_files
                    .values()
                    .filter_map(|manifest_files| manifest_files.first())
                    .cloned()
                    .collect(),
            )
        };
        match &self.list {
            Some(list) => Needs::Lists(vec![list.clone()]),
            None if !self.uncounted.is_empty() => manifest_files(&self.uncounted),
            None if !self.unmoved.is_empty() => manifest_files(&self.unmoved),
            None => Needs::Nothing,
        }
    }

    /// Passes in the entries of the manifest list that was requested. Other manifest lists are ignored.
    pub fn supply_list(&mut self, path: &str, manifest_files: Vec<ManifestFile>) {
        if self.list.take_if(|list| list == path).is_some() {
            self.add_manifest_files(manifest_files);
        }
    }

    /// Passes in a manifest that was requested. Other manifests are ignored.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Manifest`] if the manifest cannot be decoded or its entries cannot be
    /// written, and with [`SnapshotError::Invalid`] if the table does not have its partition spec.
    pub fn supply_manifest(&mut self, path: &str, manifest: &Manifest) -> Result<(), SnapshotError> {
        if let Some(manifest_files) = self.uncounted.remove(path) {
            manifest_files.iter().try_for_each(|manifest_file| self.count(manifest_file, manifest))?;
            if self.uncounted.is_empty() {
                self.number_partitions();
            }
            return Ok(());
        }
        let manifest_files = self.unmoved.remove(path).unwrap_or_default();
        manifest_files.iter().try_for_each(|manifest_file| self.move_entries(manifest_file, manifest))
    }

    /// Assembles the snapshot; `None` if no manifest was selected.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Invalid`] if input is still missing, or if the new manifests do not have
    /// as many files as those they replace.
    pub fn finish(mut self) -> Result<Option<NewSnapshot>, SnapshotError> {
        if self.needs() != Needs::Nothing {
            return Err(SnapshotError::invalid(
                "the rewrite was not supplied with all manifests that it needs",
            ));
        }
        if self.selected.is_empty() {
            return Ok(None);
        }
        for writer in std::mem::take(&mut self.writers).into_values() {
            self.manifest_files.push(self.output.finish(writer)?);
        }
        self.check_counts()?;
        let mut manifest_files = std::mem::take(&mut self.manifest_files);
        // Data manifests come first, as in the manifest lists of other operations.
        manifest_files.extend(std::mem::take(&mut self.retained));
        manifest_files.sort_by_key(|manifest_file| manifest_file.content == ManifestContent::Deletes);
        let previous = commit::summary_of(self.parent)?;
        let mut summary = Summary::default().entries(&[], previous.as_deref());
        summary.extend(commit::manifest_counts(&self.output, &manifest_files, self.selected.len()));
        summary.push(("entries-processed".to_owned(), self.entries.to_string()));
        let header =
            SnapshotHeader { parent_id: self.parent.map(Snapshot::id), operation: "replace", summary };
        commit::finish(self.output, &header, manifest_files).map(Some)
    }

    fn add_manifest_files(&mut self, manifest_files: Vec<ManifestFile>) {
        let is_selected = &self.is_selected;
        let (selected, retained) =
            manifest_files.into_iter().partition(|manifest_file| is_selected(manifest_file));
        (self.selected, self.retained) = (selected, retained);
        for manifest_file in &self.selected {
            self.unmoved.entry(manifest_file.path.clone()).or_default().push(manifest_file.clone());
        }
        if self.clustering == Clustering::ByPartition {
            self.uncounted = self.unmoved.clone();
        }
    }

    fn count(&mut self, manifest_file: &ManifestFile, manifest: &Manifest) -> Result<(), SnapshotError> {
        let tuples = self.tuples(manifest_file, manifest)?;
        for file in manifest.files(manifest_file).filter(File::is_live) {
            let tuple = tuples.get(file.partition_number()).cloned().unwrap_or_default();
            *self.files.entry((group(manifest_file), tuple)).or_default() += 1;
        }
        Ok(())
    }

    /// Divides the partitions of a group, in their order, into as many runs as there will be manifests, with
    /// about the same number of files each.
    fn number_partitions(&mut self) {
        let (mut totals, mut bytes) = (BTreeMap::<Group, u64>::new(), BTreeMap::<Group, u64>::new());
        for ((group, _), files) in &self.files {
            *totals.entry(*group).or_default() += files;
        }
        for manifest_file in &self.selected {
            *bytes.entry(group(manifest_file)).or_default() +=
                u64::try_from(manifest_file.length_bytes).unwrap_or(0);
        }
        let target = u64::try_from(self.output.target_bytes).unwrap_or(u64::MAX);
        let mut before = BTreeMap::<Group, u64>::new();
        for ((group, _), files) in &mut self.files {
            let runs = bytes.get(group).copied().unwrap_or(0).div_ceil(target).max(1);
            let total = totals.get(group).copied().unwrap_or(1).max(1);
            let before = before.entry(*group).or_default();
            let count = std::mem::replace(files, before.saturating_mul(runs) / total);
            *before += count;
        }
    }

    fn move_entries(
        &mut self,
        manifest_file: &ManifestFile,
        manifest: &Manifest,
    ) -> Result<(), SnapshotError> {
        let tuples = self.tuples(manifest_file, manifest)?;
        for file in manifest.files(manifest_file).filter(File::is_live) {
            let tuple = tuples.get(file.partition_number()).cloned().unwrap_or_default();
            let key = (group(manifest_file), tuple);
            let run = self.files.get(&key).copied().unwrap_or(0);
            let data_file = DataFile::read(&file, key.1);
            let writer = self.writer((key.0, run), manifest_file)?;
            writer
                .existing(&data_file, origin_of(&file))
                .map_err(SnapshotError::manifest(&manifest_file.path))?;
            self.entries += 1;
        }
        Ok(())
    }

    fn writer(
        &mut self,
        key: (Group, u64),
        manifest_file: &ManifestFile,
    ) -> Result<&mut ManifestWriter, SnapshotError> {
        let is_full = |writer: &mut ManifestWriter| writer.size_bytes() >= self.output.target_bytes;
        let full =
            self.writers.get_mut(&key).is_some_and(is_full).then(|| self.writers.remove(&key)).flatten();
        if let Some(full) = full {
            self.manifest_files.push(self.output.finish(full)?);
        }
        match self.writers.entry(key) {
            std::collections::btree_map::Entry::Occupied(writer) => Ok(writer.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                Ok(place.insert(self.output.writer(manifest_file.spec_id, manifest_file.content)?))
            }
        }
    }

    fn check_counts(&self) -> Result<(), SnapshotError> {
        let live = |manifest_files: &[ManifestFile]| {
            manifest_files
                .iter()
                .map(ManifestFile::live_files)
                .try_fold(0_i64, |sum, live| sum.checked_add(live?))
        };
        // A manifest list of version 1 may lack the file counts.
        match (live(&self.selected), live(&self.manifest_files)) {
            (Some(before), Some(after)) if before != after => Err(SnapshotError::Invalid(format!(
                "the manifests replaced have {before} files according to their list, but {after} were found in them"
            ))),
            _ => Ok(()),
        }
    }

    fn tuples(
        &mut self,
        manifest_file: &ManifestFile,
        manifest: &Manifest,
    ) -> Result<Vec<PartitionTuple>, SnapshotError> {
        let types = self.output.types(manifest_file.spec_id)?;
        manifest.partitions(&types).map_err(SnapshotError::manifest(&manifest_file.path))
    }
}

fn group(manifest_file: &ManifestFile) -> Group {
    (manifest_file.content == ManifestContent::Deletes, manifest_file.spec_id)
}
