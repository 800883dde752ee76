//! Which partitions are being changed: a rewrite there would make the writer's next commit fail, or be made to fail by it.
//!
//! Only writers that change rows of existing files can be hurt: those that removed data files lately, or deleted rows by their
//! positions. Whoever only appends, or deletes by value what it writes anew as streaming upserts do, is not, and such
//! partitions are where small files come from.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::RangeInclusive;

use super::live::Live;
use crate::manifest::entry::Content;
use crate::manifest::partition::PartitionTuple;
use crate::metadata::error::MetadataError;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;

/// The partitions, by spec, in which rows of existing files were changed in a span of time, in milliseconds since 1970. What a
/// writer dates beyond its end was made by a clock that is ahead, so that nobody knows when; it holds nothing up.
pub fn partitions(
    metadata: &TableMetadata,
    live: &Live,
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
    let mut hot: BTreeMap<i32, BTreeSet<PartitionTuple>> = BTreeMap::new();
    if numbers.is_empty() {
        return Ok(hot);
    }
    let files = live.files.iter().map(|file| (file.sequence_number, file.spec_id, &file.partition));
    let deletes = live.deletes.iter().filter(|delete| delete.content == Content::PositionDeletes);
    let deletes = deletes.map(|delete| (delete.sequence_number, delete.spec_id, &delete.partition));
    for (_, spec_id, partition) in files.chain(deletes).filter(|(number, ..)| numbers.contains(number)) {
        let of_spec = hot.entry(spec_id).or_default();
        if !of_spec.contains(partition) {
            of_spec.insert(partition.clone());
        }
    }
    Ok(hot)
}

/// Whether a commit changed rows of files that were there before.
fn changes_rows(snapshot: &Snapshot) -> Result<bool, MetadataError> {
    let summary = snapshot.summary()?;
    let find = |name: &str| summary.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let counted = |name: &str| find(name).is_some_and(|count| count != "0");
    Ok(match find("operation") {
        Some("append" | "replace") => false,
        _ if counted("deleted-data-files") => true,
        // Deletes of rows that the same commit writes anew.
        _ => !counted("added-equality-delete-files"),
    })
}
