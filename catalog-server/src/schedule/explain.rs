//! Explanation of the maintenance of a table: state and reason of each action. It only reads.

use openapi::action::JobAction;
use serde::Deserialize;

use crate::catalog::names::Identifier;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::store::maintenance::jobs::{self, FinishedJob, JobState};

use super::Schedule;
use super::error::ScheduleError;
use super::finish::has_committed;
use super::job::MaintenanceJob;
use super::policies::{Applicable, TablePause};

/// Explanation of the maintenance of a table.
#[derive(Debug)]
pub struct Explained {
    /// Current pause of the table, if it is paused.
    pub pause: Option<TablePause>,
    /// Last evaluation that succeeded; `None` if the table was maintained since.
    pub evaluation: Option<MaintenanceJob>,
    /// Time at which the table was last maintained, in milliseconds since 1970, if it was not evaluated
    /// since.
    pub maintained_ms: Option<i64>,
    /// All actions, in the order of [`JobAction::ALL`].
    pub actions: Vec<ActionExplanation>,
}

/// State of an action of a table.
#[derive(Debug)]
pub struct ActionExplanation {
    /// Action that the state is about.
    pub action: JobAction,
    /// State of the action.
    pub state: ActionState,
    /// Reason for the state, as a sentence.
    pub reason: String,
    /// Job of the action that is queued or running, else the last one.
    pub job: Option<MaintenanceJob>,
}

/// State of an action of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionState {
    /// A job of the action is running.
    Running,
    /// The table is paused.
    Paused,
    /// A job of the action is queued; it waits for its earliest start or for a worker.
    Queued,
    /// A policy disables the action.
    Disabled,
    /// The action has no benefit at the moment.
    NotDue,
    /// The table was not evaluated with respect to the action.
    Unknown,
}

/// Part of the result of an evaluation that describes the actions.
#[derive(Default, Deserialize)]
struct StoredEvaluation {
    #[serde(default)]
    actions: Vec<StoredDecision>,
}

/// Finding of an evaluation about an action.
#[derive(Deserialize)]
struct StoredDecision {
    action: String,
    due: bool,
    #[serde(alias = "why")]
    reason: String,
}

/// Facts from which the explanation of an action is derived.
struct ActionFacts<'a> {
    action: JobAction,
    now_ms: i64,
    sweep_minutes: u32,
    applicable: &'a Applicable,
    open: &'a [MaintenanceJob],
    evaluation: Option<&'a MaintenanceJob>,
    /// Time at which the table was maintained, if that was after the evaluation.
    maintained_ms: Option<i64>,
    /// Last job of the action.
    last: Option<&'a MaintenanceJob>,
    /// Number of failures of the action in a row, up to now.
    failures: usize,
}

impl ActionState {
    /// Returns the name of the state in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Queued => "queued",
            Self::Disabled => "disabled",
            Self::NotDue => "not-due",
            Self::Unknown => "unknown",
        }
    }
}

impl Schedule {
    /// Explains the actions of a table.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist; if a stored policy cannot be parsed ([`ScheduleError::Backend`]);
    /// or if the database fails ([`ScheduleError::Backend`]).
    pub async fn explain(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<Explained, ScheduleError> {
        let applicable = self.applicable_policy(request, warehouse, identifier).await?;
        let table = applicable.tabular_id;
        let open = jobs::list_open(&self.db, table).await?;
        let open: Vec<_> = open.into_iter().map(|job| MaintenanceJob::new(&self.db, job)).collect();
        let evaluation =
            jobs::find_last(&self.db, table, JobAction::Evaluate.as_str(), Some(JobState::Succeeded)).await?;
        let evaluation = evaluation.map(|job| MaintenanceJob::new(&self.db, job));
        let now_ms = self.db.clock_ms(self.db.now_ms(self.clock.now_ms()).await?);
        let mut jobs_of = Vec::new();
        for action in JobAction::ALL {
            let job = if let Some(job) = open.iter().find(|job| job.action == action.as_str()) {
                Some(job.clone())
            } else {
                let last = jobs::find_last(&self.db, table, action.as_str(), None).await?;
                last.map(|job| MaintenanceJob::new(&self.db, job))
            };
            let succeeded =
                jobs::find_last(&self.db, table, action.as_str(), Some(JobState::Succeeded)).await?;
            let succeeded = succeeded.map(|job| MaintenanceJob::new(&self.db, job));
            jobs_of.push((action, job, succeeded));
        }
        let evaluated_ms = evaluation.as_ref().and_then(|job| job.finished_ms);
        let ended = jobs_of.iter().flat_map(|(_, job, succeeded)| job.iter().chain(succeeded));
        let maintained_ms = ended.filter_map(committed_ms).max();
        let maintained_ms =
            maintained_ms.filter(|at_ms| evaluated_ms.is_some_and(|looked_ms| looked_ms <= *at_ms));
        let mut explained = Vec::new();
        for (action, job, _) in jobs_of {
            let finished_jobs = self.list_finished_jobs_of(table, action).await?;
            let facts = ActionFacts {
                action,
                now_ms,
                sweep_minutes: self.settings.sweep_minutes,
                applicable: &applicable,
                open: &open,
                evaluation: evaluation.as_ref(),
                maintained_ms,
                last: job.as_ref(),
                failures: failures(&finished_jobs),
            };
            let (state, reason) = facts.explain();
            explained.push(ActionExplanation { action, state, reason, job });
        }
        let evaluation = evaluation.filter(|_| maintained_ms.is_none());
        Ok(Explained { pause: applicable.pause, evaluation, maintained_ms, actions: explained })
    }
}

impl ActionFacts<'_> {
    fn explain(&self) -> (ActionState, String) {
        let open = self.open.iter().find(|job| job.action == self.action.as_str());
        if let Some(job) = open.filter(|job| job.state == JobState::Running) {
            return (ActionState::Running, self.running(job));
        }
        if let Some(pause) = &self.applicable.pause {
            let waiting = if open.is_some() { "; its queued job waits" } else { "" };
            let reason = format!("`{}` paused the table: {}{waiting}", pause.paused_by, pause.reason);
            return (ActionState::Paused, reason);
        }
        if let Some(job) = open {
            return (ActionState::Queued, self.queued(job));
        }
        if let Some(source) = self.applicable.disabled_by(self.action) {
            let reason = match source {
                "default" => "it is disabled by default".to_owned(),
                source => format!("it is disabled by the policy of {}", scope(source)),
            };
            return (ActionState::Disabled, reason);
        }
        self.at_rest()
    }

