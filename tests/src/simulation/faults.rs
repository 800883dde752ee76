//! Fault injection for a worker. Every file operation and every request of a job passes through [`FaultyWorker`]. At
//! each of these, the seed decides whether it fails, whether another event happens first, or whether the
//! worker crashes.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use maintenance::worker::lease::Lease;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;
use storage::error::StorageError;
use storage::faults::{Faults, Operation};
use storage::place::Place;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::steps;
use super::world::World;
use super::writer::Write as Step;

/// Maximum number of faults and events of one worker.
const FAULTS_MAX: u32 = 4;

/// Size of the parts of a new file in bytes: so small that a worker may crash between two parts of any file.
const PART_BYTES: usize = 400;
/// Maximum number of parts of a file before a crash in it.
const PARTS_MAX: usize = 4;

/// Frequent operations that matter little.
const QUIET: [&str; 5] = ["read manifest", "read list", "GET config", "POST finish", "delete manifest"];
/// Factor by which faults and events are rarer at [`QUIET`] operations.
const QUIET_RATE: u32 = 6;
/// Operations that decide the outcome of a job, with more faults and events: the commit, and the end of
/// writing the manifest list before it.
const CRUCIAL: [&str; 2] = ["commit", "end list"];
const CRUCIAL_RATE: u32 = 5;

/// Faults and events that are injected into the operations of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultPlan {
    /// No faults and no events.
    None,
    /// Random faults and events, each with a rate: one in so many operations; 0 for none.
    Random {
        /// Rate at which requests and file operations fail.
        faults: u32,
        /// Rate of [`Event`]s, such as commits of writers, jumps of the clock, and crashes.
        events: u32,
    },
    /// One event, at the operation with this number, counted from 0 over the operations that change
    /// something.
    At(u32, Event),
}

/// Event that may happen at an operation of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// One or several commits of writers.
    Write,
    /// Advance of the clock, by up to three days.
    ClockAdvance,
    /// Setback of the clock, by up to half an hour.
    ClockSetback,
    /// Expiry of the worker's lease, as if it had been silent for too long: another worker continues the job,
    /// with or without faults.
    TakenOver,
    /// Cancellation of the job by a client.
    Cancel,
    /// Heartbeat of the worker.
    Heartbeat,
    /// Crash of the worker. At the creation of a file, it may also occur while the file is written.
    Crash,
    /// Deletion of rows in some of the table's files, and overwrite of others, by writers.
    ConflictingWrites,
    /// Loss of the next requests or of their responses.
    ConnectionLoss,
}

/// Events that [`super::sweep`] tries at every operation of a job.
pub(super) const SWEEP_EVENTS: [Event; 4] =
    [Event::Crash, Event::TakenOver, Event::ConnectionLoss, Event::ConflictingWrites];

/// Fault injection for one worker and one job.
pub(super) struct FaultyWorker {
    world: Arc<World>,
    pub(super) name: String,
    fault_plan: FaultPlan,
    /// Cancelled when the worker crashes.
    pub(super) crashed: CancellationToken,
    injected: AtomicU32,
    /// Number of operations so far that change something ([`is_change`]).
    operations: AtomicU32,
    /// Number of further requests and responses that will be lost.
    outage: AtomicU32,
    job: Mutex<Option<(Uuid, Lease)>>,
    /// Name of the job's table.
    table: Mutex<String>,
    /// Locations of the files that were created since another worker may have taken over the job; `None`
    /// before that.
    created_since_takeover: Mutex<Option<Vec<String>>>,
    /// Number of parts of the file that is being written after which the worker crashes, at its end at the
    /// latest.
    crash_after_parts: Mutex<Option<usize>>,
}

impl FaultyWorker {
    pub(super) fn new(world: &Arc<World>, name: String, fault_plan: FaultPlan) -> Arc<FaultyWorker> {
        let worker = Arc::new(FaultyWorker {
            world: world.clone(),
            name,
            fault_plan,
            crashed: CancellationToken::new(),
            injected: AtomicU32::new(0),
            operations: AtomicU32::new(0),
            outage: AtomicU32::new(0),
            job: Mutex::default(),
            table: Mutex::default(),
            created_since_takeover: Mutex::default(),
            crash_after_parts: Mutex::default(),
        });
        world.register_worker(worker.clone());
        worker
    }

    /// Sets the job that the worker has leased.
    pub(super) fn set_job(&self, job_id: Uuid, table: &str, lease: Lease) {
        *lock(&self.job) = Some((job_id, lease));
        table.clone_into(&mut lock(&self.table));
    }

    /// Injects faults and events before a request; returns `false` if the request is lost.
    pub(super) async fn accepts_request(&self, what: &str) -> bool {
        if self.has_crashed() || !is_job_request(what) {
            return !self.has_crashed();
        }
        self.inject_event(what).await;
        !self.has_crashed() && !self.is_lost(what)
    }

    /// Injects faults and events after a request; returns `false` if the response is lost.
    pub(super) async fn is_response_delivered(&self, what: &str) -> bool {
        if self.has_crashed() || !is_job_request(what) {
            return !self.has_crashed();
        }
        self.inject_event(&format!("the response to {what}")).await;
        !self.has_crashed() && !self.is_lost(&format!("the response to {what}"))
    }

