//! Maintenance jobs: a queue that outlives its workers. A worker leases a job, says from time to time that it is still
//! at it, and finishes it; if it dies, the lease ends and another worker takes over.
//!
//! The attempt number fences: what an earlier attempt says about a job is refused. At most one job of a table runs at a time,
//! and the same action is not queued twice for one table. While a table is paused, none of its jobs is handed out.

use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::db::{Db, DbKind};
use super::error::StoreError;
use super::ids::{TabularId, WarehouseId};
use super::tx::Tx;

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Job {
    /// Its id; later jobs have greater ones.
    pub job_id: Uuid,
    /// The warehouse of the table.
    pub warehouse_id: WarehouseId,
    /// The table.
    pub tabular_id: TabularId,
    /// What the table was called when the job was made.
    pub table_name: String,
    /// What is to be done, such as `compact`.
    pub action: String,
    /// How far it is.
    #[sqlx(try_from = "String")]
    pub state: JobState,
    /// How it is to be done: JSON.
    pub options: String,
    /// Why, for people.
    pub reason: String,
    /// Who wants it.
    pub requested_by: String,
    /// How much there is to gain; greater is done first.
    pub rank: i64,
    /// How many times it was leased.
    pub attempt: i64,
    /// Who has it, or had it last.
    pub worker: Option<String>,
    /// Whether somebody wants it to stop.
    pub cancel_wanted: bool,
    /// How far the worker is: JSON.
    pub progress: Option<String>,
    /// What came of it: JSON.
    pub result: Option<String>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When it was made.
    pub created_ms: i64,
    /// Not before then.
    pub due_ms: i64,
    /// When it is anybody's again, while it is running.
    pub lease_until_ms: Option<i64>,
    /// When it was first leased.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub finished_ms: Option<i64>,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Nobody has it.
    Queued,
    /// A worker has it.
    Running,
    /// Done.
    Succeeded,
    /// Given up.
    Failed,
    /// Not wanted any more.
    Cancelled,
}

/// The database holds a state this Firn does not know.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a state of a job")]
pub struct UnknownState(String);

impl TryFrom<String> for JobState {
    type Error = UnknownState;

    fn try_from(text: String) -> Result<Self, UnknownState> {
        let all = [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];
        all.into_iter().find(|state| state.as_str() == text).ok_or(UnknownState(text))
    }
}

impl JobState {
    /// The word in the database and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A job to be.
#[derive(Clone, Copy, Debug)]
pub struct NewJob<'a> {
    /// Its id.
    pub job_id: Uuid,
    /// The warehouse of the table.
    pub warehouse_id: WarehouseId,
    /// The table.
    pub tabular_id: TabularId,
    /// What the table is called.
    pub table_name: &'a str,
    /// What is to be done.
    pub action: &'a str,
    /// How: JSON.
    pub options: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Who wants it.
    pub requested_by: &'a str,
    /// How much there is to gain.
    pub rank: i64,
    /// Not before then.
    pub due_ms: i64,
}

/// What a worker holds, and must show to say anything about the job.
#[derive(Clone, Copy, Debug)]
pub struct JobLease<'a> {
    /// The job.
    pub job_id: Uuid,
    /// The worker.
    pub worker: &'a str,
    /// The [`Job::attempt`] of the lease.
    pub attempt: i64,
}

/// Terms of a lease.
#[derive(Clone, Copy, Debug)]
pub struct LeaseTerms {
    /// How long it lasts without a heartbeat.
    pub lease_ms: i64,
    /// How many workers may die over a job before it is given up.
    pub attempts_max: i64,
}

/// How a job ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// It is done; what came of it, as JSON.
    Succeeded(&'a str),
    /// It cannot be done: why, and what came of it until then, as JSON.
    Failed(&'a str, Option<&'a str>),
    /// Somebody wanted it to stop; what came of it until then.
    Cancelled(Option<&'a str>),
}

/// How a job ended, and how long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct End {
    /// [`JobState::Succeeded`] or [`JobState::Failed`].
    #[sqlx(try_from = "String")]
    pub state: JobState,
    /// How many times it was leased.
    pub attempt: i64,
    /// When it was first leased.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub finished_ms: Option<i64>,
}

