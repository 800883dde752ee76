//! Audit trail: a record of each change, with caller, time and outcome. A record is written in the same
//! transaction as the change that it describes.

use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::tx::Tx;

/// Audit record.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct AuditEntry {
    /// Id of the record.
    pub audit_id: Uuid,
    /// Time of the transaction, in milliseconds since 1970.
    pub at_ms: i64,
    /// Id of the request that made the change.
    pub request_id: String,
    /// Identity of the caller.
    pub caller: String,
    /// Action, such as `create-table`.
    pub action: String,
    /// Kind of the object that was changed, such as `table`.
    pub object_kind: String,
    /// Name of the object at that time.
    pub object_name: String,
    /// Id of the object, if it exists.
    pub object_id: Option<Uuid>,
    /// Outcome of the action.
    pub outcome: String,
    /// Details of the action, as JSON.
    pub detail: String,
}

/// Audit record to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewAuditEntry<'a> {
    /// Id of the record.
    pub audit_id: Uuid,
    /// Id of the request that makes the change.
    pub request_id: &'a str,
    /// Identity of the caller.
    pub caller: &'a str,
    /// Action, such as `create-table`.
    pub action: &'a str,
    /// Kind of the object that is changed, such as `table`.
    pub object_kind: &'a str,
    /// Current name of the object.
    pub object_name: &'a str,
    /// Id of the object, if it exists.
    pub object_id: Option<Uuid>,
    /// Outcome of the action.
    pub outcome: &'a str,
    /// Details of the action, as JSON.
    pub detail: &'a str,
}

/// Selection of audit records.
#[derive(Clone, Copy, Debug)]
pub struct AuditFilter {
    /// Only records of the object with this id.
    pub object_id: Option<Uuid>,
    /// Only records from this instant on, in milliseconds since 1970.
    pub from_ms: i64,
    /// Only records before the one with this time and id, the last of the previous keyset page. `None` starts
    /// with the newest record.
    pub before: Option<(i64, Uuid)>,
}

/// Statement of [`list`].
pub const LIST: &str = "
    SELECT audit_id, at_ms, request_id, caller, action, object_kind, object_name, object_id, outcome, detail
    FROM audit WHERE at_ms >= $1 AND (at_ms, audit_id) < ($2, $3)
    ORDER BY at_ms DESC, audit_id DESC LIMIT $4";

/// Statement of [`list`] for one object.
pub const LIST_OF_OBJECT: &str = "
    SELECT audit_id, at_ms, request_id, caller, action, object_kind, object_name, object_id, outcome, detail
    FROM audit WHERE at_ms >= $1 AND (at_ms, audit_id) < ($2, $3) AND object_id = $5
    ORDER BY at_ms DESC, audit_id DESC LIMIT $4";

/// Writes an audit record, with the time [`Tx::at_ms`].
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn record(tx: &mut Tx, new: &NewAuditEntry<'_>) -> Result<(), StoreError> {
    const SQL: &str = "
        INSERT INTO audit (audit_id, at_ms, request_id, caller, action, object_kind, object_name, object_id,
                           outcome, detail)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

    let at_ms = tx.at_ms();
    execute!(
        tx,
        query(SQL)
            .bind(new.audit_id)
            .bind(at_ms)
            .bind(new.request_id)
            .bind(new.caller)
            .bind(new.action)
            .bind(new.object_kind)
            .bind(new.object_name)
            .bind(new.object_id)
            .bind(new.outcome)
            .bind(new.detail)
    )
    .map(drop)
}

/// Returns the first action on an object, such as `create-table`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn find_first_action(db: &Db, object_id: Uuid) -> Result<Option<String>, StoreError> {
    const SQL: &str = "SELECT action FROM audit WHERE object_id = $1 ORDER BY at_ms, audit_id LIMIT 1";

    fetch_optional!(db, query_scalar::<_, String>(SQL).bind(object_id))
}

/// Returns up to `limit` audit records, newest first.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn list(db: &Db, filter: AuditFilter, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
    let (before_ms, before_id) = filter.before.unwrap_or((i64::MAX, Uuid::max()));
    let limit = i64::from(limit);
    match filter.object_id {
        None => fetch_all!(
            db,
            query_as::<_, AuditEntry>(LIST).bind(filter.from_ms).bind(before_ms).bind(before_id).bind(limit)
        ),
        Some(object_id) => fetch_all!(
            db,
            query_as::<_, AuditEntry>(LIST_OF_OBJECT)
                .bind(filter.from_ms)
                .bind(before_ms)
                .bind(before_id)
                .bind(limit)
                .bind(object_id)
        ),
    }
}
