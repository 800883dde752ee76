//! Scan plans that were not complete when their request was answered, and the keys that sign plan tasks.

use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::tx::Tx;
use crate::store::ids::TabularId;

/// Scan plan, without its request and result, which may be large.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Plan {
    /// Id of the plan.
    pub plan_id: Uuid,
    /// Table that is scanned.
    pub tabular_id: TabularId,
    /// Identity of the caller that requested it.
    pub caller: String,
    /// Metadata file of the table at the time of the request.
    pub metadata_location: String,
    /// State of the plan.
    #[sqlx(try_from = "String")]
    pub outcome: PlanOutcome,
    /// Time of the request, in milliseconds since 1970.
    pub created_ms: i64,
}

/// State of a scan plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanOutcome {
    /// The plan is being computed, or was when its replica last reported.
    Submitted,
    /// The plan is complete.
    Completed,
    /// The plan was cancelled by the client.
    Cancelled,
}

/// Error for a state in the database that this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a state of a plan")]
pub struct UnknownOutcome(String);

impl TryFrom<String> for PlanOutcome {
    type Error = UnknownOutcome;

    fn try_from(text: String) -> Result<Self, UnknownOutcome> {
        match text.as_str() {
            "submitted" => Ok(Self::Submitted),
            "completed" => Ok(Self::Completed),
            "cancelled" => Ok(Self::Cancelled),
            _ => Err(UnknownOutcome(text)),
        }
    }
}

/// Scan plan to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewPlan<'a> {
    /// Id of the plan.
    pub plan_id: Uuid,
    /// Table that is scanned.
    pub tabular_id: TabularId,
    /// Identity of the caller that requested it.
    pub caller: &'a str,
    /// Current metadata file of the table.
    pub metadata_location: &'a str,
    /// Request of the client, as JSON.
    pub request: &'a str,
}

/// Stores a plan as submitted, with the time [`Tx::at_ms`].
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn submit(tx: &mut Tx, new: &NewPlan<'_>) -> Result<(), StoreError> {
    const SQL: &str = "
        INSERT INTO plans (plan_id, tabular_id, caller, metadata_location, request, outcome, created_ms)
        VALUES ($1, $2, $3, $4, $5, 'submitted', $6)";

    let at_ms = tx.at_ms();
    execute!(
        tx,
        query(SQL)
            .bind(new.plan_id)
            .bind(new.tabular_id)
            .bind(new.caller)
            .bind(new.metadata_location)
            .bind(new.request)
            .bind(at_ms)
    )
    .map(drop)
}

/// Returns the plan with this id.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn find(db: &Db, plan_id: Uuid) -> Result<Option<Plan>, StoreError> {
    const SQL: &str = "
        SELECT plan_id, tabular_id, caller, metadata_location, outcome, created_ms
        FROM plans WHERE plan_id = $1";

    fetch_optional!(db, query_as::<_, Plan>(SQL).bind(plan_id))
}

/// Returns the request of a submitted plan, as JSON; `None` if it is completed, cancelled or deleted.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn find_request(db: &Db, plan_id: Uuid) -> Result<Option<String>, StoreError> {
    const SQL: &str = "SELECT request FROM plans WHERE plan_id = $1 AND outcome = 'submitted'";

    fetch_optional!(db, query_scalar::<_, String>(SQL).bind(plan_id))
}

/// Returns the result of a plan, as JSON; `None` if it is not completed, or deleted.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn find_answer(db: &Db, plan_id: Uuid) -> Result<Option<String>, StoreError> {
    const SQL: &str = "SELECT answer FROM plans WHERE plan_id = $1";

    Ok(fetch_optional!(db, query_scalar::<_, Option<String>>(SQL).bind(plan_id))?.flatten())
}

/// Stores the result of a submitted plan in place of its request. Returns `false`, changing nothing, if the
/// plan is not in state submitted any more.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn complete(tx: &mut Tx, plan_id: Uuid, answer: &str) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE plans SET outcome = 'completed', answer = $2, request = '' WHERE plan_id = $1 AND outcome = 'submitted'";

    Ok(execute!(tx, query(SQL).bind(plan_id).bind(answer))? == 1)
}

/// Cancels a plan, and deletes its request and result.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn cancel(tx: &mut Tx, plan_id: Uuid) -> Result<(), StoreError> {
    const SQL: &str =
        "UPDATE plans SET outcome = 'cancelled', answer = NULL, request = '' WHERE plan_id = $1";

    execute!(tx, query(SQL).bind(plan_id)).map(drop)
}

/// Deletes up to `limit` plans requested before `before_ms`, oldest first, and returns their number.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn prune(tx: &mut Tx, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
    const SQL: &str = "
        DELETE FROM plans WHERE plan_id IN (
            SELECT plan_id FROM plans WHERE created_ms < $1 ORDER BY created_ms LIMIT $2)";

    execute!(tx, query(SQL).bind(before_ms).bind(i64::from(limit)))
}

/// Returns the signing key with this name, which is `candidate` if there was none before. All replicas get
/// the same key.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn signing_key(tx: &mut Tx, name: &str, candidate: &[u8]) -> Result<Vec<u8>, StoreError> {
    const INSERT: &str = "
        INSERT INTO signing_keys (name, secret, created_ms) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING";
    const SELECT: &str = "SELECT secret FROM signing_keys WHERE name = $1";

    let at_ms = tx.at_ms();
    execute!(tx, query(INSERT).bind(name).bind(candidate).bind(at_ms))?;
    let found = fetch_optional!(tx, query_scalar::<_, Vec<u8>>(SELECT).bind(name))?;
    Ok(found.unwrap_or_else(|| candidate.to_vec()))
}