/// What became of the wish to cancel a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelJob {
    /// It had not begun, and never will.
    Cancelled,
    /// Its worker is told with its next heartbeat.
    Wanted,
    /// It is over already.
    Over,
    /// There is no such job.
    Missing,
}

/// Which jobs are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct JobFilter {
    /// Only those of a table.
    pub tabular_id: Option<TabularId>,
    /// Only those in a state.
    pub state: Option<JobState>,
    /// Older than this one, which was the last of the page before.
    pub before: Option<Uuid>,
}

/// The columns of [`Job`].
macro_rules! columns {
    () => {
        "job_id, warehouse_id, tabular_id, table_name, action, state, options, reason, requested_by, rank, attempt, worker,
         cancel_wanted, progress, result, error, created_ms, due_ms, lease_until_ms, started_ms, finished_ms"
    };
}

/// The statement of [`list_open`].
pub const LIST_OPEN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM maintenance_jobs WHERE tabular_id = $1 AND state IN ('queued', 'running')"
);

/// The statement of [`find_last`].
pub const FIND_LAST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM maintenance_jobs
      WHERE tabular_id = $1 AND action = $2 AND (CAST($3 AS TEXT) IS NULL OR state = $3)
      ORDER BY job_id DESC LIMIT 1"
);

/// The statement of [`list_ends`].
pub const LIST_ENDS: &str = "
    SELECT state, attempt, started_ms, finished_ms FROM maintenance_jobs
    WHERE tabular_id = $1 AND action = $2 AND state IN ('succeeded', 'failed')
    ORDER BY job_id DESC LIMIT $3";

/// The statement of [`find_unfinished`].
pub const LAST_BEGUN: &str = "
    SELECT state, progress FROM maintenance_jobs
    WHERE tabular_id = $1 AND action = $2 AND job_id < $3 AND started_ms IS NOT NULL AND finished_ms IS NOT NULL
    ORDER BY job_id DESC LIMIT 1";

