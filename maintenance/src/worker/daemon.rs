//! Continuous maintenance: workers that lease jobs from the catalog's queue until they are stopped.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::Client;
use crate::client::error::ClientError;
use crate::queue::Queue;
use crate::settings::Settings;
use crate::worker;

/// Interval at which an idle worker requests a job.
const POLL: Duration = Duration::from_secs(1);
/// Interval at which a worker retries if the catalog does not answer.
const POLL_UNREACHABLE: Duration = Duration::from_secs(5);

/// Runs the workers until `stop` is cancelled. A job that is running then commits what is done, and is
/// returned to the queue for another worker.
///
/// # Errors
///
/// Fails for the reasons of [`Client::new`].
pub async fn run(settings: Settings, stop: CancellationToken) -> Result<(), ClientError> {
    let workers = TaskTracker::new();
    for number in 1..=settings.workers {
        let client = Client::new(&settings.catalog)?;
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
                // Only the first failure is logged, not one every few seconds.
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