    /// Returns `true` if a request or a response is lost. The first loss may cause up to three more.
    fn is_lost(&self, what: &str) -> bool {
        let left = self.outage.load(Ordering::Relaxed);
        if left > 0 && !what.ends_with("finish") {
            self.outage.store(left - 1, Ordering::Relaxed);
            return true;
        }
        let fails = self.fails(what);
        if fails {
            self.outage.store(u32::try_from(self.world.below(4)).unwrap_or(0), Ordering::Relaxed);
        }
        fails
    }

    /// Number of operations so far that change something.
    pub(super) fn operations(&self) -> u32 {
        self.operations.load(Ordering::Relaxed)
    }

    fn has_crashed(&self) -> bool {
        self.crashed.is_cancelled()
    }

    /// Returns `true` if an operation fails.
    fn fails(&self, what: &str) -> bool {
        let FaultPlan::Random { faults, .. } = self.fault_plan else { return false };
        // Never at the end of a job: the worker would repeat that request after a second of real time.
        if faults == 0 || what.ends_with("finish") || !self.injects(what, faults) {
            return false;
        }
        self.record(what, "fails");
        true
    }

    /// Injects an event before or after an operation.
    async fn inject_event(&self, what: &str) {
        let event = match self.fault_plan {
            FaultPlan::Random { events, .. } if events > 0 && self.injects(what, events) => {
                self.world.with_random(choose)
            }
            FaultPlan::At(number, event)
                if is_change(what) && self.operations.fetch_add(1, Ordering::Relaxed) == number =>
            {
                event
            }
            _ => return,
        };
        if event == Event::Crash && what.starts_with("create ") && self.world.below(2) == 0 {
            *lock(&self.crash_after_parts) = Some(self.world.below(PARTS_MAX));
            self.record(what, "Crash while it is written");
            return;
        }
        self.record(what, &format!("{event:?}"));
        if let Err(violation) = Box::pin(self.apply_event(event)).await {
            self.world.record_violation(violation);
        }
    }

    async fn apply_event(&self, event: Event) -> Result<(), String> {
        let job = lock(&self.job).clone();
        let table = lock(&self.table).clone();
        match event {
            Event::Write => {
                for _ in 0..=self.world.below(3) {
                    steps::write_to(&self.world, &table).await?;
                }
                Ok(())
            }
            Event::ConflictingWrites => {
                for write in [Step::DeletePositions, Step::Overwrite] {
                    steps::write_change(&self.world, &table, Some(write)).await?;
                }
                Ok(())
            }
            Event::ClockAdvance => {
                steps::advance_clock(&self.world);
                Ok(())
            }
            Event::ClockSetback => {
                steps::set_clock_back(&self.world);
                Ok(())
            }
            Event::TakenOver => {
                if lock(&self.created_since_takeover).is_some() {
                    return Ok(());
                }
                *lock(&self.created_since_takeover) = Some(Vec::new());
                self.world.expire_leases().await;
                let fault_plan = match self.world.below(4) {
                    0 | 1 => FaultPlan::Random { faults: 6, events: 0 },
                    2 => FaultPlan::Random { faults: 0, events: 12 },
                    _ => FaultPlan::None,
                };
                steps::run_next_job(&self.world, fault_plan).await.map(drop)?;
                if self.world.below(2) == 0 {
                    steps::write_to(&self.world, &table).await?;
                }
                Ok(())
            }
            Event::Cancel => {
                let Some((job_id, lease)) = job else { return Ok(()) };
                self.world.send_maintenance_request(&format!("jobs/{job_id}/cancel"), &json!({})).await;
                if self.world.below(2) == 0 {
                    heartbeat(lease).await;
                }
                Ok(())
            }
            Event::Heartbeat => {
                if let Some((_, lease)) = job {
                    heartbeat(lease).await;
                }
                Ok(())
            }
            Event::ConnectionLoss => {
                // Enough for the commit and for the requests that check whether it succeeded.
                self.outage.store(4, Ordering::Relaxed);
                Ok(())
            }
            Event::Crash => {
                self.crashed.cancel();
                // A worker that took over the job looked for these files before they existed, and could not
                // delete them.
                for location in lock(&self.created_since_takeover).iter().flatten() {
                    self.world.add_undeletable_file(location);
                }
                Ok(())
            }
        }
    }

    fn injects(&self, what: &str, rate: u32) -> bool {
        let rate = if is_one_of(what, &QUIET) { rate * QUIET_RATE } else { rate };
        let rate = if is_one_of(what, &CRUCIAL) { rate.div_ceil(CRUCIAL_RATE) } else { rate };
        self.injected.load(Ordering::Relaxed) < FAULTS_MAX
            && self.world.with_random(|random| random.random_range(0..rate)) == 0
            && self.injected.fetch_add(1, Ordering::Relaxed) < FAULTS_MAX
    }

    fn record(&self, what: &str, event: &str) {
        self.world.record(&format!("    {}, {what}: {event}", self.name));
    }

