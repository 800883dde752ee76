//! Job that no caller requested: its policy, options and earliest start.

use openapi::action::JobAction;

use crate::catalog::backend::with_causes;
use crate::catalog::names::{Identifier, Namespace};
use crate::id;
use crate::store::engine::error::StoreError;
use crate::store::engine::tx::Tx;
use crate::store::ids::TabularId;
use crate::store::maintenance::candidates::Candidate;
use crate::store::maintenance::jobs::{self, FinishedJob, JobState, NewJobRow, Runner};

use super::Schedule;
use super::error::ScheduleError;
use super::policies::Applicable;

/// Requester of automatic jobs, in place of the identity of a caller.
pub(super) const MAINTENANCE: &str = "maintenance";
/// Priority of evaluations. Actions with a priority above zero precede further evaluations.
pub(super) const PRIORITY_EVALUATE: i64 = 0;

const MINUTE_MS: i64 = 60_000;
/// Maximum delay of a retry, in milliseconds: an action that fails continually is retried once a day.
const RETRY_MAX_MS: i64 = 24 * 60 * MINUTE_MS;
/// Number of previous jobs that are read. It suffices to reach [`RETRY_MAX_MS`]: a minute doubled eleven
/// times is more than a day.
const FINISHED_JOBS_MAX: u32 = 12;
/// Cool-down after an evaluation, as a multiple of its duration, so that a worker spends at most about a
/// twentieth of its time on the evaluation of one table.
const COOLDOWN_FACTOR: i64 = 20;

/// Table that jobs are queued for, with its applicable policy.
pub(super) struct DueTable {
    candidate: Candidate,
    table_name: String,
    applicable: Applicable,
}

/// Automatic job to be queued, and its earliest start.
pub(super) struct AutomaticJob<'a> {
    pub(super) table: &'a DueTable,
    pub(super) action: JobAction,
    pub(super) reason: &'a str,
    pub(super) priority: i64,
    pub(super) earliest_ms: i64,
}

impl DueTable {
    /// Returns `true` if a policy disables an action.
    pub(super) fn is_disabled(&self, action: JobAction) -> bool {
        self.applicable.disabled_by(action).is_some()
    }
}

impl AutomaticJob<'_> {
    /// Queues the job with `start_ms` as earliest start, or later if [`AutomaticJob::earliest_ms`] is later.
    /// Returns `false`, changing nothing, if the table is paused or a job of the action is queued or running.
    pub(super) async fn enqueue(&self, tx: &mut Tx, start_ms: i64) -> Result<bool, StoreError> {
        let options = self.options();
        jobs::queue::enqueue_unless_paused(tx, &self.job(&options, start_ms)).await
    }

    /// Updates a queued automatic job of the action to the current policy and reason, and advances its
    /// earliest start to that of this job if that is earlier.
    pub(super) async fn renew(&self, tx: &mut Tx, start_ms: i64) -> Result<(), StoreError> {
        let options = self.options();
        jobs::queue::renew(tx, &self.job(&options, start_ms), MAINTENANCE).await
    }

    fn options(&self) -> String {
        // Serialisation cannot fail: a policy consists of numbers and names.
        serde_json::to_string(&self.table.applicable.policy).unwrap_or_default()
    }

    fn job<'j>(&'j self, options: &'j str, start_ms: i64) -> NewJobRow<'j> {
        let candidate = &self.table.candidate;
        NewJobRow {
            job_id: id::ordered(),
            warehouse_id: candidate.warehouse_id,
            tabular_id: candidate.tabular_id,
            table_name: &self.table.table_name,
            action: self.action.as_str(),
            runner: Runner::Worker,
            options,
            reason: self.reason,
            requested_by: MAINTENANCE,
            priority: self.priority,
            due_ms: start_ms.max(self.earliest_ms),
        }
    }
}

