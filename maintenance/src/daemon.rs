//! Maintenance without anybody asking: workers that take jobs from the catalog's queue until they are told to stop.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::budget::Budget;
use crate::client::{Client, ClientError};
use crate::files::Files;
use crate::jobs::Outside;
use crate::queue::Queue;
use crate::worker;

/// How often an idle worker asks for work.
const POLL: Duration = Duration::from_secs(1);
/// How often it asks a catalog that does not answer.
const POLL_UNREACHABLE: Duration = Duration::from_secs(5);

/// How workers work.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The catalog, as engines name it.
    pub uri: String,
    /// What it wants to see.
    pub token: Option<String>,
    /// The worker's name, for people.
    pub name: String,
    /// How many jobs are done at once.
    pub workers: u32,
    /// What each job may take.
    pub budget: Budget,
    /// How much others come first, from 0 to 19.
    pub nice: i32,
    /// The files of tables.
    pub files: Files,
    /// Time and identifiers.
    pub outside: Outside,
}

/// Works until `stop`. What is going on then is committed as far as it is done, and left to others.
pub async fn run(settings: Settings, stop: CancellationToken) -> Result<(), ClientError> {
    let workers = TaskTracker::new();
    for number in 1..=settings.workers {
        let client = Client::new(&settings.uri, settings.token.as_deref())?;
        let name =
            if settings.workers == 1 { settings.name.clone() } else { format!("{}-{number}", settings.name) };
        let queue = Queue::new(client, name);
        let (settings, stop) = (settings.clone(), stop.clone());
        workers.spawn(async move { work(&settings, &queue, &stop).await });
    }
    workers.close();
    workers.wait().await;
    Ok(())
}

async fn work(settings: &Settings, queue: &Queue, stop: &CancellationToken) {
    let mut is_reachable = true;
    while !stop.is_cancelled() {
        let pause = match queue.lease().await {
            Ok(lease) if lease.job.is_some() => {
                is_reachable = true;
                worker::run(settings, queue, lease, stop).await;
                continue;
            }
            Ok(_) => {
                is_reachable = true;
                POLL
            }
            Err(error) => {
                // Once, not every few seconds.
                if is_reachable {
                    tracing::warn!(%error, "cannot ask the catalog for work; trying again");
                }
                is_reachable = false;
                POLL_UNREACHABLE
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
