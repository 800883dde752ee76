//! Planning of a change of files: the manifest lists and manifests to be read, their order, and the resulting
//! snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::change::{ChangeKind, FileChange};
use super::commit::{self, NewSnapshot, SnapshotHeader};
use super::conflicts::Conflicts;
use super::context::Context;
use super::error::SnapshotError;
use super::history;
use super::output::SnapshotOutput;
use super::remove_files::{FileRemoval, sequence_number_min};
use super::row_match::RowMatch;
use super::summary::Summary;
use crate::manifest::file::Manifest;
use crate::manifest::list::{ManifestContent, ManifestFile};
use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;

/// Next input that a plan requires.
#[derive(Debug, Clone, PartialEq)]
pub enum Needs {
    /// Paths of manifest lists, to be passed in in any order.
    Lists(Vec<String>),
    /// Manifests, to be passed in in any order. None of them has to stay in memory afterwards.
    Manifests(Vec<ManifestFile>),
    /// No more input: [`SnapshotPlan::finish`] can be called.
    Nothing,
}

/// Incremental plan of a snapshot that applies a [`FileChange`].
///
/// Pass in what [`SnapshotPlan::needs`] requests until it requests nothing, then call
/// [`SnapshotPlan::finish`]. Call [`SnapshotPlan::needs`] again only after everything it returned was passed
/// in, because its result has the length of all that is left. The plan stores the manifest file entries of
/// the parent and the compressed manifests that are written, but no manifest that is read.
///
/// ```text
/// let mut plan = SnapshotPlan::new(&metadata, &change, context)?;
/// loop {
///     match plan.needs() {
///         Needs::Lists(paths) => for path in paths { plan.supply_list(&path, read_list(&path))?; },
///         Needs::Manifests(entries) => for entry in entries {
///             plan.supply_manifest(&entry.path, &read_manifest(&entry))?;
///         },
///         Needs::Nothing => break,
///     }
/// }
/// let snapshot = plan.finish()?;
/// ```
pub struct SnapshotPlan<'a> {
    output: SnapshotOutput<'a>,
    change: &'a FileChange,
    parent: Option<&'a Snapshot>,
    conflicts: Conflicts<'a>,
    removal: FileRemoval,
    summary: Summary,
    /// Manifest lists that have not been passed in yet, with the ids of their snapshots.
    lists: BTreeMap<String, BTreeSet<i64>>,
    /// Manifests that have not been passed in yet, by path.
    manifests: BTreeMap<String, ReadPurposes>,
    /// `true` once the required delete manifests of the parent have been selected, which depends on its data
    /// manifests.
    has_selected_deletes: bool,
    /// Manifest file entries that are carried over, in the order of the parent, with rewritten manifests in
    /// place of the original ones.
    carried_over: Vec<ManifestFile>,
    /// Indexes in `carried_over` by path; several if the parent lists a manifest more than once.
    positions: HashMap<String, Vec<usize>>,
    replaced: usize,
}

/// Purposes for which a manifest has to be read.
#[derive(Default)]
struct ReadPurposes {
    /// Entry with which it is searched for conflicts, from an older manifest list.
    conflict_search: Option<ManifestFile>,
    /// Entry with which files are removed from it or counted.
    removal: Option<ManifestFile>,
}

