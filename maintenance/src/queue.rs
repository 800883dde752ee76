//! Client of the catalog's job queue, as used by workers.

use openapi::maintenance::{Explanation, Job, JobPage};
use openapi::worker::{
    Finish, FinishOutcome, Heartbeat, HeartbeatResponse, LeaseRequest, LeaseResponse, LeaseToken, Outputs,
    ReadableRequest, ReadableResponse,
};
use uuid::Uuid;

use crate::client::error::ClientError;
use crate::client::table_name::TableName;
use crate::client::{Client, decode};

/// Returns the newest `count` jobs, optionally only those of one table or in one state.
///
/// # Errors
///
/// Fails if the catalog cannot be reached, if it refuses the request, or if its response is not a list of
/// jobs.
pub async fn list_jobs(
    client: &Client,
    table: Option<&TableName>,
    state: Option<&str>,
    count: u32,
) -> Result<Vec<Job>, ClientError> {
    let mut path = format!("governance/v1/maintenance/jobs?page-size={count}");
    if let Some(table) = table {
        path = format!("{path}&{}", table.query());
    }
    if let Some(state) = state {
        path = format!("{path}&state={state}");
    }
    let JobPage { jobs, .. } =
        decode(&client.get(&path).await?, "the response of the catalog is not a list of jobs")?;
    Ok(jobs)
}

/// Returns the explanation of the state of a table's maintenance.
///
/// # Errors
///
/// Fails if the catalog cannot be reached, if it refuses the request, or if its response is not an
/// explanation.
pub async fn explain(client: &Client, table: &TableName) -> Result<Explanation, ClientError> {
    let answer = client.get(&format!("governance/v1/maintenance/explain?{}", table.query())).await?;
    decode(&answer, "the response of the catalog is not an explanation")
}

/// Maximum number of paths per request.
const PATHS_MAX: usize = 5_000;

const NO_QUEUE: &str = "the catalog has no queue of maintenance jobs; use a Firn catalog of \
                        this release, or maintain single tables of other catalogs with `--once`";

/// Job queue of a catalog.
///
/// ```text
/// let lease = queue.lease().await?;
/// let token = queue.token(job.attempt);
/// queue.register_outputs(job.job_id, &token, &locations).await?;
/// let cancel = queue.heartbeat(job.job_id, &Heartbeat { lease: token.clone(), progress, result: None }).await?;
/// queue.finish(job.job_id, &token, outcome).await?;
/// ```
#[derive(Clone)]
pub struct Queue {
    client: Client,
    worker: String,
}

impl Queue {
    /// Creates the queue for a worker, whose name must be unique.
    pub fn new(client: Client, worker: String) -> Queue {
        Queue { client, worker }
    }

    /// Leases the next job, if there is one.
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError::Unexpected`] if the catalog has no job queue or its response is not a lease,
    /// and with another [`ClientError`] if the catalog cannot be reached or refuses the request.
    pub async fn lease(&self) -> Result<LeaseResponse, ClientError> {
        let request = LeaseRequest { worker: self.worker.clone() };
        let answer = self.client.call("governance/v1/maintenance/jobs/lease", &request).await;
        let answer = answer.map_err(|error| match error {
            ClientError::Refused { status: 404 | 405, .. } => ClientError::Unexpected(NO_QUEUE.to_owned()),
            other => other,
        })?;
        decode(&answer, "the response of the catalog is not a lease")
    }

    /// Returns the token of a lease, which the worker presents in requests about a job.
    pub fn token(&self, attempt: i64) -> LeaseToken {
        LeaseToken { worker: self.worker.clone(), attempt }
    }

    /// Extends the lease of a job and reports its progress. Returns `true` if cancellation of the job was
    /// requested.
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError::Refused`] and status 404 or 409 if the lease is lost, and with another
    /// [`ClientError`] if the catalog cannot be reached or its response is not valid.
    pub async fn heartbeat(&self, id: Uuid, request: &Heartbeat) -> Result<bool, ClientError> {
        let answer = self.client.call(&path(id, "heartbeat"), request).await?;
        let HeartbeatResponse { cancel } =
            decode(&answer, "the response of the catalog does not answer a heartbeat")?;
        Ok(cancel)
    }

    /// Registers output files that are about to be written.
    ///
    /// # Errors
    ///
    /// Fails if the catalog cannot be reached or refuses the request, for example because the lease is lost.
    /// Some of the files may have been recorded then.
    pub async fn register_outputs(
        &self,
        id: Uuid,
        lease: &LeaseToken,
        locations: &[String],
    ) -> Result<(), ClientError> {
        for some in locations.chunks(PATHS_MAX) {
            let request = Outputs { lease: lease.clone(), register: some.to_vec(), release: Vec::new() };
            self.client.call(&path(id, "outputs"), &request).await?;
        }
        Ok(())
    }

    /// Releases output files that are part of the table or were deleted.
    ///
    /// # Errors
    ///
    /// Fails if the catalog cannot be reached or refuses the request, for example because the lease is lost.
    /// Some of the files may have been removed from the record then.
    pub async fn release_outputs(
        &self,
        id: Uuid,
        lease: &LeaseToken,
        locations: &[String],
    ) -> Result<(), ClientError> {
        for some in locations.chunks(PATHS_MAX) {
            let request = Outputs { lease: lease.clone(), register: Vec::new(), release: some.to_vec() };
            self.client.call(&path(id, "outputs"), &request).await?;
        }
        Ok(())
    }

    /// Requests permission for a job to read a file outside of its table's own folders. Returns a folder that
    /// contains the file and may be read as a whole, or the location of the file itself; `None` if the file
    /// must not be read.
    ///
    /// # Errors
    ///
    /// Fails if the catalog cannot be reached, if it refuses the request, or if its response is not valid.
    pub async fn readable(
        &self,
        id: Uuid,
        lease: &LeaseToken,
        location: &str,
    ) -> Result<Option<String>, ClientError> {
        let request = ReadableRequest { lease: lease.clone(), location: location.to_owned() };
        let answer = self.client.call(&path(id, "readable"), &request).await?;
        let ReadableResponse { folder } = decode(&answer, "the response of the catalog is not a folder")?;
        Ok(folder)
    }

    /// Reports the outcome of a job, which ends the lease.
    ///
    /// # Errors
    ///
    /// Fails if the catalog cannot be reached or refuses the request, for example because the lease is lost.
    pub async fn finish(
        &self,
        id: Uuid,
        lease: &LeaseToken,
        outcome: FinishOutcome,
    ) -> Result<(), ClientError> {
        let request = Finish { lease: lease.clone(), outcome };
        self.client.call(&path(id, "finish"), &request).await.map(drop)
    }
}

fn path(id: Uuid, what: &str) -> String {
    format!("governance/v1/maintenance/jobs/{id}/{what}")
}
