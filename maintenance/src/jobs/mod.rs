//! What is done to a table, one file a job. A job plans, does the work, and commits; it does not know who wanted it.

pub mod compact;
pub mod expire;

use serde::Serialize;
use table_core::snapshot::commit::NewSnapshot;
use uuid::Uuid;

use crate::client::{Client, Committed, TableName};
use crate::error::JobError;
use crate::files;

/// Where time and identifiers come from.
#[derive(Debug, Clone, Copy)]
pub struct Outside {
    /// Milliseconds since 1970.
    pub now_ms: fn() -> i64,
    /// A new random identifier.
    pub uuid: fn() -> Uuid,
}

/// How often a commit is tried again because others were faster.
const ATTEMPTS_MAX: u32 = 16;

/// What a job did, for people and programs.
#[derive(Debug, Default, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Whether anything was committed.
    pub committed: bool,
    /// The snapshots that were made.
    pub snapshot_ids: Vec<i64>,
    /// Numbers such as `files-rewritten`, in the order they came up.
    pub numbers: Vec<(&'static str, i64)>,
    /// What was left alone, and why.
    pub left: Vec<String>,
}

/// What became of a new snapshot.
enum Attempt {
    Done,
    Lost,
}

/// Writes a snapshot's files and commits it. The files of a lost race are deleted again.
async fn commit(client: &Client, name: &TableName, new: &NewSnapshot) -> Result<Attempt, JobError> {
    for (location, content) in &new.files {
        files::write(location, content)?;
    }
    let outcome = client.commit(name, new.body.as_str().to_owned()).await;
    match outcome {
        Ok(Committed::Done(_)) => Ok(Attempt::Done),
        Ok(Committed::Unknown(error)) => {
            // The answer was lost; what the table says now is the answer, if it says yes.
            let metadata = crate::table::load(client, name).await;
            match metadata {
                Ok(metadata) if metadata.snapshot(new.snapshot.id()).is_some() => Ok(Attempt::Done),
                _ => Err(JobError::OutcomeUnknown(error)),
            }
        }
        Ok(Committed::Lost(_)) => {
            discard(new);
            Ok(Attempt::Lost)
        }
        Err(error) => {
            discard(new);
            Err(error.into())
        }
    }
}

fn discard(new: &NewSnapshot) {
    delete_all(new.files.iter().map(|(location, _)| location.as_str()));
}

/// Deletes files that nothing names; one that stays is only told of.
fn delete_all<'a>(locations: impl Iterator<Item = &'a str>) -> i64 {
    let mut deleted = 0;
    for location in locations {
        match files::delete(location) {
            Ok(()) => deleted += 1,
            Err(error) => tracing::warn!(location, %error, "a file that is not needed stays behind"),
        }
    }
    deleted
}

/// A positive number that the table does not have yet.
fn snapshot_id(uuid: Uuid) -> i64 {
    let (high, low) = uuid.as_u64_pair();
    i64::try_from((high ^ low) & (i64::MAX as u64)).unwrap_or(1).max(1)
}
