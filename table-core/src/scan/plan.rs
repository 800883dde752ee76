//! Processing of data manifests: prunes their files, finds the deletes of the remaining ones, and writes both
//! as file scan tasks.

use std::collections::HashMap;
use std::ops::Range;

use super::deletes::{DeleteIndex, PartitionDeletes};
use super::error::ScanError;
use super::json;
use super::table_scan::{Scan, SpecScan};
use crate::expr::bound::{Bound, BoundFilter};
use crate::expr::{inclusive_metrics, partition};
use crate::manifest::entry::{File, FileContent, Status};
use crate::manifest::file::Manifest;
use crate::manifest::list::ManifestFile;
use crate::manifest::partition::PartitionTuple;

/// Size, in bytes, from which a page accepts no more files: thirty thousand files with a short filter.
const PAGE_BYTES: usize = 16 << 20;

/// Room, in bytes, for field names and for the id that is appended to a page.
const ENVELOPE_BYTES: usize = 128;

/// Beginning of the JSON of a page.
const TASKS: &[u8] = b"{\"file-scan-tasks\":[";

/// Page of a plan: file scan tasks with the delete files they refer to, in the JSON form of the response.
#[derive(Default)]
pub struct ScanPage {
    /// Beginning of the JSON object with the tasks, if there are any.
    tasks: Vec<u8>,
    tasks_count: usize,
    delete_files: Vec<u8>,
    /// Positions in `delete_files`, by the number of the delete file in the index.
    references: HashMap<usize, usize>,
    /// Number of rows of files without a residual filter and without deletes.
    rows: i64,
}

/// Properties that are common to all files of one partition in a manifest.
struct OfPartition<'a> {
    deletes: Option<&'a PartitionDeletes>,
    partition: String,
    /// Residual filter, to be evaluated on the files' metrics.
    filter: BoundFilter,
    /// Residual filter as JSON, unless it is so long that it is better serialised again for every file.
    residual: Option<Vec<u8>>,
}

/// Memory, in bytes, up to which a residual is serialised to determine the length of its text.
const RESIDUAL_HEAP_BYTES: usize = 128 << 10;

/// Length, in bytes, up to which residuals are cached as text: most are short, and many partitions may have
/// one each.
const RESIDUAL_TEXT_BYTES: usize = 16 << 10;

impl ScanPage {
    /// Adds the files that a scan needs among some entries of a data manifest. Returns the number of the
    /// first entry that was not processed if the page became full.
    ///
    /// # Errors
    ///
    /// Fails with [`ScanError::Damaged`] if the manifest lists a delete file, if its partition spec does not
    /// exist, or if a file lacks its sequence number or is newer than its deletion vector, and with
    /// [`ScanError::Manifest`] if the partition tuples cannot be decoded.
    pub fn add(
        &mut self,
        scan: &Scan,
        deletes: &DeleteIndex,
        manifest: &Manifest,
        manifest_file: &ManifestFile,
        entries: Range<usize>,
    ) -> Result<Option<usize>, ScanError> {
        let spec = scan.spec(manifest_file)?;
        let tuples = scan.tuples(manifest, manifest_file)?;
        // Filled on demand; a manifest has few partitions compared with its files.
        let mut partitions: Vec<Option<Option<OfPartition<'_>>>> = Vec::new();
        partitions.resize_with(tuples.len(), || None);
        let mut found = Vec::new();
        let mut is_first = true;
        let end = entries.end.min(manifest.len());
        for number in entries.start..end {
            if self.is_full() {
                return Ok(Some(number));
            }
            let Some(file) = manifest.file(number, manifest_file) else { break };
            if !scan.is_needed(&file) {
                continue;
            }
            let partition = file.partition_number();
            let (Some(cached), Some(tuple)) = (partitions.get_mut(partition), tuples.get(partition)) else {
                continue;
            };
            let cached =
                cached.get_or_insert_with(|| spec.assess_partition(deletes, manifest_file.spec_id, tuple));
            let Some(of_partition) = cached else { continue };
            if !inclusive_metrics::might_match(&of_partition.filter, &file) {
                continue;
            }
            if file.content() != FileContent::Data {
                return Err(ScanError::Damaged(format!(
                    "the manifest `{}` of data files lists the delete file `{}`",
                    manifest_file.path,
                    file.path()
                )));
            }
            found.clear();
            deletes.find(&file, of_partition.deletes, &mut found)?;
            if found.is_empty() {
                self.rows = self.rows.saturating_add(file.record_count().max(0));
            }
            let before = self.tasks.len();
            self.add_task(scan, deletes, &file, of_partition, &found);
            if is_first {
                is_first = false;
                // Reserves memory for the remaining tasks, which are likely to be of similar size, to avoid
                // copying a growing buffer repeatedly.
                let task_bytes = self.tasks.len() - before + 16;
                let room = PAGE_BYTES.saturating_sub(self.tasks.len());
                self.tasks.reserve(task_bytes.saturating_mul(end - number).min(room));
            }
            if self.is_satisfied(scan) {
                break;
            }
        }
        Ok(None)
    }

