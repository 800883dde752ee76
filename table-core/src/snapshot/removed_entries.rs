//! Data files that a change removes, indexed to find those to which a delete applies.

use std::collections::{BTreeMap, HashSet};

use super::change::FileChange;
use super::partitions::may_be_same;
use crate::manifest::entry::{File, FileContent};
use crate::manifest::partition::PartitionTuple;

/// Data files that a change removes by path.
pub(super) struct RemovedEntries<'a> {
    paths: HashSet<&'a str>,
    by_partition: BTreeMap<(i32, &'a PartitionTuple), Vec<&'a str>>,
    /// Paths of files of which nothing else is known; they may be in any partition.
    anywhere: Vec<&'a str>,
    /// Unpartitioned specs, whose equality deletes apply to all files.
    global_specs: HashSet<i32>,
}

impl<'a> RemovedEntries<'a> {
    pub(super) fn new(change: &'a FileChange, global_specs: HashSet<i32>) -> RemovedEntries<'a> {
        let mut by_partition: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for file in &change.removed_data {
            by_partition.entry((file.spec_id, &file.partition)).or_default().push(file.path.as_str());
        }
        let spec_of_file = change.removed_data.iter().map(|file| file.path.as_str());
        let anywhere: Vec<_> = change.removed_paths.iter().map(String::as_str).collect();
        RemovedEntries {
            paths: spec_of_file.chain(anywhere.iter().copied()).collect(),
            by_partition,
            anywhere,
            global_specs,
        }
    }

    /// Returns the files from which a delete may delete rows, according to its partition and to the single
    /// data file that it refers to, if any.
    pub(super) fn affected_by(&self, delete: &File<'_>, tuple: &PartitionTuple) -> Vec<&'a str> {
        if let Some(target) = delete.sole_data_file() {
            return self.paths.get(target).copied().into_iter().collect();
        }
        let spec_id = delete.spec_id();
        let is_global =
            delete.content() == FileContent::EqualityDeletes && self.global_specs.contains(&spec_id);
        let in_partition = self
            .by_partition
            .iter()
            .filter(|((spec_of_file, other), _)| {
                is_global || (*spec_of_file == spec_id && may_be_same(other, tuple))
            })
            .flat_map(|(_, paths)| paths);
        in_partition.chain(&self.anywhere).copied().collect()
    }
}
