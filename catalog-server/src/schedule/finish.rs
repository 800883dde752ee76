//! End of a job, and its consequences: jobs that an evaluation found to be due, and another evaluation of a
//! table that was changed during its evaluation.

use openapi::action::JobAction;
use uuid::Uuid;

use crate::catalog::backend::with_causes;
use crate::request::Request;
use crate::store::engine::error::StoreError;
use crate::store::engine::tx::Tx;
use crate::store::maintenance::candidates;
use crate::store::maintenance::jobs::{self, FinishedJob, JobOutcome, JobRow, JobState};

use super::Schedule;
use super::automatic_job::{AutomaticJob, DueTable, PRIORITY_EVALUATE};
use super::error::ScheduleError;
use super::job::WorkerLease;
use super::outcome::{Finished, Next, TABLE_DROPPED};

/// Number of evaluations of a table that remain in the history. A table that is written to continuously is
/// evaluated every minute, which would otherwise fill the history.
const EVALUATIONS_KEPT: u32 = 20;

/// Jobs to queue at the end of a job, as far as they can be determined before the transaction.
struct FollowUp {
    job: JobRow,
    table: DueTable,
    /// Actions that are due, each with its finished jobs.
    next: Vec<(Next, Vec<FinishedJob>)>,
    /// Previous evaluations, if the job is an evaluation.
    evaluations: Option<Vec<FinishedJob>>,
}

impl Schedule {
    /// Ends a job, and queues the actions that it found to be due, except for those that are queued or
    /// running already or disabled by a policy, and none if the table is paused.
    ///
    /// # Errors
    ///
    /// Fails if the job does not exist ([`ScheduleError::NoSuchJob`]) or is no longer leased to this attempt
    /// ([`ScheduleError::Conflict`]), or if the database fails ([`ScheduleError::Backend`]).
    pub async fn finish_job(
        &self,
        request: &Request,
        lease: WorkerLease<'_>,
        finished: Finished,
    ) -> Result<(), ScheduleError> {
        self.authorize_work(request, lease.job_id)?;
        self.end_job(lease, finished).await
    }

    /// Ends a job, as [`Schedule::finish_job`] does, for the catalog itself.
    pub(super) async fn end_job(
        &self,
        lease: WorkerLease<'_>,
        finished: Finished,
    ) -> Result<(), ScheduleError> {
        let finished = match finished {
            // Any failure of a job whose table was dropped is caused by the drop, for example because its
            // folders have no owner any more.
            Finished::Failed(_, result) if self.is_table_gone(lease.job_id).await? => {
                Finished::Failed(TABLE_DROPPED.to_owned(), result)
            }
            finished => finished,
        };
        let follow_up = match &finished {
            Finished::Succeeded { next, .. } => self.follow_up(lease.job_id, next).await?,
            Finished::Failed(..) | Finished::Cancelled(_) => self.follow_up(lease.job_id, &[]).await?,
            // The job itself will run again.
            Finished::Retry(..) => None,
        };
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let (done, state) = match &finished {
            Finished::Succeeded { result, .. } => (
                jobs::lease::finish(&mut tx, lease.stored(), JobOutcome::Succeeded(result)).await?,
                JobState::Succeeded,
            ),
            Finished::Failed(error, result) => {
                let outcome = JobOutcome::Failed(error, result.as_deref());
                (jobs::lease::finish(&mut tx, lease.stored(), outcome).await?, JobState::Failed)
            }
            Finished::Cancelled(result) => {
                let outcome = JobOutcome::Cancelled(result.as_deref());
                (jobs::lease::finish(&mut tx, lease.stored(), outcome).await?, JobState::Cancelled)
            }
            Finished::Retry(error, after_ms, result) => {
                let due_ms = tx.at_ms().saturating_add((*after_ms).max(0));
                let left = (error.as_str(), result.as_deref());
                (jobs::lease::give_back(&mut tx, lease.stored(), due_ms, left).await?, JobState::Queued)
            }
        };
        if !done {
            return Err(lease.lost());
        }
        if let Some(follow_up) = follow_up {
            self.queue_follow_up(&mut tx, follow_up, state).await?;
        }
        tx.commit().await?;
        if state == JobState::Succeeded {
            self.after_success(lease.job_id).await;
        }
        Ok(())
    }

    async fn is_table_gone(&self, job_id: Uuid) -> Result<bool, ScheduleError> {
        let job = self.find_job(job_id).await?;
        Ok(self.name_of(&job).await?.is_none())
    }

