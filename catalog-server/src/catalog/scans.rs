//! Planning scans: at once where the table is small, as plan tasks where it is large, later where it takes long.
//!
//! A plan is a pure function of a metadata file and a request, so any replica can work out any part of it, as often as
//! it is asked to. What is kept in memory is a cache.

use std::collections::HashSet;
use std::num::NonZero;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use table_core::manifest::file::Manifest;
use table_core::manifest::list::{ManifestContent, ManifestFile};
use table_core::metadata::snapshot::Snapshot;
use table_core::scan::deletes::DeleteIndex;
use table_core::scan::plan::Page;
use table_core::scan::request::ScanRequest;
use table_core::scan::table_scan::{Scan, Source};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::config::Planning;
use crate::id;
use crate::storage::manifests::Manifests;
use crate::store::plans::{self, NewPlan, Plan, PlanOutcome};
use crate::store::tabulars::TabularKind;

use super::Catalog;
use super::context::Context;
use super::error::CatalogError;
use super::locations;
use super::names::Identifier;
use super::plan_task::PlanTask;
use super::warehouses::Warehouse;

/// The name of the key that plan tasks are signed with.
const KEY_NAME: &str = "plan-tasks";

/// Memory for scans whose delete files are indexed, so that the tasks of one plan share the work.
const PREPARED_BYTES: u64 = 64 << 20;
const PREPARED_IDLE: Duration = Duration::from_mins(2);

/// The delete manifests of a scan are held together while they are indexed. Three thousand files of equality deletes take about
/// 2 MiB, so whoever has more than this has made them to take memory.
const DELETE_MANIFESTS_BYTES_MAX: usize = 512 << 20;

/// A client polls again soon enough.
const POLL_WAIT_MAX: Duration = Duration::from_secs(10);

/// A manifest whose line does not say how many files it has is taken for this many.
const FILES_UNKNOWN: u64 = 1_000;

/// What planning needs and keeps.
pub struct Scans {
    manifests: Manifests,
    settings: Planning,
    prepared: moka::future::Cache<[u8; 32], Arc<Prepared>>,
    key: tokio::sync::OnceCell<Vec<u8>>,
    /// Turns at making a page, which takes memory and all of a core.
    turns: tokio::sync::Semaphore,
    /// Submitted plans that this process works on.
    running: Mutex<HashSet<Uuid>>,
    finished: tokio::sync::Notify,
}

/// What a request for a plan is answered.
#[derive(Debug)]
pub enum Planned {
    /// The plan, or its first part: JSON with the status in it.
    Completed(Vec<u8>),
    /// It takes longer; to be asked for by this id.
    Submitted(Uuid),
    /// The client has cancelled it.
    Cancelled,
    /// It cannot be made.
    Failed(CatalogError),
}

/// How long a client waits for its plan before it is told where to ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As the server is set up.
    Configured,
    /// Not at all.
    None,
}

/// A scan that is to be planned.
#[derive(Clone)]
struct Job {
    warehouse: Warehouse,
    task: PlanTask,
}

/// A scan with the manifests it reads.
struct Prepared {
    scan: Scan,
    /// Data manifests, each with its number among all manifests of the scan's snapshots. Plan tasks go by these numbers,
    /// which do not depend on what is pruned, so that replicas of different versions mean the same.
    manifests: Vec<(usize, ManifestFile)>,
    deletes: DeleteIndex,
    held_bytes: usize,
}

impl Scans {
    /// Planning over a cache of manifests.
    pub fn new(manifests: Manifests, settings: Planning) -> Self {
        let prepared = moka::future::Cache::builder()
            .max_capacity(PREPARED_BYTES)
            .weigher(|_, prepared: &Arc<Prepared>| u32::try_from(prepared.held_bytes).unwrap_or(u32::MAX))
            .time_to_idle(PREPARED_IDLE)
            .build();
        Self {
            manifests,
            settings,
            prepared,
            key: tokio::sync::OnceCell::new(),
            turns: tokio::sync::Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get)),
            running: Mutex::default(),
            finished: tokio::sync::Notify::new(),
        }
    }

    /// A decoded manifest.
    pub(super) async fn manifest(&self, location: &str) -> Result<Arc<Manifest>, CatalogError> {
        Ok(self.manifests.manifest(location).await?)
    }

    /// The lines of a manifest list.
    pub(super) async fn manifest_list(&self, location: &str) -> Result<Arc<Vec<ManifestFile>>, CatalogError> {
        Ok(self.manifests.list(location).await?)
    }

    /// Bytes held by the cache of manifests, about.
    pub fn held_bytes(&self) -> u64 {
        self.manifests.held_bytes()
    }

    /// Takes on the work on a submitted plan, unless it is under way.
    fn begin(&self, plan_id: Uuid) -> bool {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(plan_id)
    }

    fn end(&self, plan_id: Uuid) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&plan_id);
        self.finished.notify_waiters();
    }

    /// How long plans are kept, in milliseconds.
    pub fn expiry_ms(&self) -> i64 {
        1000 * i64::from(self.settings.expiry_seconds)
    }
}

