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

use crate::process::Backend;

use self::world::World;

/// Steps of a seed.
const STEPS: usize = 30;

/// Takes the steps of a seed. Gives what happened; an error tells what was broken, too.
pub async fn run(backend: Backend, seed: u64) -> Result<Vec<String>, String> {
    let (world, server) = World::open(backend, seed).await;
    let done = steps(&world).await;
    world.close();
    server.run(std::future::ready(())).await;
    let history = world.history();
    match done {
        Ok(()) => Ok(history),
        Err(violation) => Err(format!("{}\nseed {seed} on {backend:?}: {violation}", history.join("\n"))),
    }
}

async fn steps(world: &std::sync::Arc<World>) -> Result<(), String> {
    for number in 1..=STEPS {
        world.note(&format!("step {number}"));
        steps::any(world).await?;
        world.check()?;
    }
    check::end(world).await
}
