//! Namespaces. A namespace is addressed by its path: its levels joined by [`LEVEL_SEPARATOR`].
//!
//! Creating something in a namespace locks the namespace against being dropped; dropping it locks
//! out whoever wants to create something in it. One of the two then sees what the other did.

use sqlx::{query, query_as, query_scalar};

use super::db::{Db, DbKind};
use super::error::StoreError;
use super::history;
use super::ids::{NamespaceId, WarehouseId};
use super::tx::Tx;

/// Joins the levels of a namespace's path; no level may contain it, or be empty.
pub const LEVEL_SEPARATOR: char = '\u{1f}';

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Namespace {
    /// Its id.
    pub namespace_id: NamespaceId,
    /// The warehouse it is in.
    pub warehouse_id: WarehouseId,
    /// Its levels, joined by [`LEVEL_SEPARATOR`].
    pub path: String,
    /// A JSON object, as text that the store never looks into.
    pub properties: String,
    /// When it was created.
    pub created_ms: i64,
    /// When it was created or its properties were last changed.
    pub updated_ms: i64,
}

/// A namespace to be.
#[derive(Clone, Copy, Debug)]
pub struct NewNamespace<'a> {
    /// Its id.
    pub namespace_id: NamespaceId,
    /// The warehouse it will be in, which must exist.
    pub warehouse_id: WarehouseId,
    /// Its levels, joined by [`LEVEL_SEPARATOR`].
    pub path: &'a str,
    /// A JSON object.
    pub properties: &'a str,
}

/// What came of creating a namespace. Unless it was created, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateNamespace {
    /// It was created.
    Created,
    /// There is one with this path.
    AlreadyExists,
    /// The namespace it should be in does not exist.
    ParentMissing,
}

/// What came of dropping a namespace. Unless it was dropped, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropNamespace {
    /// It was dropped.
    Dropped,
    /// There are namespaces, tables or views in it.
    NotEmpty,
    /// It does not exist, or no longer.
    Missing,
}

/// A page of a namespace's children, by path. Rows a page skips are never read.
pub const LIST_CHILDREN: &str = "
    SELECT namespace_id, warehouse_id, path, properties, created_ms, updated_ms FROM namespaces
    WHERE warehouse_id = $1 AND parent_path = $2 AND path > $3 ORDER BY path LIMIT $4";

/// Creates a namespace, at [`Tx::at_ms`].
pub async fn create(tx: &mut Tx, new: &NewNamespace<'_>) -> Result<CreateNamespace, StoreError> {
    const SQL: &str = "
        INSERT INTO namespaces
            (namespace_id, warehouse_id, parent_path, path, properties, created_ms, updated_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $6)
        ON CONFLICT (warehouse_id, path) DO NOTHING";

    let parent_path = parent_path(new.path);
    if !parent_path.is_empty() && !keep_path(tx, new.warehouse_id, parent_path).await? {
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
    // Only now: the insert may have waited for whoever gave up the path.
    history::advance_past_path(tx, new.warehouse_id, new.path).await?;
    history::open_namespace(tx, new.namespace_id).await?;
    Ok(CreateNamespace::Created)
}

/// The namespace at `path`.
pub async fn find(db: &Db, warehouse_id: WarehouseId, path: &str) -> Result<Option<Namespace>, StoreError> {
    const SQL: &str = "
        SELECT namespace_id, warehouse_id, path, properties, created_ms, updated_ms FROM namespaces
        WHERE warehouse_id = $1 AND path = $2";

    fetch_optional!(db, query_as::<_, Namespace>(SQL).bind(warehouse_id).bind(path))
}

/// Up to `limit` namespaces directly in `parent_path`, or at the top level, by path, those after
/// `after`. Empty if there is no such parent.
pub async fn list_children(
    db: &Db,
    warehouse_id: WarehouseId,
    parent_path: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Namespace>, StoreError> {
    fetch_all!(
        db,
        query_as::<_, Namespace>(LIST_CHILDREN)
            .bind(warehouse_id)
            .bind(parent_path.unwrap_or(""))
            .bind(after.unwrap_or(""))
            .bind(i64::from(limit))
    )
}

/// Replaces a namespace's properties.
///
/// Returns `false`, changing nothing, if they are no longer `previous`, or it no longer exists.
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

/// Drops a namespace that has nothing in it.
pub async fn drop(tx: &mut Tx, namespace_id: NamespaceId) -> Result<DropNamespace, StoreError> {
    const LOCK: &str = "SELECT warehouse_id, path FROM namespaces WHERE namespace_id = $1";
    const LOCK_POSTGRES: &str =
        "SELECT warehouse_id, path FROM namespaces WHERE namespace_id = $1 FOR UPDATE";
    const OCCUPIED: &str = "
        SELECT 1 WHERE EXISTS (SELECT 1 FROM tabulars WHERE namespace_id = $1)
            OR EXISTS (SELECT 1 FROM namespaces WHERE warehouse_id = $2 AND parent_path = $3)";
    const DELETE: &str = "DELETE FROM namespaces WHERE namespace_id = $1";

    let lock = if tx.kind() == DbKind::Postgres { LOCK_POSTGRES } else { LOCK };
    let found = fetch_optional!(tx, query_as::<_, (WarehouseId, String)>(lock).bind(namespace_id))?;
    let Some((warehouse_id, path)) = found else {
        return Ok(DropNamespace::Missing);
    };
    // A statement of its own, after the lock is held: it sees what the transaction we may have
    // waited for has put in.
    let occupied = fetch_optional!(
        tx,
        query_scalar::<_, i32>(OCCUPIED).bind(namespace_id).bind(warehouse_id).bind(&path)
    )?;
    if occupied.is_some() {
        return Ok(DropNamespace::NotEmpty);
    }
    execute!(tx, query(DELETE).bind(namespace_id))?;
    history::close_namespace(tx, namespace_id).await?;
    Ok(DropNamespace::Dropped)
}

/// Keeps a namespace from being dropped until the transaction ends, and moves the transaction's
/// time past its creation. Returns its warehouse, or `None` if it does not exist.
pub(super) async fn keep(tx: &mut Tx, namespace_id: NamespaceId) -> Result<Option<WarehouseId>, StoreError> {
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

/// The same for the namespace at `path`. Returns whether it exists.
async fn keep_path(tx: &mut Tx, warehouse_id: WarehouseId, path: &str) -> Result<bool, StoreError> {
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