/// The job that is next: one whose worker has gone, else the queued one with the most to gain of a table that no job runs on;
/// never one of a table that is paused.
macro_rules! next {
    ($lock:literal) => {
        concat!(
            "UPDATE maintenance_jobs
             SET state = 'running', attempt = attempt + 1, worker = $1, lease_until_ms = $2 + $3,
                 started_ms = coalesce(started_ms, $2), changed_ms = NULL
             WHERE job_id = coalesce(
                (SELECT job_id FROM maintenance_jobs silent
                 WHERE state = 'running' AND lease_until_ms <= $2 AND NOT EXISTS (
                    SELECT 1 FROM maintenance_pauses pauses WHERE pauses.tabular_id = silent.tabular_id)
                 ORDER BY lease_until_ms LIMIT 1 ",
            $lock,
            "),
                (SELECT job_id FROM maintenance_jobs queued
                 WHERE state = 'queued' AND due_ms <= $2 AND NOT EXISTS (
                    SELECT 1 FROM maintenance_jobs other
                    WHERE other.tabular_id = queued.tabular_id AND other.state = 'running')
                 AND NOT EXISTS (
                    SELECT 1 FROM maintenance_pauses pauses WHERE pauses.tabular_id = queued.tabular_id)
                 ORDER BY rank DESC, job_id LIMIT 1 ",
            $lock,
            "))
             RETURNING ",
            columns!()
        )
    };
}

/// Queues a job, made at [`Tx::at_ms`].
///
/// Returns `false`, changing nothing, if the same action is queued or running for the table.
pub async fn enqueue(tx: &mut Tx, new: &NewJob<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "
        INSERT INTO maintenance_jobs (job_id, warehouse_id, tabular_id, table_name, action, state, options, reason,
                                      requested_by, rank, attempt, cancel_wanted, created_ms, due_ms)
        VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, 0, FALSE, $10, $11)
        ON CONFLICT (tabular_id, action) WHERE state IN ('queued', 'running') DO NOTHING";

    insert(tx, SQL, new).await
}

/// Queues a job as [`enqueue`] does, unless the table is paused.
pub async fn enqueue_unless_paused(tx: &mut Tx, new: &NewJob<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "
        INSERT INTO maintenance_jobs (job_id, warehouse_id, tabular_id, table_name, action, state, options, reason,
                                      requested_by, rank, attempt, cancel_wanted, created_ms, due_ms)
        SELECT $1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, 0, FALSE, $10, $11
        WHERE NOT EXISTS (SELECT 1 FROM maintenance_pauses WHERE tabular_id = $3)
        ON CONFLICT (tabular_id, action) WHERE state IN ('queued', 'running') DO NOTHING";

    insert(tx, SQL, new).await
}

async fn insert(tx: &mut Tx, sql: &'static str, new: &NewJob<'_>) -> Result<bool, StoreError> {
    let at_ms = tx.at_ms();
    let inserted = execute!(
        tx,
        query(sql)
            .bind(new.job_id)
            .bind(new.warehouse_id)
            .bind(new.tabular_id)
            .bind(new.table_name)
            .bind(new.action)
            .bind(new.options)
            .bind(new.reason)
            .bind(new.requested_by)
            .bind(new.rank)
            .bind(at_ms)
            .bind(new.due_ms)
    )?;
    Ok(inserted == 1)
}

/// Makes a queued job what `new` is, if `requested_by` wanted it and nobody has it yet, and gives its id, which it keeps.
pub async fn take_over(
    tx: &mut Tx,
    new: &NewJob<'_>,
    requested_by: &str,
) -> Result<Option<Uuid>, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs
        SET table_name = $4, options = $5, reason = $6, requested_by = $7, rank = $8, due_ms = $9
        WHERE tabular_id = $1 AND action = $2 AND requested_by = $3 AND state = 'queued'
        RETURNING job_id";

    fetch_optional!(
        tx,
        query_scalar::<_, Uuid>(SQL)
            .bind(new.tabular_id)
            .bind(new.action)
            .bind(requested_by)
            .bind(new.table_name)
            .bind(new.options)
            .bind(new.reason)
            .bind(new.requested_by)
            .bind(new.rank)
            .bind(new.due_ms)
    )
}

/// Brings a queued job up to date that `requested_by` wanted, and that nobody has: it has the options and the reason of `new`, and
/// waits no longer than that. Does nothing if there is none.
pub async fn renew(tx: &mut Tx, new: &NewJob<'_>, requested_by: &str) -> Result<(), StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs
        SET options = $4, reason = $5, due_ms = CASE WHEN due_ms > $6 THEN $6 ELSE due_ms END
        WHERE tabular_id = $1 AND action = $2 AND requested_by = $3 AND state = 'queued'";

    execute!(
        tx,
        query(SQL)
            .bind(new.tabular_id)
            .bind(new.action)
            .bind(requested_by)
            .bind(new.options)
            .bind(new.reason)
            .bind(new.due_ms)
    )?;
    Ok(())
}

/// Gives `worker` the job that is next, from [`Tx::at_ms`] on. Gives up, beforehand, what too many workers have died over, and
/// what nobody wants and no worker has any more.
///
/// Fails with [`StoreError::Serialization`] if two workers on PostgreSQL were about to get two jobs of one table.
pub async fn lease(tx: &mut Tx, worker: &str, terms: LeaseTerms) -> Result<Option<Job>, StoreError> {
    const GIVE_UP: &str = "
        UPDATE maintenance_jobs
        SET state = CASE WHEN cancel_wanted THEN 'cancelled' ELSE 'failed' END,
            error = CASE WHEN cancel_wanted THEN error
                         ELSE 'its workers died ' || CAST(attempt AS TEXT) || ' times, the last one was ' || worker END,
            finished_ms = $1, lease_until_ms = NULL
        WHERE state = 'running' AND lease_until_ms <= $1 AND (cancel_wanted OR attempt >= $2)";
    const SQL: &str = next!("");
    const SQL_POSTGRES: &str = next!("FOR UPDATE SKIP LOCKED");

    let sql = if tx.kind() == DbKind::Postgres { SQL_POSTGRES } else { SQL };
    let at_ms = tx.at_ms();
    execute!(tx, query(GIVE_UP).bind(at_ms).bind(terms.attempts_max))?;
    fetch_optional!(tx, query_as::<_, Job>(sql).bind(worker).bind(at_ms).bind(terms.lease_ms))
}

/// What the job of the same action of the table that ended last told of how far it was, if it was not done then.
pub async fn find_unfinished(tx: &mut Tx, job: &Job) -> Result<Option<String>, StoreError> {
    let last = fetch_optional!(
        tx,
        query_as::<_, (String, Option<String>)>(LAST_BEGUN)
            .bind(job.tabular_id)
            .bind(&job.action)
            .bind(job.job_id)
    )?;
    let unfinished = last.filter(|(state, _)| state != JobState::Succeeded.as_str());
    Ok(unfinished.and_then(|(_, progress)| progress))
}

/// Prolongs a lease to `lease_ms` from [`Tx::at_ms`] on and keeps how far the worker is.
///
/// Gives whether somebody wants the job to stop; `None`, changing nothing, if it is not the worker's any more.
pub async fn extend(
    tx: &mut Tx,
    lease: JobLease<'_>,
    lease_ms: i64,
    progress: Option<&str>,
) -> Result<Option<bool>, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs SET lease_until_ms = $4, progress = coalesce(CAST($5 AS TEXT), progress)
        WHERE job_id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'
        RETURNING cancel_wanted";

    let until_ms = tx.at_ms() + lease_ms;
    fetch_optional!(
        tx,
        query_scalar::<_, bool>(SQL)
            .bind(lease.job_id)
            .bind(lease.worker)
            .bind(lease.attempt)
            .bind(until_ms)
            .bind(progress)
    )
}

