//! Maintenance under everything that may happen to it: a catalog in this process, writers, and workers whose disks fail, whose
//! requests get lost, who are taken over, cancelled, or die, at any operation, while the clock jumps. All of it is driven by one
//! seed, a step at a time: the same seed takes the same steps.
//!
//! Tables are read by a reader of its own and compared with what writers committed. What the product does right is not asked of the
//! product.

mod check;
mod hands;
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

/// Steps of a seed.
const STEPS: usize = 30;

/// Takes the steps of a seed. Gives what happened; an error tells what was broken, too.
pub async fn run(backend: Backend, seed: u64) -> Result<Vec<String>, String> {
    let (world, server) = World::open(backend, seed, None).await;
    let done = steps(&world).await;
    close(&world, server, done, seed).await
}

/// At each operation of a job, has everything happen that may: the worker dies, is taken over, is cut off from the catalog, and
/// writers commit; or at every second operation, every third… Gives and fails as [`run`] does.
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
        world.note(&format!("step {number}"));
        steps::any(world).await?;
        world.check()?;
    }
    check::end(world).await
}
