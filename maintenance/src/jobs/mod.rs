//! What is done to a table, one file a job. A job plans, does the work, and commits; it does not know who wanted it.
//!
//! A job is a plain function that runs on a thread of its own, from the start to the end.

pub mod compact;
mod convert;
pub mod evaluate;
pub mod expire;
pub mod manifests;
mod remap;
pub mod unreadable;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use openapi::maintenance::UnreadableFile;
use serde_json::Value as Json;
use table_core::metadata::snapshot::MAIN_BRANCH;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::policy::Policy;
use table_core::rewrite::publish::Unpublished;
use table_core::snapshot::change::Change;
use table_core::snapshot::commit::{Context, NewSnapshot};
use table_core::snapshot::plan::Plan;
use table_core::text::count;
use uuid::Uuid;

use crate::budget::Budget;
use crate::catalog::Catalog;
use crate::client::{ClientError, Committed};
use crate::error::JobError;
use crate::files::{Files, Usage};
use crate::host::{Host, Outputs};
use crate::table::{Shown, show};

/// Where time and identifiers come from.
#[derive(Clone)]
pub struct Outside {
    /// Milliseconds since 1970.
    pub now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// A new random identifier.
    pub uuid: Arc<dyn Fn() -> Uuid + Send + Sync>,
}

/// All that a job works with.
pub struct Work<'a> {
    /// The table.
    pub catalog: &'a Catalog,
    /// What is wanted for it.
    pub policy: &'a Policy,
    /// Its files.
    pub files: &'a Files,
    /// What it may take.
    pub budget: &'a Budget,
    /// Time and identifiers.
    pub outside: &'a Outside,
    /// Whoever wants it done.
    pub host: &'a dyn Host,
    /// What a former attempt noted.
    pub note: Option<Json>,
    /// Files of the table that could not be read before.
    pub unreadable: Vec<UnreadableFile>,
}

/// How often a commit is tried again because others were faster.
const ATTEMPTS_MAX: u32 = 16;

/// What a job did, for people and programs.
#[derive(Debug, Default, Clone)]
pub struct Report {
    /// Whether anything was committed.
    pub committed: bool,
    /// The snapshots that were made.
    pub snapshot_ids: Vec<i64>,
    /// Numbers such as `files-rewritten`, in the order they came up.
    pub numbers: Vec<(String, i64)>,
    /// What was left alone, and why; so many bytes of it, and how much more there is.
    left: Vec<String>,
    left_bytes: usize,
    left_untold: u64,
    /// Files of the table that could not be read.
    pub unreadable: Vec<UnreadableFile>,
}

/// How much is told of what was left alone: a table may have very many groups, and the catalog keeps no longer result.
const LEFT_MAX: usize = 200;
const LEFT_BYTES_MAX: usize = 64 << 10;
/// How much is told of files that could not be read, and about how long one is beside its path and what is wrong with it.
const UNREADABLE_BYTES_MAX: usize = 128 << 10;
const UNREADABLE_OTHER_BYTES: usize = 150;

/// What became of a new snapshot.
enum Attempt {
    Done,
    Lost,
}

impl fmt::Debug for Outside {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Outside").finish_non_exhaustive()
    }
}

impl Work<'_> {
    /// What a snapshot of `main` takes from outside.
    fn context(&self, commit_uuid: Uuid, attempt: u32) -> Context {
        Context {
            branch: MAIN_BRANCH.to_owned(),
            snapshot_id: snapshot_id((self.outside.uuid)()),
            commit_uuid,
            attempt,
            now_ms: (self.outside.now_ms)(),
        }
    }

    /// Why `main` is not to be rewritten at the moment: commits beside it wait to be published. `None` if nothing speaks against it.
    fn unpublished(&self, metadata: &TableMetadata) -> Result<Option<Unpublished>, JobError> {
        Ok(self.policy.unpublished(metadata, (self.outside.now_ms)())?)
    }

    /// Plans a snapshot that makes a change to the table as it is.
    fn plan(
        &self,
        metadata: &TableMetadata,
        change: &Change,
        context: Context,
    ) -> Result<NewSnapshot, JobError> {
        let mut plan = Plan::new(metadata, change, context)?;
        show(self.files, &mut plan, Plan::wanted, |plan, shown| {
            match shown {
                Shown::List(path, lines) => plan.give_list(path, lines?)?,
                Shown::Manifest(path, manifest) => plan.give_manifest(path, &manifest?)?,
            }
            Ok(())
        })?;
        Ok(plan.finish()?)
    }

    /// Writes a snapshot's files and commits it. The files of a lost race are deleted again.
    fn commit(&self, outputs: &Outputs<'_>, new: &NewSnapshot) -> Result<Attempt, JobError> {
        let locations: Vec<String> = new.files.iter().map(|(location, _)| location.clone()).collect();
        outputs.announce(&locations)?;
        for (location, content) in &new.files {
            self.files.write(location, content)?;
        }
        match self.catalog.commit(new.body.as_str()) {
            Ok(Committed::Done(_)) => outputs.settle(&locations),
            Ok(Committed::Unknown(error)) => {
                // The answer was lost; what the table says now is the answer, if it says yes.
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
    /// Goes on from what an attempt before told of itself, as [`Report::to_json`].
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

    /// Adds what it took.
    pub fn add_usage(&mut self, usage: Usage) {
        self.add("requests", usage.requests);
        self.add("bytes-read", usage.bytes_read);
        self.add("bytes-written", usage.bytes_written);
    }

    /// Tells of something that was left alone. Of very much only how much it is.
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

    /// Tells which files could not be read, and keeps as many of them for the next job as the catalog takes.
    fn tell_unreadable(&mut self, files: Vec<UnreadableFile>) {
        // Before all else: very many groups may have been left.
        self.left.splice(0..0, unreadable::told(&files));
        let mut bytes = 0;
        let fits = |file: &UnreadableFile| {
            bytes += file.path.len() + file.why.len() + UNREADABLE_OTHER_BYTES;
            bytes <= UNREADABLE_BYTES_MAX
        };
        self.unreadable = files.into_iter().take_while(fits).collect();
    }

    /// Tells what was to be deleted and is not the table's own.
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

    /// What was left alone, and why.
    pub fn left(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let untold = (self.left_untold > 0).then(|| format!("{} more, for such reasons", self.left_untold));
        self.left.iter().map(|left| Cow::Borrowed(left.as_str())).chain(untold.map(Cow::Owned))
    }

    /// Whether there is anything to be told of it.
    pub fn is_worth_telling(&self) -> bool {
        self.committed || self.left().next().is_some()
    }

    /// As JSON, with the numbers by name.
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

/// A positive number that the table does not have yet.
fn snapshot_id(uuid: Uuid) -> i64 {
    let (high, low) = uuid.as_u64_pair();
    i64::try_from((high ^ low) & (i64::MAX as u64)).unwrap_or(1).max(1)
}
