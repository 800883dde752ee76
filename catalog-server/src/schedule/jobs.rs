//! Maintenance jobs: requests by callers, leases to workers, heartbeats, announced files, and deletion after
//! the retention.

use std::time::Duration;

use openapi::action::JobAction;
use serde_json::{Value, json};
use table_core::location::{Location, file_key};
use table_core::metadata::file_name::is_metadata_file;
use table_core::rewrite::policy::MaintenancePolicy;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::authz::Resource;
use crate::authz::action::Action;
use crate::catalog::access::{Forbidden, authorize};
use crate::catalog::locations::ownership::Folders;
use crate::catalog::mutations::audit::{AuditRecord, record};
use crate::catalog::names::{Identifier, Namespace};
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::id;
use crate::request::Request;
use crate::store::catalog::tabulars;
use crate::store::engine::error::StoreError;
use crate::store::engine::tx::Tx;
use crate::store::ids::TabularId;
use crate::store::maintenance::candidates;
use crate::store::maintenance::jobs::{
    self, CancelJob, JobFilter, JobLease, JobRow, JobState, LeaseTerms, NewJobRow, Runner,
};

use super::Schedule;
use super::automatic::MAINTENANCE;
use super::error::ScheduleError;
use super::outcome::{Finished, Reported, TABLE_DROPPED, lost};

/// Member of a worker's progress with a note for the worker that takes the job over.
const NOTE: &str = "note";
/// Member of the result of a compaction with the files that could not be read.
const UNREADABLE: &str = "unreadable";
/// Only member that a note may have: the path of a copy of the table's metadata from before an expiry.
const NOTED_COPY: &str = "expiring";
/// Prefix of the file name of such a copy.
const COPY_PREFIX: &str = "expiring-";
/// Priority of jobs requested by callers: they precede all automatic jobs.
const PRIORITY_REQUESTED: i64 = i64::MAX;
/// Maximum number of attempts to lease a job: another worker may have leased a job of the same table at the
/// same time, or the table of the job was dropped.
const LEASE_TRIES: usize = 8;
/// Maximum number of jobs that are deleted in one transaction.
const FORGOTTEN_MAX: u64 = 1_000;
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_mins(10);
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Maximum number of files of a job that are announced and not settled: ten times the number that the largest
/// compaction has in progress.
const OUTPUTS_MAX: i64 = 100_000;
/// Maximum number of leftover files that are sent to a worker with a lease.
const LEFTOVERS_MAX: u32 = 100_000;

/// Job that was leased to a worker, with the data that it needs.
#[derive(Debug)]
pub struct Leased {
    /// Leased job.
    pub job: JobRow,
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

/// Full name of a table, including its warehouse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualifiedTable {
    /// Name of the warehouse.
    pub warehouse: String,
    /// Namespace and name of the table.
    pub identifier: Identifier,
}

impl Schedule {
    /// Queues a job on request of a caller. It runs as soon as a worker is free and the table is not paused.
    /// A queued automatic job of the same action is replaced, so that it runs earlier.
    ///
    /// `once` are settings that override the policies of the table for this job.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist or the warehouse is an as-of view; if another job of the action is
    /// running, or was queued by a caller ([`ScheduleError::Conflict`]); or if the database fails
    /// ([`ScheduleError::Backend`]).
    pub async fn queue_job(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        action: JobAction,
        once: Option<MaintenancePolicy>,
    ) -> Result<JobRow, ScheduleError> {
        let table = self.writable_table(request, warehouse, identifier, Action::QueueJob).await?;
        let mut once = once.unwrap_or_default().over(&MaintenancePolicy::by_hand());
        if action == JobAction::ExpireSnapshots {
            // An explicit request to expire snapshots includes those that the table was registered with.
            once.expire_snapshots.inherited.get_or_insert(true);
        }
        let applicable = self.applicable_to(warehouse, &identifier.namespace, table, Some(once)).await?;
        // Serialisation cannot fail: a policy consists of numbers and names.
        let options = serde_json::to_string(&applicable.policy).unwrap_or_default();
        let table_name = identifier.in_warehouse(&warehouse.name);
        let new = NewJobRow {
            job_id: id::ordered(),
            warehouse_id: warehouse.id,
            tabular_id: applicable.tabular_id,
            table_name: &table_name,
            action: action.as_str(),
            runner: Runner::Worker,
            options: &options,
            reason: "asked for",
            requested_by: request.caller.id(),
            priority: PRIORITY_REQUESTED,
            due_ms: 0,
        };
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let job_id = if jobs::queue::enqueue(&mut tx, &new).await? {
            new.job_id
        } else if let Some(job_id) = jobs::queue::take_over(&mut tx, &new, MAINTENANCE).await? {
            job_id
        } else {
            return Err(ScheduleError::Conflict(format!(
                "a job `{action}` of `{identifier}` is queued or running already"
            )));
        };
        let change =
            job_change(Action::QueueJob, new.table_name, applicable.tabular_id, (job_id, action.as_str()));
        record(&mut tx, request, change).await?;
        tx.commit().await?;
        self.find_job(job_id).await
    }

