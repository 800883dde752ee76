//! Answers already given, so that a request sent twice is carried out once. An answer is recorded
//! in the transaction it reports on: either both are there or neither.

use sqlx::{query, query_as};

use super::db::Db;
use super::error::StoreError;
use super::tx::Tx;

/// An answer given.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Answer {
    /// What the request was, as a digest: the same key with another request is the client's error.
    pub fingerprint: String,
    /// The HTTP status.
    pub status: i64,
    /// The body, unless it can be made again.
    pub body: Option<String>,
    /// The metadata file the body was made from.
    pub metadata_location: Option<String>,
    /// When.
    pub created_ms: i64,
}

/// An answer to be recorded.
#[derive(Clone, Copy, Debug)]
pub struct NewAnswer<'a> {
    /// Who asked.
    pub caller: &'a str,
    /// The key the caller chose for the request.
    pub key: &'a str,
    /// What the request was, as a digest.
    pub fingerprint: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// The body, unless it can be made again.
    pub body: Option<&'a str>,
    /// The metadata file the body was made from.
    pub metadata_location: Option<&'a str>,
}

/// The answer `caller` was given under `key`.
pub async fn find(db: &Db, caller: &str, key: &str) -> Result<Option<Answer>, StoreError> {
    const SQL: &str = "
        SELECT fingerprint, status, body, metadata_location, created_ms FROM idempotency
        WHERE caller = $1 AND key = $2";

    fetch_optional!(db, query_as::<_, Answer>(SQL).bind(caller).bind(key))
}

/// Records an answer, at [`Tx::at_ms`].
///
/// Returns `false` if there is one under this key: drop the transaction, and give that one. Waits
/// for a concurrent transaction that is about to record one.
pub async fn record(tx: &mut Tx, new: &NewAnswer<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "
        INSERT INTO idempotency (caller, key, fingerprint, status, body, metadata_location, created_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (caller, key) DO NOTHING";

    let at_ms = tx.at_ms();
    let recorded = execute!(
        tx,
        query(SQL)
            .bind(new.caller)
            .bind(new.key)
            .bind(new.fingerprint)
            .bind(i64::from(new.status))
            .bind(new.body)
            .bind(new.metadata_location)
            .bind(at_ms)
    )?;
    Ok(recorded == 1)
}

/// Deletes up to `limit` answers from before `before_ms`, oldest first, and says how many.
pub async fn prune(tx: &mut Tx, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
    const SQL: &str = "
        DELETE FROM idempotency WHERE (caller, key) IN (
            SELECT caller, key FROM idempotency WHERE created_ms < $1 ORDER BY created_ms LIMIT $2)";

    execute!(tx, query(SQL).bind(before_ms).bind(i64::from(limit)))
}
