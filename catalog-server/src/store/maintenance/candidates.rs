//! Tables from the point of view of maintenance: whether they are paused, and when their last job was
//! created.

use sqlx::{query_as, query_scalar};

use crate::store::catalog::tabular::TabularKind;
use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::ids::{TabularId, WarehouseId};

/// Table or view, with the state of one maintenance action for it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Candidate {
    /// Id of the table or view.
    pub tabular_id: TabularId,
    /// Id of its warehouse.
    pub warehouse_id: WarehouseId,
    /// Kind: table or view.
    #[sqlx(try_from = "String")]
    pub kind: TabularKind,
    /// Name of its warehouse.
    pub warehouse: String,
    /// Path of its namespace: the levels, joined by 0x1F.
    pub namespace_path: String,
    /// Name in the namespace.
    pub name: String,
    /// `true` if maintenance of it is paused.
    pub is_paused: bool,
    /// `true` if a job of the action is queued or running.
    pub is_open: bool,
    /// Time of creation of the last job of the action, in milliseconds since 1970.
    pub made_ms: Option<i64>,
}

/// Columns of [`Candidate`] for the action `$1`. Scalar subqueries are evaluated per row with an index, so
/// that the jobs are never scanned as a whole.
macro_rules! select {
    () => {
        "SELECT t.tabular_id, t.warehouse_id, t.kind, w.name AS warehouse, n.path AS namespace_path, t.name,
                (SELECT count(*) FROM maintenance_pauses p WHERE p.tabular_id = t.tabular_id) > 0 AS is_paused,
                (SELECT count(*) FROM maintenance_jobs j
                 WHERE j.tabular_id = t.tabular_id AND j.action = $1 AND j.state IN ('queued', 'running')) > 0 AS is_open,
                (SELECT j.created_ms FROM maintenance_jobs j
                 WHERE j.tabular_id = t.tabular_id AND j.action = $1 ORDER BY j.job_id DESC LIMIT 1) AS made_ms
         FROM tabulars t
         JOIN namespaces n ON n.namespace_id = t.namespace_id
         JOIN warehouses w ON w.warehouse_id = t.warehouse_id "
    };
}

/// Statement of [`list`].
pub const LIST: &str = concat!(select!(), "WHERE t.tabular_id > $2 ORDER BY t.tabular_id LIMIT $3");

/// Returns the table or view with this id, if it still exists.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn find(db: &Db, tabular_id: TabularId, action: &str) -> Result<Option<Candidate>, StoreError> {
    const SQL: &str = concat!(select!(), "WHERE t.tabular_id = $2");

    fetch_optional!(db, query_as::<_, Candidate>(SQL).bind(action).bind(tabular_id))
}

/// Returns up to `limit` tables and views of all warehouses in the order of their ids, those after `after`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn list(db: &Db, action: &str, after: TabularId, limit: u32) -> Result<Vec<Candidate>, StoreError> {
    fetch_all!(db, query_as::<_, Candidate>(LIST).bind(action).bind(after).bind(i64::from(limit)))
}

/// Returns the result, as JSON, of the last ended job of an action of a table that has one.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn find_result(db: &Db, tabular_id: TabularId, action: &str) -> Result<Option<String>, StoreError> {
    const SQL: &str = "
        SELECT result FROM maintenance_jobs
        WHERE tabular_id = $1 AND action = $2 AND result IS NOT NULL
            AND state IN ('succeeded', 'failed', 'cancelled')
        ORDER BY job_id DESC LIMIT 1";

    fetch_optional!(db, query_scalar::<_, String>(SQL).bind(tabular_id).bind(action))
}
