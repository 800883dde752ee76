//! Summary of a snapshot: what was added and removed, and totals. It corresponds to Java's `SnapshotSummary`,
//! but has no summaries of single partitions.

use std::collections::BTreeSet;

use super::change::vector_of;
use crate::expr::value::Value;
use crate::manifest::data_file::DataFile;
use crate::manifest::entry::FileContent;
use crate::metadata::partition::PartitionSpec;

/// Counts of added or of removed files.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    data_files: i64,
    equality_files: i64,
    position_files: i64,
    vectors: i64,
    rows: i64,
    size_bytes: i64,
    positions: i64,
    equalities: i64,
}

/// Changed partition, by the names and values of its fields: files of two specs may be in the same partition.
type Partition = Vec<(String, Option<Value>)>;

/// Accumulated counts of a snapshot's summary.
#[derive(Debug, Default)]
pub(super) struct Summary {
    added: Counts,
    removed: Counts,
    duplicates: i64,
    partitions: BTreeSet<Partition>,
}

impl Counts {
    fn add(&mut self, file: &DataFile) {
        match file.content {
            FileContent::Data => {
                self.data_files += 1;
                self.rows += file.record_count;
            }
            FileContent::PositionDeletes => {
                let kind =
                    if vector_of(file).is_some() { &mut self.vectors } else { &mut self.position_files };
                *kind += 1;
                self.positions += file.record_count;
            }
            FileContent::EqualityDeletes => {
                self.equality_files += 1;
                self.equalities += file.record_count;
            }
        }
        // Deletion vectors share a file, so each is counted with its own size.
        let vector = vector_of(file).and(file.content_size_bytes);
        self.size_bytes += vector.unwrap_or(file.size_bytes);
    }

    fn delete_files(&self) -> i64 {
        self.equality_files + self.position_files + self.vectors
    }
}

impl Summary {
    pub(super) fn add(&mut self, spec: &PartitionSpec, file: &DataFile) {
        self.added.add(file);
        self.partitions.insert(partition(spec, file));
    }

    pub(super) fn remove(&mut self, spec: &PartitionSpec, file: &DataFile) {
        self.removed.add(file);
        self.partitions.insert(partition(spec, file));
    }

    /// Counts a removed file that had more than one manifest entry. Each of its entries counts as removed,
    /// because each was counted when it was added; Java counts only the first one, which makes its totals
    /// wrong from then on.
    pub(super) fn note_duplicate(&mut self) {
        self.duplicates += 1;
    }

    pub(super) fn added_rows(&self) -> i64 {
        self.added.rows
    }

    pub(super) fn removed_rows(&self) -> i64 {
        self.removed.rows
    }

    /// Returns the summary without its operation: `properties` first, totals last. `previous` is the summary
    /// of the previous head of the branch; `None` if there was none.
    pub(super) fn entries(
        &self,
        properties: &[(String, String)],
        previous: Option<&[(String, String)]>,
    ) -> Vec<(String, String)> {
        let mut entries = properties.to_vec();
        let mut push = |name: &str, count: i64| {
            if count > 0 {
                entries.push((name.to_owned(), count.to_string()));
            }
        };
        let (added, removed) = (&self.added, &self.removed);
        push("added-data-files", added.data_files);
        push("deleted-data-files", removed.data_files);
        push("added-equality-delete-files", added.equality_files);
        push("removed-equality-delete-files", removed.equality_files);
        push("added-position-delete-files", added.position_files);
        push("removed-position-delete-files", removed.position_files);
        push("added-delete-files", added.delete_files());
        push("removed-delete-files", removed.delete_files());
        push("added-dvs", added.vectors);
        push("removed-dvs", removed.vectors);
        push("added-records", added.rows);
        push("deleted-records", removed.rows);
        push("added-files-size", added.size_bytes);
        push("removed-files-size", removed.size_bytes);
        push("added-position-deletes", added.positions);
        push("removed-position-deletes", removed.positions);
        push("added-equality-deletes", added.equalities);
        push("removed-equality-deletes", removed.equalities);
        push("deleted-duplicate-files", self.duplicates);
        entries.push(("changed-partition-count".to_owned(), self.partitions.len().to_string()));
        entries.extend(self.totals(previous));
        entries
    }

    /// Returns the totals, computed from those of the previous snapshot as far as it has them.
    fn totals(&self, previous: Option<&[(String, String)]>) -> Vec<(String, String)> {
        let change = |count: fn(&Counts) -> i64| count(&self.added).checked_sub(count(&self.removed));
        let totals = [
            ("total-records", change(|counts| counts.rows)),
            ("total-files-size", change(|counts| counts.size_bytes)),
            ("total-data-files", change(|counts| counts.data_files)),
            ("total-delete-files", change(Counts::delete_files)),
            ("total-position-deletes", change(|counts| counts.positions)),
            ("total-equality-deletes", change(|counts| counts.equalities)),
        ];
        let before = |name: &str| match previous {
            None => Some(0),
            Some(entries) => entries.iter().find(|(key, _)| key == name)?.1.parse::<i64>().ok(),
        };
        let total = |(name, change): (&str, Option<i64>)| {
            let total = before(name)?.checked_add(change?).filter(|total| *total >= 0)?;
            Some((name.to_owned(), total.to_string()))
        };
        totals.into_iter().filter_map(total).collect()
    }
}

fn partition(spec: &PartitionSpec, file: &DataFile) -> Partition {
    let names = spec.fields().iter().map(|field| field.name.clone());
    names.zip(file.partition.iter().cloned()).collect()
}
