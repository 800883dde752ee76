//! Planning a change of files: which lists and manifests have to be seen, in which order, and what comes out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::change::{Change, Kind};
use super::commit::{self, Context, Draft, NewSnapshot};
use super::conflicts::Conflicts;
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

/// What a plan has to see next.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// These manifest lists, in any order.
    Lists(Vec<String>),
    /// These manifests, in any order. Each can be forgotten once it was given.
    Manifests(Vec<ManifestFile>),
    /// Nothing any more: [`Plan::finish`].
    Nothing,
}

/// A change of a table's files in the making.
///
/// Give it what it wants until it wants nothing, then finish it; ask what it wants once all of that was given, because the
/// answer is as long as what is left. It holds the parent's manifest list and the manifests that
/// are written, compressed; never one that is read.
pub struct Plan<'a> {
    output: Output<'a>,
    change: &'a Change,
    parent: Option<&'a Snapshot>,
    conflicts: Conflicts<'a>,
    removal: Removal,
    summary: Summary,
    /// Manifest lists that are still to be seen, with the snapshots they are of.
    lists: BTreeMap<String, BTreeSet<i64>>,
    /// Manifests that are still to be seen, by path.
    manifests: BTreeMap<String, Reasons>,
    /// Delete manifests of the parent: which are to be seen is known once the data manifests were.
    knows_deletes: bool,
    /// The manifests carried over, in the parent's order; rewritten ones in place of theirs.
    carried: Vec<ManifestFile>,
    /// Where in it a manifest of the parent is; in several places if the parent lists it more than once.
    places: HashMap<String, Vec<usize>>,
    replaced: usize,
}

/// Why a manifest has to be seen.
#[derive(Default)]
struct Reasons {
    /// To look for conflicts, as an older list has it.
    look: Option<ManifestFile>,
    /// To take files out of it, or to count them.
    line: Option<ManifestFile>,
}

impl<'a> Plan<'a> {
    /// Begins a plan for a table as it is now.
    ///
    /// Fails with [`SnapshotError::Invalid`] if the change makes no sense for the table, and with [`super::error::Conflict::HistoryGone`] if
    /// the snapshot that it was computed from is not in the branch's history.
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
                // The oldest snapshots name their manifests themselves.
                None => plan.see_lines(&[snapshot.id()].into(), history::embedded(snapshot)?)?,
            }
        }
        plan.go_on();
        Ok(plan)
    }

    /// What has to be seen next.
    pub fn wanted(&self) -> Wanted {
        if !self.lists.is_empty() {
            return Wanted::Lists(self.lists.keys().cloned().collect());
        }
        let lines =
            self.manifests.values().filter_map(|reasons| reasons.line.as_ref().or(reasons.look.as_ref()));
        let lines: Vec<_> = lines.cloned().collect();
        if lines.is_empty() { Wanted::Nothing } else { Wanted::Manifests(lines) }
    }

    /// Shows it a manifest list that it wants. One that it does not want is passed over.
    pub fn give_list(&mut self, path: &str, lines: Vec<ManifestFile>) -> Result<(), SnapshotError> {
        let Some(snapshots) = self.lists.remove(path) else { return Ok(()) };
        self.see_lines(&snapshots, lines)?;
        self.go_on();
        Ok(())
    }

    /// Shows it a manifest that it wants. One that it does not want is passed over.
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

    /// Puts the snapshot together.
    ///
    /// Fails with [`SnapshotError::Conflict`] if other commits were in the way, and with [`SnapshotError::Invalid`] if the
    /// result would not be what its operation promises, or if something is still wanted.
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

    /// Data manifests first, new ones before those carried over, as Java orders them.
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

    /// Once everything wanted was seen, finds out what else is.
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

    /// A manifest without live files is of no use to the next snapshot, unless it tells what this one removes. An append
    /// carries everything over, as Java does.
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