/// Puts a job back into the queue: not before `due_ms`, with the reason and what came of it so far. It does not count as an attempt.
///
/// Returns `false`, changing nothing, if the job is not the worker's any more.
pub async fn give_back(
    tx: &mut Tx,
    lease: JobLease<'_>,
    due_ms: i64,
    (error, result): (&str, Option<&str>),
) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs
        SET state = 'queued', due_ms = $4, error = $5, result = CAST($6 AS TEXT), lease_until_ms = NULL
        WHERE job_id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'";

    let changed = execute!(
        tx,
        query(SQL)
            .bind(lease.job_id)
            .bind(lease.worker)
            .bind(lease.attempt)
            .bind(due_ms)
            .bind(error)
            .bind(result)
    )?;
    Ok(changed == 1)
}

/// Ends a job at [`Tx::at_ms`].
///
/// Returns `false`, changing nothing, if the job is not the worker's any more.
pub async fn finish(tx: &mut Tx, lease: JobLease<'_>, outcome: Outcome<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs
        SET state = $4, result = $5, error = CAST($6 AS TEXT), finished_ms = $7, lease_until_ms = NULL
        WHERE job_id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'";

    let (state, result, error) = match outcome {
        Outcome::Succeeded(result) => (JobState::Succeeded, Some(result), None),
        Outcome::Failed(error, result) => (JobState::Failed, result, Some(error)),
        Outcome::Cancelled(result) => (JobState::Cancelled, result, None),
    };
    let at_ms = tx.at_ms();
    let changed = execute!(
        tx,
        query(SQL)
            .bind(lease.job_id)
            .bind(lease.worker)
            .bind(lease.attempt)
            .bind(state.as_str())
            .bind(result)
            .bind(error)
            .bind(at_ms)
    )?;
    Ok(changed == 1)
}

/// Gives up, at [`Tx::at_ms`], whatever is queued for a table.
pub async fn fail_queued(tx: &mut Tx, tabular_id: TabularId, error: &str) -> Result<(), StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs SET state = 'failed', error = $2, finished_ms = $3
        WHERE tabular_id = $1 AND state = 'queued'";

    let at_ms = tx.at_ms();
    execute!(tx, query(SQL).bind(tabular_id).bind(error).bind(at_ms)).map(drop)
}

/// Keeps with the job that is running that its table was changed at `changed_ms`, unless an earlier change since its lease is known.
/// A job that is queued will see the change.
///
/// Returns `false`, changing nothing, if no job of the action is queued or running for the table.
pub async fn note_change(
    tx: &mut Tx,
    tabular_id: TabularId,
    action: &str,
    changed_ms: i64,
) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs SET changed_ms = $3
        WHERE tabular_id = $1 AND action = $2 AND state = 'running' AND changed_ms IS NULL";
    const IS_OPEN: &str = "
        SELECT 1 FROM maintenance_jobs
        WHERE tabular_id = $1 AND action = $2 AND state IN ('queued', 'running')";

    if execute!(tx, query(SQL).bind(tabular_id).bind(action).bind(changed_ms))? == 1 {
        return Ok(true);
    }
    Ok(fetch_optional!(tx, query_scalar::<_, i32>(IS_OPEN).bind(tabular_id).bind(action))?.is_some())
}