impl Schedule {
    /// Returns the table with its applicable policy. Returns `None` if that cannot be determined, which must
    /// not prevent the maintenance of other tables.
    pub(super) async fn find_due_table(
        &self,
        candidate: Candidate,
    ) -> Result<Option<DueTable>, ScheduleError> {
        match self.read_due_table(&candidate).await {
            Ok((table_name, applicable)) => Ok(Some(DueTable { candidate, table_name, applicable })),
            Err(error) if error.is_database_failure() => Err(error),
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(error, table.id = %candidate.tabular_id, "a table cannot be scheduled for maintenance");
                Ok(None)
            }
        }
    }

    async fn read_due_table(&self, candidate: &Candidate) -> Result<(String, Applicable), ScheduleError> {
        let warehouse = self.catalog.warehouses.find_unauthorized(&candidate.warehouse).await?;
        let namespace = Namespace::from_path(&candidate.namespace_path)?;
        let applicable = self.applicable_to(&warehouse, &namespace, candidate.tabular_id, None).await?;
        let identifier = Identifier::new(namespace, candidate.name.clone())?;
        Ok((identifier.in_warehouse(&candidate.warehouse), applicable))
    }

    /// Returns the last finished jobs of an action of a table, newest first.
    pub(super) async fn list_finished_jobs(
        &self,
        table: &DueTable,
        action: JobAction,
    ) -> Result<Vec<FinishedJob>, StoreError> {
        self.list_finished_jobs_of(table.candidate.tabular_id, action).await
    }

    /// Returns the same for a table given by its id.
    pub(super) async fn list_finished_jobs_of(
        &self,
        tabular_id: TabularId,
        action: JobAction,
    ) -> Result<Vec<FinishedJob>, StoreError> {
        jobs::list_finished(&self.db, tabular_id, action.as_str(), FINISHED_JOBS_MAX).await
    }

    /// Returns the earliest start of an action with these finished jobs, newest first: after the delay of
    /// retries, and after the cool-down of evaluations.
    pub(super) fn earliest_ms(&self, action: JobAction, finished_jobs: &[FinishedJob]) -> i64 {
        let sweep_ms = i64::from(self.settings.sweep_minutes) * MINUTE_MS;
        let cooldown_until_ms =
            if action == JobAction::Evaluate { cooldown_until_ms(finished_jobs, sweep_ms) } else { 0 };
        retry_ms(finished_jobs).max(cooldown_until_ms)
    }
}

/// Returns the earliest start of a retry: one minute after the first failure, doubled with each further
/// failure in a row.
fn retry_ms(finished_jobs: &[FinishedJob]) -> i64 {
    let failures = finished_jobs.iter().take_while(|job| job.state == JobState::Failed).count();
    let Some(last_ms) = finished_jobs.first().filter(|_| failures > 0).and_then(|job| job.finished_ms) else {
        return 0;
    };
    let doublings = u32::try_from(failures - 1).unwrap_or(FINISHED_JOBS_MAX).min(FINISHED_JOBS_MAX);
    last_ms.saturating_add((MINUTE_MS << doublings).min(RETRY_MAX_MS))
}

/// Returns the end of the cool-down of an evaluation: [`COOLDOWN_FACTOR`] times its duration after its end,
/// but at most `longest_ms`.
fn cooldown_until_ms(finished_jobs: &[FinishedJob], longest_ms: i64) -> i64 {
    // After several attempts, the duration of the last one is not known.
    let Some(&FinishedJob {
        attempt: 1, started_ms: Some(started_ms), finished_ms: Some(finished_ms), ..
    }) = finished_jobs.first()
    else {
        return 0;
    };
    let duration_ms = finished_ms.saturating_sub(started_ms).max(0);
    finished_ms.saturating_add(duration_ms.saturating_mul(COOLDOWN_FACTOR).min(longest_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

    fn job(state: JobState, started_ms: i64, finished_ms: i64) -> FinishedJob {
        FinishedJob { state, attempt: 1, started_ms: Some(started_ms), finished_ms: Some(finished_ms) }
    }

    fn failures(count: usize) -> Vec<FinishedJob> {
        let mut finished_jobs = vec![job(JobState::Failed, 0, 1_000); count];
        finished_jobs.push(job(JobState::Succeeded, 0, 500));
        finished_jobs.push(job(JobState::Failed, 0, 400));
        finished_jobs
    }

    #[test]
    fn each_failure_in_a_row_doubles_the_delay_up_to_a_day() {
        for (count, delay_ms) in [
            (1, MINUTE_MS),
            (2, 2 * MINUTE_MS),
            (5, 16 * MINUTE_MS),
            (11, 1_024 * MINUTE_MS),
            (12, DAY_MS),
            (80, DAY_MS),
        ] {
            assert_eq!(retry_ms(&failures(count)), 1_000 + delay_ms, "{count} failures");
        }
    }

    #[test]
    fn a_success_ends_the_delay() {
        assert_eq!(retry_ms(&failures(0)), 0);
        assert_eq!(retry_ms(&[]), 0);
    }

    #[test]
    fn the_cool_down_is_twenty_times_the_duration_up_to_a_maximum() {
        assert_eq!(cooldown_until_ms(&[job(JobState::Succeeded, 1_000, 1_500)], DAY_MS), 1_500 + 20 * 500);
        assert_eq!(cooldown_until_ms(&[job(JobState::Succeeded, 0, DAY_MS)], DAY_MS), 2 * DAY_MS);
        assert_eq!(cooldown_until_ms(&[job(JobState::Succeeded, 5, 1)], DAY_MS), 1);
        assert_eq!(cooldown_until_ms(&[], DAY_MS), 0);
    }

    #[test]
    fn the_duration_of_a_retried_job_is_unknown() {
        let retried = FinishedJob { attempt: 2, ..job(JobState::Succeeded, 0, 1_000) };
        assert_eq!(cooldown_until_ms(&[retried], DAY_MS), 0);
    }
}