    fn running(&self, job: &MaintenanceJob) -> String {
        let worker = job.worker.as_deref().unwrap_or("a worker");
        let silent = job.lease_until_ms.is_some_and(|until_ms| until_ms <= self.now_ms);
        let (reason, attempt) = (&job.reason, job.attempt);
        if silent {
            format!("{reason}; worker `{worker}` sends no heartbeats, and another worker takes over")
        } else {
            format!("{reason}; worker `{worker}` is running it, attempt {attempt}")
        }
    }

    fn queued(&self, job: &MaintenanceJob) -> String {
        let mut reason = vec![job.reason.clone()];
        if job.due_ms > self.now_ms {
            let after = match self.failures {
                0 => String::new(),
                1 => ", after a failure".to_owned(),
                count => format!(", after {count} failures in a row"),
            };
            reason.push(format!("it waits until {}{after}", instant(job.due_ms)));
        } else if let Some(other) = self.open.iter().find(|other| other.state == JobState::Running) {
            reason.push(format!("it waits for the job `{}` of the same table", other.action));
        } else {
            reason.push("it waits for a worker".to_owned());
        }
        if let Some(error) = &job.error {
            reason.push(format!("the last attempt ended: {error}"));
        }
        reason.join("; ")
    }

    /// Explains an action that is neither queued nor running, of a table that is not paused, and that no
    /// policy disables.
    fn at_rest(&self) -> (ActionState, String) {
        if self.action == JobAction::Evaluate {
            return self.at_rest_evaluation();
        }
        let Some(evaluation) = self.evaluation else {
            return (ActionState::Unknown, "the table was not evaluated yet".to_owned());
        };
        if let Some(maintained_ms) = self.maintained_ms {
            let since = self.last.filter(|job| committed_ms(job).is_some_and(|at_ms| at_ms <= maintained_ms));
            if let Some(job) = since.filter(|job| job.finished_ms >= evaluation.finished_ms) {
                return (ActionState::NotDue, ended(job));
            }
            let at = instant(maintained_ms);
            return (
                ActionState::Unknown,
                format!("the table was maintained at {at}, and not evaluated since"),
            );
        }
        let evaluated_ms = evaluation.finished_ms.unwrap_or_default();
        let stored: StoredEvaluation = evaluation
            .result
            .as_deref()
            .and_then(|result| serde_json::from_str(result).ok())
            .unwrap_or_default();
        let Some(decision) =
            stored.actions.into_iter().find(|decision| decision.action == self.action.as_str())
        else {
            let reason = format!("the evaluation at {} did not consider it", instant(evaluated_ms));
            return (ActionState::Unknown, reason);
        };
        let since = self.last.filter(|job| job.finished_ms.is_some_and(|ended_ms| ended_ms >= evaluated_ms));
        match since {
            _ if !decision.due => (ActionState::NotDue, decision.reason),
            Some(job) => (ActionState::NotDue, format!("{}; {} since then", decision.reason, ended(job))),
            None => {
                let reason =
                    format!("{}; it was not queued then, and the next evaluation decides", decision.reason);
                (ActionState::Unknown, reason)
            }
        }
    }

    fn at_rest_evaluation(&self) -> (ActionState, String) {
        let Some(last) = self.last else {
            return (ActionState::Unknown, "the table was not evaluated yet".to_owned());
        };
        let next_ms = last.created_ms + i64::from(self.sweep_minutes) * 60_000;
        let reason = format!(
            "{}; the table is evaluated again after its next change, or at {}",
            ended(last),
            instant(next_ms)
        );
        (ActionState::NotDue, reason)
    }
}

/// Returns the time at which a job that changed its table ended, however it ended.
fn committed_ms(job: &MaintenanceJob) -> Option<i64> {
    job.finished_ms.filter(|_| job.result.as_deref().is_some_and(has_committed))
}

/// Describes the end of a job in a few words.
fn ended(job: &MaintenanceJob) -> String {
    let at = instant(job.finished_ms.unwrap_or(job.created_ms));
    match (job.state, &job.error) {
        (JobState::Succeeded, _) => format!("it was done at {at}"),
        (JobState::Cancelled, _) => format!("it was cancelled at {at}"),
        (_, Some(error)) => format!("it failed at {at}: {error}"),
        (_, None) => format!("it failed at {at}"),
    }
}

/// Formats the source of a setting for a sentence.
fn scope(source: &str) -> String {
    match source.split_once(' ') {
        Some((kind, name)) => format!("{kind} `{name}`"),
        None => format!("the {source}"),
    }
}

fn failures(finished_jobs: &[FinishedJob]) -> usize {
    finished_jobs.iter().take_while(|job| job.state == JobState::Failed).count()
}

/// Formats an instant in UTC, in whole seconds.
fn instant(at_ms: i64) -> String {
    match jiff::Timestamp::from_second(at_ms.div_euclid(1_000)) {
        Ok(instant) => instant.to_string(),
        Err(_) => format!("{at_ms} ms"),
    }
}