    /// Removes unused metadata files after an expiry. A worker cannot do so, because only the catalog knows
    /// all the metadata files that it ever pointed to.
    async fn after_success(&self, job_id: Uuid) {
        let removed = async {
            let job = self.find_job(job_id).await?;
            let name = if action_of(&job) == Some(JobAction::ExpireSnapshots) {
                self.name_of(&job).await?
            } else {
                None
            };
            let Some(table) = name else { return Ok(0) };
            let warehouse = self.catalog.warehouses.find_unauthorized(&table.warehouse).await?;
            Ok(self.catalog.tables.remove_unused_metadata(&warehouse, &table.identifier).await?)
        };
        if let Err(error) = removed.await {
            let error: ScheduleError = error;
            let error = with_causes(&error);
            tracing::warn!(job.id = %job_id, error, "cannot find unused metadata files; the next expiry tries again");
        }
    }

    /// Reads the data that is needed to queue the follow-up jobs. Returns `None` if there are none, or the
    /// table was dropped.
    async fn follow_up(&self, job_id: Uuid, next: &[Next]) -> Result<Option<FollowUp>, ScheduleError> {
        let Some(job) = jobs::find(&self.db, job_id).await? else { return Ok(None) };
        let is_evaluation = action_of(&job) == Some(JobAction::Evaluate);
        if next.is_empty() && !is_evaluation {
            return Ok(None);
        }
        let Some(candidate) =
            candidates::find(&self.db, job.tabular_id, JobAction::Evaluate.as_str()).await?
        else {
            return Ok(None);
        };
        let Some(table) = self.find_due_table(candidate).await? else { return Ok(None) };
        let mut wanted: Vec<(Next, Vec<FinishedJob>)> = Vec::new();
        for next in next {
            // A worker may report the same action several times.
            let is_new = wanted.iter().all(|(other, _)| other.action != next.action);
            if is_new && !table.is_disabled(next.action) {
                wanted.push((next.clone(), self.list_finished_jobs(&table, next.action).await?));
            }
        }
        let evaluations = if is_evaluation {
            Some(self.list_finished_jobs(&table, JobAction::Evaluate).await?)
        } else {
            None
        };
        Ok(Some(FollowUp { job, table, next: wanted, evaluations }))
    }

    async fn queue_follow_up(
        &self,
        tx: &mut Tx,
        follow_up: FollowUp,
        state: JobState,
    ) -> Result<(), StoreError> {
        let FollowUp { job, table, next, evaluations } = follow_up;
        let at_ms = tx.at_ms();
        let (attempt, started_ms) = (job.attempt, job.started_ms);
        let this_job = FinishedJob { state, attempt, started_ms, finished_ms: Some(at_ms) };
        let earliest_ms = |action: JobAction, mut finished_jobs: Vec<FinishedJob>| {
            if action_of(&job) == Some(action) && state != JobState::Cancelled {
                finished_jobs.insert(0, this_job);
            }
            self.earliest_ms(action, &finished_jobs)
        };
        for (Next { action, reason, priority, after_ms }, finished_jobs) in next {
            let earliest_ms = earliest_ms(action, finished_jobs);
            let new = AutomaticJob { table: &table, action, reason: &reason, priority, earliest_ms };
            new.enqueue(tx, at_ms.saturating_add(after_ms)).await?;
        }
        let Some(evaluations) = evaluations else { return Ok(()) };
        jobs::prune::prune_succeeded(tx, job.tabular_id, JobAction::Evaluate.as_str(), EVALUATIONS_KEPT)
            .await?;
        // A change during the job queued no other evaluation, because this one was running.
        if let Some(changed_ms) = jobs::queue::find_change(tx, job.job_id).await? {
            let again = AutomaticJob {
                table: &table,
                action: JobAction::Evaluate,
                reason: "the table was changed during its evaluation",
                priority: PRIORITY_EVALUATE,
                earliest_ms: earliest_ms(JobAction::Evaluate, evaluations),
            };
            again.enqueue(tx, changed_ms + i64::from(self.settings.debounce_ms)).await?;
        }
        Ok(())
    }
}

/// Returns the action of a job; `None` if it was queued by a server that knows more actions.
fn action_of(job: &JobRow) -> Option<JobAction> {
    job.action.parse().ok()
}

/// Returns `true` if the result of a job says that it has committed to the table.
pub(super) fn has_committed(result: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct CommittedResult {
        #[serde(default)]
        committed: bool,
    }
    serde_json::from_str::<CommittedResult>(result).is_ok_and(|result| result.committed)
}