    /// Returns `true` if the page is so large that the rest belongs on another page. The number of files
    /// alone is no limit, because a long residual filter is repeated for every file.
    pub fn is_full(&self) -> bool {
        self.tasks.len() + self.delete_files.len() >= PAGE_BYTES
    }

    /// Returns `true` if the planned files have as many rows as the client requested (`min-rows-requested`).
    pub fn is_satisfied(&self, scan: &Scan) -> bool {
        // Rows that a filter or a delete may remove do not count.
        matches!(scan.filter, Bound::True) && scan.rows_min.is_some_and(|rows| self.rows >= rows)
    }

    /// Returns the number of file scan tasks.
    pub fn tasks(&self) -> usize {
        self.tasks_count
    }

    /// Returns the page as a JSON object: the tasks, then the delete files, then `plan_tasks`, then `tail`,
    /// such as `,"status":"completed"`.
    ///
    /// The tasks are first because they are large and already serialised, so they are not copied.
    pub fn into_json(self, tail: &str, plan_tasks: &[String]) -> Vec<u8> {
        let mut out = self.tasks;
        if self.tasks_count == 0 {
            out.extend_from_slice(TASKS);
        }
        // Reserves the exact size, because growth would double the buffer for a small remainder.
        let names_bytes = plan_tasks.iter().map(|task| task.len() + 3).sum::<usize>();
        out.reserve_exact(self.delete_files.len() + names_bytes + tail.len() + ENVELOPE_BYTES);
        // Clients refuse delete files without a task that refers to them.
        if self.tasks_count > 0 && !self.references.is_empty() {
            out.extend_from_slice(b"],\"delete-files\":[");
            out.extend_from_slice(&self.delete_files);
        }
        out.extend_from_slice(b"],\"plan-tasks\":");
        json::push_strings(&mut out, plan_tasks);
        out.extend_from_slice(tail.as_bytes());
        out.push(b'}');
        out
    }

    fn add_task(
        &mut self,
        scan: &Scan,
        deletes: &DeleteIndex,
        file: &File<'_>,
        of_partition: &OfPartition<'_>,
        found: &[usize],
    ) {
        self.tasks.extend_from_slice(if self.tasks_count == 0 { TASKS } else { b"," });
        self.tasks_count += 1;
        self.tasks.extend_from_slice(b"{\"data-file\":");
        json::push_file(&mut self.tasks, file, &of_partition.partition, &scan.stats_ids);
        let mut separator: &[u8] = b",\"delete-file-references\":[";
        for number in found {
            self.tasks.extend_from_slice(separator);
            separator = b",";
            let reference = self.reference(scan, deletes, *number);
            json::push_number(&mut self.tasks, reference);
        }
        if !found.is_empty() {
            self.tasks.push(b']');
        }
        // Always present: clients interpret a missing residual as `true`, or fail.
        self.tasks.extend_from_slice(b",\"residual-filter\":");
        match &of_partition.residual {
            Some(text) => self.tasks.extend_from_slice(text),
            None => of_partition.filter.push_json(&mut self.tasks),
        }
        self.tasks.push(b'}');
    }

    fn reference(&mut self, scan: &Scan, deletes: &DeleteIndex, number: usize) -> usize {
        let next = self.references.len();
        let reference = *self.references.entry(number).or_insert(next);
        if reference == next
            && let Some(file) = deletes.file(number)
        {
            if next > 0 {
                self.delete_files.push(b',');
            }
            json::push_file(&mut self.delete_files, &file, deletes.partition_json(number), &scan.stats_ids);
        }
        reference
    }
}

impl Scan {
    fn is_needed(&self, file: &File<'_>) -> bool {
        match &self.appended {
            Some(snapshots) => file.status() == Status::Added && snapshots.contains(&file.snapshot_id()),
            None => file.is_live(),
        }
    }
}

impl SpecScan {
    /// Returns the common properties of the files of a partition; `None` if no row of it can match.
    fn assess_partition<'a>(
        &self,
        deletes: &'a DeleteIndex,
        spec_id: i32,
        tuple: &PartitionTuple,
    ) -> Option<OfPartition<'a>> {
        if !partition::might_match(&self.partitions, tuple.as_slice()) {
            return None;
        }
        let residual = self.residuals.of(tuple.as_slice());
        if residual == Bound::False {
            return None;
        }
        let mut text = Vec::new();
        if residual.heap_bytes() <= RESIDUAL_HEAP_BYTES {
            residual.push_json(&mut text);
        }
        Some(OfPartition {
            deletes: deletes.of_partition(spec_id, tuple),
            partition: json::partition(tuple, &self.has_sources),
            residual: (1..=RESIDUAL_TEXT_BYTES).contains(&text.len()).then_some(text),
            filter: residual,
        })
    }
}
