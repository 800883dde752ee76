//! Maintenance jobs, one module per action. A job plans, does the work, and commits, independent of its
//! requester ([`Host`](crate::host::Host)).
//!
//! A job is a synchronous function that runs on a thread of its own.
//!
//! ```text
//! let mut report = Report::default();
//! let work = Work { catalog: &catalog, policy: &policy, files: &files, budget: &budget, … };
//! compact::run(&work, &mut report)?;
//! println!("{}", report.to_json());
//! ```

pub mod compact;
mod convert;
pub mod evaluate;
pub mod expire;
pub mod manifests;
mod remap;
pub mod unreadable;

use std::borrow::Cow;

use openapi::maintenance::UnreadableFile;
use serde_json::Value as Json;
use table_core::metadata::snapshot::MAIN_BRANCH;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::publish::Unpublished;
use table_core::snapshot::change::FileChange;
use table_core::snapshot::commit::NewSnapshot;
use table_core::snapshot::context::Context;
use table_core::snapshot::plan::SnapshotPlan;
use table_core::text::count;
use uuid::Uuid;

use crate::client::{ClientError, Committed};
use crate::context::Work;
use crate::error::JobError;
use crate::files::{Files, Usage};
use crate::host::Outputs;
use crate::table::{Fetched, feed};

/// Maximum number of attempts to commit in spite of concurrent commits.
const ATTEMPTS_MAX: u32 = 16;

/// Report of what a job did, for users and programs.
#[derive(Debug, Default, Clone)]
pub struct Report {
    /// `true` if the job has committed a change.
    pub committed: bool,
    /// Ids of the snapshots that the job committed.
    pub snapshot_ids: Vec<i64>,
    /// Counts by name, such as `files-rewritten`, in the order in which they were first added.
    pub numbers: Vec<(String, i64)>,
    /// Descriptions of what was skipped and why. `left_bytes` is their total length, and `left_untold` the
    /// number of further ones, which are not stored.
    left: Vec<String>,
    left_bytes: usize,
    left_untold: u64,
    /// Files of the table that could not be read.
    pub unreadable: Vec<UnreadableFile>,
}

/// Maximum number and total length of descriptions of what was skipped. A table may have very many groups,
/// and the catalog limits the size of a result.
const LEFT_MAX: usize = 200;
const LEFT_BYTES_MAX: usize = 64 << 10;
/// Maximum size of the descriptions of unreadable files in bytes, and approximate size of one in addition to
/// its path and reason.
const UNREADABLE_BYTES_MAX: usize = 128 << 10;
const UNREADABLE_OTHER_BYTES: usize = 150;

/// Outcome of committing a new snapshot: made, or lost to a concurrent commit.
enum Attempt {
    Done,
    Lost,
}

impl Work<'_> {
    /// Returns the external data of a new snapshot of `main`.
    fn context(&self, commit_uuid: Uuid, attempt: u32) -> Context {
        Context {
            branch: MAIN_BRANCH.to_owned(),
            snapshot_id: snapshot_id((self.outside.uuid)()),
            commit_uuid,
            attempt,
            now_ms: (self.outside.now_ms)(),
        }
    }

    /// Returns the unpublished commits because of which `main` must not be rewritten at the moment; `None` if
    /// there are none.
    fn unpublished(&self, metadata: &TableMetadata) -> Result<Option<Unpublished>, JobError> {
        Ok(self.policy.unpublished(metadata, (self.outside.now_ms)())?)
    }

    /// Plans a snapshot that applies a change to the current state of the table.
    fn plan(
        &self,
        metadata: &TableMetadata,
        change: &FileChange,
        context: Context,
    ) -> Result<NewSnapshot, JobError> {
        let mut plan = SnapshotPlan::new(metadata, change, context)?;
        feed(self.files, &mut plan, SnapshotPlan::needs, |plan, shown| {
            match shown {
                Fetched::List(path, lines) => plan.supply_list(path, lines?)?,
                Fetched::Manifest(path, manifest) => plan.supply_manifest(path, &manifest?)?,
            }
            Ok(())
        })?;
        Ok(plan.finish()?)
    }

    /// Writes the files of a snapshot and commits it. If the race is lost, the files are deleted.
    fn commit(&self, outputs: &Outputs<'_>, new: &NewSnapshot) -> Result<Attempt, JobError> {
        let locations: Vec<String> = new.files.iter().map(|(location, _)| location.clone()).collect();
        outputs.announce(&locations)?;
        for (location, content) in &new.files {
            self.files.write(location, content)?;
        }
        match self.catalog.commit(new.body.as_str()) {
            Ok(Committed::Done(_)) => outputs.settle(&locations),
            Ok(Committed::Unknown(error)) => {
                // The response was lost. The commit was made if the table contains the snapshot; otherwise
                // its outcome is unknown.
                match self.catalog.load() {
                    Ok(table) if table.metadata.snapshot(new.snapshot.id()).is_some() => {
                        outputs.settle(&locations);
                    }
                    _ => {
                        outputs.leave(&locations);
                        return Err(JobError::OutcomeUnknown(error));
                    }
                }
            }
            Ok(Committed::Lost(_)) => {
                outputs.discard(&locations);
                return Ok(Attempt::Lost);
            }
            Err(JobError::Catalog(ClientError::Refused { status: 412, message })) => {
                return Err(JobError::LeaseLost(message));
            }
            Err(error) => return Err(error),
        }
        Ok(Attempt::Done)
    }
}

