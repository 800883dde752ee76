//! Report of what a job did: commits, counts, and what was skipped. It decides nothing.

use std::borrow::Cow;

use openapi::worker::UnreadableFile;
use serde_json::{Map, Value as Json, json};
use table_core::metadata::table::TableMetadata;
use table_core::text::count;

use crate::files::JobFiles;

/// Report of what a job did, for users and programs.
#[derive(Debug, Default, Clone)]
pub struct JobReport {
    /// `true` if the job has committed a change.
    pub committed: bool,
    /// Ids of the snapshots that the job committed.
    pub snapshot_ids: Vec<i64>,
    /// Counts by name, such as `files-rewritten`, in the order in which they were first added.
    pub numbers: Vec<(String, i64)>,
    /// Descriptions of what was skipped and why. `skipped_bytes` is their total length, and `omitted` the
    /// number of further ones, which are not stored.
    skipped: Vec<String>,
    skipped_bytes: usize,
    omitted: u64,
    /// Commit that was sent, and whose outcome is not known.
    pending: Option<CommitRecord>,
    /// Files of the table that could not be read.
    pub unreadable: Vec<UnreadableFile>,
}

/// Change of a table by one commit, as it is added to a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRecord {
    /// Evidence of the commit in the table; `None` if there is none.
    evidence: Option<Evidence>,
    /// Counts by name.
    counts: Vec<(String, i64)>,
}

/// Snapshot by which it can be seen in a table that a commit was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The commit adds the snapshot with this id.
    Added(i64),
    /// The commit removes the snapshot with this id.
    Removed(i64),
}

const ADDED: &str = "added-snapshot-id";
const REMOVED: &str = "removed-snapshot-id";

/// Maximum number and total length of descriptions of what was skipped. A table may have very many groups,
/// and the catalog limits the size of a result.
const SKIPPED_MAX: usize = 200;
const SKIPPED_BYTES_MAX: usize = 64 << 10;
/// Maximum size of the descriptions of unreadable files in bytes, and approximate size of one in addition to
/// its path and reason.
const UNREADABLE_BYTES_MAX: usize = 128 << 10;
const UNREADABLE_OTHER_BYTES: usize = 150;
/// Maximum number of unreadable files that are named in a text for users.
const UNREADABLE_NAMED_MAX: usize = 3;

impl JobReport {
    /// Resumes the report of an earlier attempt from the JSON that [`JobReport::to_json`] returned.
    pub fn resume(earlier: &Json) -> JobReport {
        let mut report = JobReport {
            committed: earlier["committed"].as_bool().unwrap_or(false),
            snapshot_ids: earlier["snapshot-ids"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Json::as_i64)
                .collect(),
            ..JobReport::default()
        };
        for (name, number) in counts(&earlier["numbers"]) {
            report.add(&name, number);
        }
        report.pending = CommitRecord::from_json(&earlier["pending"]);
        report
    }

    /// Adds to a count. The name is in the plural, in kebab case.
    pub fn add(&mut self, name: &str, number: impl TryInto<i64>) {
        let number = number.try_into().unwrap_or(i64::MAX);
        match self.numbers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum = sum.saturating_add(number),
            None => self.numbers.push((name.to_owned(), number)),
        }
    }

    /// Begins a commit. It is not counted until [`JobReport::end_commit`].
    pub fn begin_commit(&mut self, record: CommitRecord) {
        self.pending = Some(record);
    }

    /// Removes the commit that was begun, because it was not made.
    pub fn abort_commit(&mut self) {
        self.pending = None;
    }

    /// Adds the commit that was begun, because it was made.
    pub fn end_commit(&mut self) {
        let Some(CommitRecord { evidence, counts }) = self.pending.take() else { return };
        self.committed = true;
        if let Some(Evidence::Added(snapshot_id)) = evidence {
            self.snapshot_ids.push(snapshot_id);
        }
        for (name, number) in counts {
            self.add(&name, number);
        }
    }

    /// Returns `true` if a commit was begun whose outcome is not known.
    pub fn has_pending_commit(&self) -> bool {
        self.pending.is_some()
    }

    /// Returns `true` if the table shows that the commit that was begun was made.
    pub fn is_made(&self, metadata: &TableMetadata) -> bool {
        match self.pending.as_ref().and_then(|pending| pending.evidence) {
            Some(Evidence::Added(snapshot_id)) => metadata.snapshot(snapshot_id).is_some(),
            Some(Evidence::Removed(snapshot_id)) => metadata.snapshot(snapshot_id).is_none(),
            None => false,
        }
    }

    /// Adds the number of requests to files, and the amount of transferred data.
    pub fn add_usage(&mut self, usage: storage::metered::Usage) {
        self.add("requests", usage.requests);
        self.add("bytes-read", usage.bytes_read);
        self.add("bytes-written", usage.bytes_written);
    }

    /// Adds a description of something that was skipped. Beyond a limit, only their number is counted.
    pub fn skip(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        let is_full =
            self.skipped.len() >= SKIPPED_MAX || self.skipped_bytes + reason.len() > SKIPPED_BYTES_MAX;
        if is_full {
            self.omitted += 1;
        } else {
            self.skipped_bytes += reason.len();
            self.skipped.push(reason);
        }
    }

    /// Adds the files that could not be read, as many as the catalog can store for the next job.
    pub fn set_unreadable(&mut self, files: Vec<UnreadableFile>) {
        // They come first, because very many groups may have been skipped.
        self.skipped.splice(0..0, describe_unreadable(&files));
        let mut bytes = 0;
        let fits = |file: &UnreadableFile| {
            bytes += file.path.len() + file.reason.len() + UNREADABLE_OTHER_BYTES;
            bytes <= UNREADABLE_BYTES_MAX
        };
        self.unreadable = files.into_iter().take_while(fits).collect();
    }

    /// Adds the number of files that were to be deleted but are not in the table's own folders.
    pub fn add_not_own(&mut self, files: &JobFiles) {
        if files.not_own() > 0 {
            let files = count(
                files.not_own(),
                "file outside of the table's folders is not deleted",
                "files outside of the table's folders are not deleted",
            );
            self.skipped.push(files);
        }
    }

    /// Returns the descriptions of what was skipped and why.
    pub fn skipped(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let omitted = (self.omitted > 0).then(|| format!("{} more for similar reasons", self.omitted));
        self.skipped.iter().map(|skipped| Cow::Borrowed(skipped.as_str())).chain(omitted.map(Cow::Owned))
    }

    /// Returns `true` if nothing was committed or skipped.
    pub fn is_empty(&self) -> bool {
        !self.committed && self.pending.is_none() && self.skipped().next().is_none()
    }

    /// Returns the report as JSON, with the counts by name.
    pub fn to_json(&self) -> Json {
        let mut json = json!({
            "committed": self.committed, "snapshot-ids": self.snapshot_ids,
            "numbers": counts_json(&self.numbers), "skipped": self.skipped().collect::<Vec<_>>(),
        });
        if let Some(pending) = &self.pending {
            json["pending"] = pending.to_json();
        }
        if !self.unreadable.is_empty() {
            json["unreadable"] = json!(self.unreadable);
        }
        json
    }
}

