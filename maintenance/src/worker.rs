//! Execution of one job of the queue, from its lease to its end. The job runs on a thread of its own, while
//! heartbeats are sent concurrently.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openapi::maintenance::{FinishOutcome, Job, LeaseResponse, LeaseToken, TableFolders, UnreadableFile};
use serde_json::{Value as Json, json};
use storage::scope::Scope;
use table_core::rewrite::policy::MaintenancePolicy;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::client::{Client, ClientError, Fence, TableName};
use crate::context::Work;
use crate::error::JobError;
use crate::files::Files;
use crate::host::{Host, Progress, delete};
use crate::jobs::{Report, compact, evaluate, expire, manifests};
use crate::ownership;
use crate::queue::Queue;
use crate::settings::Settings;
use crate::table;

/// Number of heartbeats in the duration of a lease.
const HEARTBEATS: u32 = 6;
/// Maximum number of attempts to report the end of a job if the catalog does not answer.
const FINISH_TRIES: u32 = 10;
const FINISH_PAUSE: Duration = Duration::from_secs(1);
/// Delays before a job is retried that could not be carried out now, in milliseconds: `SOON_MS` if the
/// catalog did not answer or the outcome of a commit is unknown; `LATER_MS` after lost races, and if a file
/// system did not answer or the machine is short of resources.
const SOON_MS: u64 = 10_000;
const LATER_MS: u64 = 60_000;
/// Number of attempts after which a job is not retried.
const ATTEMPTS_MAX: i64 = 20;

/// State shared by a job and its heartbeats.
#[derive(Default)]
struct Shared {
    progress: Mutex<Progress>,
    note: Mutex<Option<Json>>,
    cancel: AtomicBool,
    stop: AtomicBool,
    lost: Mutex<Option<String>>,
}

/// Heartbeat of a leased job.
#[derive(Clone)]
pub struct Pulse {
    queue: Queue,
    id: Uuid,
    token: LeaseToken,
    shared: Arc<Shared>,
}

/// Host of a job that was leased from the queue.
struct JobHost {
    pulse: Pulse,
    runtime: Handle,
}

/// Carries out a leased job, sends a heartbeat every few seconds, and reports the outcome to the catalog.
pub(crate) async fn run(settings: &Settings, queue: &Queue, lease: LeaseResponse, stop: &CancellationToken) {
    let lease_ms = lease.lease_ms;
    run_beside(settings, queue, lease, |pulse| async move { keep_alive(&pulse, lease_ms, stop).await }).await;
}

/// Carries out a leased job, and reports the outcome to the catalog. Heartbeats are sent by `beside`, which
/// runs concurrently; it may end before the job, and is dropped when the job ends.
pub async fn run_beside<B: Future<Output = ()>>(
    settings: &Settings,
    queue: &Queue,
    lease: LeaseResponse,
    beside: impl FnOnce(Pulse) -> B,
) {
    let LeaseResponse { job: Some(job), table: Some(table), leftovers, unreadable, folders, .. } = lease
    else {
        return;
    };
    let token = queue.token(job.attempt);
    let id = job.job_id;
    let name = job.table.clone();
    tracing::info!(job.id = %id, action = job.action, table = name, attempt = job.attempt, "a maintenance job begins");
    let shared = Arc::new(Shared::default());
    *lock(&shared.note) =
        job.progress.as_ref().map(|progress| progress["note"].clone()).filter(|note| !note.is_null());
    let pulse = Pulse { queue: queue.clone(), id, token: token.clone(), shared };
    let task = Task {
        settings: settings.clone(),
        job,
        table: TableName::new(table.warehouse, table.namespace, table.table),
        leftovers,
        unreadable,
        folders,
        host: JobHost { pulse: pulse.clone(), runtime: Handle::current() },
    };
    let (done, mut outcome) = tokio::sync::oneshot::channel();
    let nice = settings.nice;
    let thread = std::thread::Builder::new().name("firn-maintenance".to_owned()).spawn(move || {
        be_nice(nice);
        // The receiver may have been dropped.
        drop(done.send(task.run()));
    });
    if let Err(error) = thread {
        let error = format!("cannot start a thread: {error}");
        let outcome = FinishOutcome::Retry { error, after_ms: LATER_MS, result: None };
        return finish(queue, id, &token, outcome).await;
    }
    let outcome = tokio::select! {
        outcome = &mut outcome => outcome,
        () = beside(pulse) => outcome.await,
    };
    let outcome = outcome.unwrap_or_else(|_| Ended::failed("the job ended in an unexpected way"));
    match outcome {
        Ended::Lost(why) => {
            tracing::warn!(job.id = %id, table = name, why, "a maintenance job went to another worker");
        }
        Ended::Told(outcome) => {
            log(id, &name, &outcome);
            finish(queue, id, &token, outcome).await;
        }
    }
}

