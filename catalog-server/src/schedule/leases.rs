//! Leases of jobs to workers: heartbeats, announced files, and what a worker is told about its predecessors.

use openapi::action::JobAction;
use serde_json::{Value, json};
use table_core::location::{Location, file_key};
use table_core::metadata::file_name::is_metadata_file;

use crate::authz::action::Action;
use crate::catalog::locations::ownership::Folders;
use crate::request::Request;
use crate::store::engine::tx::Tx;
use crate::store::maintenance::candidates;
use crate::store::maintenance::jobs::{self, JobRow, LeaseTerms};

use super::Schedule;
use super::automatic_job::MAINTENANCE;
use super::error::ScheduleError;
use super::job::{MaintenanceJob, WorkerLease};
use super::jobs::QualifiedTable;
use super::outcome::{Finished, Reported, TABLE_DROPPED};

/// Member of a worker's progress with a note for the worker that takes the job over.
const NOTE: &str = "note";
/// Member of the result of a compaction with the files that could not be read.
const UNREADABLE: &str = "unreadable";
/// Only member that a note may have: the path of a copy of the table's metadata from before an expiry.
const NOTED_COPY: &str = "expiring";
/// Prefix of the file name of such a copy.
const COPY_PREFIX: &str = "expiring-";
/// Maximum number of attempts to lease a job: another worker may have leased a job of the same table at the
/// same time, or the table of the job was dropped.
const LEASE_TRIES: usize = 8;
/// Maximum number of files of a job that are announced and not settled: ten times the number that the largest
/// compaction has in progress.
const OUTPUTS_MAX: i64 = 100_000;
/// Maximum number of leftover files that are sent to a worker with a lease.
const LEFTOVERS_MAX: u32 = 100_000;

/// Job that was leased to a worker, with the data that it needs.
#[derive(Debug)]
pub struct Leased {
    /// Leased job.
    pub job: MaintenanceJob,
    /// Current full name of the table.
    pub table: QualifiedTable,
    /// Files that previous attempts were about to write, to be deleted by the worker.
    pub leftovers: Vec<String>,
    /// Files of the table that the last compaction could not read, as in its result.
    pub unreadable: Option<Value>,
    /// Base location of the warehouse of the table.
    pub warehouse_location: String,
    /// Folders that belong to the table alone.
    pub folders: Folders,
}

impl Schedule {
    /// Leases the next job to `worker`, of a table that is not paused. Jobs of tables that were dropped are
    /// ended as failed. Returns `None` if no job is due.
    ///
    /// # Errors
    ///
    /// Fails if the caller may not lease jobs ([`ScheduleError::Forbidden`]), if the warehouse of the table
    /// cannot be loaded ([`ScheduleError::Warehouse`]), or if the database fails ([`ScheduleError::Backend`]).
    pub async fn lease_job(&self, request: &Request, worker: &str) -> Result<Option<Leased>, ScheduleError> {
        self.authorize_server(request, Action::LeaseJob)?;
        for _ in 0..LEASE_TRIES {
            let Some(job) = self.try_lease(worker).await? else { return Ok(None) };
            if let Some(table) = self.name_of(&job).await? {
                let unreadable = self.unreadable(&job).await?;
                let folders = self.catalog.locations.claimed_folders(job.tabular_id.0).await?;
                let leftovers = self.leftovers(&job, &folders).await?;
                let warehouse = self.catalog.warehouses.find_unauthorized(&table.warehouse).await?;
                let job = MaintenanceJob::new(&self.db, without_foreign_note(job, &folders));
                let warehouse_location = warehouse.location.normal().to_owned();
                return Ok(Some(Leased { job, table, leftovers, unreadable, warehouse_location, folders }));
            }
            let gone = Finished::Failed(TABLE_DROPPED.to_owned(), None);
            self.end_job(WorkerLease::of(&job, worker), gone).await?;
        }
        Ok(None)
    }