impl CommitRecord {
    /// Creates the record of a commit.
    pub fn new(evidence: Option<Evidence>, counts: &[(&str, i64)]) -> CommitRecord {
        let counts = counts.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        CommitRecord { evidence, counts }
    }

    /// Returns the record of the JSON that [`CommitRecord::to_json`] returned.
    fn from_json(json: &Json) -> Option<CommitRecord> {
        let added = json[ADDED].as_i64().map(Evidence::Added);
        let evidence = added.or_else(|| json[REMOVED].as_i64().map(Evidence::Removed));
        json.is_object().then(|| CommitRecord { evidence, counts: counts(&json["numbers"]).collect() })
    }

    fn to_json(&self) -> Json {
        let mut json = json!({ "numbers": counts_json(&self.counts) });
        match self.evidence {
            Some(Evidence::Added(snapshot_id)) => json[ADDED] = snapshot_id.into(),
            Some(Evidence::Removed(snapshot_id)) => json[REMOVED] = snapshot_id.into(),
            None => {}
        }
        json
    }
}

fn counts_json(counts: &[(String, i64)]) -> Map<String, Json> {
    counts.iter().map(|(name, number)| (name.clone(), (*number).into())).collect()
}

fn counts(json: &Json) -> impl Iterator<Item = (String, i64)> {
    let counts = json.as_object().into_iter().flatten();
    counts.map(|(name, number)| (name.clone(), number.as_i64().unwrap_or(0)))
}

/// Returns a text about files that cannot be read, for users; `None` if there are none.
pub fn describe_unreadable(files: &[UnreadableFile]) -> Option<String> {
    let named =
        files.iter().take(UNREADABLE_NAMED_MAX).map(|file| format!("`{}` ({})", file.path, file.reason));
    let named = named.collect::<Vec<_>>().join(", ");
    if files.is_empty() {
        return None;
    }
    let count = count(
        files.len() as u64,
        "file cannot be read and is skipped",
        "files cannot be read and are skipped",
    );
    Some(if files.len() <= UNREADABLE_NAMED_MAX {
        format!("{count}: {named}")
    } else {
        format!("{count}, such as {named}; the last compaction names all of them")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(record: CommitRecord) -> JobReport {
        let mut report = JobReport::default();
        report.begin_commit(record);
        report.end_commit();
        report
    }

    #[test]
    fn a_commit_is_counted_once_it_is_known_to_be_made() {
        let record = CommitRecord::new(Some(Evidence::Added(7)), &[("files-rewritten", 3)]);
        let mut report = committed(CommitRecord::new(Some(Evidence::Added(5)), &[("files-rewritten", 2)]));
        report.begin_commit(record);
        let mut resumed = JobReport::resume(&report.to_json());
        assert!(resumed.has_pending_commit());
        assert_eq!((resumed.snapshot_ids.clone(), resumed.numbers[0].1), (vec![5], 2));
        resumed.end_commit();
        assert_eq!((resumed.snapshot_ids.clone(), resumed.numbers[0].1), (vec![5, 7], 5));
        assert!(!JobReport::resume(&resumed.to_json()).has_pending_commit());

        report.abort_commit();
        assert_eq!((report.snapshot_ids, report.numbers[0].1), (vec![5], 2));
    }

    #[test]
    fn a_report_with_a_commit_of_unknown_outcome_is_not_empty() {
        let mut report = JobReport::default();
        assert!(report.is_empty());
        report.begin_commit(CommitRecord::new(Some(Evidence::Removed(7)), &[("snapshots-expired", 1)]));
        assert!(!report.is_empty());
        assert_eq!(
            report.to_json()["pending"],
            json!({ "removed-snapshot-id": 7, "numbers": { "snapshots-expired": 1 } })
        );
    }
}
