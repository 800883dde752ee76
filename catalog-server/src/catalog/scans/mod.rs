//! Server-side scan planning: inline for small tables, as plan tasks for large ones, asynchronous if it takes
//! long.
//!
//! A plan is a pure function of a metadata file and a request, so any replica can compute any part of it
//! repeatedly. The state in memory is only a cache.

mod manifests;
mod parts;
mod plan_id;
mod plan_task;

use std::collections::HashSet;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use table_core::manifest::list::{ManifestContent, ManifestFile};
use table_core::scan::deletes::DeleteIndex;
use table_core::scan::plan::ScanPage;
use table_core::scan::request::ScanRequest;
use table_core::scan::table_scan::{Scan, ScanSource};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::authz::action::Action;
use crate::config::Planning;
use crate::id;
use crate::request::Request;
use crate::storage::manifests::Manifests;
use crate::store::catalog::plans::{self, NewPlan, Plan, PlanOutcome};
use crate::store::ids::TabularId;
use crate::work::{Allowance, CpuSlots, Share};

use crate::catalog::Catalog;
use crate::catalog::error::CatalogError;
use crate::catalog::names::Identifier;
use crate::catalog::scans::manifests::{AHEAD_BYTES, TableFiles};
use crate::catalog::scans::parts::{Part, files_of, split};
use crate::catalog::scans::plan_id;
use crate::catalog::scans::plan_task::{PlanTask, ScanText, SealedTask};
use crate::catalog::warehouses::warehouse::Warehouse;

/// Name of the key in the database with which plan tasks and plan ids are signed.
const KEY_NAME: &str = "plan-tasks";

/// Memory for prepared scans, in bytes. A prepared scan contains the index of the delete files, which the
/// tasks of one plan share.
const PREPARED_BYTES: u64 = 64 << 20;
/// Memory that the cache needs for an entry in addition to its value: key, counters and queue positions.
const ENTRY_BYTES: usize = 256;
const PREPARED_IDLE: Duration = Duration::from_mins(2);

/// Maximum time that a poll waits for the plan. Afterwards, the client polls again.
const POLL_WAIT_MAX: Duration = Duration::from_secs(10);

/// Maximum total size of the requests contained in the plan tasks of one response, in bytes. A long request
/// leads to fewer and larger tasks.
const TASKS_TEXT_BYTES: usize = 32 << 20;

/// Resources and caches of scan planning.
pub struct Scans {
    pub(in crate::catalog) manifests: Manifests,
    pub(in crate::catalog) settings: Planning,
    prepared: moka::future::Cache<[u8; 32], Arc<Prepared>>,
    key: tokio::sync::OnceCell<Vec<u8>>,
    /// Slots for work on requests.
    turns: CpuSlots,
    /// Memory for scans in progress.
    memory: Allowance,
    /// Slots for indexing deletes and computing a page, which need memory and a full core.
    pages: Semaphore,
    /// Memory for manifests that are read ahead.
    pub(in crate::catalog) ahead: Allowance,
    /// Ids of the submitted plans that this process is computing.
    running: Mutex<HashSet<Uuid>>,
    finished: tokio::sync::Notify,
}

/// State of a plan, as returned to the client.
#[derive(Debug)]
pub enum Planned {
    /// Completed plan, or its first part.
    Completed {
        /// Plan as a JSON object that includes the status, without the plan id.
        answer: Vec<u8>,
        /// Id of the plan, to be added to the response.
        plan_id: Uuid,
    },
    /// Plan in progress, with the id by which it is fetched.
    Submitted(Uuid),
    /// Plan that the client cancelled.
    Cancelled,
    /// Plan that failed.
    Failed(CatalogError),
}

/// Time for which a request waits for its plan before the plan continues asynchronously.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Time from the server's configuration.
    Configured,
    /// No time: the plan is always asynchronous.
    None,
}