impl Report {
    /// Resumes the report of an earlier attempt from the JSON that [`Report::to_json`] returned.
    pub fn resume(told: &Json) -> Report {
        let mut report = Report {
            committed: told["committed"].as_bool().unwrap_or(false),
            snapshot_ids: told["snapshot-ids"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Json::as_i64)
                .collect(),
            ..Report::default()
        };
        for (name, number) in told["numbers"].as_object().into_iter().flatten() {
            report.add(name, number.as_i64().unwrap_or(0));
        }
        report
    }

    fn add(&mut self, name: &str, number: impl TryInto<i64>) {
        let number = number.try_into().unwrap_or(i64::MAX);
        match self.numbers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum = sum.saturating_add(number),
            None => self.numbers.push((name.to_owned(), number)),
        }
    }

    /// Adds the number of requests to files, and the amount of transferred data.
    pub fn add_usage(&mut self, usage: Usage) {
        self.add("requests", usage.requests);
        self.add("bytes-read", usage.bytes_read);
        self.add("bytes-written", usage.bytes_written);
    }

    /// Adds a description of something that was skipped. Beyond a limit, only their number is counted.
    pub fn leave(&mut self, why: impl Into<String>) {
        let why = why.into();
        let is_full = self.left.len() >= LEFT_MAX || self.left_bytes + why.len() > LEFT_BYTES_MAX;
        if is_full {
            self.left_untold += 1;
        } else {
            self.left_bytes += why.len();
            self.left.push(why);
        }
    }

    /// Adds the files that could not be read, as many as the catalog can store for the next job.
    fn tell_unreadable(&mut self, files: Vec<UnreadableFile>) {
        // They come first, because very many groups may have been skipped.
        self.left.splice(0..0, unreadable::told(&files));
        let mut bytes = 0;
        let fits = |file: &UnreadableFile| {
            bytes += file.path.len() + file.why.len() + UNREADABLE_OTHER_BYTES;
            bytes <= UNREADABLE_BYTES_MAX
        };
        self.unreadable = files.into_iter().take_while(fits).collect();
    }

    /// Adds the number of files that were to be deleted but are not in the table's own folders.
    pub fn add_not_own(&mut self, files: &Files) {
        if files.not_own() > 0 {
            let files = count(
                files.not_own(),
                "file is not the table's own and stays",
                "files are not the table's own and stay",
            );
            self.left.push(files);
        }
    }

    /// Returns the descriptions of what was skipped and why.
    pub fn left(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let untold = (self.left_untold > 0).then(|| format!("{} more, for such reasons", self.left_untold));
        self.left.iter().map(|left| Cow::Borrowed(left.as_str())).chain(untold.map(Cow::Owned))
    }

    /// Returns `true` if anything was committed or skipped.
    pub fn is_worth_telling(&self) -> bool {
        self.committed || self.left().next().is_some()
    }

    /// Returns the report as JSON, with the counts by name.
    pub fn to_json(&self) -> Json {
        let numbers: serde_json::Map<String, Json> =
            self.numbers.iter().map(|(name, number)| (name.clone(), (*number).into())).collect();
        let mut json = serde_json::json!({
            "committed": self.committed, "snapshot-ids": self.snapshot_ids, "numbers": numbers,
            "left": self.left().collect::<Vec<_>>(),
        });
        if !self.unreadable.is_empty() {
            json["unreadable"] = serde_json::json!(self.unreadable);
        }
        json
    }
}

/// Returns a positive snapshot id that is unlikely to exist in the table.
fn snapshot_id(uuid: Uuid) -> i64 {
    let (high, low) = uuid.as_u64_pair();
    i64::try_from((high ^ low) & (i64::MAX as u64)).unwrap_or(1).max(1)
}
