//! The catalog as it was at an instant. The same questions as of now, with one more parameter.
//!
//! An answer is final only for an instant before the one [`Db::settle`] gives: a transaction that
//! is still running may yet write to the recent past.
//!
//! The states of one name do not overlap, so the only one that can hold at an instant is the first
//! that ends after it. States that ended within the millisecond they began in never held.

use sqlx::query_as;

use super::db::Db;
use super::error::StoreError;
use super::ids::{NamespaceId, WarehouseId};
use super::namespaces::Namespace;
use super::tabulars::{Tabular, TabularEntry, TabularKind};

/// The statement of [`find_namespace`].
pub const FIND_NAMESPACE: &str = "
    SELECT namespace_id, warehouse_id, path, properties, created_ms, valid_from_ms AS updated_ms
    FROM (
        SELECT * FROM namespace_history
        WHERE warehouse_id = $1 AND path = $2 AND valid_to_ms > $3 AND valid_from_ms < valid_to_ms
        ORDER BY valid_to_ms LIMIT 1
    ) AS state
    WHERE valid_from_ms <= $3";

/// The statement of [`list_children`].
pub const LIST_CHILDREN: &str = "
    SELECT namespace_id, warehouse_id, path, properties, created_ms, valid_from_ms AS updated_ms
    FROM namespace_history
    WHERE warehouse_id = $1 AND parent_path = $2 AND path > $3 AND valid_to_ms > $4 AND valid_from_ms <= $4
    ORDER BY path LIMIT $5";

/// The second statement of [`find_tabular`].
pub const FIND_TABULAR: &str = "
    SELECT n.tabular_id, n.warehouse_id, n.namespace_id, n.kind, n.name, p.metadata_location, p.table_uuid,
           p.location, n.created_ms,
           CASE WHEN p.valid_from_ms > n.valid_from_ms THEN p.valid_from_ms ELSE n.valid_from_ms END
               AS updated_ms
    FROM (
        SELECT * FROM tabular_history
        WHERE namespace_id = $1 AND name = $2 AND valid_to_ms > $3 AND valid_from_ms < valid_to_ms
        ORDER BY valid_to_ms LIMIT 1
    ) AS n
    JOIN pointer_history p ON p.history_id = (
        SELECT history_id FROM pointer_history
        WHERE tabular_id = n.tabular_id AND valid_to_ms > $3 AND valid_from_ms < valid_to_ms
        ORDER BY valid_to_ms LIMIT 1
    )
    WHERE n.valid_from_ms <= $3 AND p.valid_from_ms <= $3";

/// The statement of [`list_tabulars`].
pub const LIST_TABULARS: &str = "
    SELECT tabular_id, name FROM tabular_history
    WHERE namespace_id = $1 AND kind = $2 AND name > $3 AND valid_to_ms > $4 AND valid_from_ms <= $4
    ORDER BY name LIMIT $5";

/// A page of a namespace's children, or of a namespace's tables or views: see the live functions.
#[derive(Clone, Copy, Debug)]
pub struct PageAsOf<'a> {
    /// Starts after this path or name.
    pub after: Option<&'a str>,
    /// The most rows to give.
    pub limit: u32,
    /// The instant.
    pub at_ms: i64,
}

/// The namespace that was at `path`.
pub async fn find_namespace(
    db: &Db,
    warehouse_id: WarehouseId,
    path: &str,
    at_ms: i64,
) -> Result<Option<Namespace>, StoreError> {
    fetch_optional!(db, query_as::<_, Namespace>(FIND_NAMESPACE).bind(warehouse_id).bind(path).bind(at_ms))
}

/// The namespaces that were directly in `parent_path`, or at the top level, by path.
pub async fn list_children(
    db: &Db,
    warehouse_id: WarehouseId,
    parent_path: Option<&str>,
    page: PageAsOf<'_>,
) -> Result<Vec<Namespace>, StoreError> {
    fetch_all!(
        db,
        query_as::<_, Namespace>(LIST_CHILDREN)
            .bind(warehouse_id)
            .bind(parent_path.unwrap_or(""))
            .bind(page.after.unwrap_or(""))
            .bind(page.at_ms)
            .bind(i64::from(page.limit))
    )
}

/// The table or view that was called `name` in the namespace that was at `namespace_path`.
pub async fn find_tabular(
    db: &Db,
    warehouse_id: WarehouseId,
    namespace_path: &str,
    name: &str,
    at_ms: i64,
) -> Result<Option<Tabular>, StoreError> {
    let Some(namespace) = find_namespace(db, warehouse_id, namespace_path, at_ms).await? else {
        return Ok(None);
    };
    let namespace_id = namespace.namespace_id;
    fetch_optional!(db, query_as::<_, Tabular>(FIND_TABULAR).bind(namespace_id).bind(name).bind(at_ms))
}

/// The tables or views that were in a namespace, by name.
pub async fn list_tabulars(
    db: &Db,
    namespace_id: NamespaceId,
    kind: TabularKind,
    page: PageAsOf<'_>,
) -> Result<Vec<TabularEntry>, StoreError> {
    fetch_all!(
        db,
        query_as::<_, TabularEntry>(LIST_TABULARS)
            .bind(namespace_id)
            .bind(kind.as_str())
            .bind(page.after.unwrap_or(""))
            .bind(page.at_ms)
            .bind(i64::from(page.limit))
    )
}
