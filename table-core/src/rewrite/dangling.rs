//! Finding delete files that apply to no live data file any more, so that they can be removed.
//!
//! What Java's `RemoveDanglingDeleteFiles` removes, except that it also removes equality deletes of an unpartitioned spec
//! once no data file of that spec is left, although they are for the files of all specs.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::live::LiveDelete;
use crate::manifest::entry::Content;
use crate::manifest::partition::PartitionTuple;

/// A data file that will be live.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DataFileKey<'a> {
    /// Where it is.
    pub path: &'a str,
    /// The partition spec it was written with.
    pub spec_id: i32,
    /// The values of that spec's fields.
    pub partition: &'a PartitionTuple,
    /// Its data sequence number: for a new file of a rewrite, the one it takes over, not that of the commit.
    pub sequence_number: i64,
}

/// A delete that can be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Dangling {
    /// Where it is.
    pub path: String,
    /// Where in the file a deletion vector begins: others in the same file may stay.
    pub content_offset: Option<i64>,
    /// Why it can go.
    pub why: Why,
}

/// Why a delete is for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// There is no data file that it could be for.
    NoDataFile,
    /// All data files that it could be for are newer.
    NewerDataFiles,
}

/// Looks through data files once. Memory grows with the deletes only.
pub struct Finder<'a> {
    deletes: &'a [LiveDelete],
    /// The least sequence numbers among data files, where a delete asks for them.
    of_file: HashMap<&'a str, Option<i64>>,
    of_partition: BTreeMap<i32, BTreeMap<PartitionTuple, Option<i64>>>,
    of_all: Option<i64>,
}

impl<'a> Finder<'a> {
    /// Begins with all live delete files that the commit keeps.
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

    /// Looks at a data file that is live after the commit: one that stays, or one that the commit adds. All of them must be
    /// shown, and none that the commit removes.
    pub fn see(&mut self, file: DataFileKey<'_>) {
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

    /// The deletes that are for none of them. A delete that is listed several times is one of these only if none of its
    /// entries applies to a file: it is removed by its name, which removes all of its entries.
    pub fn finish(self) -> Vec<Dangling> {
        let judged: Vec<_> = self.deletes.iter().map(|delete| (delete, self.why(delete))).collect();
        let needed: HashSet<_> =
            judged.iter().filter(|(_, why)| why.is_none()).map(|(delete, _)| key(delete)).collect();
        let mut seen = HashSet::new();
        let dangling = judged.into_iter().filter_map(|(delete, why)| {
            let is_unneeded = !needed.contains(&key(delete)) && seen.insert(key(delete));
            let (path, content_offset) = (delete.path.clone(), delete.content_offset);
            why.filter(|_| is_unneeded).map(|why| Dangling { path, content_offset, why })
        });
        dangling.collect()
    }

    fn why(&self, delete: &LiveDelete) -> Option<Why> {
        let of_partition = || *self.of_partition.get(&delete.spec_id)?.get(&delete.partition)?;
        let least = match &delete.data_file {
            Some(path) => self.of_file.get(path.as_str()).copied().flatten(),
            None if is_for_all(delete) => self.of_all,
            None => of_partition(),
        };
        let Some(least) = least else { return Some(Why::NoDataFile) };
        let is_for_none = match delete.content {
            // Equality deletes are for files before their own commit, position deletes for those of it too.
            Content::EqualityDeletes => delete.sequence_number <= least,
            Content::PositionDeletes | Content::Data => delete.sequence_number < least,
        };
        is_for_none.then_some(Why::NewerDataFiles)
    }
}

/// What tells a delete from others, however often it is listed.
fn key(delete: &LiveDelete) -> (&str, Option<i64>) {
    (&delete.path, delete.content_offset)
}

/// Whether values are deleted from the files of all partitions and specs.
///
/// That is so for specs without fields, or with none but those that were dropped; which are null. A partition whose values
/// are null cannot be told from those here, so its deletes may be kept for longer than needed.
fn is_for_all(delete: &LiveDelete) -> bool {
    delete.content == Content::EqualityDeletes && delete.partition.iter().all(Option::is_none)
}