impl Catalog {
    /// Plans a scan of a table as it is now.
    pub async fn plan_scan(
        self: &Arc<Self>,
        context: &Context,
        warehouse: &Warehouse,
        identifier: &Identifier,
        body: &[u8],
        patience: Patience,
    ) -> Result<Planned, CatalogError> {
        let found = self.require_object(warehouse, identifier, TabularKind::Table).await?;
        let expires_ms = self.clock.now_ms() + self.scans.expiry_ms();
        let (table, caller) = (found.tabular_id, context.caller.id());
        ScanRequest::parse(body)?;
        let request = essential(body)?;
        let task = PlanTask::new(table.0, caller, expires_ms, &found.metadata_location, &request);
        let job = Job { warehouse: warehouse.clone(), task };
        let mut work = self.start_plan(job.clone());

        let patience = match patience {
            Patience::Configured => Duration::from_millis(self.scans.settings.submit_after_ms),
            Patience::None => Duration::ZERO,
        };
        if !patience.is_zero()
            && let Ok(done) = tokio::time::timeout(patience, &mut work).await
        {
            return Ok(Planned::Completed(done.map_err(|error| unexpected(&error))??));
        }
        // A mistake in the request is told now, not to whoever polls.
        self.bind(&job).await?;
        let plan_id = id::random();
        let new = NewPlan {
            plan_id,
            tabular_id: table,
            caller,
            metadata_location: &job.task.metadata_location,
            request: &job.task.request,
        };
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        plans::submit(&mut tx, &new).await?;
        tx.commit().await?;
        self.scans.begin(plan_id);
        drop(self.finish_plan(plan_id, work));
        Ok(Planned::Submitted(plan_id))
    }

    /// The plan of an id, or how far it is. Another replica's plan is worked out here if that one has gone.
    pub async fn find_plan(
        self: &Arc<Self>,
        context: &Context,
        warehouse: &Warehouse,
        identifier: &Identifier,
        plan_id: &str,
    ) -> Result<Planned, CatalogError> {
        let waiting = self.await_plan(context, warehouse, identifier, plan_id);
        match tokio::time::timeout(POLL_WAIT_MAX, waiting).await {
            Ok(planned) => planned,
            Err(_) => Ok(Planned::Submitted(
                self.require_plan(context, warehouse, identifier, plan_id).await?.plan_id,
            )),
        }
    }