/// End of a job.
enum Ended {
    Told(FinishOutcome),
    /// The lease is lost, so that no outcome is reported.
    Lost(String),
}

impl Ended {
    fn failed(why: &str) -> Ended {
        Ended::Told(FinishOutcome::Failed { error: why.to_owned(), result: None })
    }
}

/// Job, with everything that its thread needs.
struct Task {
    settings: Settings,
    job: Job,
    table: TableName,
    leftovers: Vec<String>,
    unreadable: Vec<UnreadableFile>,
    folders: Option<TableFolders>,
    host: JobHost,
}

impl Task {
    fn run(self) -> Ended {
        let mut report = self.job.result.as_ref().map(Report::resume).unwrap_or_default();
        let done = self.work(&mut report);
        // Changes that a job has committed are reported however it ends.
        let result = || report.is_worth_telling().then(|| report.to_json());
        match done {
            Ok(outcome) => Ended::Told(outcome),
            Err(JobError::LeaseLost(why)) => Ended::Lost(why),
            Err(JobError::Cancelled) => Ended::Told(FinishOutcome::Cancelled { result: result() }),
            Err(error) => Ended::Told(match self.retry_ms(&error) {
                Some(after_ms) => {
                    FinishOutcome::Retry { error: error.to_string(), after_ms, result: result() }
                }
                None => FinishOutcome::Failed { error: error.to_string(), result: result() },
            }),
        }
    }

    /// Returns the delay, in milliseconds, after which the job should be retried; `None` if it should not.
    fn retry_ms(&self, error: &JobError) -> Option<u64> {
        let after_ms = match error {
            // A missing table was renamed or dropped; the catalog knows which.
            JobError::Stopped
            | JobError::Replaced
            | JobError::Catalog(ClientError::Refused { status: 404, .. }) => 0,
            JobError::OutcomeUnknown(_) => SOON_MS,
            JobError::LostRaces(_) => LATER_MS,
            error if error.is_passing() => LATER_MS,
            JobError::Catalog(ClientError::Unreachable(_) | ClientError::Refused { status: 500.., .. }) => {
                SOON_MS
            }
            _ => return None,
        };
        let is_worth_it = matches!(error, JobError::Stopped) || self.job.attempt < ATTEMPTS_MAX;
        is_worth_it.then_some(after_ms)
    }

