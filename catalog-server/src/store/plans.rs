//! Scan plans that were not ready when their request was answered, and the keys that plan tasks are signed with.

use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;
use super::ids::TabularId;
use super::tx::Tx;

/// A plan, without its request and answer, which may be long.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Plan {
    /// Its id.
    pub plan_id: Uuid,
    /// The table it is for.
    pub tabular_id: TabularId,
    /// Who asked for it.
    pub caller: String,
    /// The metadata file that the table had then.
    pub metadata_location: String,
    /// What became of it.
    #[sqlx(try_from = "String")]
    pub outcome: PlanOutcome,
    /// When it was asked for.
    pub created_ms: i64,
}

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanOutcome {
    /// It is being worked on, or was when its replica was last seen.
    Submitted,
    /// It is done.
    Completed,
    /// The client does not want it any more.
    Cancelled,
}

/// The database holds an outcome this Firn does not know.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not what can become of a plan")]
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

/// A plan to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewPlan<'a> {
    /// Its id.
    pub plan_id: Uuid,
    /// The table it is for.
    pub tabular_id: TabularId,
    /// Who asked for it.
    pub caller: &'a str,
    /// The metadata file that the table has.
    pub metadata_location: &'a str,
    /// What was asked for: JSON.
    pub request: &'a str,
}

/// Keeps a plan as submitted, at [`Tx::at_ms`].
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

/// The plan with this id.
pub async fn find(db: &Db, plan_id: Uuid) -> Result<Option<Plan>, StoreError> {
    const SQL: &str = "
        SELECT plan_id, tabular_id, caller, metadata_location, outcome, created_ms
        FROM plans WHERE plan_id = $1";

    fetch_optional!(db, query_as::<_, Plan>(SQL).bind(plan_id))
}

/// What a submitted plan was asked for: JSON; `None` if it is not to be made any more, or gone.
pub async fn find_request(db: &Db, plan_id: Uuid) -> Result<Option<String>, StoreError> {
    const SQL: &str = "SELECT request FROM plans WHERE plan_id = $1 AND outcome = 'submitted'";

    fetch_optional!(db, query_scalar::<_, String>(SQL).bind(plan_id))
}

/// The answer of a plan: JSON; `None` if it is not completed, or gone.
pub async fn find_answer(db: &Db, plan_id: Uuid) -> Result<Option<String>, StoreError> {
    const SQL: &str = "SELECT answer FROM plans WHERE plan_id = $1";

    Ok(fetch_optional!(db, query_scalar::<_, Option<String>>(SQL).bind(plan_id))?.flatten())
}

/// Keeps the answer of a submitted plan, in place of its request. Returns `false`, changing nothing, if it is not submitted any
/// more.
pub async fn complete(tx: &mut Tx, plan_id: Uuid, answer: &str) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE plans SET outcome = 'completed', answer = $2, request = '' WHERE plan_id = $1 AND outcome = 'submitted'";

    Ok(execute!(tx, query(SQL).bind(plan_id).bind(answer))? == 1)
}

/// Cancels a plan, and forgets its request and its answer.
pub async fn cancel(tx: &mut Tx, plan_id: Uuid) -> Result<(), StoreError> {
    const SQL: &str =
        "UPDATE plans SET outcome = 'cancelled', answer = NULL, request = '' WHERE plan_id = $1";

    execute!(tx, query(SQL).bind(plan_id)).map(drop)
}

/// Deletes up to `limit` plans from before `before_ms`, oldest first, and says how many.
pub async fn prune(tx: &mut Tx, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
    const SQL: &str = "
        DELETE FROM plans WHERE plan_id IN (
            SELECT plan_id FROM plans WHERE created_ms < $1 ORDER BY created_ms LIMIT $2)";

    execute!(tx, query(SQL).bind(before_ms).bind(i64::from(limit)))
}

/// The signing key of a name: `candidate` if there was none. All replicas get the same.
pub async fn signing_key(tx: &mut Tx, name: &str, candidate: &[u8]) -> Result<Vec<u8>, StoreError> {
    const INSERT: &str = "
        INSERT INTO signing_keys (name, secret, created_ms) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING";
    const SELECT: &str = "SELECT secret FROM signing_keys WHERE name = $1";

    let at_ms = tx.at_ms();
    execute!(tx, query(INSERT).bind(name).bind(candidate).bind(at_ms))?;
    let found = fetch_optional!(tx, query_scalar::<_, Vec<u8>>(SELECT).bind(name))?;
    Ok(found.unwrap_or_else(|| candidate.to_vec()))
}