    async fn before_file_operation(&self, operation: Operation, place: &Place) -> io::Result<()> {
        let action = match operation {
            Operation::Read => "read",
            Operation::Create => "create",
            Operation::State => "check",
            Operation::Delete => "delete",
            Operation::WritePart if self.has_crashed() => return Err(broken()),
            // Faults of writing are chosen when the file is created: the number of its parts depends on how
            // well random names can be compressed.
            Operation::WritePart => {
                self.crash_between_parts().await;
                return Ok(());
            }
            Operation::Finish => {
                self.crash_at_end().await;
                return Ok(());
            }
            Operation::Folder => return Ok(()),
        };
        self.before_operation(&format!("{action} {}", kind(place.as_str()))).await
    }

    /// Injects an event before a file operation; fails if the operation is to fail.
    async fn before_operation(&self, what: &str) -> io::Result<()> {
        self.end_if_crashed();
        self.inject_event(what).await;
        self.end_if_crashed();
        if self.fails(what) { Err(broken()) } else { Ok(()) }
    }

    /// Counts a part of the file that is being written, and crashes before the chosen one.
    async fn crash_between_parts(&self) {
        let is_now = match &mut *lock(&self.crash_after_parts) {
            Some(0) => true,
            Some(parts) => {
                *parts -= 1;
                false
            }
            None => false,
        };
        if is_now {
            self.crash_at_end().await;
        }
    }

    /// Crashes if a crash was chosen for the file that is being written.
    async fn crash_at_end(&self) {
        if lock(&self.crash_after_parts).take().is_some() {
            if let Err(violation) = Box::pin(self.apply_event(Event::Crash)).await {
                self.world.record_violation(violation);
            }
            self.end_if_crashed();
        }
    }

    /// Ends the thread of a crashed worker, which must not do anything any more, not even clean up.
    fn end_if_crashed(&self) {
        if self.has_crashed() {
            std::panic::resume_unwind(Box::new("the worker has crashed"));
        }
    }
}

/// Returns `true` for operations that change something. Events before a read are equivalent to events before
/// the next change.
fn is_change(what: &str) -> bool {
    let reads = ["read ", "GET ", "load", "the response to GET", "the response to load"];
    !reads.iter().any(|reads| what.starts_with(reads))
}

fn is_one_of(what: &str, suffixes: &[&str]) -> bool {
    suffixes.iter().any(|one| what.ends_with(one))
}

/// Sends a heartbeat, without faults and events.
async fn heartbeat(lease: Lease) {
    // The job sees the response by itself.
    let _ = lease.heartbeat().await;
}

fn choose(random: &mut StdRng) -> Event {
    match random.random_range(0..20) {
        0..8 => Event::Write,
        8 => Event::ClockAdvance,
        9 => Event::ClockSetback,
        10..14 => Event::TakenOver,
        14 => Event::ConflictingWrites,
        15 => Event::Cancel,
        16 => Event::Heartbeat,
        _ => Event::Crash,
    }
}

/// Returns `true` for requests that a worker sends while it has a job, except heartbeats.
fn is_job_request(what: &str) -> bool {
    !what.ends_with("lease") && !what.ends_with("heartbeat")
}

fn broken() -> io::Error {
    io::Error::other("the disk of the simulation fails")
}

#[async_trait]
impl Faults for FaultyWorker {
    async fn before(&self, operation: Operation, place: &Place) -> Result<(), StorageError> {
        match self.before_file_operation(operation, place).await {
            Ok(()) => Ok(()),
            Err(error) => {
                if operation == Operation::Delete {
                    self.world.add_undeletable_file(place.as_str());
                }
                Err(StorageError::io("use", place.as_str(), error))
            }
        }
    }

    async fn after(&self, operation: Operation, place: &Place) -> Result<(), StorageError> {
        if operation == Operation::Create
            && let Some(created) = &mut *lock(&self.created_since_takeover)
        {
            created.push(place.as_str().to_owned());
        }
        if operation != Operation::Finish {
            return Ok(());
        }
        // A small file has no parts.
        self.crash_at_end().await;
        let what = format!("end {}", kind(place.as_str()));
        self.before_operation(&what).await.map_err(|error| StorageError::io("use", place.as_str(), error))
    }

    fn torn_after_bytes(&self, place: &Place) -> Option<usize> {
        if lock(&self.crash_after_parts).is_some() {
            return None;
        }
        self.fails(&format!("write {}", kind(place.as_str()))).then(|| self.world.below(2_000))
    }

    fn part_bytes(&self) -> Option<usize> {
        Some(PART_BYTES)
    }
}

/// Returns the kind of a file according to its name.
fn kind(location: &str) -> &'static str {
    let name = location.rsplit('/').next().unwrap_or_default();
    match name.rsplit('.').next().unwrap_or_default() {
        "parquet" if name.contains("deletes") => "deletes",
        "parquet" => "data",
        "puffin" => "vectors",
        "avro" if name.starts_with("snap-") => "list",
        "avro" => "manifest",
        _ => "metadata",
    }
}

impl fmt::Debug for FaultyWorker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("FaultyWorker").field(&self.name).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
