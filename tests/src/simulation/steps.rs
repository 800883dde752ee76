//! Steps of the simulation: commits of writers, jobs of workers, and jumps of the clock.

use std::sync::Arc;

use maintenance::budget::Budget;
use maintenance::client::Client;
use maintenance::client::address::CatalogAddress;
use maintenance::context::Environment;
use maintenance::files::{JobFiles, local_store};
use maintenance::queue::Queue;
use maintenance::settings::Settings;
use maintenance::worker;
use rand::RngExt as _;
use serde_json::json;
use storage::faults::Faulty;
use storage::read_ahead::Concurrency;
use storage::stores::Stores;
use tokio::runtime::Handle;

use super::check;
use super::faults::{FaultPlan, FaultyWorker, SWEEP_EVENTS};
use super::model::Kind;
use super::world::{NAMESPACE, TableStates, World};
use super::writer::{self, Pending, Write};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// Actions that a job can be requested for.
pub(super) const ACTIONS: [&str; 4] = ["evaluate", "compact", "expire-snapshots", "rewrite-manifests"];

/// Takes a random step.
pub(super) async fn any(world: &Arc<World>) -> Result<(), String> {
    match world.below(16) {
        0..4 => write(world).await,
        4 => {
            advance_clock(world);
            Ok(())
        }
        5 => {
            set_clock_back(world);
            Ok(())
        }
        6 => tag(world).await,
        _ => maintain(world).await,
    }
}

/// Takes a step of a writer on a random table: it computes and commits a change, computes one without
/// committing it, or commits one that was computed before.
async fn write(world: &World) -> Result<(), String> {
    let mut states = world.states.lock().await;
    let number = world.below(states.tables.len());
    write_one(world, &mut states, number, None).await
}

/// Takes a random step of a writer on a table.
pub(super) async fn write_to(world: &World, table: &str) -> Result<(), String> {
    write_change(world, table, None).await
}

/// Takes a step of a writer on a table: the change `write`, or a random one.
pub(super) async fn write_change(world: &World, table: &str, write: Option<Write>) -> Result<(), String> {
    let mut states = world.states.lock().await;
    let number = states.tables.iter().position(|known| known.kind.name == table).unwrap_or(0);
    write_one(world, &mut states, number, write).await
}

async fn write_one(
    world: &World,
    states: &mut TableStates,
    number: usize,
    write: Option<Write>,
) -> Result<(), String> {
    let TableStates { tables, reader } = states;
    let table = &mut tables[number];
    let kind = table.kind;
    if let Some(pending) = table.pending.take() {
        world.record(&format!("  {}: commit what was computed before", kind.name));
        return finish(world, states, number, pending).await;
    }
    let is_slow = write.is_none() && world.below(6) == 0;
    let write = write.unwrap_or_else(|| world.with_random(writer::choose));
    let operation = if is_slow { "compute" } else { "commit" };
    world.record(&format!("  {}: {operation} {write:?}", kind.name));
    let next_id = table.next_id;
    table.next_id += 100;
    let Some(pending) = writer::compute(world, kind, next_id, reader, write).await? else { return Ok(()) };
    if is_slow {
        table.pending = Some(pending);
        return Ok(());
    }
    finish(world, states, number, pending).await
}

async fn finish(
    world: &World,
    states: &mut TableStates,
    number: usize,
    pending: Pending,
) -> Result<(), String> {
    let table = &mut states.tables[number];
    if let Some((snapshot_id, effect)) = writer::commit(world, table.kind, pending).await? {
        table.committed(snapshot_id, &effect);
    }
    check::table(world, states, number).await
}

/// Advances the clock by a random duration of up to three days.
pub(super) fn advance_clock(world: &World) {
    let by_ms = world.with_random(|random| random.random_range(MINUTE_MS..3 * DAY_MS));
    world.record(&format!("  clock +{} min", by_ms / MINUTE_MS));
    world.move_clock(by_ms);
}

/// Sets the clock back by a random duration of up to half an hour.
pub(super) fn set_clock_back(world: &World) {
    let by_ms = world.with_random(|random| random.random_range(1_000..30 * MINUTE_MS));
    world.record(&format!("  clock -{} s", by_ms / 1_000));
    world.move_clock(-by_ms);
}

/// Tags the current snapshot, which protects it from expiry, or removes the tag.
async fn tag(world: &World) -> Result<(), String> {
    let mut states = world.states.lock().await;
    let number = world.below(states.tables.len());
    let table = &mut states.tables[number];
    let document = world.load(table.kind).await?;
    let update = if let Some(name) = table.tags.pop_first() {
        json!({ "action": "remove-snapshot-ref", "ref-name": name })
    } else if let Some(snapshot) = writer::current(&document) {
        table.tags.insert("kept".to_owned());
        let id = &snapshot["snapshot-id"];
        json!({ "action": "set-snapshot-ref", "ref-name": "kept", "type": "tag", "snapshot-id": id })
    } else {
        return Ok(());
    };
    world.record(&format!("  {}: {} `kept`", table.kind.name, update["action"]));
    let body = json!({ "requirements": [], "updates": [update] });
    let reply = world.client.post(&World::path(table.kind), &body).await;
    if reply.status == 200 { Ok(()) } else { Err(format!("a tag was refused: {}", reply.text())) }
}