/// Scan to be planned.
struct Job {
    warehouse: Warehouse,
    task: PlanTask,
    /// Memory reserved while the scan is in progress.
    _memory: Share,
}

/// Starting point for preparing a scan.
enum Start {
    /// Scan in the cache that was prepared before.
    Prepared(Arc<Prepared>),
    /// Scan bound to the table, not prepared yet.
    Bound(Box<(Scan, ScanSource)>),
}

/// Scan with its manifests and the index of its delete files.
struct Prepared {
    scan: Scan,
    /// Data manifests, each with its number among all manifests of the scan's snapshots. Plan tasks refer to
    /// these numbers. They do not depend on pruning, so replicas of different versions agree on them.
    manifests: Vec<(usize, ManifestFile)>,
    deletes: DeleteIndex,
}

impl Prepared {
    fn memory_bytes(&self) -> usize {
        let manifests = self.manifests.iter().map(|(_, file)| size_of::<usize>() + file.memory_bytes());
        size_of::<Self>() + self.scan.memory_bytes() + self.deletes.memory_bytes() + manifests.sum::<usize>()
    }
}

impl Scans {
    /// Creates the state of scan planning with a cache of manifests.
    pub fn new(manifests: Manifests, settings: Planning, turns: CpuSlots) -> Self {
        let prepared = moka::future::Cache::builder()
            .max_capacity(PREPARED_BYTES)
            .weigher(|_, prepared: &Arc<Prepared>| {
                u32::try_from(ENTRY_BYTES + prepared.memory_bytes()).unwrap_or(u32::MAX)
            })
            .time_to_idle(PREPARED_IDLE)
            // The tasks of a plan are requested right after it, independent of how often other scans were
            // used.
            .eviction_policy(moka::policy::EvictionPolicy::lru())
            .build();
        Self {
            manifests,
            turns,
            memory: Allowance::new(settings.memory_bytes),
            settings,
            prepared,
            key: tokio::sync::OnceCell::new(),
            pages: Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get)),
            ahead: Allowance::new(AHEAD_BYTES),
            running: Mutex::default(),
            finished: tokio::sync::Notify::new(),
        }
    }

    /// Returns the approximate memory used by the cache of manifests, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.manifests.memory_bytes()
    }

    /// Marks a submitted plan as in progress. Returns `false` if this process is already computing it.
    fn begin(&self, plan_id: Uuid) -> bool {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(plan_id)
    }

    fn end(&self, plan_id: Uuid) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&plan_id);
        self.finished.notify_waiters();
    }

    /// Returns the time after which plans and plan tasks expire, in milliseconds.
    pub fn expiry_ms(&self) -> i64 {
        1000 * i64::from(self.settings.expiry_seconds)
    }
}

impl Catalog {
    /// Plans a scan of the current version of a table. `body` is the JSON of the request.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist ([`CatalogError::NoSuchTable`]), if the caller may not plan scans
    /// ([`CatalogError::Forbidden`]), if the request is invalid ([`CatalogError::Invalid`]), if the files of
    /// the table are missing, damaged or not in its folders, or if the file system or the database fails.
    pub async fn plan_scan(
        self: &Arc<Self>,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        body: Bytes,
        patience: Patience,
    ) -> Result<Planned, CatalogError> {
        let found = self.require_table(request, warehouse, identifier, Action::PlanScan).await?;
        let expires_ms = request.time_ms + self.scans.expiry_ms();
        let (table, caller) = (found.tabular_id, request.caller.id());
        let location = found.metadata_location;
        let scan = self.scans.turns.run(body.len(), move || ScanText::of_request(&body, &location)).await?;
        let memory = self.scans.memory.take(scan.weight_bytes()).await;
        let task = PlanTask::new(table.0, caller, expires_ms, scan);
        let job = Arc::new(Job { warehouse: warehouse.clone(), task, _memory: memory });
        // Invalid requests fail here instead of in a later poll.
        let start = self.start(&job).await?;
        let mut work = self.start_plan(job.clone(), start);

        let patience = match patience {
            Patience::Configured => Duration::from_millis(self.scans.settings.submit_after_ms),
            Patience::None => Duration::ZERO,
        };
        if !patience.is_zero()
            && let Ok(done) = tokio::time::timeout(patience, &mut work).await
        {
            let answer = done.map_err(|error| unexpected(&error))??;
            let plan_id = plan_id::new(self.plan_key().await?, table.0, caller);
            return Ok(Planned::Completed { answer, plan_id });
        }
        let plan_id = id::random();
        let new = NewPlan {
            plan_id,
            tabular_id: table,
            caller,
            metadata_location: &job.task.scan.metadata_location,
            request: &job.task.scan.request,
        };
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        plans::submit(&mut tx, &new).await?;
        tx.commit().await?;
        self.scans.begin(plan_id);
        drop(self.finish_plan(plan_id, work));
        Ok(Planned::Submitted(plan_id))
    }