    async fn await_plan(
        self: &Arc<Self>,
        context: &Context,
        warehouse: &Warehouse,
        identifier: &Identifier,
        plan_id: &str,
    ) -> Result<Planned, CatalogError> {
        loop {
            let finished = self.scans.finished.notified();
            let plan = self.require_plan(context, warehouse, identifier, plan_id).await?;
            match (plan.outcome, plan.answer) {
                (PlanOutcome::Completed, Some(answer)) => return Ok(Planned::Completed(answer.into_bytes())),
                (PlanOutcome::Cancelled, _) => return Ok(Planned::Cancelled),
                (PlanOutcome::Submitted | PlanOutcome::Completed, _) => {}
            }
            if !self.scans.begin(plan.plan_id) {
                finished.await;
                continue;
            }
            let expires_ms = plan.created_ms + self.scans.expiry_ms();
            let task = PlanTask::new(
                plan.tabular_id.0,
                &plan.caller,
                expires_ms,
                &plan.metadata_location,
                &plan.request,
            );
            let job = Job { warehouse: warehouse.clone(), task };
            let work = self.finish_plan(plan.plan_id, self.start_plan(job));
            match work.await.map_err(|error| unexpected(&error)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) | Err(error) => return Ok(Planned::Failed(error)),
            }
        }
    }

    /// Cancels a plan. Work on it that is under way ends for nothing.
    pub async fn cancel_plan(
        &self,
        context: &Context,
        warehouse: &Warehouse,
        identifier: &Identifier,
        plan_id: &str,
    ) -> Result<(), CatalogError> {
        let plan = self.require_plan(context, warehouse, identifier, plan_id).await?;
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        plans::cancel(&mut tx, plan.plan_id).await?;
        Ok(tx.commit().await?)
    }

    /// The file scan tasks of a plan task.
    pub async fn fetch_scan_tasks(
        self: &Arc<Self>,
        context: &Context,
        warehouse: &Warehouse,
        identifier: &Identifier,
        token: &str,
    ) -> Result<Vec<u8>, CatalogError> {
        let found = self.require_object(warehouse, identifier, TabularKind::Table).await?;
        let task = PlanTask::open(token, self.plan_key().await?).ok_or_else(|| {
            CatalogError::NoSuchPlanTask("it was not made here, or was changed on the way".to_owned())
        })?;
        if task.table != found.tabular_id.0 || task.caller != context.caller.id() {
            return Err(CatalogError::NoSuchPlanTask(format!("it is not one of table `{identifier}`")));
        }
        if task.expires_ms < self.clock.now_ms() {
            return Err(CatalogError::NoSuchPlanTask("it has expired; plan the scan again".to_owned()));
        }
        let job = Job { warehouse: warehouse.clone(), task };
        let prepared = match self.prepare(&job).await {
            Err(CatalogError::FileMissing(location)) if location == job.task.metadata_location => {
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
        let (page, rest) = self.page(&prepared, part).await?;
        Ok(page.into_json("", &self.plan_tasks(&job, &prepared, rest).await?))
    }

    async fn require_plan(
        &self,
        context: &Context,
        warehouse: &Warehouse,
        identifier: &Identifier,
        plan_id: &str,
    ) -> Result<Plan, CatalogError> {
        let found = self.require_object(warehouse, identifier, TabularKind::Table).await?;
        let missing = || CatalogError::NoSuchPlanId(plan_id.to_owned());
        let plan = match Uuid::try_parse(plan_id) {
            Ok(plan_id) => plans::find(&self.db, plan_id).await?.ok_or_else(missing)?,
            Err(_) => return Err(missing()),
        };
        let now_ms = self.db.now_ms(self.clock.now_ms()).await?;
        let is_expired = plan.created_ms + self.scans.expiry_ms() < now_ms;
        if is_expired || plan.tabular_id != found.tabular_id || plan.caller != context.caller.id() {
            return Err(missing());
        }
        Ok(plan)
    }

    fn start_plan(self: &Arc<Self>, job: Job) -> AbortOnDropHandle<Result<Vec<u8>, CatalogError>> {
        let catalog = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move { catalog.plan(&job).await }))
    }

    /// Waits for a submitted plan and keeps its answer. One that fails stays submitted: whoever asks for it finds out
    /// why.
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
                tracing::info!(plan.id = %plan_id, %error, "a submitted plan could not be made");
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

    /// Makes a plan: all of it, or the tasks it falls into.
    async fn plan(&self, job: &Job) -> Result<Vec<u8>, CatalogError> {
        const COMPLETED: &str = ",\"status\":\"completed\"";
        let prepared = self.prepare(job).await?;
        let files = prepared.manifests.iter().map(|(_, file)| files_of(file)).sum::<u64>();
        if files <= self.scans.settings.inline_files {
            let (page, rest) = self.page(&prepared, Part::of(0..prepared.manifests.len())).await?;
            return Ok(page.into_json(COMPLETED, &self.plan_tasks(job, &prepared, rest).await?));
        }
        let parts = split(&prepared.manifests, self.scans.settings.task_files);
        Ok(Page::default().into_json(COMPLETED, &self.plan_tasks(job, &prepared, parts).await?))
    }

    /// The tasks for parts of a scan.
    async fn plan_tasks(
        &self,
        job: &Job,
        prepared: &Prepared,
        parts: Vec<Part>,
    ) -> Result<Vec<String>, CatalogError> {
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let number = |index: usize| prepared.manifests.get(index).map_or(usize::MAX, |(number, _)| *number);
        let key = self.plan_key().await?;
        let tasks = parts.into_iter().map(|part| {
            let mut task = job.task.clone();
            task.manifests = (number(part.manifests.start), number(part.manifests.end));
            task.entries = (part.entries.start, part.entries.end);
            task.seal(key)
        });
        Ok(tasks.collect())
    }

    /// The scan of a job with its delete files indexed; shared by the tasks of one plan.
    async fn prepare(&self, job: &Job) -> Result<Arc<Prepared>, CatalogError> {
        let task = &job.task;
        let mut hash = Sha256::new();
        hash.update((task.metadata_location.len() as u64).to_be_bytes());
        hash.update(&task.metadata_location);
        hash.update(&task.request);
        let key = hash.finalize().into();
        if let Some(prepared) = self.scans.prepared.get(&key).await {
            return Ok(prepared);
        }
        let prepared = Arc::new(self.prepare_anew(job).await?);
        self.scans.prepared.insert(key, prepared.clone()).await;
        Ok(prepared)
    }

    async fn prepare_anew(&self, job: &Job) -> Result<Prepared, CatalogError> {
        let (scan, source) = self.bind(job).await?;
        let mut listed = match source {
            Source::Nothing => Vec::new(),
            Source::Snapshot(snapshot) => self.manifests_of(&job.warehouse, &snapshot).await?,
            Source::Appends(snapshots) => {
                let mut all = Vec::new();
                for snapshot in &snapshots {
                    all.extend(self.manifests_of(&job.warehouse, snapshot).await?);
                }
                all
            }
        };
        let mut seen = HashSet::new();
        let mut kept = Vec::new();
        for (number, file) in listed.drain(..).enumerate() {
            if scan.wants(&file)? && seen.insert(file.path.clone()) {
                // A manifest list is written by clients: nothing outside of the warehouse is read for it.
                locations::inside(&job.warehouse, "manifest", &file.path)?;
                kept.push((number, file));
            }
        }
        let (manifests, deletes): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|(_, file)| file.content == ManifestContent::Data);
        let mut reading = stream::iter(deletes)
            .map(|(_, file)| async move {
                Ok::<_, CatalogError>((self.scans.manifests.manifest(&file.path).await?, file))
            })
            .buffered(self.scans.settings.parallel_manifests);
        let (mut decoded, mut decoded_bytes) = (Vec::new(), 0_usize);
        while let Some((manifest, file)) = reading.try_next().await? {
            decoded_bytes = decoded_bytes.saturating_add(manifest.held_bytes());
            if decoded_bytes > DELETE_MANIFESTS_BYTES_MAX {
                return Err(CatalogError::Invalid(format!(
                    "the manifests of the table's deletes take more than {} MiB of memory; compact the table",
                    DELETE_MANIFESTS_BYTES_MAX >> 20
                )));
            }
            decoded.push((manifest, file));
        }
        drop(reading);
        let held_bytes = decoded.iter().map(|(manifest, _)| 2 * manifest.held_bytes()).sum::<usize>()
            + manifests.iter().map(|(_, file)| 256 + file.path.len()).sum::<usize>()
            + 4096;
        if decoded.is_empty() {
            return Ok(Prepared { scan, manifests, deletes: DeleteIndex::default(), held_bytes });
        }
        let (scan, deletes) = blocking(move || {
            let deletes = DeleteIndex::build(&scan, decoded)?;
            Ok((scan, deletes))
        })
        .await?;
        Ok(Prepared { scan, manifests, deletes, held_bytes })
    }

    /// What the request means for the table.
    async fn bind(&self, job: &Job) -> Result<(Scan, Source), CatalogError> {
        let request = ScanRequest::parse(job.task.request.as_bytes())?;
        let metadata = self.documents.table(&job.task.metadata_location).await?.parsed().clone();
        blocking(move || Ok(Scan::new(&metadata, &request)?)).await
    }

    async fn manifests_of(
        &self,
        warehouse: &Warehouse,
        snapshot: &Snapshot,
    ) -> Result<Vec<ManifestFile>, CatalogError> {
        let damaged =
            |error: table_core::metadata::error::MetadataError| CatalogError::Damaged(error.to_string());
        if let Some(location) = snapshot.manifest_list().map_err(damaged)? {
            locations::inside(warehouse, "manifest list", &location)?;
            return Ok(self.scans.manifests.list(&location).await?.to_vec());
        }
        // Format version 1 may list the manifests in the snapshot itself. Their partition specs stand in their files.
        let mut manifests = Vec::new();
        for path in snapshot.manifests().map_err(damaged)?.unwrap_or_default() {
            locations::inside(warehouse, "manifest", &path)?;
            let spec_id = self.scans.manifests.manifest(&path).await?.spec_id().unwrap_or(0);
            manifests.push(ManifestFile::embedded(path, spec_id, snapshot.id()));
        }
        Ok(manifests)
    }

    /// Plans the files of a part when it is its turn, reading ahead a few manifests and holding no more. What did not fit
    /// into the page is given back.
    async fn page(&self, prepared: &Arc<Prepared>, part: Part) -> Result<(Page, Vec<Part>), CatalogError> {
        let turn = self.scans.turns.acquire().await;
        let _turn = turn.map_err(|error| CatalogError::Internal(error.to_string()))?;
        let listed = prepared.manifests.get(part.manifests.clone()).unwrap_or_default();
        let listed: Vec<_> = listed.iter().map(|(_, file)| file.clone()).collect();
        let mut decoded = stream::iter(listed)
            .map(|file| async move {
                Ok::<_, CatalogError>((self.scans.manifests.manifest(&file.path).await?, file))
            })
            .buffered(self.scans.settings.parallel_manifests);
        let mut page = Page::default();
        let mut index = part.manifests.start;
        while let Some((manifest, file)) = decoded.try_next().await? {
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

/// The request without what has no effect on the plan, since every plan task carries it.
fn essential(body: &[u8]) -> Result<String, CatalogError> {
    let mut request: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(body).map_err(|error| CatalogError::Malformed(error.to_string()))?;
    request.remove("select");
    Ok(serde_json::Value::Object(request).to_string())
}

/// How many files a manifest may have for a scan.
fn files_of(file: &ManifestFile) -> u64 {
    file.live_files().and_then(|files| u64::try_from(files).ok()).unwrap_or(FILES_UNKNOWN)
}

/// A part of a scan: a run of the manifests it reads, and which entries of each.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    manifests: Range<usize>,
    entries: Range<usize>,
}

impl Part {
    /// All entries of some manifests.
    fn of(manifests: Range<usize>) -> Part {
        Part { manifests, entries: 0..usize::MAX }
    }
}

/// Cuts manifests into runs of about `task_files` files; one that has more is cut itself.
fn split(manifests: &[(usize, ManifestFile)], task_files: u64) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut start, mut held) = (0, 0);
    for (index, (_, file)) in manifests.iter().enumerate() {
        let files = files_of(file);
        if held > 0 && held + files > task_files {
            parts.push(Part::of(start..index));
            (start, held) = (index, 0);
        }
        if files <= task_files {
            held += files;
            continue;
        }
        if start < index {
            parts.push(Part::of(start..index));
        }
        // Entries count deleted files as well, so the last part is open.
        let step = usize::try_from(task_files).unwrap_or(usize::MAX);
        let count = usize::try_from(files.div_ceil(task_files)).unwrap_or(usize::MAX);
        for number in 0..count {
            let end = if number + 1 == count { usize::MAX } else { (number + 1) * step };
            parts.push(Part { manifests: index..index + 1, entries: number * step..end });
        }
        (start, held) = (index + 1, 0);
    }
    if start < manifests.len() {
        parts.push(Part::of(start..manifests.len()));
    }
    parts
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CatalogError> + Send + 'static,
) -> Result<T, CatalogError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| unexpected(&error))?
}