    fn work(&self, report: &mut Report) -> Result<FinishOutcome, JobError> {
        let Settings { files, budget, outside, uri, token, .. } = &self.settings;
        let files = files.within(self.scope()?);
        let runtime = self.host.runtime.clone();
        let client = Client::new(uri, token.as_deref())?;
        let client = runtime.block_on(client.of_warehouse(&self.table.warehouse))?;
        let fence = Fence::new(self.job.job_id, self.job.attempt);
        let catalog = Catalog::new(client, self.table.clone(), runtime, Some(fence));
        // Settings from several policies may contradict each other. The actions that use them report it.
        let policy: MaintenancePolicy = serde_json::from_value(self.job.policy.clone())
            .map_err(|error| JobError::Internal(format!("the job's policy cannot be used: {error}")))?;
        self.clear_up(&catalog, &files)?;
        let note = lock(&self.host.pulse.shared.note).clone();
        let work = Work {
            catalog: &catalog,
            policy: &policy,
            files: &files,
            budget,
            outside,
            host: &self.host,
            note,
            unreadable: self.unreadable.clone(),
        };
        let done = match self.job.action.as_str() {
            "evaluate" => {
                let found = evaluate::run(&work)?;
                let result = serde_json::to_value(&found.evaluation).unwrap_or_default();
                return Ok(FinishOutcome::Succeeded { result, next: found.next });
            }
            "compact" => compact::run(&work, report),
            "expire-snapshots" => expire::run(&work, report),
            "rewrite-manifests" => manifests::run(&work, report),
            other => {
                let told =
                    format!("this worker does not know the action `{other}`; is it older than the catalog?");
                return Ok(FinishOutcome::Failed { error: told, result: None });
            }
        };
        report.add_not_own(&files);
        report.add_usage(files.usage());
        done?;
        Ok(FinishOutcome::Succeeded { result: report.to_json(), next: Vec::new() })
    }

    /// Returns the permissions of the job. Without folders in the lease, the job fails.
    fn scope(&self) -> Result<Scope, JobError> {
        let Some(told) = &self.folders else {
            let why =
                "the catalog does not say which folders are the table's own; is it older than this worker?";
            return Err(JobError::Internal(why.to_owned()));
        };
        let Pulse { queue, id, token, .. } = self.host.pulse.clone();
        let runtime = self.host.runtime.clone();
        ownership::told(told, move |file| runtime.block_on(queue.readable(id, &token, file)))
    }

    /// Deletes output files of earlier attempts, except those that have become part of the table.
    fn clear_up(&self, catalog: &Catalog, files: &Files) -> Result<(), JobError> {
        if self.leftovers.is_empty() {
            return Ok(());
        }
        self.host.progress(Progress {
            doing: "clearing up after a former attempt".to_owned(),
            ..Progress::default()
        });
        let mut unneeded: HashSet<String> = self.leftovers.iter().cloned().collect();
        let metadata = catalog.load()?.metadata;
        // Readers of earlier versions may be directed to a snapshot that a client has removed since.
        let history = catalog.history(&metadata, 0)?;
        let served = history.map(|history| history.served(files, &metadata, &metadata)).transpose()?;
        table::retain_unreferenced(files, &metadata, &served.unwrap_or_default(), &mut unneeded)?;
        let mut settled = Vec::new();
        for location in &self.leftovers {
            if !unneeded.contains(location) || delete(files, location)? {
                settled.push(location.clone());
            }
        }
        self.host.settle(&settled)
    }
}

