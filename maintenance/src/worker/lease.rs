//! Lease of a job from the queue of a catalog: its heartbeats, and the control of the job by the catalog. The
//! job itself is in `leased_job`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openapi::maintenance::Job;
use openapi::worker::{FinishOutcome, Heartbeat, LeaseToken};
use serde_json::{Value as Json, json};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::client::error::ClientError;
use crate::control::{JobControl, Progress};
use crate::error::JobError;
use crate::queue::Queue;
use crate::report::JobReport;

/// Number of heartbeats in the duration of a lease.
const HEARTBEATS: u32 = 6;
/// Maximum number of attempts to report the end of a job if the catalog does not answer.
const FINISH_ATTEMPTS_MAX: u32 = 10;
const FINISH_PAUSE: Duration = Duration::from_secs(1);
/// Member of the progress with the checkpoint.
const CHECKPOINT: &str = "note";

/// Lease of a job.
#[derive(Clone)]
pub struct Lease {
    queue: Queue,
    job_id: Uuid,
    token: LeaseToken,
    state: Arc<LeaseState>,
    /// Ensures that heartbeats arrive in the order in which their reports were made.
    sending: Arc<tokio::sync::Mutex<()>>,
}

/// Control of a job by the catalog that it was leased from.
pub(crate) struct LeaseControl {
    lease: Lease,
    runtime: Handle,
}

/// State shared by a job and its heartbeats.
#[derive(Default)]
struct LeaseState {
    progress: Mutex<Progress>,
    checkpoint: Mutex<Option<Json>>,
    /// Report that was not sent yet, as JSON.
    unsent_report: Mutex<Option<Json>>,
    /// `true` if the catalog may have a report, of this attempt or an earlier one.
    has_report: AtomicBool,
    is_cancelled: AtomicBool,
    is_stopped: AtomicBool,
    lost: Mutex<Option<String>>,
}

impl Lease {
    /// Creates the lease of a job that `queue` has returned.
    pub(crate) fn new(queue: &Queue, job: &Job) -> Lease {
        let state = LeaseState { has_report: job.result.is_some().into(), ..LeaseState::default() };
        let checkpoint = job.progress.as_ref().map(|progress| progress[CHECKPOINT].clone());
        *lock(&state.checkpoint) = checkpoint.filter(|checkpoint| !checkpoint.is_null());
        let token = queue.token(job.attempt);
        Lease {
            queue: queue.clone(),
            job_id: job.job_id,
            token,
            state: Arc::new(state),
            sending: Arc::default(),
        }
    }

