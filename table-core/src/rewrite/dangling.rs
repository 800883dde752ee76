//! Detection of dangling deletes: delete files that apply to no live data file any more, so that they can be
//! removed.
//!
//! It finds what Java's `RemoveDanglingDeleteFiles` removes, with one exception: Java also removes equality
//! deletes of an unpartitioned spec as soon as there is no data file of that spec, although they apply to the
//! data files of all specs.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::live::LiveDelete;
use crate::manifest::entry::FileContent;
use crate::manifest::partition::PartitionTuple;

/// Data file that will be live after the commit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DataFileKey<'a> {
    /// Path of the data file.
    pub path: &'a str,
    /// Id of the partition spec that the file was written with.
    pub spec_id: i32,
    /// Partition tuple of the file, in that spec.
    pub partition: &'a PartitionTuple,
    /// Data sequence number: for a new file of a rewrite the one that it takes over, not that of the commit.
    pub sequence_number: i64,
}

/// Delete that can be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Dangling {
    /// Path of the delete file.
    pub path: String,
    /// Offset of a deletion vector in its file, in which other deletion vectors may remain in use.
    pub content_offset: Option<i64>,
    /// Reason why it can be removed.
    pub reason: DanglingReason,
}

/// Reason why a delete is dangling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DanglingReason {
    /// There is no data file in its scope.
    NoDataFile,
    /// All data files in its scope are newer.
    NewerDataFiles,
}

/// Finder of dangling deletes, which processes the data files one by one. Its memory grows only with the
/// number of deletes.
pub struct Finder<'a> {
    deletes: &'a [LiveDelete],
    /// Least sequence number of the data files in the scope of each delete: by path, by partition, and of
    /// all.
    of_file: HashMap<&'a str, Option<i64>>,
    of_partition: BTreeMap<i32, BTreeMap<PartitionTuple, Option<i64>>>,
    of_all: Option<i64>,
}

impl<'a> Finder<'a> {
    /// Creates a finder for `deletes`, all live delete files that the commit does not remove.
    pub fn new(deletes: &'a [LiveDelete]) -> Finder<'a> {
        let mut finder =
            Finder { deletes, of_file: HashMap::new(), of_partition: BTreeMap::new(), of_all: None };
        for delete in deletes {
            if let Some(path) = &delete.data_file {
                finder.of_file.insert(path, None);
            } else {
                let of_spec = finder.of_partition.entry(delete.spec_id).or_default();
                of_spec.insert(delete.partition.clone(), None);
            }
        }
        finder
    }

    /// Adds a data file that is live after the commit: an existing one, or one that the commit adds. All of
    /// these have to be added, and none that the commit removes.
    pub fn add(&mut self, file: DataFileKey<'_>) {
        let lower = |least: &mut Option<i64>| {
            *least = Some(least.map_or(file.sequence_number, |least| least.min(file.sequence_number)));
        };
        lower(&mut self.of_all);
        if let Some(least) = self.of_file.get_mut(file.path) {
            lower(least);
        }
        let of_spec = self.of_partition.get_mut(&file.spec_id);
        if let Some(least) = of_spec.and_then(|of_spec| of_spec.get_mut(file.partition)) {
            lower(least);
        }
    }

    /// Returns the deletes that apply to none of the added data files. A delete with several manifest entries
    /// is returned only if none of the entries applies to a data file, because removing it by path removes
    /// all of them.
    pub fn finish(self) -> Vec<Dangling> {
        let assessed: Vec<_> = self.deletes.iter().map(|delete| (delete, self.reason(delete))).collect();
        let needed: HashSet<_> =
            assessed.iter().filter(|(_, reason)| reason.is_none()).map(|(delete, _)| key(delete)).collect();
        let mut returned = HashSet::new();
        let dangling = assessed.into_iter().filter_map(|(delete, reason)| {
            let is_unneeded = !needed.contains(&key(delete)) && returned.insert(key(delete));
            let (path, content_offset) = (delete.path.clone(), delete.content_offset);
            reason.filter(|_| is_unneeded).map(|reason| Dangling { path, content_offset, reason })
        });
        dangling.collect()
    }

    fn reason(&self, delete: &LiveDelete) -> Option<DanglingReason> {
        let of_partition = || *self.of_partition.get(&delete.spec_id)?.get(&delete.partition)?;
        let least = match &delete.data_file {
            Some(path) => self.of_file.get(path.as_str()).copied().flatten(),
            None if is_for_all(delete) => self.of_all,
            None => of_partition(),
        };
        let Some(least) = least else { return Some(DanglingReason::NoDataFile) };
        let is_for_none = match delete.content {
            // Equality deletes apply to data files of earlier commits only, position deletes also to those of
            // the same commit.
            FileContent::EqualityDeletes => delete.sequence_number <= least,
            FileContent::PositionDeletes | FileContent::Data => delete.sequence_number < least,
        };
        is_for_none.then_some(DanglingReason::NewerDataFiles)
    }
}

/// Returns the identity of a delete, which is the same for all of its manifest entries.
fn key(delete: &LiveDelete) -> (&str, Option<i64>) {
    (&delete.path, delete.content_offset)
}

/// Returns `true` if an equality delete may apply to the data files of all partitions and specs.
///
/// This is the case for specs without fields, or with only dropped (void) fields, whose values are null. A
/// partition whose values happen to be null cannot be distinguished from those here, so its deletes may be
/// retained longer than necessary.
fn is_for_all(delete: &LiveDelete) -> bool {
    delete.content == FileContent::EqualityDeletes && delete.partition.iter().all(Option::is_none)
}
