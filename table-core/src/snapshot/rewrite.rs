//! Rewriting of manifests without changing the files of the table: merging small manifests, or grouping the
//! files of a partition, so that scans read less. It works like Java's `RewriteManifests`, but also for
//! delete manifests.

use std::collections::BTreeMap;

use super::commit::{self, Draft, NewSnapshot};
use super::context::Context;
use super::error::SnapshotError;
use super::history;
use super::output::Output;
use super::plan::Wanted;
use super::removal::origin_of;
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

/// Incremental rewrite of manifests, which is driven like a [`super::plan::Plan`].
pub struct Rewrite<'a> {
    output: Output<'a>,
    parent: Option<&'a Snapshot>,
    choice: Choice<'a>,
    clustering: Clustering,
    list: Option<String>,
    kept: Vec<ManifestFile>,
    chosen: Vec<ManifestFile>,
    /// Manifests whose partitions have not been counted yet, and those whose entries have not been moved yet;
    /// by path, once per entry in the parent's manifest list.
    uncounted: BTreeMap<String, Vec<ManifestFile>>,
    unmoved: BTreeMap<String, Vec<ManifestFile>>,
    /// Number of files of each partition, later replaced by the number of its writer.
    files: BTreeMap<(Group, PartitionTuple), u64>,
    writers: BTreeMap<(Group, u64), ManifestWriter>,
    lines: Vec<ManifestFile>,
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
        choice: Choice<'a>,
        clustering: Clustering,
    ) -> Result<Rewrite<'a>, SnapshotError> {
        let parent = history::parent(metadata, &context)?;
        let mut rewrite = Rewrite {
            output: Output::new(metadata, context)?,
            parent,
            choice,
            clustering,
            list: parent.map(Snapshot::manifest_list).transpose()?.flatten(),
            kept: Vec::new(),
            chosen: Vec::new(),
            uncounted: BTreeMap::new(),
            unmoved: BTreeMap::new(),
            files: BTreeMap::new(),
            writers: BTreeMap::new(),
            lines: Vec::new(),
            entries: 0,
        };
        if let (None, Some(parent)) = (&rewrite.list, parent) {
            rewrite.see_lines(history::embedded(parent)?);
        }
        Ok(rewrite)
    }

    /// Returns what has to be read next.
    pub fn wanted(&self) -> Wanted {
        let lines = |lines: &BTreeMap<String, Vec<ManifestFile>>| {
            Wanted::Manifests(lines.values().filter_map(|lines| lines.first()).cloned().collect())
        };
        match &self.list {
            Some(list) => Wanted::Lists(vec![list.clone()]),
            None if !self.uncounted.is_empty() => lines(&self.uncounted),
            None if !self.unmoved.is_empty() => lines(&self.unmoved),
            None => Wanted::Nothing,
        }
    }

    /// Passes in the entries of the manifest list that was requested. Other manifest lists are ignored.
    pub fn give_list(&mut self, path: &str, lines: Vec<ManifestFile>) {
        if self.list.take_if(|list| list == path).is_some() {
            self.see_lines(lines);
        }
    }

    /// Passes in a manifest that was requested. Other manifests are ignored.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Manifest`] if the manifest cannot be decoded or its entries cannot be
    /// written, and with [`SnapshotError::Invalid`] if the table does not have its partition spec.
    pub fn give_manifest(&mut self, path: &str, manifest: &Manifest) -> Result<(), SnapshotError> {
        if let Some(lines) = self.uncounted.remove(path) {
            lines.iter().try_for_each(|line| self.count(line, manifest))?;
            if self.uncounted.is_empty() {
                self.number_partitions();
            }
            return Ok(());
        }
        let lines = self.unmoved.remove(path).unwrap_or_default();
        lines.iter().try_for_each(|line| self.move_entries(line, manifest))
    }

    /// Assembles the snapshot; `None` if no manifest was selected.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Invalid`] if input is still missing, or if the new manifests do not have
    /// as many files as those they replace.
    pub fn finish(mut self) -> Result<Option<NewSnapshot>, SnapshotError> {
        if self.wanted() != Wanted::Nothing {
            return Err(SnapshotError::invalid("the rewrite has not seen all that it wants"));
        }
        if self.chosen.is_empty() {
            return Ok(None);
        }
        for writer in std::mem::take(&mut self.writers).into_values() {
            self.lines.push(self.output.finish(writer)?);
        }
        self.check_counts()?;
        let mut lines = std::mem::take(&mut self.lines);
        // Data manifests come first, as in the manifest lists of other operations.
        lines.extend(std::mem::take(&mut self.kept));
        lines.sort_by_key(|line| line.content == ManifestContent::Deletes);
        let previous = commit::summary_of(self.parent)?;
        let mut summary = Summary::default().entries(&[], previous.as_deref());
        summary.extend(commit::manifest_counts(&self.output, &lines, self.chosen.len()));
        summary.push(("entries-processed".to_owned(), self.entries.to_string()));
        let draft = Draft { parent_id: self.parent.map(Snapshot::id), operation: "replace", summary };
        commit::finish(self.output, &draft, lines).map(Some)
    }

    fn see_lines(&mut self, lines: Vec<ManifestFile>) {
        let choice = &self.choice;
        let (chosen, kept) = lines.into_iter().partition(|line| choice(line));
        (self.chosen, self.kept) = (chosen, kept);
        for line in &self.chosen {
            self.unmoved.entry(line.path.clone()).or_default().push(line.clone());
        }
        if self.clustering == Clustering::ByPartition {
            self.uncounted = self.unmoved.clone();
        }
    }

    fn count(&mut self, line: &ManifestFile, manifest: &Manifest) -> Result<(), SnapshotError> {
        let tuples = self.tuples(line, manifest)?;
        for file in manifest.files(line).filter(File::is_live) {
            let tuple = tuples.get(file.partition_number()).cloned().unwrap_or_default();
            *self.files.entry((group(line), tuple)).or_default() += 1;
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
        for line in &self.chosen {
            *bytes.entry(group(line)).or_default() += u64::try_from(line.length_bytes).unwrap_or(0);
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

    fn move_entries(&mut self, line: &ManifestFile, manifest: &Manifest) -> Result<(), SnapshotError> {
        let tuples = self.tuples(line, manifest)?;
        for file in manifest.files(line).filter(File::is_live) {
            let tuple = tuples.get(file.partition_number()).cloned().unwrap_or_default();
            let key = (group(line), tuple);
            let run = self.files.get(&key).copied().unwrap_or(0);
            let owned = DataFile::read(&file, key.1);
            let writer = self.writer((key.0, run), line)?;
            writer.existing(&owned, origin_of(&file)).map_err(SnapshotError::manifest(&line.path))?;
            self.entries += 1;
        }
        Ok(())
    }

    fn writer(
        &mut self,
        key: (Group, u64),
        line: &ManifestFile,
    ) -> Result<&mut ManifestWriter, SnapshotError> {
        let is_full = |writer: &mut ManifestWriter| writer.size_bytes() >= self.output.target_bytes;
        let full =
            self.writers.get_mut(&key).is_some_and(is_full).then(|| self.writers.remove(&key)).flatten();
        if let Some(full) = full {
            self.lines.push(self.output.finish(full)?);
        }
        match self.writers.entry(key) {
            std::collections::btree_map::Entry::Occupied(writer) => Ok(writer.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                Ok(place.insert(self.output.writer(line.spec_id, line.content)?))
            }
        }
    }

    fn check_counts(&self) -> Result<(), SnapshotError> {
        let live = |lines: &[ManifestFile]| {
            lines.iter().map(ManifestFile::live_files).try_fold(0_i64, |sum, live| sum.checked_add(live?))
        };
        // A manifest list of version 1 may lack the file counts.
        match (live(&self.chosen), live(&self.lines)) {
            (Some(before), Some(after)) if before != after => Err(SnapshotError::Invalid(format!(
                "the manifests replaced have {before} files according to their list, and {after} were found in them"
            ))),
            _ => Ok(()),
        }
    }

    fn tuples(
        &mut self,
        line: &ManifestFile,
        manifest: &Manifest,
    ) -> Result<Vec<PartitionTuple>, SnapshotError> {
        let types = self.output.types(line.spec_id)?;
        manifest.partitions(&types).map_err(SnapshotError::manifest(&line.path))
    }
}

fn group(line: &ManifestFile) -> Group {
    (line.content == ManifestContent::Deletes, line.spec_id)
}
