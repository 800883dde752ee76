//! Namespaces. A namespace is addressed by its path: its levels joined by [`LEVEL_SEPARATOR`].
//!
//! Creating an object in a namespace locks the namespace against a drop, and dropping it excludes the
//! creation of objects in it. Whichever comes second sees the result of the first.

use sqlx::{query, query_as, query_scalar};

use super::history;
use super::names::LEVEL_SEPARATOR;
use super::tabular::TabularKind;
use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::target::DbKind;
use crate::store::engine::tx::Tx;
use crate::store::ids::{NamespaceId, WarehouseId};

/// Namespace of a warehouse.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct NamespaceRow {
    /// Id of the namespace.
    pub namespace_id: NamespaceId,
    /// Warehouse that contains it.
    pub warehouse_id: WarehouseId,
    /// Path: the levels, joined by [`LEVEL_SEPARATOR`].
    pub path: String,
    /// Properties, as a JSON object; the store does not parse it.
    pub properties: String,
    /// Time of creation, in milliseconds since 1970.
    pub created_ms: i64,
    /// Time of creation or of the last change of the properties, in milliseconds since 1970.
    pub updated_ms: i64,
    /// Version of the names of its tables and views: a page of names that was read at the same version is
    /// still current. Only [`find`] returns it; otherwise it is 0.
    #[sqlx(default)]
    pub names_version: i64,
}

/// Namespace to be created.
#[derive(Clone, Copy, Debug)]
pub struct NewNamespace<'a> {
    /// Id of the namespace.
    pub namespace_id: NamespaceId,
    /// Warehouse that will contain it; it must exist.
    pub warehouse_id: WarehouseId,
    /// Path: the levels, joined by [`LEVEL_SEPARATOR`].
    pub path: &'a str,
    /// Properties, as a JSON object.
    pub properties: &'a str,
}

/// Outcome of creating a namespace. Unless it was created, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateNamespace {
    /// The namespace was created.
    Created,
    /// A namespace with this path exists.
    AlreadyExists,
    /// The parent namespace does not exist.
    ParentMissing,
}

/// Outcome of dropping a namespace. Unless it was dropped, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropNamespace {
    /// The namespace was dropped.
    Dropped,
    /// The namespace contains namespaces, tables or views.
    NotEmpty,
    /// The namespace does not exist.
    Missing,
}

/// Statement of [`list_children`]: a keyset page in the order of the path, which never reads the rows of
/// previous pages.
pub const LIST_CHILDREN: &str = "
    SELECT namespace_id, warehouse_id, path, properties, created_ms, updated_ms FROM namespaces
    WHERE warehouse_id = $1 AND parent_path = $2 AND path > $3 ORDER BY path LIMIT $4";

/// Creates a namespace, with the time [`Tx::at_ms`].
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn create(tx: &mut Tx, new: &NewNamespace<'_>) -> Result<CreateNamespace, StoreError> {
    const SQL: &str = "
        INSERT INTO namespaces
            (namespace_id, warehouse_id, parent_path, path, properties, created_ms, updated_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $6)
        ON CONFLICT (warehouse_id, path) DO NOTHING";

    let parent_path = parent_path(new.path);
    if !parent_path.is_empty() && !lock_path_for_share(tx, new.warehouse_id, parent_path).await? {
        return Ok(CreateNamespace::ParentMissing);
    }
    let at_ms = tx.at_ms();
    let created = execute!(
        tx,
        query(SQL)
            .bind(new.namespace_id)
            .bind(new.warehouse_id)
            .bind(parent_path)
            .bind(new.path)
            .bind(new.properties)
            .bind(at_ms)
    )?;
    if created == 0 {
        return Ok(CreateNamespace::AlreadyExists);
    }
    // This must follow the insert, which may have waited for the transaction that dropped the previous
    // namespace at this path.
    history::advance_past_path(tx, new.warehouse_id, new.path).await?;
    history::open_namespace(tx, new.namespace_id).await?;
    Ok(CreateNamespace::Created)
}

/// Returns the namespace at `path`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn find(
    db: &Db,
    warehouse_id: WarehouseId,
    path: &str,
) -> Result<Option<NamespaceRow>, StoreError> {
    const SQL: &str = "
        SELECT namespace_id, warehouse_id, path, properties, created_ms, updated_ms,
               (SELECT CAST(COALESCE(SUM(v.version), 0) AS BIGINT) FROM namespace_versions v
                WHERE v.namespace_id = n.namespace_id) AS names_version
        FROM namespaces n WHERE warehouse_id = $1 AND path = $2";

    fetch_optional!(db, query_as::<_, NamespaceRow>(SQL).bind(warehouse_id).bind(path))
}

/// Returns the namespace at `path`, and the kind of the table or view `name` in it, if there is one.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn find_with_name(
    db: &Db,
    warehouse_id: WarehouseId,
    path: &str,
    name: &str,
) -> Result<Option<(NamespaceRow, Option<TabularKind>)>, StoreError> {
    const SQL: &str = "
        SELECT n.namespace_id, n.warehouse_id, n.path, n.properties, n.created_ms, n.updated_ms, t.kind AS holder
        FROM namespaces n LEFT JOIN tabulars t ON t.namespace_id = n.namespace_id AND t.name = $3
        WHERE n.warehouse_id = $1 AND n.path = $2";

    let found = fetch_optional!(db, query_as::<_, WithName>(SQL).bind(warehouse_id).bind(path).bind(name))?;
    let Some(WithName { namespace, holder }) = found else { return Ok(None) };
    let holder =
        holder.map(TabularKind::try_from).transpose().map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(Some((namespace, holder)))
}