impl Pulse {
    /// Sends a heartbeat. The job notices it at its next check if its cancellation was requested or the lease
    /// is lost.
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError::Refused`] and status 404 or 409 if the lease is lost, and with another
    /// [`ClientError`] if the catalog cannot be reached or its response is not valid.
    pub async fn beat(&self) -> Result<(), ClientError> {
        let beat = self.queue.heartbeat(self.id, &self.token, self.shared.told()).await;
        if let Err(ClientError::Refused { status: 404 | 409, message }) = &beat {
            lock(&self.shared.lost).get_or_insert_with(|| message.clone());
        }
        self.shared.cancel.fetch_or(beat?, Ordering::Relaxed);
        Ok(())
    }
}

impl JobHost {
    /// Waits for a response of the queue.
    fn wait<T>(&self, answer: impl Future<Output = Result<T, ClientError>>) -> Result<T, JobError> {
        self.runtime.block_on(answer).map_err(|error| match error {
            ClientError::Refused { status: 404 | 409, message } => {
                lock(&self.pulse.shared.lost).get_or_insert(message.clone());
                JobError::LeaseLost(message)
            }
            other => other.into(),
        })
    }
}

impl Host for JobHost {
    fn progress(&self, progress: Progress) {
        *lock(&self.pulse.shared.progress) = progress;
    }

    fn check(&self) -> Result<(), JobError> {
        if let Some(why) = &*lock(&self.pulse.shared.lost) {
            return Err(JobError::LeaseLost(why.clone()));
        }
        if self.pulse.shared.cancel.load(Ordering::Relaxed) {
            return Err(JobError::Cancelled);
        }
        if self.pulse.shared.stop.load(Ordering::Relaxed) {
            return Err(JobError::Stopped);
        }
        Ok(())
    }

    fn announce(&self, locations: &[String]) -> Result<(), JobError> {
        self.wait(self.pulse.queue.announce(self.pulse.id, &self.pulse.token, locations))
    }

    fn settle(&self, locations: &[String]) -> Result<(), JobError> {
        if locations.is_empty() {
            return Ok(());
        }
        self.wait(self.pulse.queue.settle(self.pulse.id, &self.pulse.token, locations))
    }

    fn has_successors(&self) -> bool {
        true
    }

    fn note(&self, note: &Json) -> Result<(), JobError> {
        *lock(&self.pulse.shared.note) = Some(note.clone());
        self.wait(self.pulse.beat())
    }
}

impl Shared {
    /// Returns the progress, with the note if there is one, in the form in which the catalog stores it.
    fn told(&self) -> Json {
        let mut told = json!(*lock(&self.progress));
        if let Some(note) = &*lock(&self.note) {
            told["note"] = note.clone();
        }
        told
    }
}

/// Sends heartbeats until the lease is lost.
async fn keep_alive(pulse: &Pulse, lease_ms: i64, stop: &CancellationToken) {
    let shared = &pulse.shared;
    let lease = Duration::from_millis(u64::try_from(lease_ms).unwrap_or(0));
    let pause = lease / HEARTBEATS;
    let mut unheard = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled(), if !shared.stop.load(Ordering::Relaxed) => {
                shared.stop.store(true, Ordering::Relaxed);
                continue;
            }
        }
        match pulse.beat().await {
            Ok(()) => unheard = 0,
            Err(ClientError::Refused { status: 404 | 409, .. }) => return,
            Err(error) if unheard >= HEARTBEATS => {
                *lock(&shared.lost) = Some(format!("the catalog did not hear of it for {lease:?}: {error}"));
                return;
            }
            Err(error) => {
                unheard += 1;
                tracing::debug!(job.id = %pulse.id, %error, "a heartbeat did not get through");
            }
        }
    }
}

/// Reports the outcome of a job, with a limited number of retries. If all fail, the lease expires.
async fn finish(queue: &Queue, id: Uuid, lease: &LeaseToken, outcome: FinishOutcome) {
    for _ in 0..FINISH_TRIES {
        match queue.finish(id, lease, outcome.clone()).await {
            Ok(()) => return,
            Err(ClientError::Refused { status: 400..=499, message }) => {
                tracing::warn!(job.id = %id, message, "the catalog did not take a job's end");
                return;
            }
            Err(error) => {
                tracing::debug!(job.id = %id, %error, "cannot tell how a job ended; trying again");
                tokio::time::sleep(FINISH_PAUSE).await;
            }
        }
    }
    tracing::warn!(job.id = %id, "cannot tell the catalog how a job ended; another worker will look at it");
}

fn log(id: Uuid, table: &str, outcome: &FinishOutcome) {
    match outcome {
        FinishOutcome::Succeeded { .. } => tracing::info!(job.id = %id, table, "a maintenance job is done"),
        FinishOutcome::Failed { error, .. } => {
            tracing::warn!(job.id = %id, table, error, "a maintenance job failed");
        }
        FinishOutcome::Retry { error, .. } => {
            tracing::info!(job.id = %id, table, error, "a maintenance job is put off");
        }
        FinishOutcome::Cancelled { .. } => {
            tracing::info!(job.id = %id, table, "a maintenance job was cancelled");
        }
    }
}

/// Lowers the priority of the current thread in favour of other work, if the operating system permits it.
fn be_nice(nice: i32) {
    let this_thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(this_thread), nice) {
        tracing::debug!(%error, "cannot lower the priority of maintenance");
    }
}

/// Locks a mutex. Its value is in a valid state even if a thread panicked while it had the lock.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
