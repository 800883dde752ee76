//! Recently written partitions, which should not be rewritten: the rewrite would make the next commit of
//! their writer fail, or would itself fail because of that commit.
//!
//! Only writers that change rows of existing files can conflict with a rewrite: those that recently removed
//! data files or deleted rows by position. Writers that only append, or that delete by value the rows they
//! write anew as streaming upserts do, cannot; and their partitions are where most small files come from.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::RangeInclusive;

use super::live::LiveFiles;
use crate::manifest::entry::FileContent;
use crate::manifest::partition::PartitionTuple;
use crate::metadata::error::MetadataError;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;

/// Returns the partitions, by partition spec id, in which rows of existing files were changed in the time
/// span `lately_ms`, in milliseconds since 1970. A snapshot with a timestamp after the end of the span was
/// written with a clock that is ahead; the actual time is unknown, so it is ignored.
///
/// # Errors
///
/// Fails with a [`MetadataError`] if the summary of a snapshot cannot be parsed.
pub fn partitions(
    metadata: &TableMetadata,
    live: &LiveFiles,
    lately_ms: RangeInclusive<i64>,
) -> Result<BTreeMap<i32, BTreeSet<PartitionTuple>>, MetadataError> {
    let mut numbers = HashSet::new();
    for snapshot in
        metadata.snapshots().iter().filter(|snapshot| lately_ms.contains(&snapshot.timestamp_ms()))
    {
        if changes_rows(snapshot)? {
            numbers.insert(snapshot.sequence_number());
        }
    }
    let mut active: BTreeMap<i32, BTreeSet<PartitionTuple>> = BTreeMap::new();
    if numbers.is_empty() {
        return Ok(active);
    }
    let files = live.files.iter().map(|file| (file.sequence_number, file.spec_id, &file.partition));
    let deletes = live.deletes.iter().filter(|delete| delete.content == FileContent::PositionDeletes);
    let deletes = deletes.map(|delete| (delete.sequence_number, delete.spec_id, &delete.partition));
    for (_, spec_id, partition) in files.chain(deletes).filter(|(number, ..)| numbers.contains(number)) {
        let of_spec = active.entry(spec_id).or_default();
        if !of_spec.contains(partition) {
            of_spec.insert(partition.clone());
        }
    }
    Ok(active)
}

/// Returns `true` if a commit changed rows of existing files.
fn changes_rows(snapshot: &Snapshot) -> Result<bool, MetadataError> {
    let summary = snapshot.summary()?;
    let find = |name: &str| summary.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let counted = |name: &str| find(name).is_some_and(|count| count != "0");
    Ok(match find("operation") {
        Some("append" | "replace") => false,
        _ if counted("deleted-data-files") => true,
        // With equality deletes, the commit deletes rows that it also writes anew.
        _ => !counted("added-equality-delete-files"),
    })
}
