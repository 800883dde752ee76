//! Recorded responses by idempotency key (`Idempotency-Key`), so that a request that is sent twice is
//! executed once. A response is recorded in the same transaction as the change that it reports.

use sqlx::{query, query_as};

use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::tx::Tx;

/// Recorded response.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Answer {
    /// Digest of the request. The same key with a different request is an error of the client.
    pub fingerprint: String,
    /// HTTP status code.
    pub status: i64,
    /// Body of the response; `None` if it can be produced again.
    pub body: Option<String>,
    /// Metadata file that the body was produced from.
    pub metadata_location: Option<String>,
    /// Time of recording, in milliseconds since 1970.
    pub created_ms: i64,
}

/// Response to be recorded.
#[derive(Clone, Copy, Debug)]
pub struct NewAnswer<'a> {
    /// Identity of the caller.
    pub caller: &'a str,
    /// Idempotency key chosen by the caller.
    pub key: &'a str,
    /// Digest of the request.
    pub fingerprint: &'a str,
    /// HTTP status code.
    pub status: u16,
    /// Body of the response; `None` if it can be produced again.
    pub body: Option<&'a str>,
    /// Metadata file that the body was produced from.
    pub metadata_location: Option<&'a str>,
}

/// Returns the response that was recorded for `caller` under `key`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn find(db: &Db, caller: &str, key: &str) -> Result<Option<Answer>, StoreError> {
    const SQL: &str = "
        SELECT fingerprint, status, body, metadata_location, created_ms FROM idempotency
        WHERE caller = $1 AND key = $2";

    fetch_optional!(db, query_as::<_, Answer>(SQL).bind(caller).bind(key))
}

/// Records a response, with the time [`Tx::at_ms`]. Waits for a concurrent transaction that records one under
/// the same key.
///
/// Returns `false` if there is one under this key already; then the caller should drop the transaction and
/// return the recorded response.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
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

/// Deletes up to `limit` responses recorded before `before_ms`, oldest first, and returns their number.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn prune(tx: &mut Tx, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
    const SQL: &str = "
        DELETE FROM idempotency WHERE (caller, key) IN (
            SELECT caller, key FROM idempotency WHERE created_ms < $1 ORDER BY created_ms LIMIT $2)";

    execute!(tx, query(SQL).bind(before_ms).bind(i64::from(limit)))
}