    /// Returns the job with this id.
    ///
    /// # Errors
    ///
    /// Fails if there is no such job ([`ScheduleError::NoSuchJob`]) or the database fails
    /// ([`ScheduleError::Backend`]).
    pub async fn require_job(&self, request: &Request, job_id: Uuid) -> Result<JobRow, ScheduleError> {
        self.require_job_for(request, job_id, Action::LoadJob).await
    }

    async fn require_job_for(
        &self,
        request: &Request,
        job_id: Uuid,
        action: Action,
    ) -> Result<JobRow, ScheduleError> {
        let job = self.find_job(job_id).await?;
        let missing = || ScheduleError::NoSuchJob(job_id.to_string());
        authorize(&self.catalog.authorizer, request, action, Resource::Job(job_id), missing)?;
        Ok(job)
    }

    /// Checks that the caller may do `action` on the server as a whole.
    fn authorize_server(&self, request: &Request, action: Action) -> Result<(), ScheduleError> {
        let missing = || Forbidden(format!("there is nothing to `{}` here", action.as_str())).into();
        authorize(&self.catalog.authorizer, request, action, Resource::Server, missing)
    }

    /// Checks that the caller may work on a job.
    pub(super) fn authorize_work(&self, request: &Request, job_id: Uuid) -> Result<(), ScheduleError> {
        let missing = || ScheduleError::NoSuchJob(job_id.to_string());
        authorize(&self.catalog.authorizer, request, Action::WorkOnJob, Resource::Job(job_id), missing)
    }

    /// Returns a job. It decides nothing about access.
    pub(super) async fn find_job(&self, job_id: Uuid) -> Result<JobRow, ScheduleError> {
        let found = jobs::find(&self.db, job_id).await?;
        let job = found.ok_or_else(|| ScheduleError::NoSuchJob(job_id.to_string()))?;
        Ok(self.by_the_clock(job))
    }

