//! Reads of the catalog as of a past instant. The functions correspond to those for the current state,
//! with the instant as additional parameter.
//!
//! A result is final only for an instant before the one returned by [`Db::settle`]: a transaction that is
//! still running may write to the recent past.
//!
//! The states of one name do not overlap, so the only one that can be valid at an instant is the first one
//! that ends after it. States that ended in the millisecond in which they began were never valid.

use sqlx::{query_as, query_scalar};

use super::namespaces::NamespaceRow;
use super::tabular::{Tabular, TabularKind};
use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::ids::{NamespaceId, WarehouseId};

/// Statement of [`find_namespace`].
pub const FIND_NAMESPACE: &str = "
    SELECT namespace_id, warehouse_id, path, properties, created_ms, valid_from_ms AS updated_ms
    FROM (
        SELECT * FROM namespace_history
        WHERE warehouse_id = $1 AND path = $2 AND valid_to_ms > $3 AND valid_from_ms < valid_to_ms
        ORDER BY valid_to_ms LIMIT 1
    ) AS state
    WHERE valid_from_ms <= $3";

/// Statement of [`list_children`].
pub const LIST_CHILDREN: &str = "
    SELECT namespace_id, warehouse_id, path, properties, created_ms, valid_from_ms AS updated_ms
    FROM namespace_history
    WHERE warehouse_id = $1 AND parent_path = $2 AND path > $3 AND valid_to_ms > $4 AND valid_from_ms <= $4
    ORDER BY path LIMIT $5";

/// Second statement of [`find_tabular`].
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

/// Statement of [`list_tabulars`].
pub const LIST_TABULARS: &str = "
    SELECT name FROM tabular_history
    WHERE namespace_id = $1 AND kind = $2 AND name > $3 AND valid_to_ms > $4 AND valid_from_ms <= $4
    ORDER BY name LIMIT $5";

/// Keyset page of the children, tables or views of a namespace at an instant.
#[derive(Clone, Copy, Debug)]
pub struct PageAsOf<'a> {
    /// Path or name after which the page starts.
    pub after: Option<&'a str>,
    /// Maximum number of rows.
    pub limit: u32,
    /// Instant of the read, in milliseconds since 1970, in catalog time.
    pub at_ms: i64,
}

/// Returns the namespace that existed at `path`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn find_namespace(
    db: &Db,
    warehouse_id: WarehouseId,
    path: &str,
    at_ms: i64,
) -> Result<Option<NamespaceRow>, StoreError> {
    fetch_optional!(db, query_as::<_, NamespaceRow>(FIND_NAMESPACE).bind(warehouse_id).bind(path).bind(at_ms))
}

/// Returns the namespaces that were directly in `parent_path`, or at the top level, in order of path.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn list_children(
    db: &Db,
    warehouse_id: WarehouseId,
    parent_path: Option<&str>,
    page: PageAsOf<'_>,
) -> Result<Vec<NamespaceRow>, StoreError> {
    fetch_all!(
        db,
        query_as::<_, NamespaceRow>(LIST_CHILDREN)
            .bind(warehouse_id)
            .bind(parent_path.unwrap_or(""))
            .bind(page.after.unwrap_or(""))
            .bind(page.at_ms)
            .bind(i64::from(page.limit))
    )
}

/// Returns the table or view that was named `name` in the namespace that existed at `namespace_path`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
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

/// Returns the tables or views that were in a namespace, in order of name.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn list_tabulars(
    db: &Db,
    namespace_id: NamespaceId,
    kind: TabularKind,
    page: PageAsOf<'_>,
) -> Result<Vec<String>, StoreError> {
    fetch_all!(
        db,
        query_scalar::<_, String>(LIST_TABULARS)
            .bind(namespace_id)
            .bind(kind.as_str())
            .bind(page.after.unwrap_or(""))
            .bind(page.at_ms)
            .bind(i64::from(page.limit))
    )
}