    /// Returns the files that the last compaction of the table could not read, for an automatic job. A job
    /// requested by a caller tries all files again.
    async fn unreadable(&self, job: &JobRow) -> Result<Option<Value>, ScheduleError> {
        if job.requested_by != MAINTENANCE {
            return Ok(None);
        }
        let result = candidates::find_result(&self.db, job.tabular_id, JobAction::Compact.as_str()).await?;
        let result = result.and_then(|result| serde_json::from_str::<Value>(&result).ok());
        Ok(result.and_then(|mut result| result.get_mut(UNREADABLE).map(Value::take)))
    }

    async fn try_lease(&self, worker: &str) -> Result<Option<JobRow>, ScheduleError> {
        let terms = LeaseTerms {
            lease_ms: i64::from(self.settings.lease_ms),
            attempts_max: i64::from(self.settings.attempts_max),
        };
        retrying!(ScheduleError, LEASE_TRIES, async {
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            let job = match jobs::lease::lease(&mut tx, worker, terms).await? {
                Some(job) if job.attempt == 1 => Some(self.with_note(&mut tx, job, worker).await?),
                job => job,
            };
            tx.commit().await?;
            Ok(job)
        })
    }

    /// Adds the note of the previous job of the same action, if that did not succeed, to a job that was just
    /// leased for the first time.
    async fn with_note(&self, tx: &mut Tx, job: JobRow, worker: &str) -> Result<JobRow, ScheduleError> {
        let progress = jobs::lease::find_unfinished(tx, &job).await?;
        let progress = progress.and_then(|progress| serde_json::from_str::<Value>(&progress).ok());
        let Some(note) = progress.as_ref().and_then(|progress| progress.get(NOTE)) else { return Ok(job) };
        let progress = json!({ NOTE: note }).to_string();
        let lease = WorkerLease::of(&job, worker).stored();
        jobs::lease::extend(tx, lease, self.lease_ms(), (Some(&progress), None)).await?;
        Ok(JobRow { progress: Some(progress), ..job })
    }

