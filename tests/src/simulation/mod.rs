//! Simulation of maintenance under faults: a catalog in this process, writers, and workers at whose
//! operations disks fail, requests are lost, other workers take over, jobs are cancelled, or the worker
//! crashes, while the clock jumps. A seed determines all choices, one step at a time: the same seed takes the
//! same steps.
//!
//! Tables are read by an independent reader (`reader`) and compared with a model of the rows that writers
//! committed (`model`): the product's own code is not used to verify the product.

mod check;
mod faults;
mod model;
mod reader;
mod steps;
mod world;
mod writer;

use std::sync::Arc;

use catalog_server::server::Server;

use self::model::KINDS;
use self::world::World;
use crate::process::Backend;

/// Number of steps of a simulation.
const STEPS: usize = 30;

/// Runs the simulation of a seed, and returns its history: one line for each step and event.
///
/// # Errors
///
/// Fails if an invariant is violated: a row is lost, duplicated or wrong, a snapshot cannot be read, a
/// request is refused unexpectedly, or an unneeded file is left at the end. The error includes the history
/// and the seed.
pub async fn run(backend: Backend, seed: u64) -> Result<Vec<String>, String> {
    let (world, server) = World::open(backend, seed, None).await;
    let done = steps(&world).await;
    close(&world, server, done, seed).await
}

/// Runs jobs of an action (`compact`, `expire-snapshots` or `rewrite-manifests`) again and again, and injects
/// each event at each operation, one per job: the worker crashes, another worker takes over, the connection
/// to the catalog is lost, or writers commit. With a `stride` of 2, every second operation is tried, and so
/// on. Returns the history as [`run`] does.
///
/// # Errors
///
/// Fails in the same situations as [`run`].
pub async fn sweep(backend: Backend, seed: u64, action: &str, stride: usize) -> Result<Vec<String>, String> {
    let kinds = u64::try_from(KINDS.len()).unwrap_or(1);
    let kind = KINDS[usize::try_from(seed % kinds).unwrap_or(0)];
    let (world, server) = World::open(backend, seed, Some(kind)).await;
    let done = match steps::sweep(&world, kind, action, stride).await {
        Ok(()) => check::end(&world).await,
        Err(violation) => Err(violation),
    };
    close(&world, server, done, seed).await
}

async fn close(
    world: &World,
    server: Server,
    done: Result<(), String>,
    seed: u64,
) -> Result<Vec<String>, String> {
    world.close();
    server.run(std::future::ready(())).await;
    let history = world.history();
    match done {
        Ok(()) => Ok(history),
        Err(violation) => {
            Err(format!("{}\nseed {seed} on {:?}: {violation}", history.join("\n"), world.backend))
        }
    }
}

async fn steps(world: &Arc<World>) -> Result<(), String> {
    for number in 1..=STEPS {
        world.record(&format!("step {number}"));
        steps::any(world).await?;
        world.check()?;
    }
    check::end(world).await
}
