//! The changes that are still to be told to others: lines of the audit trail, put here by the database in the
//! transaction that records them, and taken out once they were delivered or are too old.
//!
//! Events are in the order of their time and id. A consumer that reads only what lies before the instant
//! [`Db::settle`] gives never has an event appear behind its back.

use sqlx::{query, query_as};
use uuid::Uuid;

use super::audit::AuditEntry;
use super::db::Db;
use super::error::StoreError;
use super::tx::Tx;

/// The statement of [`list`]. Both tables are bounded, so that none is read from its start however they are joined.
pub const LIST: &str = "
    SELECT a.audit_id, a.at_ms, a.request_id, a.caller, a.action, a.object_kind, a.object_name, a.object_id,
           a.outcome, a.detail
    FROM outbox o JOIN audit a ON a.at_ms = o.at_ms AND a.audit_id = o.audit_id
    WHERE (o.at_ms, o.audit_id) > ($1, $2) AND o.at_ms < $3 AND (a.at_ms, a.audit_id) > ($1, $2)
    ORDER BY o.at_ms, o.audit_id LIMIT $4";

/// Up to `limit` events, oldest first: those after the one at this time with this id, and before
/// the instant `until_ms`.
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

/// Deletes up to `limit` events from before `before_ms`, oldest first, and says how many. The audit trail keeps
/// what they told of.
pub async fn prune_older(tx: &mut Tx, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
    const SQL: &str = "
        DELETE FROM outbox WHERE (at_ms, audit_id) IN (
            SELECT at_ms, audit_id FROM outbox WHERE at_ms < $1 ORDER BY at_ms, audit_id LIMIT $2)";

    execute!(tx, query(SQL).bind(before_ms).bind(i64::from(limit)))
}
