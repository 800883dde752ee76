//! Planning of a change of files: the manifest lists and manifests to be read, their order, and the resulting
//! snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::change::{Change, Kind};
use super::commit::{self, Draft, NewSnapshot};
use super::conflicts::Conflicts;
use super::context::Context;
use super::error::SnapshotError;
use super::history;
use super::output::Output;
use super::removal::{Removal, sequence_number_min};
use super::row_match::RowMatch;
use super::summary::Summary;
use crate::manifest::file::Manifest;
use crate::manifest::list::{ManifestContent, ManifestFile};
use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;

/// Next input that a plan requires.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// Paths of manifest lists, to be passed in in any order.
    Lists(Vec<String>),
    /// Manifests, to be passed in in any order. None of them has to stay in memory afterwards.
    Manifests(Vec<ManifestFile>),
    /// No more input: [`Plan::finish`] can be called.
    Nothing,
}

/// Incremental plan of a snapshot that applies a [`Change`].
///
/// Pass in what [`Plan::wanted`] requests until it requests nothing, then call [`Plan::finish`]. Call
/// [`Plan::wanted`] again only after everything it returned was passed in, because its result has the length
/// of all that is left. The plan stores the manifest file entries of the parent and the compressed manifests
/// that are written, but no manifest that is read.
///
/// ```text
/// let mut plan = Plan::new(&metadata, &change, context)?;
/// loop {
///     match plan.wanted() {
///         Wanted::Lists(paths) => for path in paths { plan.give_list(&path, read_list(&path))?; },
///         Wanted::Manifests(entries) => for entry in entries {
///             plan.give_manifest(&entry.path, &read_manifest(&entry))?;
///         },
///         Wanted::Nothing => break,
///     }
/// }
/// let snapshot = plan.finish()?;
/// ```
pub struct Plan<'a> {
    output: Output<'a>,
    change: &'a Change,
    parent: Option<&'a Snapshot>,
    conflicts: Conflicts<'a>,
    removal: Removal,
    summary: Summary,
    /// Manifest lists that have not been passed in yet, with the ids of their snapshots.
    lists: BTreeMap<String, BTreeSet<i64>>,
    /// Manifests that have not been passed in yet, by path.
    manifests: BTreeMap<String, Reasons>,
    /// `true` once the required delete manifests of the parent have been selected, which depends on its data
    /// manifests.
    knows_deletes: bool,
    /// Manifest file entries that are carried over, in the order of the parent, with rewritten manifests in
    /// place of the original ones.
    carried: Vec<ManifestFile>,
    /// Indexes in `carried` by path; several if the parent lists a manifest more than once.
    places: HashMap<String, Vec<usize>>,
    replaced: usize,
}

/// Purposes for which a manifest has to be read.
#[derive(Default)]
struct Reasons {
    /// Entry with which it is searched for conflicts, from an older manifest list.
    look: Option<ManifestFile>,
    /// Entry with which files are removed from it or counted.
    line: Option<ManifestFile>,
}