    /// Sends a heartbeat. The job notices it at its next check if its cancellation was requested or the lease
    /// is lost.
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError::Refused`] and status 404 or 409 if the lease is lost, and with another
    /// [`ClientError`] if the catalog cannot be reached or its response is not valid.
    pub async fn heartbeat(&self) -> Result<(), ClientError> {
        let _turn = self.sending.lock().await;
        let report = lock(&self.state.unsent_report).take();
        let heartbeat = Heartbeat {
            lease: self.token.clone(),
            progress: Some(self.state.progress_json()),
            result: report.clone(),
        };
        let sent = self.queue.heartbeat(self.job_id, &heartbeat).await;
        if sent.is_err()
            && let Some(report) = report
        {
            // A later report contains everything that is in this one.
            lock(&self.state.unsent_report).get_or_insert(report);
        }
        if let Err(ClientError::Refused { status: 404 | 409, message }) = &sent {
            lock(&self.state.lost).get_or_insert_with(|| message.clone());
        }
        self.state.is_cancelled.fetch_or(sent?, Ordering::Relaxed);
        Ok(())
    }

    /// Sends heartbeats until the lease is lost. Once `stop` is cancelled, the job ends at its next check.
    pub(crate) async fn keep_alive(&self, lease_ms: i64, stop: &CancellationToken) {
        let lease = Duration::from_millis(u64::try_from(lease_ms).unwrap_or(0));
        let pause = lease / HEARTBEATS;
        let mut failures = 0;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled(), if !self.state.is_stopped.load(Ordering::Relaxed) => {
                    self.state.is_stopped.store(true, Ordering::Relaxed);
                    continue;
                }
            }
            match self.heartbeat().await {
                Ok(()) => failures = 0,
                Err(ClientError::Refused { status: 404 | 409, .. }) => return,
                Err(error) if failures >= HEARTBEATS => {
                    let reason = format!("no heartbeat reached the catalog for {lease:?}: {error}");
                    *lock(&self.state.lost) = Some(reason);
                    return;
                }
                Err(error) => {
                    failures += 1;
                    tracing::debug!(job.id = %self.job_id, %error, "a heartbeat failed; trying again");
                }
            }
        }
    }

    /// Reports the outcome of the job, with a limited number of retries. If all fail, the lease expires.
    pub(crate) async fn finish(&self, outcome: FinishOutcome) {
        for _ in 0..FINISH_ATTEMPTS_MAX {
            match self.queue.finish(self.job_id, &self.token, outcome.clone()).await {
                Ok(()) => return,
                Err(ClientError::Refused { status: 400..=499, message }) => {
                    tracing::warn!(job.id = %self.job_id, message, "the catalog refused the end of a job");
                    return;
                }
                Err(error) => {
                    tracing::debug!(job.id = %self.job_id, %error, "cannot report the end of a job; trying again");
                    tokio::time::sleep(FINISH_PAUSE).await;
                }
            }
        }
        tracing::warn!(job.id = %self.job_id, "cannot report the end of a job; another worker takes it over");
    }

    /// Requests permission to read a file outside of the table's own folders, as [`Queue::readable`] does.
    pub(crate) async fn readable(&self, location: &str) -> Result<Option<String>, ClientError> {
        self.queue.readable(self.job_id, &self.token, location).await
    }

    /// Returns `true` if the catalog may have a report of the job, of this attempt or an earlier one.
    pub(crate) fn has_report(&self) -> bool {
        self.state.has_report.load(Ordering::Relaxed)
    }

    /// Returns the checkpoint that was stored last, by this attempt or before it.
    pub(crate) fn last_checkpoint(&self) -> Option<Json> {
        lock(&self.state.checkpoint).clone()
    }
}

impl LeaseControl {
    /// Creates the control of a job. `runtime` runs the requests to the catalog.
    pub(crate) fn new(lease: Lease, runtime: Handle) -> LeaseControl {
        LeaseControl { lease, runtime }
    }

    /// Waits for a response of the queue.
    fn wait<T>(&self, response: impl Future<Output = Result<T, ClientError>>) -> Result<T, JobError> {
        self.runtime.block_on(response).map_err(|error| match error {
            ClientError::Refused { status: 404 | 409, message } => {
                lock(&self.lease.state.lost).get_or_insert(message.clone());
                JobError::LeaseLost(message)
            }
            other => other.into(),
        })
    }
}

impl JobControl for LeaseControl {
    fn progress(&self, progress: Progress) {
        *lock(&self.lease.state.progress) = progress;
    }

    fn check(&self) -> Result<(), JobError> {
        let state = &self.lease.state;
        if let Some(reason) = &*lock(&state.lost) {
            return Err(JobError::LeaseLost(reason.clone()));
        }
        if state.is_cancelled.load(Ordering::Relaxed) {
            return Err(JobError::Cancelled);
        }
        if state.is_stopped.load(Ordering::Relaxed) {
            return Err(JobError::Stopped);
        }
        Ok(())
    }

    fn register_outputs(&self, locations: &[String]) -> Result<(), JobError> {
        let Lease { queue, job_id, token, .. } = &self.lease;
        self.wait(queue.register_outputs(*job_id, token, locations))
    }

    fn release_outputs(&self, locations: &[String]) -> Result<(), JobError> {
        if locations.is_empty() {
            return Ok(());
        }
        let Lease { queue, job_id, token, .. } = &self.lease;
        self.wait(queue.release_outputs(*job_id, token, locations))
    }

    fn is_resumable(&self) -> bool {
        true
    }

    fn save_report(&self, report: &JobReport) -> Result<(), JobError> {
        self.lease.state.has_report.store(true, Ordering::Relaxed);
        *lock(&self.lease.state.unsent_report) = Some(report.to_json());
        self.wait(self.lease.heartbeat())
    }

    fn correct_report(&self, report: &JobReport) {
        if self.lease.has_report() {
            *lock(&self.lease.state.unsent_report) = Some(report.to_json());
        }
    }

    fn checkpoint(&self, checkpoint: &Json) -> Result<(), JobError> {
        *lock(&self.lease.state.checkpoint) = Some(checkpoint.clone());
        self.wait(self.lease.heartbeat())
    }
}

impl LeaseState {
    /// Returns the progress, with the checkpoint if there is one, in the form in which the catalog stores it.
    fn progress_json(&self) -> Json {
        let mut progress = json!(*lock(&self.progress));
        if let Some(checkpoint) = &*lock(&self.checkpoint) {
            progress[CHECKPOINT] = checkpoint.clone();
        }
        progress
    }
}

/// Locks a mutex. Its value is in a valid state even if a thread panicked while it had the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::mpsc::Receiver;

    use tokio::runtime::Runtime;

    use super::*;
    use crate::client::Client;
    use crate::client::address::CatalogAddress;
    use crate::client::tests::{answering, response};
    use crate::report::{CommitRecord, Evidence};

    /// Returns a job of which an earlier attempt has stored a result, if there is one.
    pub(in crate::worker) fn job(result: Option<&Json>) -> Job {
        let mut job = json!({
            "job-id": Uuid::nil(), "table": "main/a.t", "action": "compact", "state": "running", "policy": {},
            "reason": "requested", "requested-by": "me", "attempt": 2, "cancel-requested": false,
            "created-ms": 0, "due-ms": 0,
        });
        if let Some(result) = result {
            job["result"] = result.clone();
        }
        serde_json::from_value(job).unwrap()
    }

    /// Returns the queue of a catalog that answers every request with `status`, and the requests.
    pub(in crate::worker) fn queue(status: &str) -> (Queue, Receiver<String>) {
        let (address, requests) = answering(response(status, "", b"{\"cancel\":false}"));
        let client = Client::new(&CatalogAddress::new(format!("http://{address}"))).unwrap();
        (Queue::new(client, "me".to_owned()), requests)
    }

    /// Returns the report in the next heartbeat.
    fn sent(requests: &Receiver<String>) -> Json {
        let request = requests.recv().unwrap();
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        serde_json::from_str::<Json>(body).unwrap()["result"].take()
    }

    fn pending() -> JobReport {
        let mut report = JobReport::default();
        report.begin_commit(CommitRecord::new(Some(Evidence::Added(7)), &[]));
        report
    }

    #[test]
    fn a_stored_report_is_corrected_with_the_next_heartbeat() {
        let runtime = Runtime::new().unwrap();
        let (queue, requests) = queue("200 OK");
        let lease = Lease::new(&queue, &job(None));
        let control = LeaseControl::new(lease.clone(), runtime.handle().clone());
        let beat = || {
            runtime.block_on(lease.heartbeat()).unwrap();
            sent(&requests)
        };
        let mut report = JobReport::default();
        control.correct_report(&report);
        assert!(!lease.has_report() && beat().is_null());
        report = pending();
        control.save_report(&report).unwrap();
        assert!(lease.has_report() && sent(&requests)["pending"].is_object());
        report.abort_commit();
        control.correct_report(&report);
        assert_eq!(beat(), report.to_json());
        assert!(beat().is_null());
    }

    #[test]
    fn a_report_of_an_earlier_attempt_is_corrected() {
        let runtime = Runtime::new().unwrap();
        let (queue, requests) = queue("200 OK");
        let lease = Lease::new(&queue, &job(Some(&pending().to_json())));
        assert!(lease.has_report());
        LeaseControl::new(lease.clone(), runtime.handle().clone()).correct_report(&JobReport::default());
        runtime.block_on(lease.heartbeat()).unwrap();
        assert_eq!(sent(&requests), JobReport::default().to_json());
    }

    #[test]
    fn a_report_that_did_not_get_through_gives_way_to_its_correction() {
        let runtime = Runtime::new().unwrap();
        let (queue, requests) = queue("503 Service Unavailable");
        let lease = Lease::new(&queue, &job(None));
        let control = LeaseControl::new(lease.clone(), runtime.handle().clone());
        assert!(control.save_report(&pending()).is_err());
        // The catalog may have stored it.
        assert!(lease.has_report() && sent(&requests)["pending"].is_object());
        control.correct_report(&JobReport::default());
        assert!(runtime.block_on(lease.heartbeat()).is_err());
        assert_eq!(sent(&requests), JobReport::default().to_json());
    }
}
