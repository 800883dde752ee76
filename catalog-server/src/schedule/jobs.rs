//! Maintenance jobs: requests by callers, cancellation, and deletion after the retention.

use std::time::Duration;

use openapi::action::JobAction;
use serde_json::json;
use table_core::rewrite::policy::MaintenancePolicy;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::authz::Resource;
use crate::authz::action::Action;
use crate::catalog::access::{Forbidden, authorize};
use crate::catalog::mutations::audit::{AuditRecord, record};
use crate::catalog::names::{Identifier, Namespace};
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::id;
use crate::request::Request;
use crate::store::catalog::tabulars;
use crate::store::engine::error::StoreError;
use crate::store::ids::TabularId;
use crate::store::maintenance::jobs::{self, CancelJob, JobFilter, JobRow, JobState, NewJobRow, Runner};

use super::Schedule;
use super::automatic_job::MAINTENANCE;
use super::error::ScheduleError;
use super::job::MaintenanceJob;

/// Priority of jobs requested by callers: they precede all automatic jobs.
const PRIORITY_REQUESTED: i64 = i64::MAX;
/// Maximum number of jobs that are deleted in one transaction.
const FORGOTTEN_MAX: u64 = 1_000;
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_mins(10);
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

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
    ) -> Result<MaintenanceJob, ScheduleError> {
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
            reason: "requested",
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
        Ok(MaintenanceJob::new(&self.db, self.find_job(job_id).await?))
    }

    /// Returns the job with this id.
    ///
    /// # Errors
    ///
    /// Fails if there is no such job ([`ScheduleError::NoSuchJob`]) or the database fails
    /// ([`ScheduleError::Backend`]).
    pub async fn require_job(
        &self,
        request: &Request,
        job_id: Uuid,
    ) -> Result<MaintenanceJob, ScheduleError> {
        Ok(MaintenanceJob::new(&self.db, self.require_job_for(request, job_id, Action::LoadJob).await?))
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
    pub(super) fn authorize_server(&self, request: &Request, action: Action) -> Result<(), ScheduleError> {
        let missing = || Forbidden(format!("no permission to `{}`", action.as_str())).into();
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
        found.ok_or_else(|| ScheduleError::NoSuchJob(job_id.to_string()))
    }

    /// Returns up to `limit` jobs, newest first, optionally only those of a table or in a state, and only
    /// those with an id less than `before`.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist or the caller may not list its jobs ([`ScheduleError::Tabular`]), if
    /// the caller may not list all jobs ([`ScheduleError::Forbidden`]), or if the database fails
    /// ([`ScheduleError::Backend`]).
    pub async fn list_jobs(
        &self,
        request: &Request,
        table: Option<(&Warehouse, &Identifier)>,
        state: Option<JobState>,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<MaintenanceJob>, ScheduleError> {
        let tabular_id = if let Some((warehouse, identifier)) = table {
            let found = self.catalog.tables.require(request, warehouse, identifier, Action::ListJobs);
            Some(found.await?.tabular_id)
        } else {
            self.authorize_server(request, Action::ListJobs)?;
            None
        };
        let jobs = jobs::list(&self.db, JobFilter { tabular_id, state, before }, limit).await?;
        Ok(jobs.into_iter().map(|job| MaintenanceJob::new(&self.db, job)).collect())
    }

    /// Cancels a queued job, or requests the worker of a running one to stop.
    ///
    /// # Errors
    ///
    /// Fails if there is no such job ([`ScheduleError::NoSuchJob`]); if it has ended, or is run by the server
    /// itself ([`ScheduleError::Conflict`]); or if the database fails ([`ScheduleError::Backend`]).
    pub async fn cancel_job(&self, request: &Request, job_id: Uuid) -> Result<MaintenanceJob, ScheduleError> {
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
                    "job {job_id} cannot be cancelled: a `{}` always runs to its end, because the table was dropped",
                    job.action
                )));
            }
            CancelJob::Missing => return Err(ScheduleError::NoSuchJob(job_id.to_string())),
        }
        let change = job_change(Action::CancelJob, &job.table_name, job.tabular_id, (job_id, &job.action));
        record(&mut tx, request, change).await?;
        tx.commit().await?;
        Ok(MaintenanceJob::new(&self.db, self.find_job(job_id).await?))
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