impl<'a> Plan<'a> {
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
        change: &'a Change,
        context: Context,
    ) -> Result<Plan<'a>, SnapshotError> {
        change.check(metadata.format_version())?;
        let parent = history::parent(metadata, &context)?;
        let rows = change.removed_rows.as_ref();
        let rows = rows.map(|rows| RowMatch::new(metadata, rows)).transpose()?;
        let mut plan = Plan {
            output: Output::new(metadata, context)?,
            change,
            parent,
            conflicts: Conflicts::new(metadata, change, parent)?,
            removal: Removal::new(change, rows),
            summary: Summary::default(),
            lists: BTreeMap::new(),
            manifests: BTreeMap::new(),
            knows_deletes: false,
            carried: Vec::new(),
            places: HashMap::new(),
            replaced: 0,
        };
        let of_interest: Vec<_> = plan.conflicts.snapshots().chain(parent).collect();
        for snapshot in of_interest {
            match snapshot.manifest_list()? {
                Some(path) => {
                    plan.lists.entry(path).or_default().insert(snapshot.id());
                }
                // The oldest snapshots list their manifests directly.
                None => plan.see_lines(&[snapshot.id()].into(), history::embedded(snapshot)?)?,
            }
        }
        plan.go_on();
        Ok(plan)
    }

    /// Returns what has to be read next.
    pub fn wanted(&self) -> Wanted {
        if !self.lists.is_empty() {
            return Wanted::Lists(self.lists.keys().cloned().collect());
        }
        let lines =
            self.manifests.values().filter_map(|reasons| reasons.line.as_ref().or(reasons.look.as_ref()));
        let lines: Vec<_> = lines.cloned().collect();
        if lines.is_empty() { Wanted::Nothing } else { Wanted::Manifests(lines) }
    }

    /// Passes in the entries of a manifest list that was requested. Other manifest lists are ignored.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Invalid`] if a manifest has a partition spec that the table does not have.
    pub fn give_list(&mut self, path: &str, lines: Vec<ManifestFile>) -> Result<(), SnapshotError> {
        let Some(snapshots) = self.lists.remove(path) else { return Ok(()) };
        self.see_lines(&snapshots, lines)?;
        self.go_on();
        Ok(())
    }

    /// Passes in a manifest that was requested. Other manifests are ignored.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Manifest`] if the manifest cannot be decoded or rewritten, and with
    /// [`SnapshotError::Invalid`] if only some rows of a file match [`Change::removed_rows`].
    pub fn give_manifest(&mut self, path: &str, manifest: &Manifest) -> Result<(), SnapshotError> {
        let Some(reasons) = self.manifests.remove(path) else { return Ok(()) };
        if let Some(line) = reasons.look {
            self.conflicts.look(&mut self.output, &line, manifest)?;
        }
        if reasons.line.is_some() {
            self.carry(path, manifest)?;
        }
        self.go_on();
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
        if self.wanted() != Wanted::Nothing {
            return Err(SnapshotError::invalid("the plan has not seen all that it wants"));
        }
        self.drop_empty();
        self.conflicts.check()?;
        if self.change.must_exist || self.change.kind == Kind::Replace {
            self.removal.check_found()?;
        }
        let lines = self.new_lines()?;
        let (added, replaced) = (self.summary.added_rows(), self.summary.removed_rows());
        if self.change.kind == Kind::Replace && added > replaced {
            return Err(SnapshotError::Invalid(format!(
                "a rewrite cannot add more rows than it removes: it adds {added} and removes {replaced}"
            )));
        }
        let previous = commit::summary_of(self.parent)?;
        let mut summary = self.summary.entries(&self.change.properties, previous.as_deref());
        summary.extend(commit::manifest_counts(&self.output, &lines, self.replaced));
        let parent_id = self.parent.map(Snapshot::id);
        let draft = Draft { parent_id, operation: self.change.operation(), summary };
        commit::finish(self.output, &draft, lines)
    }

    /// Returns the manifest file entries of the snapshot: data manifests first, and new ones before those
    /// carried over, as in Java.
    fn new_lines(&mut self) -> Result<Vec<ManifestFile>, SnapshotError> {
        let mut lines = add_data(&mut self.output, &mut self.summary, self.change)?;
        let new_deletes = add_deletes(&mut self.output, &mut self.summary, self.change)?;
        let carried = std::mem::take(&mut self.carried);
        let (data, deletes): (Vec<_>, Vec<_>) =
            carried.into_iter().partition(|line| line.content == ManifestContent::Data);
        lines.extend(data);
        lines.extend(new_deletes);
        lines.extend(deletes);
        Ok(lines)
    }

    fn see_lines(
        &mut self,
        snapshots: &BTreeSet<i64>,
        lines: Vec<ManifestFile>,
    ) -> Result<(), SnapshotError> {
        for line in &lines {
            if snapshots.iter().any(|id| self.conflicts.wants(*id, line)) {
                self.reasons(&line.path).look = Some(line.clone());
            }
        }
        if !self.parent.is_some_and(|parent| snapshots.contains(&parent.id())) {
            return Ok(());
        }
        for line in &lines {
            if line.content == ManifestContent::Data && self.wants_data(line)? {
                self.reasons(&line.path).line = Some(line.clone());
            }
        }
        for (place, line) in lines.iter().enumerate() {
            self.places.entry(line.path.clone()).or_default().push(place);
        }
        self.carried = lines;
        Ok(())
    }

    fn wants_data(&mut self, line: &ManifestFile) -> Result<bool, SnapshotError> {
        let is_uncounted = self.output.metadata.format_version() > 1
            && (line.added_rows.is_none() || line.existing_rows.is_none() || line.deleted_rows.is_none());
        if is_uncounted || !self.change.removes_data() {
            return Ok(is_uncounted);
        }
        let types = self.output.types(line.spec_id)?;
        Ok(self.removal.wants_data(line, &types))
    }

    /// Selects further input once all of the requested input was passed in.
    fn go_on(&mut self) {
        if self.knows_deletes || !self.lists.is_empty() || !self.manifests.is_empty() {
            return;
        }
        self.knows_deletes = true;
        let next = commit::next_sequence_number(&self.output);
        let mut least = sequence_number_min(self.carried.iter(), next);
        if let Some(number) = self.change.data_sequence_number.filter(|_| !self.change.added_data.is_empty())
        {
            least = least.min(number);
        }
        self.removal.forget_deletes_before(least);
        let deletes = self.carried.iter().filter(|line| line.content == ManifestContent::Deletes);
        let wanted: Vec<_> = deletes.filter(|line| self.removal.wants_deletes(line)).cloned().collect();
        for line in wanted {
            let path = line.path.clone();
            self.reasons(&path).line = Some(line);
        }
    }

    /// Removes manifests without live files, which the next snapshot does not need, except those that list
    /// the files removed by this one. An append carries over everything, as in Java.
    fn drop_empty(&mut self) {
        let id = self.output.context.snapshot_id;
        if self.change.kind != Kind::Append {
            self.carried.retain(|line| line.may_have_live_files() || line.added_snapshot_id == id);
        }
    }

    fn carry(&mut self, path: &str, manifest: &Manifest) -> Result<(), SnapshotError> {
        for place in self.places.get(path).into_iter().flatten() {
            let Some(line) = self.carried.get_mut(*place) else { continue };
            let rewritten = self.removal.apply(&mut self.output, &mut self.summary, line, manifest)?;
            self.replaced += usize::from(rewritten.is_some());
            *line = rewritten.unwrap_or_else(|| manifest.counted(line));
        }
        Ok(())
    }

    fn reasons(&mut self, path: &str) -> &mut Reasons {
        self.manifests.entry(path.to_owned()).or_default()
    }
}

fn add_data(
    output: &mut Output<'_>,
    summary: &mut Summary,
    change: &Change,
) -> Result<Vec<ManifestFile>, SnapshotError> {
    let mut seen = BTreeSet::new();
    for file in &change.added_data {
        if !seen.insert(&file.path) {
            return Err(SnapshotError::Invalid(format!("`{}` is added twice", file.path)));
        }
        summary.add(output.spec(file.spec_id)?, file);
    }
    let files = change.added_data.iter().map(|file| (file, change.data_sequence_number));
    output.add_files(ManifestContent::Data, &files.collect::<Vec<_>>())
}

fn add_deletes(
    output: &mut Output<'_>,
    summary: &mut Summary,
    change: &Change,
) -> Result<Vec<ManifestFile>, SnapshotError> {
    for added in &change.added_deletes {
        summary.add(output.spec(added.file.spec_id)?, &added.file);
    }
    let files = change.added_deletes.iter().map(|added| (&added.file, added.sequence_number));
    output.add_files(ManifestContent::Deletes, &files.collect::<Vec<_>>())
}