    /// Returns the files in the table's own folders that previous attempts were about to write. The records
    /// of other files are deleted: the table may have lost a folder since they were announced, or a server
    /// without this check accepted them.
    async fn leftovers(&self, job: &JobRow, folders: &Folders) -> Result<Vec<String>, ScheduleError> {
        let paths = jobs::outputs::list_outputs(&self.db, job.job_id, job.attempt, "", LEFTOVERS_MAX).await?;
        let (own, foreign): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| is_output(folders, path));
        if !foreign.is_empty() {
            tracing::warn!(job.id = %job.job_id, count = foreign.len(), "output files outside of the table's folders are not deleted");
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            jobs::outputs::forget_outputs(&mut tx, job.job_id, &foreign).await?;
            tx.commit().await?;
        }
        Ok(own)
    }

    /// Returns the job of a lease. Fails if the job is no longer leased to this attempt.
    pub(super) async fn require_leased(&self, lease: WorkerLease<'_>) -> Result<JobRow, ScheduleError> {
        let job = self.find_job(lease.job_id).await?;
        if lease.holds(&job) { Ok(job) } else { Err(lease.lost()) }
    }

    /// Returns the duration of a lease without a heartbeat, in milliseconds.
    pub fn lease_ms(&self) -> i64 {
        i64::from(self.settings.lease_ms)
    }

    /// Extends a lease, and returns `true` if the job should stop because its cancellation was requested.
    ///
    /// # Errors
    ///
    /// Fails if the job is no longer leased to this attempt ([`ScheduleError::Conflict`]); if the progress
    /// contains a note that names a file outside of the table's own folders ([`ScheduleError::Invalid`]),
    /// because the worker that takes the job over will use it; or if the database fails
    /// ([`ScheduleError::Backend`]).
    pub async fn heartbeat(
        &self,
        request: &Request,
        lease: WorkerLease<'_>,
        reported: &Reported,
    ) -> Result<bool, ScheduleError> {
        self.authorize_work(request, lease.job_id)?;
        if let Some(note) = reported.progress.as_deref().and_then(note_in) {
            let job = self.require_leased(lease).await?;
            let folders = self.catalog.locations.claimed_folders(job.tabular_id.0).await?;
            if !is_own_note(&folders, &note) {
                return Err(ScheduleError::Invalid(
                    "Invalid note: it may only name a copy of the table's metadata in a folder of the table"
                        .to_owned(),
                ));
            }
        }
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let stored = (reported.progress.as_deref(), reported.result.as_deref());
        let cancel = jobs::lease::extend(&mut tx, lease.stored(), self.lease_ms(), stored).await?;
        tx.commit().await?;
        cancel.ok_or_else(|| lease.lost())
    }

    /// Records files that the worker is about to write (`add`), and deletes the records of files that it has
    /// settled (`forget`).
    ///
    /// # Errors
    ///
    /// Fails if the job is no longer leased to this attempt ([`ScheduleError::Conflict`]); if a file to add is
    /// not in the table's own folders, or is named as a metadata file ([`ScheduleError::Invalid`]), because
    /// announced files may be deleted if the worker dies; if too many files are announced and not settled
    /// ([`ScheduleError::Conflict`]); or if the database fails ([`ScheduleError::Backend`]).
    pub async fn register_outputs(
        &self,
        request: &Request,
        lease: WorkerLease<'_>,
        add: &[String],
        forget: &[String],
    ) -> Result<(), ScheduleError> {
        self.authorize_work(request, lease.job_id)?;
        if !add.is_empty() {
            let job = self.require_leased(lease).await?;
            let folders = self.catalog.locations.claimed_folders(job.tabular_id.0).await?;
            if let Some(foreign) = add.iter().find(|path| !is_output(&folders, path)) {
                return Err(ScheduleError::Invalid(format!(
                    "Invalid output `{foreign}`: it is not in a folder of the table, or has the name of a metadata file"
                )));
            }
        }
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        // This is also called without files to add, because it checks that the job is still leased to this
        // attempt.
        if !jobs::outputs::add_outputs(&mut tx, lease.stored(), add).await? {
            return Err(lease.lost());
        }
        if !add.is_empty() && jobs::outputs::count_outputs(&mut tx, lease.job_id).await? > OUTPUTS_MAX {
            return Err(ScheduleError::Conflict(format!(
                "job {} has more than {OUTPUTS_MAX} files that are neither committed nor deleted; finish the job",
                lease.job_id
            )));
        }
        jobs::outputs::forget_outputs(&mut tx, lease.job_id, forget).await?;
        Ok(tx.commit().await?)
    }
}

/// Returns `true` if a worker may write this file: it is in one of the table's own folders, and not a
/// metadata file, which only the catalog writes.
fn is_output(folders: &Folders, path: &str) -> bool {
    Location::parse_file(path).is_ok_and(|file| {
        let is_inside = |folder: &Location| folder.contains(&file) && *folder != file;
        folders.as_slice().iter().any(is_inside) && !is_metadata_file(file.normal())
    })
}

/// Returns the note in the progress of a worker.
fn note_in(progress: &str) -> Option<Value> {
    let mut progress = serde_json::from_str::<Value>(progress).ok()?;
    progress.get_mut(NOTE).map(Value::take).filter(|note| !note.is_null())
}

/// Returns `true` if a note names only a copy of the table's metadata in the table's own folders.
fn is_own_note(folders: &Folders, note: &Value) -> bool {
    let is_copy =
        |path: &str| file_key(path).rsplit('/').next().is_some_and(|name| name.starts_with(COPY_PREFIX));
    note.as_object().is_some_and(|note| {
        note.iter().all(|(name, value)| {
            name == NOTED_COPY && value.as_str().is_some_and(|path| is_copy(path) && is_output(folders, path))
        })
    })
}

/// Removes the progress of a job if its note names a file that is not the table's own. A server without this
/// check may have stored it.
fn without_foreign_note(job: JobRow, folders: &Folders) -> JobRow {
    let is_foreign =
        job.progress.as_deref().and_then(note_in).is_some_and(|note| !is_own_note(folders, &note));
    if !is_foreign {
        return job;
    }
    tracing::warn!(job.id = %job.job_id, "the note of an earlier job names a file outside of the table's folders; it is ignored");
    JobRow { progress: None, ..job }
}