    /// Returns up to `limit` jobs, newest first, optionally only those of a table or in a state, and only
    /// those with an id less than `before`.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist or the database fails ([`ScheduleError::Backend`]).
    pub async fn list_jobs(
        &self,
        request: &Request,
        table: Option<(&Warehouse, &Identifier)>,
        state: Option<JobState>,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<JobRow>, ScheduleError> {
        let tabular_id = if let Some((warehouse, identifier)) = table {
            let found = self.catalog.tables.require(request, warehouse, identifier, Action::ListJobs);
            Some(found.await?.tabular_id)
        } else {
            self.authorize_server(request, Action::ListJobs)?;
            None
        };
        let jobs = jobs::list(&self.db, JobFilter { tabular_id, state, before }, limit).await?;
        Ok(jobs.into_iter().map(|job| self.by_the_clock(job)).collect())
    }

    /// Converts the times of a job from catalog time to the clock, for display.
    pub(super) fn by_the_clock(&self, job: JobRow) -> JobRow {
        let clock_ms = |at_ms| self.db.clock_ms(at_ms);
        JobRow {
            created_ms: clock_ms(job.created_ms),
            due_ms: clock_ms(job.due_ms),
            lease_until_ms: job.lease_until_ms.map(clock_ms),
            started_ms: job.started_ms.map(clock_ms),
            finished_ms: job.finished_ms.map(clock_ms),
            ..job
        }
    }

    /// Cancels a queued job, or requests the worker of a running one to stop.
    ///
    /// # Errors
    ///
    /// Fails if there is no such job ([`ScheduleError::NoSuchJob`]); if it has ended, or is run by the server
    /// itself ([`ScheduleError::Conflict`]); or if the database fails ([`ScheduleError::Backend`]).
    pub async fn cancel_job(&self, request: &Request, job_id: Uuid) -> Result<JobRow, ScheduleError> {
        let job = self.require_job_for(request, job_id, Action::CancelJob).await?;
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        match jobs::queue::cancel(&mut tx, job_id).await? {
            CancelJob::Cancelled | CancelJob::Wanted => {}
            CancelJob::Over => {
                return Err(ScheduleError::Conflict(format!(
                    "job {job_id} has ended: {}",
                    job.state.as_str()
                )));
            }
            CancelJob::OfServer => {
                return Err(ScheduleError::Conflict(format!(
                    "job {job_id} cannot be cancelled: the server runs `{}` to the end, because the table is dropped already",
                    job.action
                )));
            }
            CancelJob::Missing => return Err(ScheduleError::NoSuchJob(job_id.to_string())),
        }
        let change = job_change(Action::CancelJob, &job.table_name, job.tabular_id, (job_id, &job.action));
        record(&mut tx, request, change).await?;
        tx.commit().await?;
        self.find_job(job_id).await
    }

    /// Leases the next job to `worker`, of a table that is not paused. Jobs of tables that were dropped are
    /// ended as failed. Returns `None` if no job is due.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`ScheduleError::Backend`]), or the
    /// warehouse of the table cannot be loaded.
    pub async fn lease_job(&self, request: &Request, worker: &str) -> Result<Option<Leased>, ScheduleError> {
        self.authorize_server(request, Action::LeaseJob)?;
        for _ in 0..LEASE_TRIES {
            let Some(job) = self.try_lease(worker).await? else { return Ok(None) };
            if let Some(table) = self.name_of(&job).await? {
                let unreadable = self.unreadable(&job).await?;
                let folders = self.catalog.locations.claimed_folders(job.tabular_id.0).await?;
                let leftovers = self.leftovers(&job, &folders).await?;
                let warehouse = self.catalog.warehouses.find_unauthorized(&table.warehouse).await?;
                let job = without_foreign_note(job, &folders);
                let warehouse_location = warehouse.location.normal().to_owned();
                return Ok(Some(Leased { job, table, leftovers, unreadable, warehouse_location, folders }));
            }
            let gone = Finished::Failed(TABLE_DROPPED.to_owned(), None);
            self.end_job(held(&job, worker), gone).await?;
        }
        Ok(None)
    }

    /// Returns the files that the last compaction of the table could not read, for an automatic job. A job
    /// requested by a caller tries all files again.
    async fn unreadable(&self, job: &JobRow) -> Result<Option<Value>, ScheduleError> {
        if job.requested_by != MAINTENANCE {
            return Ok(None);
        }
        let told = candidates::find_result(&self.db, job.tabular_id, JobAction::Compact.as_str()).await?;
        let told = told.and_then(|told| serde_json::from_str::<Value>(&told).ok());
        Ok(told.and_then(|mut told| told.get_mut(UNREADABLE).map(Value::take)))
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
        let told = jobs::lease::find_unfinished(tx, &job).await?;
        let told = told.and_then(|told| serde_json::from_str::<Value>(&told).ok());
        let Some(note) = told.as_ref().and_then(|told| told.get(NOTE)) else { return Ok(job) };
        let progress = json!({ NOTE: note }).to_string();
        jobs::lease::extend(tx, held(&job, worker), self.lease_ms(), (Some(&progress), None)).await?;
        Ok(JobRow { progress: Some(progress), ..job })
    }

    /// Returns the files in the table's own folders that previous attempts were about to write. The records
    /// of other files are deleted: the table may have lost a folder since they were announced, or a server
    /// without this check accepted them.
    async fn leftovers(&self, job: &JobRow, folders: &Folders) -> Result<Vec<String>, ScheduleError> {
        let told = jobs::outputs::list_outputs(&self.db, job.job_id, job.attempt, "", LEFTOVERS_MAX).await?;
        let (own, foreign): (Vec<_>, Vec<_>) = told.into_iter().partition(|path| is_output(folders, path));
        if !foreign.is_empty() {
            tracing::warn!(job.id = %job.job_id, count = foreign.len(), "files that are not the table's own stay as they are");
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            jobs::outputs::forget_outputs(&mut tx, job.job_id, &foreign).await?;
            tx.commit().await?;
        }
        Ok(own)
    }

    /// Returns the job of a lease. Fails if the job is no longer leased to this attempt.
    pub(super) async fn require_leased(&self, lease: JobLease<'_>) -> Result<JobRow, ScheduleError> {
        let job = self.find_job(lease.job_id).await?;
        let is_leased = job.state == JobState::Running
            && job.runner == lease.runner
            && job.attempt == lease.attempt
            && job.worker.as_deref() == Some(lease.worker);
        if is_leased { Ok(job) } else { Err(lost(lease)) }
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
        lease: JobLease<'_>,
        reported: &Reported,
    ) -> Result<bool, ScheduleError> {
        self.authorize_work(request, lease.job_id)?;
        if let Some(note) = reported.progress.as_deref().and_then(note_in) {
            let job = self.require_leased(lease).await?;
            let folders = self.catalog.locations.claimed_folders(job.tabular_id.0).await?;
            if !is_own_note(&folders, &note) {
                return Err(ScheduleError::Invalid(
                    "Invalid note: it may only name a copy of the table's metadata in a folder that is the table's own"
                        .to_owned(),
                ));
            }
        }
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let stored = (reported.progress.as_deref(), reported.result.as_deref());
        let cancel = jobs::lease::extend(&mut tx, lease, self.lease_ms(), stored).await?;
        tx.commit().await?;
        cancel.ok_or_else(|| lost(lease))
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
        lease: JobLease<'_>,
        add: &[String],
        forget: &[String],
    ) -> Result<(), ScheduleError> {
        self.authorize_work(request, lease.job_id)?;
        if !add.is_empty() {
            let job = self.require_leased(lease).await?;
            let folders = self.catalog.locations.claimed_folders(job.tabular_id.0).await?;
            if let Some(foreign) = add.iter().find(|path| !is_output(&folders, path)) {
                return Err(ScheduleError::Invalid(format!(
                    "Invalid output `{foreign}`: it does not lie in a folder that is the table's own, or is named as metadata"
                )));
            }
        }
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        // This is also called without files to add, because it checks that the job is still leased to this
        // attempt.
        if !jobs::outputs::add_outputs(&mut tx, lease, add).await? {
            return Err(lost(lease));
        }
        if !add.is_empty() && jobs::outputs::count_outputs(&mut tx, lease.job_id).await? > OUTPUTS_MAX {
            return Err(ScheduleError::Conflict(format!(
                "job {} has more than {OUTPUTS_MAX} files that are neither committed nor deleted; end it",
                lease.job_id
            )));
        }
        jobs::outputs::forget_outputs(&mut tx, lease.job_id, forget).await?;
        Ok(tx.commit().await?)
    }

    /// Deletes jobs whose retention has expired, until `stop` is cancelled.
    pub async fn run_housekeeping(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.forget_old_jobs().await {
                Ok(FORGOTTEN_MAX) => continue,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "cannot delete old maintenance jobs; trying again"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(HOUSEKEEPING_INTERVAL) => {}
            }
        }
    }