impl<'a> SnapshotPlan<'a> {
    /// Begins a plan on the current metadata of a table.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Invalid`] if the change is not possible for the table, with
    /// [`super::error::Conflict::HistoryGone`] if the snapshot that it was computed from is not in the
    /// history of the branch, with [`SnapshotError::Filter`] if a filter does not match the schema, and with
    /// [`SnapshotError::Metadata`] if the metadata is malformed.
    pub fn new(
        metadata: &'a TableMetadata,
        change: &'a FileChange,
        context: Context,
    ) -> Result<SnapshotPlan<'a>, SnapshotError> {
        change.check(metadata.format_version())?;
        let parent = history::parent(metadata, &context)?;
        let rows = change.removed_rows.as_ref();
        let rows = rows.map(|rows| RowMatch::new(metadata, rows)).transpose()?;
        let mut plan = SnapshotPlan {
            output: SnapshotOutput::new(metadata, context)?,
            change,
            parent,
            conflicts: Conflicts::new(metadata, change, parent)?,
            removal: FileRemoval::new(change, rows),
            summary: Summary::default(),
            lists: BTreeMap::new(),
            manifests: BTreeMap::new(),
            has_selected_deletes: false,
            carried_over: Vec::new(),
            positions: HashMap::new(),
            replaced: 0,
        };
        let relevant: Vec<_> = plan.conflicts.snapshots().chain(parent).collect();
        for snapshot in relevant {
            match snapshot.manifest_list()? {
                Some(path) => {
                    plan.lists.entry(path).or_default().insert(snapshot.id());
                }
                // The oldest snapshots list their manifests directly.
                None => plan.add_manifest_files(&[snapshot.id()].into(), history::embedded(snapshot)?)?,
            }
        }
        plan.advance();
        Ok(plan)
    }

    /// Returns what has to be read next.
    pub fn needs(&self) -> Needs {
        if !self.lists.is_empty() {
            return Needs::Lists(self.lists.keys().cloned().collect());
        }
        let manifest_files = self
            .manifests
            .values()
            .filter_map(|purposes| purposes.removal.as_ref().or(purposes.conflict_search.as_ref()));
        let manifest_files: Vec<_> = manifest_files.cloned().collect();
        if manifest_files.is_empty() { Needs::Nothing } else { Needs::Manifests(manifest_files) }
    }

    /// Passes in the entries of a manifest list that was requested. Other manifest lists are ignored.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Invalid`] if a manifest has a partition spec that the table does not have.
    pub fn supply_list(
        &mut self,
        path: &str,
        manifest_files: Vec<ManifestFile>,
    ) -> Result<(), SnapshotError> {
        let Some(snapshots) = self.lists.remove(path) else { return Ok(()) };
        self.add_manifest_files(&snapshots, manifest_files)?;
        self.advance();
        Ok(())
    }

    /// Passes in a manifest that was requested. Other manifests are ignored.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Manifest`] if the manifest cannot be decoded or rewritten, and with
    /// [`SnapshotError::Invalid`] if only some rows of a file match [`FileChange::removed_rows`].
    pub fn supply_manifest(&mut self, path: &str, manifest: &Manifest) -> Result<(), SnapshotError> {
        let Some(purposes) = self.manifests.remove(path) else { return Ok(()) };
        if let Some(manifest_file) = purposes.conflict_search {
            self.conflicts.search(&mut self.output, &manifest_file, manifest)?;
        }
        if purposes.removal.is_some() {
            self.apply_removal(path, manifest)?;
        }
        self.advance();
        Ok(())
    }

    /// Assembles the snapshot.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Conflict`] if concurrent commits conflict with the change, and with
    /// [`SnapshotError::Invalid`] if a data file is added twice, if a rewrite adds more rows than it removes,
    /// if an added file cannot be written to a manifest, or if input is still missing.
    pub fn finish(mut self) -> Result<NewSnapshot, SnapshotError> {
        if self.needs() != Needs::Nothing {
            return Err(SnapshotError::invalid("the plan was not supplied with all manifests that it needs"));
        }
        self.drop_empty();
        self.conflicts.check()?;
        if self.change.must_exist || self.change.kind == ChangeKind::Replace {
            self.removal.check_found()?;
        }
        let manifest_files = self.new_manifest_files()?;
        let (added, replaced) = (self.summary.added_rows(), self.summary.removed_rows());
        if self.change.kind == ChangeKind::Replace && added > replaced {
            return Err(SnapshotError::Invalid(format!(
                "a rewrite cannot add more rows than it removes: it adds {added} and removes {replaced}"
            )));
        }
        let previous = commit::summary_of(self.parent)?;
        let mut summary = self.summary.entries(&self.change.properties, previous.as_deref());
        summary.extend(commit::manifest_counts(&self.output, &manifest_files, self.replaced));
        let parent_id = self.parent.map(Snapshot::id);
        let header = SnapshotHeader { parent_id, operation: self.change.operation(), summary };
        commit::finish(self.output, &header, manifest_files)
    }

    /// Returns the manifest file entries of the snapshot: data manifests first, and new ones before those
    /// carried over, as in Java.
    fn new_manifest_files(&mut self) -> Result<Vec<ManifestFile>, SnapshotError> {
        let mut manifest_files = add_data(&mut self.output, &mut self.summary, self.change)?;
        let new_deletes = add_deletes(&mut self.output, &mut self.summary, self.change)?;
        let carried_over = std::mem::take(&mut self.carried_over);
        let (data, deletes): (Vec<_>, Vec<_>) = carried_over
            .into_iter()
            .partition(|manifest_file| manifest_file.content == ManifestContent::Data);
        manifest_files.extend(data);
        manifest_files.extend(new_deletes);
        manifest_files.extend(deletes);
        Ok(manifest_files)
    }

    fn add_manifest_files(
        &mut self,
        snapshots: &BTreeSet<i64>,
        manifest_files: Vec<ManifestFile>,
    ) -> Result<(), SnapshotError> {
        for manifest_file in &manifest_files {
            if snapshots.iter().any(|id| self.conflicts.needs_manifest(*id, manifest_file)) {
                self.purposes(&manifest_file.path).conflict_search = Some(manifest_file.clone());
            }
        }
        if !self.parent.is_some_and(|parent| snapshots.contains(&parent.id())) {
            return Ok(());
        }
        for manifest_file in &manifest_files {
            if manifest_file.content == ManifestContent::Data && self.needs_data(manifest_file)? {
                self.purposes(&manifest_file.path).removal = Some(manifest_file.clone());
            }
        }
        for (position, manifest_file) in manifest_files.iter().enumerate() {
            self.positions.entry(manifest_file.path.clone()).or_default().push(position);
        }
        self.carried_over = manifest_files;
        Ok(())
    }

    fn needs_data(&mut self, manifest_file: &ManifestFile) -> Result<bool, SnapshotError> {
        let is_uncounted = self.output.metadata.format_version() > 1
            && (manifest_file.added_rows.is_none()
                || manifest_file.existing_rows.is_none()
                || manifest_file.deleted_rows.is_none());
        if is_uncounted || !self.change.removes_data() {
            return Ok(is_uncounted);
        }
        let types = self.output.types(manifest_file.spec_id)?;
        Ok(self.removal.needs_data(manifest_file, &types))
    }

    /// Selects further input once all of the requested input was passed in.
    fn advance(&mut self) {
        if self.has_selected_deletes || !self.lists.is_empty() || !self.manifests.is_empty() {
            return;
        }
        self.has_selected_deletes = true;
        let next = commit::next_sequence_number(&self.output);
        let mut least = sequence_number_min(self.carried_over.iter(), next);
        if let Some(number) = self.change.data_sequence_number.filter(|_| !self.change.added_data.is_empty())
        {
            least = least.min(number);
        }
        self.removal.set_sequence_number_min(least);
        let deletes = self
            .carried_over
            .iter()
            .filter(|manifest_file| manifest_file.content == ManifestContent::Deletes);
        let needs: Vec<_> =
            deletes.filter(|manifest_file| self.removal.needs_deletes(manifest_file)).cloned().collect();
        for manifest_file in needs {
            let path = manifest_file.path.clone();
            self.purposes(&path).removal = Some(manifest_file);
        }
    }

    /// Removes manifests without live files, which the next snapshot does not need, except those that list
    /// the files removed by this one. An append carries over everything, as in Java.
    fn drop_empty(&mut self) {
        let id = self.output.context.snapshot_id;
        if self.change.kind != ChangeKind::Append {
            self.carried_over.retain(|manifest_file| {
                manifest_file.may_have_live_files() || manifest_file.added_snapshot_id == id
            });
        }
    }

    fn apply_removal(&mut self, path: &str, manifest: &Manifest) -> Result<(), SnapshotError> {
        for position in self.positions.get(path).into_iter().flatten() {
            let Some(manifest_file) = self.carried_over.get_mut(*position) else { continue };
            let rewritten =
                self.removal.apply(&mut self.output, &mut self.summary, manifest_file, manifest)?;
            self.replaced += usize::from(rewritten.is_some());
            *manifest_file = rewritten.unwrap_or_else(|| manifest.counted(manifest_file));
        }
        Ok(())
    }

    fn purposes(&mut self, path: &str) -> &mut ReadPurposes {
        self.manifests.entry(path.to_owned()).or_default()
    }
}

fn add_data(
    output: &mut SnapshotOutput<'_>,
    summary: &mut Summary,
    change: &FileChange,
) -> Result<Vec<ManifestFile>, SnapshotError> {
    let mut paths = BTreeSet::new();
    for file in &change.added_data {
        if !paths.insert(&file.path) {
            return Err(SnapshotError::Invalid(format!("`{}` is added twice", file.path)));
        }
        summary.add(output.spec(file.spec_id)?, file);
    }
    let files = change.added_data.iter().map(|file| (file, change.data_sequence_number));
    output.add_files(ManifestContent::Data, &files.collect::<Vec<_>>())
}

fn add_deletes(
    output: &mut SnapshotOutput<'_>,
    summary: &mut Summary,
    change: &FileChange,
) -> Result<Vec<ManifestFile>, SnapshotError> {
    for added in &change.added_deletes {
        summary.add(output.spec(added.file.spec_id)?, &added.file);
    }
    let files = change.added_deletes.iter().map(|added| (&added.file, added.sequence_number));
    output.add_files(ManifestContent::Deletes, &files.collect::<Vec<_>>())
}
