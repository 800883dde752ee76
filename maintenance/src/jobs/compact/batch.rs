//! Batch of rewritten groups: their files are written, and are committed together. Nothing is planned or
//! committed here.

use std::collections::{HashMap, HashSet};

use table_core::manifest::data_file::DataFile;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::live::{LiveFiles, partition_from_json, partition_to_json};
use table_core::rewrite::plan::Group;

use crate::error::JobError;
use crate::execute::input::types_of;
use crate::execute::rewrite::Rewritten;
use crate::output_ledger::OutputLedger;
use crate::report::JobReport;

/// Size of the inputs of one batch, in bytes: large enough that a table with many partitions does not get a
/// snapshot for each of them, and small enough that a conflict does not waste hours of work.
const BATCH_BYTES: i64 = 16 << 30;
const BATCH_GROUPS: usize = 500;

/// Rewritten groups that are committed together. Either all of them move to another partition spec, or none
/// does.
pub(super) struct Batch<'a> {
    pub(super) groups: Vec<RewrittenGroup<'a>>,
    outputs: &'a OutputLedger<'a>,
}

/// Group whose files are written but not committed.
pub(super) struct RewrittenGroup<'a> {
    /// Number of the group in the plan, from 0 on.
    pub(super) number: usize,
    pub(super) group: &'a Group,
    pub(super) rewritten: Rewritten,
}

impl<'a> Batch<'a> {
    /// Creates an empty batch.
    pub(super) fn new(outputs: &'a OutputLedger<'a>) -> Batch<'a> {
        Batch { groups: Vec::new(), outputs }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Returns `true` if the batch is large enough to be committed.
    pub(super) fn is_full(&self) -> bool {
        let bytes = self.groups.iter().map(|done| done.group.input_bytes).fold(0, i64::saturating_add);
        bytes >= BATCH_BYTES || self.groups.len() >= BATCH_GROUPS
    }

    /// Returns `true` if the rows of a group move to another partition spec, and those of the batch do not, or
    /// the other way round.
    pub(super) fn differs_from(&self, group: &Group) -> bool {
        self.groups.first().is_some_and(|done| done.group.partition.is_none() != group.partition.is_none())
    }

    /// Returns `true` if rows move to another partition spec.
    pub(super) fn is_moving(&self) -> bool {
        self.groups.iter().any(|done| done.group.partition.is_none())
    }

    /// Removes the groups with any of some input files, deletes their outputs, and leaves them for the next
    /// compaction. Returns `true` if there were any.
    pub(super) fn drop_groups(
        &mut self,
        files: &HashSet<String>,
        reason: &str,
        report: &mut JobReport,
    ) -> bool {
        let has_any =
            |done: &RewrittenGroup<'_>| done.group.inputs.iter().any(|input| files.contains(&input.path));
        let (dropped, remaining): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.groups).into_iter().partition(has_any);
        self.groups = remaining;
        for done in &dropped {
            report.skip(format!("group {}: {reason}", done.number + 1));
        }
        self.outputs.delete(dropped.iter().flat_map(|done| &done.rewritten.files).map(|file| &file.path));
        !dropped.is_empty()
    }

    /// Removes all groups, as [`Batch::drop_groups`] does.
    pub(super) fn drop_all(&mut self, reason: &str, report: &mut JobReport) -> bool {
        let inputs = self.groups.iter().flat_map(|done| &done.group.inputs);
        let files = inputs.map(|input| input.path.clone()).collect();
        self.drop_groups(&files, reason, report)
    }

    /// Returns the inputs whose number of manifest entries has changed since they were read.
    pub(super) fn changed_entries(&self, live: &LiveFiles) -> HashSet<String> {
        let mut counts: HashMap<&str, i64> = HashMap::new();
        for input in self.groups.iter().flat_map(|done| &done.group.inputs) {
            *counts.entry(&input.path).or_default() += 1;
        }
        for file in &live.files {
            counts.entry(&file.path).and_modify(|count| *count -= 1);
        }
        let changed = counts.into_iter().filter(|(_, count)| *count != 0);
        changed.map(|(path, _)| path.to_owned()).collect()
    }

    /// Converts the partitions of the outputs to the current types of their partition fields, because a column
    /// may have been promoted while the files were written.
    pub(super) fn convert_partitions(&mut self, metadata: &TableMetadata) -> Result<(), JobError> {
        let files = self.groups.iter_mut().flat_map(|done| &mut done.rewritten.files);
        for file in files {
            let types = types_of(metadata, file.spec_id)?;
            if let Some(partition) = partition_from_json(&partition_to_json(&file.partition), &types) {
                file.partition = partition;
            }
        }
        Ok(())
    }

    /// Returns the outputs of all groups.
    pub(super) fn files(&self) -> impl Iterator<Item = &DataFile> {
        self.groups.iter().flat_map(|done| &done.rewritten.files)
    }

    /// Returns the counts of what a commit of the batch changes, by name.
    pub(super) fn counts(&self) -> Vec<(&'static str, i64)> {
        let sum = |count: &dyn Fn(&RewrittenGroup<'_>) -> i64| {
            self.groups.iter().map(count).fold(0, i64::saturating_add)
        };
        let size = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let bytes = |done: &RewrittenGroup<'_>| done.rewritten.files.iter().map(|file| file.size_bytes).sum();
        vec![
            ("files-rewritten", sum(&|done| size(done.group.inputs.len()))),
            ("files-written", sum(&|done| size(done.rewritten.files.len()))),
            ("bytes-before", sum(&|done| done.group.input_bytes)),
            ("bytes-after", sum(&bytes)),
            ("rows-written", sum(&|done| done.rewritten.rows_written)),
            ("deleted-rows-removed", sum(&|done| done.rewritten.rows_deleted)),
            ("groups-copied-undecoded", sum(&|done| i64::from(done.rewritten.is_spliced))),
        ]
    }
}
