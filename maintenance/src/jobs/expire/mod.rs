//! Expiry of old snapshots, and deletion of the files that only they referred to.
//!
//! An interrupted clean-up can be resumed. Before the commit, the job copies the table's metadata and stores
//! the location of the copy in a checkpoint. The worker that continues the job, or the next expiry of the table,
//! searches again for files that only the removed snapshots referred to.

mod clean_up;
pub mod planning;

use serde_json::json;
use table_core::metadata::properties;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::expire::Expiry;

use self::clean_up::{COPY, clean_up, copy, take_up};
use self::planning::{describe, log_limit, plan};
use crate::catalog::Table;
use crate::commit::{Attempt, JobCommit, commit_until_settled};
use crate::context::JobContext;
use crate::control::{Progress, Unit};
use crate::error::JobError;
use crate::history::History;
use crate::output_ledger::OutputLedger;
use crate::report::{CommitRecord, Evidence, JobReport};

/// Expiry that was committed, with what its clean-up needs.
struct Expired {
    before: TableMetadata,
    after: TableMetadata,
    history: Option<History>,
    /// Location of the copy of the metadata before the expiry.
    copy: Option<String>,
}

/// Expires snapshots of a table, and limits the size of its metadata. `report` also contains what was done
/// before a failure.
///
/// # Errors
///
/// Fails if the expiry cannot be planned (see [`plan`]), if the job has to stop, if a commit is refused or
/// its outcome is unknown ([`JobError::OutcomeUnknown`]), if concurrent commits prevent every attempt
/// ([`JobError::LostRaces`]), or if a remaining manifest or manifest list cannot be read during the clean-up.
pub fn run(job: &JobContext<'_>, report: &mut JobReport) -> Result<(), JobError> {
    let outputs = OutputLedger::new(job.control, job.files);
    limit_log(job, &outputs, report)?;
    if let Some(copy) = job.checkpoint.as_ref().and_then(|checkpoint| checkpoint[COPY].as_str()) {
        take_up(job, copy, report)?;
    }
    let done = expire(job, &outputs, report);
    // A copy whose location was not stored in a checkpoint.
    outputs.delete_all();
    done
}

fn expire(job: &JobContext<'_>, outputs: &OutputLedger<'_>, report: &mut JobReport) -> Result<(), JobError> {
    let expired = commit_until_settled(job, |table, _| {
        job.control.check()?;
        let Table { metadata: before, location, .. } = table;
        let found = plan(job, &before)?;
        found.refusal.into_iter().for_each(|refusal| report.skip(refusal));
        let Some(due) = found.expiry else { return Ok(Attempt::Nothing) };
        job.control.progress(Progress {
            activity: format!("forgetting {}", describe(&due)),
            unit: Unit("file deleted", "files deleted"),
            ..Progress::default()
        });
        let copy = match &location {
            Some(location) if job.control.is_resumable() => Some(copy(job, outputs, &before, location)?),
            _ => None,
        };
        let commit = commit_without_files(due.body.as_str().to_owned(), record_of(&due));
        Ok(match job.commit(outputs, report, commit)? {
            Attempt::Committed(response) => {
                let (after, history) = if let Some(response) = response {
                    (TableMetadata::parse(response.metadata.get().as_bytes())?, found.history)
                } else {
                    // The response did not arrive, but the table shows that the commit was made. Others may have
                    // changed it since.
                    let after = job.catalog.load()?.metadata;
                    let history = job.catalog.history(&after, 0)?;
                    (after, history)
                };
                Attempt::Committed(Expired { before, after, history, copy })
            }
            Attempt::Lost => {
                outputs.delete(&copy);
                Attempt::Lost
            }
            Attempt::Reduced => Attempt::Reduced,
            Attempt::Nothing => Attempt::Nothing,
        })
    })?;
    if let Some(Expired { before, after, history, copy }) = expired {
        clean_up(job, &before, &after, history.as_ref(), report)?;
        outputs.delete(&copy);
    }
    Ok(())
}

/// Returns the record of an expiry for the report.
fn record_of(due: &Expiry) -> CommitRecord {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let counts = [
        ("snapshots-expired", number(due.snapshot_ids.len())),
        ("references-expired", number(due.references.len())),
        ("schemas-removed", number(due.schema_ids.len())),
    ];
    CommitRecord::new(due.snapshot_ids.first().copied().map(Evidence::Removed), &counts)
}

/// Sets the limit as a property of the table, because the catalog applies it with every commit.
fn limit_log(
    job: &JobContext<'_>,
    outputs: &OutputLedger<'_>,
    report: &mut JobReport,
) -> Result<(), JobError> {
    let limited = commit_until_settled(job, |table, _| {
        let metadata = table.metadata;
        let Some(limit) = log_limit(&metadata, job.policy) else { return Ok(Attempt::Nothing) };
        let properties = json!({ properties::PREVIOUS_VERSIONS_MAX: limit.to_string() });
        let body = json!({
            "requirements": [{ "type": "assert-table-uuid", "uuid": metadata.uuid() }],
            "updates": [{ "action": "set-properties", "updates": properties }],
        });
        let record = CommitRecord::new(None, &[("former-metadata-files-named", i64::from(limit))]);
        job.commit(outputs, report, commit_without_files(body.to_string(), record))
    });
    limited.map(drop)
}

fn commit_without_files(body: String, record: CommitRecord) -> JobCommit {
    JobCommit { body, attempt_files: Vec::new(), result_files: Vec::new(), record }
}
