//! Outbox: changes of the catalog, as events for consumers. Each event refers to an audit record and is
//! inserted by the database (a trigger) in the transaction that writes the record. Events are deleted after
//! their retention.
//!
//! Events are ordered by time and id. A consumer that reads only events before the instant returned by
//! [`Db::settle`] never misses an event that commits later with an earlier time.

use sqlx::{query, query_as};
use uuid::Uuid;

use super::audit::AuditEntry;
use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::tx::Tx;

/// Statement of [`list`]. Both tables have a lower bound in the condition, so that neither of them is scanned
/// from its start, in whichever order they are joined.
pub const LIST: &str = "
    SELECT a.audit_id, a.at_ms, a.request_id, a.caller, a.action, a.object_kind, a.object_name, a.object_id,
           a.outcome, a.detail
    FROM outbox o JOIN audit a ON a.at_ms = o.at_ms AND a.audit_id = o.audit_id
    WHERE (o.at_ms, o.audit_id) > ($1, $2) AND o.at_ms < $3 AND (a.at_ms, a.audit_id) > ($1, $2)
    ORDER BY o.at_ms, o.audit_id LIMIT $4";

/// Returns up to `limit` events, oldest first: those after the event with the time and id `after`, and before
/// the instant `until_ms`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn list(
    db: &Db,
    after: Option<(i64, Uuid)>,
    until_ms: i64,
    limit: u32,
) -> Result<Vec<AuditEntry>, StoreError> {
    let (after_ms, after_id) = after.unwrap_or((i64::MIN, Uuid::nil()));
    fetch_all!(
        db,
        query_as::<_, AuditEntry>(LIST).bind(after_ms).bind(after_id).bind(until_ms).bind(i64::from(limit))
    )
}

/// Deletes up to `limit` events older than `before_ms`, oldest first, and returns their number. Their audit
/// records remain.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn prune_older(tx: &mut Tx, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
    const SQL: &str = "
        DELETE FROM outbox WHERE (at_ms, audit_id) IN (
            SELECT at_ms, audit_id FROM outbox WHERE at_ms < $1 ORDER BY at_ms, audit_id LIMIT $2)";

    execute!(tx, query(SQL).bind(before_ms).bind(i64::from(limit)))
}