/// Removes the tag of a table.
pub(super) async fn remove_tag(world: &World, kind: Kind) -> Result<(), String> {
    let update = json!({ "action": "remove-snapshot-ref", "ref-name": "kept" });
    let body = json!({ "requirements": [], "updates": [update] });
    let reply = world.client.post(&World::path(kind), &body).await;
    if reply.status == 200 { Ok(()) } else { Err(format!("a tag cannot be removed: {}", reply.text())) }
}

/// Requests a job, and lets a worker do the next one.
async fn maintain(world: &Arc<World>) -> Result<(), String> {
    let kind = {
        let states = world.states.lock().await;
        states.tables[world.below(states.tables.len())].kind
    };
    let action = ACTIONS[[0, 1, 1, 1, 1, 2, 2, 3][world.below(8)]];
    // A new file, so that there is work for the job.
    write_change(world, kind.name, Some(Write::Append)).await?;
    for _ in 0..world.below(3) {
        write_to(world, kind.name).await?;
    }
    // Makes deferred jobs due.
    world.move_clock(2 * MINUTE_MS);
    request_job(world, kind, action).await?;
    let fault_plan = match world.below(8) {
        0 => FaultPlan::None,
        1 => FaultPlan::Random { faults: 15, events: 0 },
        2 => FaultPlan::Random { faults: 0, events: 5 },
        3..6 => FaultPlan::Random { faults: 0, events: 10 },
        6 => FaultPlan::Random { faults: 0, events: 20 },
        _ => FaultPlan::Random { faults: 12, events: 12 },
    };
    run_next_job(world, fault_plan).await.map(drop)
}

/// Injects each event of [`SWEEP_EVENTS`] at each operation of a job, or with a `stride` at every second,
/// third, … operation; each time in a new job.
pub(super) async fn sweep(world: &Arc<World>, kind: Kind, action: &str, stride: usize) -> Result<(), String> {
    for event in SWEEP_EVENTS {
        for number in (0_u32..).step_by(stride) {
            for write in [Write::Append, Write::Append, Write::DeletePositions] {
                write_change(world, kind.name, Some(write)).await?;
            }
            if world.below(2) == 0 {
                write_to(world, kind.name).await?;
            }
            request_job(world, kind, action).await?;
            let operations = run_next_job(world, FaultPlan::At(number, event)).await?;
            check::drain(world).await?;
            if world.below(3) == 0 {
                // Bounds the size of the table, so that later jobs and checks do not take longer and longer.
                for action in ["compact", "expire-snapshots"] {
                    request_job(world, kind, action).await?;
                    check::drain(world).await?;
                }
            }
            if operations.is_none_or(|operations| operations <= number) {
                break;
            }
        }
    }
    Ok(())
}

/// Requests a job; there may already be one.
pub(super) async fn request_job(world: &World, kind: Kind, action: &str) -> Result<(), String> {
    let table = json!({ "warehouse": "main", "namespace": [NAMESPACE], "table": kind.name });
    let status = world.send_maintenance_request("jobs", &json!({ "table": table, "action": action })).await;
    world.record(&format!("  {}: request {action} ({status})", kind.name));
    if matches!(status, 200 | 409) { Ok(()) } else { Err(format!("a job was refused: {status}")) }
}

/// Lets a worker do the next job, if there is one; returns the number of its operations.
pub(super) async fn run_next_job(world: &Arc<World>, fault_plan: FaultPlan) -> Result<Option<u32>, String> {
    let name = format!("w{}", world.next_worker());
    let worker = FaultyWorker::new(world, name.clone(), fault_plan);
    let clock = world.clock.clone();
    let ids = Arc::downgrade(world);
    let environment = Environment {
        now_ms: Arc::new(move || clock.now_ms()),
        uuid: Arc::new(move || ids.upgrade().map(|world| world.uuid()).unwrap_or_default()),
    };
    let address = CatalogAddress { token: Some(name.clone()), ..CatalogAddress::new(world.client.root()) };
    let client = Client::new(&address).map_err(|error| error.to_string())?;
    let queue = Queue::new(client, name.clone());
    world.make_deferred_jobs_due().await;
    let lease = queue.lease().await.map_err(|error| format!("no lease: {error}"))?;
    let Some(job) = &lease.job else {
        world.record(&format!("  {name} finds no job"));
        return Ok(None);
    };
    let (job_id, table) = (job.job_id, job.table.clone());
    world.record(&format!(
        "  {name} leases {} of {table}, attempt {}, {} left over, {fault_plan:?}",
        job.action,
        job.attempt,
        lease.leftovers.len()
    ));
    let settings = Settings {
        catalog: address,
        name: name.clone(),
        workers: 1,
        budget: Budget::default(),
        nice: 0,
        files: JobFiles::new(
            Arc::new(Faulty::new(Arc::new(Stores::new(local_store())), worker.clone())),
            Handle::current(),
            // The order of the operations depends on the seed alone.
            Concurrency::SEQUENTIAL,
            None,
        ),
        environment,
    };
    let heartbeats = |lease| {
        worker.set_job(job_id, table.rsplit('.').next().unwrap_or_default(), lease);
        std::future::pending()
    };
    tokio::select! {
        biased;
        () = worker.crashed.cancelled() => {
            let now = world.job(job_id).await;
            world.record(&format!("  {name} has crashed: {now}"));
        }
        () = worker::run_with(&settings, &queue, lease, heartbeats) => {
            let ended = world.job(job_id).await;
            world.record(&format!("  {name} has finished: {ended}"));
        }
    }
    world.check()?;
    check::all(world).await?;
    Ok(Some(worker.operations()))
}