fn unexpected(error: &tokio::task::JoinError) -> CatalogError {
    CatalogError::Internal(format!("planning ended in an unexpected way: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[i64], expected: &str) {
        let manifests: Vec<_> = files
            .iter()
            .map(|files| ManifestFile {
                added_files: Some(*files),
                existing_files: Some(0),
                ..ManifestFile::embedded("m".to_owned(), 0, 0)
            })
            .enumerate()
            .collect();
        let parts = split(&manifests, 10).into_iter().map(|Part { manifests, entries }| {
            let end = if entries.end == usize::MAX { String::new() } else { entries.end.to_string() };
            format!("{}-{}[{}..{end}]", manifests.start, manifests.end, entries.start)
        });
        assert_eq!(parts.collect::<Vec<_>>().join(" "), expected, "{files:?}");
    }

    #[test]
    fn manifests_are_cut_into_runs() {
        check(&[], "");
        check(&[3], "0-1[0..]");
        check(&[3, 7], "0-2[0..]");
        check(&[3, 8, 2], "0-1[0..] 1-3[0..]");
        check(&[0, 0, 0], "0-3[0..]");
    }

    #[test]
    fn a_large_manifest_is_cut_itself() {
        check(&[25], "0-1[0..10] 0-1[10..20] 0-1[20..]");
        check(&[3, 11, 4], "0-1[0..] 1-2[0..10] 1-2[10..] 2-3[0..]");
        check(&[0, 11], "0-1[0..] 1-2[0..10] 1-2[10..]");
    }
}
