//! Execution of one lease of the queue, from its start to the report of its outcome. The job runs on a thread
//! of its own, while heartbeats are sent concurrently; what it does is in `leased_job`.

pub mod daemon;
pub mod lease;
mod leased_job;

use openapi::worker::{FinishOutcome, LeaseResponse};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::lease::{Lease, LeaseControl};
use self::leased_job::{JobEnd, LATER_MS, LeasedJob};
use crate::client::table_name::TableName;
use crate::queue::Queue;
use crate::settings::Settings;

/// Carries out a leased job, sends a heartbeat every few seconds, and reports the outcome to the catalog.
pub(crate) async fn run(settings: &Settings, queue: &Queue, lease: LeaseResponse, stop: &CancellationToken) {
    let lease_ms = lease.lease_ms;
    run_with(settings, queue, lease, |lease| async move { lease.keep_alive(lease_ms, stop).await }).await;
}

/// Carries out a leased job, and reports the outcome to the catalog. Heartbeats are sent by `heartbeats`,
/// which runs concurrently; it may end before the job, and is dropped when the job ends.
pub async fn run_with<H: Future<Output = ()>>(
    settings: &Settings,
    queue: &Queue,
    response: LeaseResponse,
    heartbeats: impl FnOnce(Lease) -> H,
) {
    let LeaseResponse { job: Some(job), table: Some(table), leftovers, unreadable, folders, .. } = response
    else {
        return;
    };
    let (job_id, name) = (job.job_id, job.table.clone());
    tracing::info!(job.id = %job_id, action = job.action, table = name, attempt = job.attempt, "a maintenance job begins");
    let lease = Lease::new(queue, &job);
    let leased = LeasedJob {
        settings: settings.clone(),
        job,
        table: TableName::new(table.warehouse, table.namespace, table.table),
        leftovers,
        unreadable,
        folders,
        lease: lease.clone(),
        control: LeaseControl::new(lease.clone(), Handle::current()),
        runtime: Handle::current(),
    };
    let (sender, mut end) = oneshot::channel();
    let nice = settings.nice;
    let thread = std::thread::Builder::new().name("firn-maintenance".to_owned()).spawn(move || {
        set_niceness(nice);
        // The receiver may have been dropped.
        drop(sender.send(leased.run()));
    });
    if let Err(error) = thread {
        let error = format!("cannot start a thread: {error}");
        return lease.finish(FinishOutcome::Retry { error, after_ms: LATER_MS, result: None }).await;
    }
    let end = tokio::select! {
        end = &mut end => end,
        () = heartbeats(lease.clone()) => end.await,
    };
    match end.unwrap_or_else(|_| JobEnd::failed("the job failed unexpectedly")) {
        JobEnd::LeaseLost(reason) => {
            tracing::warn!(job.id = %job_id, table = name, reason, "a maintenance job was taken over by another worker");
        }
        JobEnd::Outcome(outcome) => {
            log(job_id, &name, &outcome);
            lease.finish(outcome).await;
        }
    }
}

fn log(job_id: Uuid, table: &str, outcome: &FinishOutcome) {
    match outcome {
        FinishOutcome::Succeeded { .. } => {
            tracing::info!(job.id = %job_id, table, "a maintenance job succeeded");
        }
        FinishOutcome::Failed { error, .. } => {
            tracing::warn!(job.id = %job_id, table, error, "a maintenance job failed");
        }
        FinishOutcome::Retry { error, .. } => {
            tracing::info!(job.id = %job_id, table, error, "a maintenance job is postponed");
        }
        FinishOutcome::Cancelled { .. } => {
            tracing::info!(job.id = %job_id, table, "a maintenance job was cancelled");
        }
    }
}

/// Lowers the priority of the current thread in favour of other work, if the operating system permits it.
fn set_niceness(nice: i32) {
    let this_thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(this_thread), nice) {
        tracing::debug!(%error, "cannot lower the priority of maintenance");
    }
}
