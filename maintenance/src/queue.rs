//! The catalog's queue of jobs, as a worker speaks to it.

use openapi::maintenance::{
    Explanation, Finish, FinishOutcome, Heartbeat, HeartbeatAnswer, Held, Job, JobPage, LeaseAnswer,
    LeaseRequest, Outputs, ReadableAnswer, ReadableRequest,
};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::client::{Client, ClientError, TableName, decode};

/// The newest jobs, of one table or of all, in one state or in any.
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
    let JobPage { jobs, .. } = decode(&client.get(&path).await?, "the catalog's answer is no list of jobs")?;
    Ok(jobs)
}

/// Why a table is maintained as it is.
pub async fn explain(client: &Client, table: &TableName) -> Result<Explanation, ClientError> {
    let answer = client.get(&format!("governance/v1/maintenance/explain?{}", table.query())).await?;
    decode(&answer, "the catalog's answer is no explanation")
}

/// How many paths are told at a time.
const PATHS_MAX: usize = 5_000;

const NO_QUEUE: &str = "it has no queue of maintenance jobs, which only a Firn of this age has; tables of other catalogs are \
                        maintained one by one, with `--once`";

/// The queue.
#[derive(Clone)]
pub struct Queue {
    client: Client,
    worker: String,
}

impl Queue {
    /// For a worker with a name that no other has.
    pub fn new(client: Client, worker: String) -> Queue {
        Queue { client, worker }
    }

    /// Asks for work.
    pub async fn lease(&self) -> Result<LeaseAnswer, ClientError> {
        let request = LeaseRequest { worker: self.worker.clone() };
        let answer = self.client.call("governance/v1/maintenance/jobs/lease", &request).await;
        let answer = answer.map_err(|error| match error {
            ClientError::Refused { status: 404 | 405, .. } => ClientError::Unexpected(NO_QUEUE.to_owned()),
            other => other,
        })?;
        decode(&answer, "the catalog's answer is not a lease")
    }

    /// What shows that a job is this worker's.
    pub fn held(&self, attempt: i64) -> Held {
        Held { worker: self.worker.clone(), attempt }
    }

    /// Says that the worker is still at it; the answer tells whether it is to stop.
    pub async fn heartbeat(&self, id: Uuid, held: &Held, progress: Json) -> Result<bool, ClientError> {
        let request = Heartbeat { held: held.clone(), progress: Some(progress) };
        let answer = self.client.call(&path(id, "heartbeat"), &request).await?;
        let HeartbeatAnswer { cancel } = decode(&answer, "the catalog's answer is not one to a heartbeat")?;
        Ok(cancel)
    }

    /// Tells which files are about to be written.
    pub async fn announce(&self, id: Uuid, held: &Held, locations: &[String]) -> Result<(), ClientError> {
        for some in locations.chunks(PATHS_MAX) {
            let request = Outputs { held: held.clone(), add: some.to_vec(), forget: Vec::new() };
            self.client.call(&path(id, "outputs"), &request).await?;
        }
        Ok(())
    }

    /// Tells which files are dealt with.
    pub async fn settle(&self, id: Uuid, held: &Held, locations: &[String]) -> Result<(), ClientError> {
        for some in locations.chunks(PATHS_MAX) {
            let request = Outputs { held: held.clone(), add: Vec::new(), forget: some.to_vec() };
            self.client.call(&path(id, "outputs"), &request).await?;
        }
        Ok(())
    }

    /// Asks whether a job may read a file that is not its table's own: with everything in which folder, if it may.
    pub async fn readable(
        &self,
        id: Uuid,
        held: &Held,
        location: &str,
    ) -> Result<Option<String>, ClientError> {
        let request = ReadableRequest { held: held.clone(), location: location.to_owned() };
        let answer = self.client.call(&path(id, "readable"), &request).await?;
        let ReadableAnswer { folder } = decode(&answer, "the catalog's answer is no folder")?;
        Ok(folder)
    }

    /// Ends a job.
    pub async fn finish(&self, id: Uuid, held: &Held, outcome: FinishOutcome) -> Result<(), ClientError> {
        let request = Finish { held: held.clone(), outcome };
        self.client.call(&path(id, "finish"), &request).await.map(drop)
    }
}

fn path(id: Uuid, what: &str) -> String {
    format!("governance/v1/maintenance/jobs/{id}/{what}")
}
