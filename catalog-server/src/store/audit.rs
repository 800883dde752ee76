//! Who did what, when, and what came of it. Written in the transaction it tells of.

use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;
use super::tx::Tx;

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct AuditEntry {
    /// Its id.
    pub audit_id: Uuid,
    /// When.
    pub at_ms: i64,
    /// The request that did it.
    pub request_id: String,
    /// Who.
    pub caller: String,
    /// What was done.
    pub action: String,
    /// The kind of thing it was done to.
    pub object_kind: String,
    /// What that was called then.
    pub object_name: String,
    /// Its id, if it exists.
    pub object_id: Option<Uuid>,
    /// What came of it.
    pub outcome: String,
    /// More about it: JSON.
    pub detail: String,
}

/// A line to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewAuditEntry<'a> {
    /// Its id.
    pub audit_id: Uuid,
    /// The request that did it.
    pub request_id: &'a str,
    /// Who.
    pub caller: &'a str,
    /// What was done.
    pub action: &'a str,
    /// The kind of thing it was done to.
    pub object_kind: &'a str,
    /// What that is called.
    pub object_name: &'a str,
    /// Its id, if it exists.
    pub object_id: Option<Uuid>,
    /// What came of it.
    pub outcome: &'a str,
    /// More about it: JSON.
    pub detail: &'a str,
}

/// Which part of the audit log is wanted.
#[derive(Clone, Copy, Debug)]
pub struct AuditFilter {
    /// Only what was done to this.
    pub object_id: Option<Uuid>,
    /// Not before this instant.
    pub from_ms: i64,
    /// Before this line, by time and id; the last of the page before. Starts with the newest.
    pub before: Option<(i64, Uuid)>,
}

/// The statement of [`list`].
pub const LIST: &str = "
    SELECT audit_id, at_ms, request_id, caller, action, object_kind, object_name, object_id, outcome, detail
    FROM audit WHERE at_ms >= $1 AND (at_ms, audit_id) < ($2, $3)
    ORDER BY at_ms DESC, audit_id DESC LIMIT $4";

/// The statement of [`list`] for one object.
pub const LIST_OF_OBJECT: &str = "
    SELECT audit_id, at_ms, request_id, caller, action, object_kind, object_name, object_id, outcome, detail
    FROM audit WHERE at_ms >= $1 AND (at_ms, audit_id) < ($2, $3) AND object_id = $5
    ORDER BY at_ms DESC, audit_id DESC LIMIT $4";

/// Writes a line, at [`Tx::at_ms`].
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

/// What was done to an object first, such as `create-table`.
pub async fn find_first_action(db: &Db, object_id: Uuid) -> Result<Option<String>, StoreError> {
    const SQL: &str = "SELECT action FROM audit WHERE object_id = $1 ORDER BY at_ms, audit_id LIMIT 1";

    fetch_optional!(db, query_scalar::<_, String>(SQL).bind(object_id))
}

/// Up to `limit` lines, newest first.
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