/// When the table of a job was first changed since the job was leased, as far as [`note_change`] was told.
pub async fn find_change(tx: &mut Tx, job_id: Uuid) -> Result<Option<i64>, StoreError> {
    const SQL: &str = "SELECT changed_ms FROM maintenance_jobs WHERE job_id = $1";

    Ok(fetch_optional!(tx, query_scalar::<_, Option<i64>>(SQL).bind(job_id))?.flatten())
}

/// Cancels a job that has not begun, or asks the worker of one that has.
pub async fn cancel(tx: &mut Tx, job_id: Uuid) -> Result<CancelJob, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs
        SET state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
            finished_ms = CASE WHEN state = 'queued' THEN $2 ELSE finished_ms END,
            cancel_wanted = TRUE
        WHERE job_id = $1 AND state IN ('queued', 'running')
        RETURNING state";
    const STATE: &str = "SELECT state FROM maintenance_jobs WHERE job_id = $1";

    let at_ms = tx.at_ms();
    let state = fetch_optional!(tx, query_scalar::<_, String>(SQL).bind(job_id).bind(at_ms))?;
    match state.as_deref() {
        Some("cancelled") => Ok(CancelJob::Cancelled),
        Some(_) => Ok(CancelJob::Wanted),
        None => {
            let known = fetch_optional!(tx, query_scalar::<_, String>(STATE).bind(job_id))?.is_some();
            Ok(if known { CancelJob::Over } else { CancelJob::Missing })
        }
    }
}

/// The job of this id.
pub async fn find(db: &Db, job_id: Uuid) -> Result<Option<Job>, StoreError> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM maintenance_jobs WHERE job_id = $1");

    fetch_optional!(db, query_as::<_, Job>(SQL).bind(job_id))
}

/// The jobs of a table that are queued or running, one of an action at the most.
pub async fn list_open(db: &Db, tabular_id: TabularId) -> Result<Vec<Job>, StoreError> {
    fetch_all!(db, query_as::<_, Job>(LIST_OPEN).bind(tabular_id))
}

/// The last job of an action of a table, of those in `state` if one is given.
pub async fn find_last(
    db: &Db,
    tabular_id: TabularId,
    action: &str,
    state: Option<JobState>,
) -> Result<Option<Job>, StoreError> {
    let state = state.map(JobState::as_str);
    fetch_optional!(db, query_as::<_, Job>(FIND_LAST).bind(tabular_id).bind(action).bind(state))
}

/// How up to `limit` jobs of an action of a table ended, newest first; without those that were cancelled.
pub async fn list_ends(
    db: &Db,
    tabular_id: TabularId,
    action: &str,
    limit: u32,
) -> Result<Vec<End>, StoreError> {
    fetch_all!(db, query_as::<_, End>(LIST_ENDS).bind(tabular_id).bind(action).bind(i64::from(limit)))
}

/// Up to `limit` jobs, newest first.
pub async fn list(db: &Db, filter: JobFilter, limit: u32) -> Result<Vec<Job>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM maintenance_jobs WHERE job_id < $1 AND (CAST($2 AS TEXT) IS NULL OR state = $2)
          ORDER BY job_id DESC LIMIT $3"
    );
    const SQL_OF_TABLE: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM maintenance_jobs
          WHERE job_id < $1 AND (CAST($2 AS TEXT) IS NULL OR state = $2) AND tabular_id = $4
          ORDER BY job_id DESC LIMIT $3"
    );

    let before = filter.before.unwrap_or(Uuid::max());
    let state = filter.state.map(JobState::as_str);
    let limit = i64::from(limit);
    match filter.tabular_id {
        None => fetch_all!(db, query_as::<_, Job>(SQL).bind(before).bind(state).bind(limit)),
        Some(tabular_id) => fetch_all!(
            db,
            query_as::<_, Job>(SQL_OF_TABLE).bind(before).bind(state).bind(limit).bind(tabular_id)
        ),
    }
}