#[derive(sqlx::FromRow)]
struct WithName {
    #[sqlx(flatten)]
    namespace: NamespaceRow,
    holder: Option<String>,
}

/// Returns up to `limit` namespaces directly in `parent_path`, or at the top level, in the order of their
/// paths, those after `after`. Returns none if the parent does not exist.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn list_children(
    db: &Db,
    warehouse_id: WarehouseId,
    parent_path: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<NamespaceRow>, StoreError> {
    fetch_all!(
        db,
        query_as::<_, NamespaceRow>(LIST_CHILDREN)
            .bind(warehouse_id)
            .bind(parent_path.unwrap_or(""))
            .bind(after.unwrap_or(""))
            .bind(i64::from(limit))
    )
}

/// Replaces the properties of a namespace by compare-and-swap.
///
/// Returns `false`, changing nothing, if they are no longer `previous`, or the namespace does not exist any
/// more.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn replace_properties(
    tx: &mut Tx,
    namespace_id: NamespaceId,
    previous: &str,
    next: &str,
) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE namespaces SET properties = $3, updated_ms = $4
        WHERE namespace_id = $1 AND properties = $2";

    let at_ms = tx.at_ms();
    let changed = execute!(tx, query(SQL).bind(namespace_id).bind(previous).bind(next).bind(at_ms))?;
    if changed == 0 {
        return Ok(false);
    }
    history::close_namespace(tx, namespace_id).await?;
    history::open_namespace(tx, namespace_id).await?;
    Ok(true)
}

/// Drops an empty namespace.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn drop(tx: &mut Tx, namespace_id: NamespaceId) -> Result<DropNamespace, StoreError> {
    const LOCK: &str = "SELECT warehouse_id, path FROM namespaces WHERE namespace_id = $1";
    const LOCK_POSTGRES: &str =
        "SELECT warehouse_id, path FROM namespaces WHERE namespace_id = $1 FOR UPDATE";
    const OCCUPIED: &str = "
        SELECT 1 WHERE EXISTS (SELECT 1 FROM tabulars WHERE namespace_id = $1)
            OR EXISTS (SELECT 1 FROM namespaces WHERE warehouse_id = $2 AND parent_path = $3)";
    const DELETE: &str = "DELETE FROM namespaces WHERE namespace_id = $1";
    const DELETE_VERSIONS: &str = "DELETE FROM namespace_versions WHERE namespace_id = $1";

    let lock = if tx.kind() == DbKind::Postgres { LOCK_POSTGRES } else { LOCK };
    let found = fetch_optional!(tx, query_as::<_, (WarehouseId, String)>(lock).bind(namespace_id))?;
    let Some((warehouse_id, path)) = found else {
        return Ok(DropNamespace::Missing);
    };
    // This must be a separate statement after the lock is taken, so that it sees objects created by a
    // transaction that the lock had to wait for.
    let occupied = fetch_optional!(
        tx,
        query_scalar::<_, i32>(OCCUPIED).bind(namespace_id).bind(warehouse_id).bind(&path)
    )?;
    if occupied.is_some() {
        return Ok(DropNamespace::NotEmpty);
    }
    execute!(tx, query(DELETE).bind(namespace_id))?;
    execute!(tx, query(DELETE_VERSIONS).bind(namespace_id))?;
    history::close_namespace(tx, namespace_id).await?;
    Ok(DropNamespace::Dropped)
}

/// Locks a namespace against a drop until the transaction ends, and moves the time of the transaction past
/// its creation. Returns its warehouse, or `None` if it does not exist.
pub(super) async fn lock_for_share(
    tx: &mut Tx,
    namespace_id: NamespaceId,
) -> Result<Option<WarehouseId>, StoreError> {
    const SQL: &str = "SELECT warehouse_id, created_ms FROM namespaces WHERE namespace_id = $1";
    const SQL_POSTGRES: &str =
        "SELECT warehouse_id, created_ms FROM namespaces WHERE namespace_id = $1 FOR KEY SHARE";

    let sql = if tx.kind() == DbKind::Postgres { SQL_POSTGRES } else { SQL };
    let found = fetch_optional!(tx, query_as::<_, (WarehouseId, i64)>(sql).bind(namespace_id))?;
    Ok(found.map(|(warehouse_id, created_ms)| {
        tx.advance_to(created_ms);
        warehouse_id
    }))
}

/// Locks the namespace at `path` in the same way. Returns `true` if it exists.
async fn lock_path_for_share(tx: &mut Tx, warehouse_id: WarehouseId, path: &str) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT created_ms FROM namespaces WHERE warehouse_id = $1 AND path = $2";
    const SQL_POSTGRES: &str =
        "SELECT created_ms FROM namespaces WHERE warehouse_id = $1 AND path = $2 FOR KEY SHARE";

    let sql = if tx.kind() == DbKind::Postgres { SQL_POSTGRES } else { SQL };
    let found = fetch_optional!(tx, query_scalar::<_, i64>(sql).bind(warehouse_id).bind(path))?;
    if let Some(created_ms) = found {
        tx.advance_to(created_ms);
    }
    Ok(found.is_some())
}

fn parent_path(path: &str) -> &str {
    path.rsplit_once(LEVEL_SEPARATOR).map_or("", |(parent, _)| parent)
}