    async fn forget_old_jobs(&self) -> Result<u64, StoreError> {
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let before_ms = tx.at_ms() - DAY_MS * i64::from(self.settings.history_days);
        let pruned =
            jobs::prune::prune(&mut tx, before_ms, u32::try_from(FORGOTTEN_MAX).unwrap_or(u32::MAX)).await?;
        tx.commit().await?;
        Ok(pruned)
    }

    pub(super) async fn name_of(&self, job: &JobRow) -> Result<Option<QualifiedTable>, ScheduleError> {
        let Some(name) = tabulars::find_name(&self.db, job.tabular_id).await? else { return Ok(None) };
        let namespace = Namespace::from_path(&name.namespace_path)?;
        Ok(Some(QualifiedTable {
            warehouse: name.warehouse,
            identifier: Identifier::new(namespace, name.name)?,
        }))
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
    tracing::warn!(job.id = %job.job_id, "a former job's note names what is not the table's own; it is not passed on");
    JobRow { progress: None, ..job }
}

/// Returns the audit record of a change of a job. `table` starts with the name of the warehouse.
fn job_change<'a>(
    action: Action,
    table: &'a str,
    tabular_id: TabularId,
    (job_id, what): (Uuid, &str),
) -> AuditRecord<'a> {
    let (warehouse, name) = table.split_once('/').unwrap_or(("", table));
    let detail = json!({ "job-id": job_id, "action": what });
    AuditRecord { action, kind: "table", name: name.to_owned(), id: tabular_id.0, warehouse, detail }
}

/// Returns the lease of a job.
fn held<'a>(job: &JobRow, worker: &'a str) -> JobLease<'a> {
    JobLease { runner: Runner::Worker, job_id: job.job_id, worker, attempt: job.attempt }
}