/// Keeps the paths of files that a worker is about to write.
///
/// Returns `false`, changing nothing, if the job is not the worker's any more.
pub async fn add_outputs(tx: &mut Tx, lease: JobLease<'_>, paths: &[String]) -> Result<bool, StoreError> {
    const IS_HELD: &str = "
        UPDATE maintenance_jobs SET attempt = attempt
        WHERE job_id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'";
    const SQL: &str = "
        INSERT INTO maintenance_outputs (job_id, path, attempt) VALUES ($1, $2, $3)
        ON CONFLICT (job_id, path) DO NOTHING";

    let held = execute!(tx, query(IS_HELD).bind(lease.job_id).bind(lease.worker).bind(lease.attempt))? == 1;
    if held {
        for path in paths {
            execute!(tx, query(SQL).bind(lease.job_id).bind(path).bind(lease.attempt))?;
        }
    }
    Ok(held)
}

/// How many files of a job are announced and not settled.
pub async fn count_outputs(tx: &mut Tx, job_id: Uuid) -> Result<i64, StoreError> {
    const SQL: &str = "SELECT count(*) FROM maintenance_outputs WHERE job_id = $1";

    Ok(fetch_optional!(tx, query_scalar::<_, i64>(SQL).bind(job_id))?.unwrap_or_default())
}

/// Sees to it that no other worker gets a job before the transaction ends.
///
/// Returns `false` if the job is not this attempt's any more.
pub async fn hold(tx: &mut Tx, job_id: Uuid, attempt: i64) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs SET attempt = attempt
        WHERE job_id = $1 AND attempt = $2 AND state = 'running'";

    Ok(execute!(tx, query(SQL).bind(job_id).bind(attempt))? == 1)
}

/// Up to `limit` files that attempts of a job before `attempt` were about to write, by path, after `after`.
pub async fn list_outputs(
    db: &Db,
    job_id: Uuid,
    attempt: i64,
    after: &str,
    limit: u32,
) -> Result<Vec<String>, StoreError> {
    const SQL: &str = "
        SELECT path FROM maintenance_outputs WHERE job_id = $1 AND attempt < $2 AND path > $3
        ORDER BY path LIMIT $4";

    fetch_all!(
        db,
        query_scalar::<_, String>(SQL).bind(job_id).bind(attempt).bind(after).bind(i64::from(limit))
    )
}

/// Forgets files, because they are part of the table by now, or deleted.
pub async fn forget_outputs(tx: &mut Tx, job_id: Uuid, paths: &[String]) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM maintenance_outputs WHERE job_id = $1 AND path = $2";

    for path in paths {
        execute!(tx, query(SQL).bind(job_id).bind(path))?;
    }
    Ok(())
}

/// Deletes up to `limit` jobs that ended before `before_ms` and left no file behind, and says how many.
pub async fn prune(tx: &mut Tx, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
    const SQL: &str = "
        DELETE FROM maintenance_jobs WHERE job_id IN (
            SELECT job_id FROM maintenance_jobs jobs
            WHERE finished_ms < $1 AND NOT EXISTS (
                SELECT 1 FROM maintenance_outputs outputs WHERE outputs.job_id = jobs.job_id)
            ORDER BY finished_ms LIMIT $2)";

    execute!(tx, query(SQL).bind(before_ms).bind(i64::from(limit)))
}

/// Deletes what succeeded of an action of a table, but for the last `keep` jobs; up to a hundred at a time.
pub async fn prune_succeeded(
    tx: &mut Tx,
    tabular_id: TabularId,
    action: &str,
    keep: u32,
) -> Result<(), StoreError> {
    const SQL: &str = "
        DELETE FROM maintenance_jobs WHERE job_id IN (
            SELECT job_id FROM maintenance_jobs jobs
            WHERE tabular_id = $1 AND action = $2 AND state = 'succeeded' AND NOT EXISTS (
                SELECT 1 FROM maintenance_outputs outputs WHERE outputs.job_id = jobs.job_id)
            ORDER BY job_id DESC LIMIT 100 OFFSET $3)";

    execute!(tx, query(SQL).bind(tabular_id).bind(action).bind(i64::from(keep))).map(drop)
}