    /// Returns the plan of an id, or its state. If the replica that was computing it is no longer running,
    /// the plan is computed here.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist ([`CatalogError::NoSuchTable`]), if the caller may not plan scans
    /// ([`CatalogError::Forbidden`]), if the plan does not exist, has expired or belongs to another table or
    /// caller ([`CatalogError::NoSuchPlanId`]), or if the database fails. A plan that cannot be computed is
    /// returned as [`Planned::Failed`].
    pub async fn find_plan(
        self: &Arc<Self>,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        plan_id: &str,
    ) -> Result<Planned, CatalogError> {
        let waiting = self.await_plan(request, warehouse, identifier, plan_id);
        match tokio::time::timeout(POLL_WAIT_MAX, waiting).await {
            Ok(planned) => planned,
            Err(_) => Ok(Planned::Submitted(
                self.require_plan(request, warehouse, identifier, plan_id).await?.plan_id,
            )),
        }
    }

    async fn await_plan(
        self: &Arc<Self>,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        plan_id: &str,
    ) -> Result<Planned, CatalogError> {
        loop {
            let finished = self.scans.finished.notified();
            let plan = self.require_plan(request, warehouse, identifier, plan_id).await?;
            match plan.outcome {
                PlanOutcome::Completed => {
                    if let Some(answer) = plans::find_answer(&self.db, plan.plan_id).await? {
                        return Ok(Planned::Completed { answer: answer.into_bytes(), plan_id: plan.plan_id });
                    }
                }
                PlanOutcome::Cancelled => return Ok(Planned::Cancelled),
                PlanOutcome::Submitted => {}
            }
            if !self.scans.begin(plan.plan_id) {
                finished.await;
                continue;
            }
            let plan_id = plan.plan_id;
            let catalog = self.clone();
            let warehouse = warehouse.clone();
            let again = tokio::spawn(async move { catalog.plan_again(&warehouse, plan).await });
            let work = self.finish_plan(plan_id, AbortOnDropHandle::new(again));
            match work.await.map_err(|error| unexpected(&error)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) | Err(error) => return Ok(Planned::Failed(error)),
            }
        }
    }

    /// Cancels a plan. Work in progress is completed, but its result is discarded. For a plan that was
    /// completed in its first response it has no effect.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist ([`CatalogError::NoSuchTable`]), if the caller may not plan scans
    /// ([`CatalogError::Forbidden`]), if the plan does not exist, has expired or belongs to another table or
    /// caller ([`CatalogError::NoSuchPlanId`]), or if the database fails.
    pub async fn cancel_plan(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        plan_id: &str,
    ) -> Result<(), CatalogError> {
        if self.was_complete(request, warehouse, identifier, plan_id).await? {
            return Ok(());
        }
        let plan = self.require_plan(request, warehouse, identifier, plan_id).await?;
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        plans::cancel(&mut tx, plan.plan_id).await?;
        Ok(tx.commit().await?)
    }

    /// Returns `true` if the id is that of a plan that was completed in its first response, so that there is
    /// nothing to cancel.
    async fn was_complete(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        plan_id: &str,
    ) -> Result<bool, CatalogError> {
        let found = self.require_table(request, warehouse, identifier, Action::PlanScan).await?;
        let Ok(plan_id) = Uuid::try_parse(plan_id) else { return Ok(false) };
        if plan_id.get_version() != Some(uuid::Version::Custom) {
            return Ok(false);
        }
        let (table, caller) = (found.tabular_id.0, request.caller.id());
        Ok(plan_id::is_ours(self.plan_key().await?, table, caller, plan_id))
    }

    /// Computes a submitted plan again, because the replica that was computing it is no longer running.
    async fn plan_again(&self, warehouse: &Warehouse, plan: Plan) -> Result<Vec<u8>, CatalogError> {
        let Some(request) = plans::find_request(&self.db, plan.plan_id).await? else {
            // The plan was completed or cancelled meanwhile, so the empty answer is not stored.
            return Ok(Vec::new());
        };
        let location = plan.metadata_location;
        let scan = self
            .scans
            .turns
            .run(request.len(), move || ScanText::new(location, request.into_boxed_str()))
            .await;
        let memory = self.scans.memory.take(scan.weight_bytes()).await;
        let expires_ms = plan.created_ms + self.scans.expiry_ms();
        let task = PlanTask::new(plan.tabular_id.0, &plan.caller, expires_ms, scan);
        let job = Arc::new(Job { warehouse: warehouse.clone(), task, _memory: memory });
        let start = self.start(&job).await?;
        self.plan(&job, start).await
    }

    /// Returns the response for a plan task: its file scan tasks, and plan tasks for the rest if it does not
    /// fit into one page.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist ([`CatalogError::NoSuchTable`]), if the caller may not plan scans
    /// ([`CatalogError::Forbidden`]), if the plan task was not issued for this table and caller, was changed,
    /// has expired, or its metadata file was deleted ([`CatalogError::NoSuchPlanTask`]), if the files of the
    /// table are missing, damaged or not in its folders, or if the file system or the database fails.
    pub async fn fetch_scan_tasks(
        self: &Arc<Self>,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        token: String,
    ) -> Result<Vec<u8>, CatalogError> {
        let found = self.require_table(request, warehouse, identifier, Action::PlanScan).await?;
        let foreign =
            || CatalogError::NoSuchPlanTask("it was not made here, or was changed on the way".to_owned());
        let key = self.plan_key().await?.to_vec();
        let sealed = self.scans.turns.run(token.len(), move || SealedTask::check(&token, &key)).await;
        let sealed = sealed.ok_or_else(foreign)?;
        let weight_bytes = sealed.weight_bytes();
        let memory = self.scans.memory.take(weight_bytes).await;
        let task = self.scans.turns.run(weight_bytes, move || sealed.open()).await.ok_or_else(foreign)?;
        if task.table != found.tabular_id.0 || task.caller != request.caller.id() {
            return Err(CatalogError::NoSuchPlanTask(format!("it is not one of table `{identifier}`")));
        }
        if task.expires_ms < request.time_ms {
            return Err(CatalogError::NoSuchPlanTask("it has expired; plan the scan again".to_owned()));
        }
        let job = Arc::new(Job { warehouse: warehouse.clone(), task, _memory: memory });
        let mut turn = None;
        let prepared = match self.start(&job).await {
            Ok(start) => self.prepare(&job, start, &mut turn).await,
            Err(error) => Err(error),
        };
        let prepared = match prepared {
            Err(CatalogError::FileMissing(location)) if location == job.task.scan.metadata_location => {
                return Err(CatalogError::NoSuchPlanTask(format!(
                    "the metadata file it was planned on, `{location}`, is gone; plan the scan again"
                )));
            }
            prepared => prepared?,
        };
        let (from, to) = job.task.manifests;
        let numbers = prepared.manifests.iter().map(|(number, _)| *number);
        let start = numbers.clone().filter(|number| *number < from).count();
        let end = numbers.filter(|number| *number < to).count();
        let part = Part { manifests: start..end.max(start), entries: job.task.entries.0..job.task.entries.1 };
        let (page, rest) = self.page(&prepared, part, turn).await?;
        self.answer(&job, &prepared, page, rest, "").await
    }

    async fn require_plan(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        plan_id: &str,
    ) -> Result<Plan, CatalogError> {
        let found = self.require_table(request, warehouse, identifier, Action::PlanScan).await?;
        let missing = || CatalogError::NoSuchPlanId(plan_id.to_owned());
        let plan = match Uuid::try_parse(plan_id) {
            Ok(plan_id) => plans::find(&self.db, plan_id).await?.ok_or_else(missing)?,
            Err(_) => return Err(missing()),
        };
        let now_ms = self.db.now_ms(self.clock.now_ms()).await?;
        let is_expired = plan.created_ms + self.scans.expiry_ms() < now_ms;
        if is_expired || plan.tabular_id != found.tabular_id || plan.caller != request.caller.id() {
            return Err(missing());
        }
        Ok(plan)
    }

    fn start_plan(
        self: &Arc<Self>,
        job: Arc<Job>,
        start: Start,
    ) -> AbortOnDropHandle<Result<Vec<u8>, CatalogError>> {
        let catalog = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move { catalog.plan(&job, start).await }))
    }

    /// Waits for a submitted plan and stores its result. A plan that fails remains submitted: the next poll
    /// computes it again and returns the error.
    fn finish_plan(
        self: &Arc<Self>,
        plan_id: Uuid,
        work: AbortOnDropHandle<Result<Vec<u8>, CatalogError>>,
    ) -> JoinHandle<Result<(), CatalogError>> {
        let catalog = self.clone();
        tokio::spawn(async move {
            let kept = match work.await.map_err(|error| unexpected(&error)) {
                Ok(Ok(answer)) => catalog.keep_answer(plan_id, &answer).await,
                Ok(Err(error)) | Err(error) => Err(error),
            };
            if let Err(error) = &kept {
                tracing::info!(plan.id = %plan_id, error = error.for_log(), "a submitted plan could not be made");
            }
            catalog.scans.end(plan_id);
            kept
        })
    }

    async fn keep_answer(&self, plan_id: Uuid, answer: &[u8]) -> Result<(), CatalogError> {
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        plans::complete(&mut tx, plan_id, &String::from_utf8_lossy(answer)).await?;
        Ok(tx.commit().await?)
    }

    /// Computes a plan: completely, or as plan tasks if it is large.
    async fn plan(&self, job: &Arc<Job>, start: Start) -> Result<Vec<u8>, CatalogError> {
        const COMPLETED: &str = ",\"status\":\"completed\"";
        let mut turn = None;
        let prepared = self.prepare(job, start, &mut turn).await?;
        let files = prepared.manifests.iter().map(|(_, file)| files_of(file)).sum::<u64>();
        if files <= self.scans.settings.inline_files {
            let all = Part::of(0..prepared.manifests.len());
            let (page, rest) = self.page(&prepared, all, turn).await?;
            return self.answer(job, &prepared, page, rest, COMPLETED).await;
        }
        let tasks_max = (TASKS_TEXT_BYTES / job.task.scan.request.len().max(1)).max(1);
        let task_files = files.div_ceil(u64::try_from(tasks_max).unwrap_or(u64::MAX));
        let parts = split(&prepared.manifests, task_files.max(self.scans.settings.task_files));
        self.answer(job, &prepared, ScanPage::default(), parts, COMPLETED).await
    }

    /// Serialises a page as JSON, with plan tasks for the remaining parts of the scan.
    async fn answer(
        &self,
        job: &Arc<Job>,
        prepared: &Prepared,
        page: ScanPage,
        parts: Vec<Part>,
        tail: &'static str,
    ) -> Result<Vec<u8>, CatalogError> {
        if parts.is_empty() {
            return Ok(page.into_json(tail, &[]));
        }
        let number = |index: usize| prepared.manifests.get(index).map_or(usize::MAX, |(number, _)| *number);
        let runs: Vec<_> = parts
            .into_iter()
            .map(|part| {
                let manifests = (number(part.manifests.start), number(part.manifests.end));
                (manifests, (part.entries.start, part.entries.end))
            })
            .collect();
        let (job, key) = (job.clone(), self.plan_key().await?.to_vec());
        let bytes = runs.len() * job.task.scan.request.len();
        let answer = self.scans.turns.run(bytes, move || {
            let tasks: Vec<_> = runs
                .into_iter()
                .map(|(manifests, entries)| job.task.seal(&key, manifests, entries))
                .collect();
            page.into_json(tail, &tasks)
        });
        Ok(answer.await)
    }

    /// Returns the starting point of a job: the prepared scan from the cache, or the scan bound to the table.
    async fn start(&self, job: &Arc<Job>) -> Result<Start, CatalogError> {
        if let Some(prepared) = self.scans.prepared.get(job.task.scan.key()).await {
            return Ok(Start::Prepared(prepared));
        }
        Ok(Start::Bound(Box::new(self.bind(job).await?)))
    }

    /// Prepares the scan of a job: selects its manifests and indexes its delete files. The tasks of one plan
    /// share the result. If there are delete files, it acquires a slot (`turn`), which the caller must not
    /// release while the index takes more memory than the cache accounts for.
    async fn prepare<'a>(
        &'a self,
        job: &Job,
        start: Start,
        turn: &mut Option<SemaphorePermit<'a>>,
    ) -> Result<Arc<Prepared>, CatalogError> {
        let (scan, source) = match start {
            Start::Prepared(prepared) => return Ok(prepared),
            Start::Bound(bound) => *bound,
        };
        let prepared = Arc::new(self.prepare_anew(job, scan, source, turn).await?);
        self.scans.prepared.insert(*job.task.scan.key(), prepared.clone()).await;
        // The cache only evicts after 64 entries or 300 ms, and one entry may take megabytes.
        self.scans.prepared.run_pending_tasks().await;
        Ok(prepared)
    }

    async fn prepare_anew<'a>(
        &'a self,
        job: &Job,
        scan: Scan,
        source: ScanSource,
        turn: &mut Option<SemaphorePermit<'a>>,
    ) -> Result<Prepared, CatalogError> {
        let metadata = self.documents.table(&job.task.scan.metadata_location).await?.parsed().clone();
        let owner = TabularId(job.task.table);
        let folders = self.own_folders(&job.warehouse, owner, &metadata).await?;
        let files = TableFiles { warehouse: &job.warehouse, owner, folders };
        // Successive snapshots list the same manifests, which are then read once. A manifest that one
        // snapshot lists twice contributes its files twice.
        let is_of_several = matches!(source, ScanSource::Appends(_));
        let mut listed = match source {
            ScanSource::Nothing => Vec::new(),
            ScanSource::Snapshot(snapshot) => self.manifests_of(&files, &snapshot).await?,
            ScanSource::Appends(snapshots) => {
                let mut all = Vec::new();
                for snapshot in &snapshots {
                    all.extend(self.manifests_of(&files, snapshot).await?);
                }
                all
            }
        };
        let mut seen = HashSet::new();
        let mut kept = Vec::new();
        for (number, file) in listed.drain(..).enumerate() {
            if scan.needs_manifest(&file)? && (!is_of_several || seen.insert(file.path.clone())) {
                // Checked before anything of the plan is cached: its tasks read the manifests without another
                // check.
                self.check_file(files.warehouse, Some(owner), &files.folders, "manifest", &file.path).await?;
                kept.push((number, file));
            }
        }
        let (manifests, deletes): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|(_, file)| file.content == ManifestContent::Data);
        if deletes.is_empty() {
            return Ok(Prepared { scan, manifests, deletes: DeleteIndex::default() });
        }
        *turn = Some(self.page_turn().await?);
        let (decoded, bytes) = self.decoded(deletes.into_iter().map(|(_, file)| file).collect()).await?;
        let indexed = self.scans.turns.run(bytes, move || {
            let deletes = DeleteIndex::build(&scan, decoded)?;
            Ok::<_, CatalogError>((scan, deletes))
        });
        let (scan, deletes) = indexed.await?;
        Ok(Prepared { scan, manifests, deletes })
    }

    async fn page_turn(&self) -> Result<SemaphorePermit<'_>, CatalogError> {
        self.scans.pages.acquire().await.map_err(|error| CatalogError::Internal(error.to_string()))
    }

    /// Parses the request of a job and binds it to the table.
    async fn bind(&self, job: &Arc<Job>) -> Result<(Scan, ScanSource), CatalogError> {
        let document = self.documents.table(&job.task.scan.metadata_location).await?;
        let bytes = document.json().len() + job.task.scan.request.len();
        let job = job.clone();
        let bound = self.scans.turns.run(bytes, move || {
            let request = ScanRequest::parse(job.task.scan.request.as_bytes())?;
            Scan::new(document.parsed(), request)
        });
        Ok(bound.await?)
    }

    /// Computes a page of a part of a scan, after acquiring a slot. Only a few manifests are read ahead and
    /// in memory at a time. Returns the parts that did not fit into the page.
    async fn page(
        &self,
        prepared: &Arc<Prepared>,
        part: Part,
        turn: Option<SemaphorePermit<'_>>,
    ) -> Result<(ScanPage, Vec<Part>), CatalogError> {
        let _turn = match turn {
            Some(turn) => turn,
            None => self.page_turn().await?,
        };
        let listed = prepared.manifests.get(part.manifests.clone()).unwrap_or_default();
        let listed: Vec<_> = listed.iter().map(|(_, file)| file.clone()).collect();
        let mut reading = std::pin::pin!(self.read_ahead(listed));
        let mut page = ScanPage::default();
        let mut index = part.manifests.start;
        while let Some((ahead, file)) = reading.try_next().await? {
            let (manifest, _share) = self.manifest_of(ahead, &file).await?;
            let (shared, entries) = (prepared.clone(), part.entries.clone());
            let next;
            (page, next) = blocking(move || {
                let next = page.add(&shared.scan, &shared.deletes, &manifest, &file, entries)?;
                Ok((page, next))
            })
            .await?;
            index += 1;
            if page.is_satisfied(&prepared.scan) {
                break;
            }
            if let Some(next) = next {
                let rest = Part { manifests: index - 1..index, entries: next..part.entries.end };
                let others = Part { manifests: index..part.manifests.end, entries: part.entries };
                return Ok((
                    page,
                    [rest, others].into_iter().filter(|part| !part.manifests.is_empty()).collect(),
                ));
            }
        }
        Ok((page, Vec::new()))
    }

    async fn plan_key(&self) -> Result<&[u8], CatalogError> {
        let key = self.scans.key.get_or_try_init(|| async {
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            let key = plans::signing_key(&mut tx, KEY_NAME, &id::secret()).await?;
            tx.commit().await?;
            Ok::<_, CatalogError>(key)
        });
        Ok(key.await?)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CatalogError> + Send + 'static,
) -> Result<T, CatalogError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| unexpected(&error))?
}

fn unexpected(error: &tokio::task::JoinError) -> CatalogError {
    CatalogError::Internal(format!("planning ended in an unexpected way: {error}"))
}
