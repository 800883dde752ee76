//! Tables as maintenance sees them: whether they are left alone, and when they were last to be looked at.

use sqlx::{query_as, query_scalar};

use super::db::Db;
use super::error::StoreError;
use super::ids::{TabularId, WarehouseId};
use super::tabulars::TabularKind;

/// A table or view, and what of an action is under way for it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Candidate {
    /// Its id.
    pub tabular_id: TabularId,
    /// The id of its warehouse.
    pub warehouse_id: WarehouseId,
    /// Table or view.
    #[sqlx(try_from = "String")]
    pub kind: TabularKind,
    /// The name of its warehouse.
    pub warehouse: String,
    /// The levels of its namespace, joined by 0x1F.
    pub namespace_path: String,
    /// Its name.
    pub name: String,
    /// Whether it is left alone.
    pub is_paused: bool,
    /// Whether a job of the action is queued or running.
    pub is_open: bool,
    /// When the last job of the action was made.
    pub made_ms: Option<i64>,
}

/// The columns of [`Candidate`] for the action `$1`. Subqueries that give one value are answered by row, never by reading
/// all jobs beforehand.
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

/// The statement of [`list`].
pub const LIST: &str = concat!(select!(), "WHERE t.tabular_id > $2 ORDER BY t.tabular_id LIMIT $3");

/// The table or view with this id, if it still exists.
pub async fn find(db: &Db, tabular_id: TabularId, action: &str) -> Result<Option<Candidate>, StoreError> {
    const SQL: &str = concat!(select!(), "WHERE t.tabular_id = $2");

    fetch_optional!(db, query_as::<_, Candidate>(SQL).bind(action).bind(tabular_id))
}

/// Up to `limit` tables and views of all warehouses by id, those after `after`.
pub async fn list(db: &Db, action: &str, after: TabularId, limit: u32) -> Result<Vec<Candidate>, StoreError> {
    fetch_all!(db, query_as::<_, Candidate>(LIST).bind(action).bind(after).bind(i64::from(limit)))
}

/// What came of the last job of an action of a table that has ended and told of it, as JSON.
pub async fn find_result(db: &Db, tabular_id: TabularId, action: &str) -> Result<Option<String>, StoreError> {
    const SQL: &str = "
        SELECT result FROM maintenance_jobs
        WHERE tabular_id = $1 AND action = $2 AND result IS NOT NULL
            AND state IN ('succeeded', 'failed', 'cancelled')
        ORDER BY job_id DESC LIMIT 1";

    fetch_optional!(db, query_scalar::<_, String>(SQL).bind(tabular_id).bind(action))
}
