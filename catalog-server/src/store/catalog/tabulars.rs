//! Tables and views: their names, and the pointers to their current metadata files. The store does not read
//! these files.

use sqlx::{query, query_as, query_scalar};

use super::names::{NameInNamespace, QualifiedName};
use super::pointer_cache::{self, Key, PointerCache};
use super::tabular::{CreateTabular, NewTabular, Pointer, RenameTabular, Tabular, TabularKind};
use super::{history, namespaces};
use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::target::DbKind;
use crate::store::engine::tx::Tx;
use crate::store::ids::{NamespaceId, TabularId, WarehouseId};

/// Statement of [`list`]: a keyset page in the order of the name, which never reads the rows of previous
/// pages. The database joins the names to one value, because a row costs more than reading its name.
pub const LIST: &str = "
    SELECT json_group_array(name) FROM (
        SELECT name FROM tabulars
        WHERE namespace_id = $1 AND kind = $2 AND name > $3 ORDER BY name LIMIT $4
    ) AS page";
/// Statement [`LIST`] for PostgreSQL.
pub const LIST_POSTGRES: &str = "
    SELECT COALESCE(CAST(json_agg(name) AS TEXT), '[]') FROM (
        SELECT name FROM tabulars
        WHERE namespace_id = $1 AND kind = $2 AND name > $3 ORDER BY name LIMIT $4
    ) AS page";

/// Statement of [`find`]: one table or view by namespace path and name, which every load and commit needs.
pub const FIND: &str = "
    SELECT t.tabular_id, t.warehouse_id, t.namespace_id, t.kind, t.name, t.metadata_location, t.table_uuid,
           t.location, t.created_ms, t.updated_ms
    FROM namespaces n JOIN tabulars t ON t.namespace_id = n.namespace_id
    WHERE n.warehouse_id = $1 AND n.path = $2 AND t.name = $3";

/// Creates a table or view, with the time [`Tx::at_ms`].
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement, or if a row contains a value that this
/// version does not know ([`StoreError::Database`]); or if the transaction conflicts with a concurrent one
/// ([`StoreError::Serialization`]).
pub async fn create(tx: &mut Tx, new: &NewTabular<'_>) -> Result<CreateTabular, StoreError> {
    // On a conflict the update changes nothing, but it locks and returns the row that has the name.
    const SQL: &str = "
        INSERT INTO tabulars (tabular_id, warehouse_id, namespace_id, kind, name, metadata_location,
                              table_uuid, location, created_ms, updated_ms, superseded)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)
        ON CONFLICT (namespace_id, name) DO UPDATE SET name = excluded.name
        RETURNING tabular_id, kind";

    let Some(warehouse_id) = namespaces::lock_for_share(tx, new.place.namespace_id).await? else {
        return Ok(CreateTabular::NamespaceMissing);
    };
    let at_ms = tx.at_ms();
    let holder = fetch_optional!(
        tx,
        query_as::<_, Holder>(SQL)
            .bind(new.tabular_id)
            .bind(warehouse_id)
            .bind(new.place.namespace_id)
            .bind(new.kind.as_str())
            .bind(new.place.name)
            .bind(new.pointer.metadata_location)
            .bind(new.pointer.table_uuid)
            .bind(new.pointer.location)
            .bind(at_ms)
            .bind(new.pointer.superseded)
    )?;
    if let Some(holder) = holder.filter(|holder| holder.tabular_id != new.tabular_id) {
        return Ok(CreateTabular::NameTaken(holder.kind));
    }
    // This must follow the insert, which may have waited for the transaction that released the name.
    history::open_tabular(tx, new.tabular_id).await?;
    Ok(CreateTabular::Created)
}

/// Returns the table or view `name` in the namespace at `namespace_path`.
///
/// On SQLite the result comes from the cache if it was read before and has not changed since.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn find(
    db: &Db,
    warehouse_id: WarehouseId,
    namespace_path: &str,
    name: &str,
) -> Result<Option<Tabular>, StoreError> {
    let Some(pointers) = PointerCache::of(db) else {
        return read(db, warehouse_id, namespace_path, name).await;
    };
    let key = Key { warehouse_id, namespace_path: namespace_path.to_owned(), name: name.to_owned() };
    let tick = match pointers.find(&key) {
        Ok(tabular) => return Ok(Some(tabular)),
        Err(tick) => tick,
    };
    let found = read(db, warehouse_id, namespace_path, name).await?;
    if let Some(tabular) = &found {
        pointers.remember(key, tick, tabular);
    }
    Ok(found)
}

async fn read(
    db: &Db,
    warehouse_id: WarehouseId,
    namespace_path: &str,
    name: &str,
) -> Result<Option<Tabular>, StoreError> {
    fetch_optional!(db, query_as::<_, Tabular>(FIND).bind(warehouse_id).bind(namespace_path).bind(name))
}

/// Locks the tables and views with these ids until the transaction ends, and returns them in the order of
/// their ids. Those that do not exist are omitted.
///
/// A transaction that changes several of them must lock them all first. Then no other transaction changes one
/// of them in between, and an as-of read sees either all or none of the changes. The rows are locked in the
/// order of their ids, so that two callers cannot deadlock.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement, or if a row contains a value that this
/// version does not know ([`StoreError::Database`]); or if the transaction conflicts with a concurrent one
/// ([`StoreError::Serialization`]).
pub async fn lock(tx: &mut Tx, tabular_ids: &[TabularId]) -> Result<Vec<Tabular>, StoreError> {
    let mut ordered = tabular_ids.to_vec();
    ordered.sort_unstable();
    ordered.dedup();
    let mut locked = Vec::with_capacity(ordered.len());
    for tabular_id in ordered {
        locked.extend(lock_one(tx, tabular_id).await?);
    }
    tx.advance_to_now().await?;
    Ok(locked)
}

async fn lock_one(tx: &mut Tx, tabular_id: TabularId) -> Result<Option<Tabular>, StoreError> {
    const SQL: &str = "
        SELECT tabular_id, warehouse_id, namespace_id, kind, name, metadata_location, table_uuid, location,
               created_ms, updated_ms
        FROM tabulars WHERE tabular_id = $1";
    const SQL_POSTGRES: &str = "
        SELECT tabular_id, warehouse_id, namespace_id, kind, name, metadata_location, table_uuid, location,
               created_ms, updated_ms
        FROM tabulars WHERE tabular_id = $1 FOR UPDATE";

    let sql = if tx.kind() == DbKind::Postgres { SQL_POSTGRES } else { SQL };
    fetch_optional!(tx, query_as::<_, Tabular>(sql).bind(tabular_id))
}

/// Returns the names of up to `limit` tables or views of a namespace in their order, those after `after`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or returns something else than names
/// ([`StoreError::Database`]).
pub async fn list(
    db: &Db,
    namespace_id: NamespaceId,
    kind: TabularKind,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<String>, StoreError> {
    let sql = if db.kind() == DbKind::Postgres { LIST_POSTGRES } else { LIST };
    let names = fetch_optional!(
        db,
        query_scalar::<_, String>(sql)
            .bind(namespace_id)
            .bind(kind.as_str())
            .bind(after.unwrap_or(""))
            .bind(i64::from(limit))
    )?;
    let names = names.as_deref().unwrap_or("[]");
    serde_json::from_str(names).map_err(|error| sqlx::Error::Decode(error.into()).into())
}

/// Moves a metadata pointer from `previous` to `next` by compare-and-swap, for a commit or for a register
/// that overwrites. The history is written by a trigger, so that a commit costs one statement.
///
/// Returns `false`, changing nothing, if another commit moved the pointer first, or the table or view was
/// dropped.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn swap_pointer(
    tx: &mut Tx,
    tabular_id: TabularId,
    previous: &str,
    next: &Pointer<'_>,
) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE tabulars SET metadata_location = $3, table_uuid = $4, location = $5, superseded = $7,
                            updated_ms = CASE WHEN updated_ms > $6 THEN updated_ms ELSE $6 END
        WHERE tabular_id = $1 AND metadata_location = $2
        RETURNING updated_ms";

    let at_ms = tx.at_ms();
    let moved_ms = fetch_optional!(
        tx,
        query_scalar::<_, i64>(SQL)
            .bind(tabular_id)
            .bind(previous)
            .bind(next.metadata_location)
            .bind(next.table_uuid)
            .bind(next.location)
            .bind(at_ms)
            .bind(next.superseded)
    )?;
    let Some(moved_ms) = moved_ms else {
        return Ok(false);
    };
    tx.advance_to(moved_ms);
    pointer_cache::move_after_commit(tx, tabular_id, previous, next);
    Ok(true)
}

/// Renames a table or view, possibly to another namespace of its warehouse.
///
/// # Errors
///
/// Fails if the database does not answer or fails a statement, or a row contains a value that this version
/// does not know ([`StoreError::Database`]); or if the transaction conflicts with a concurrent one, such as
/// one that takes the new name at the same time ([`StoreError::Serialization`]). If it is run again, it
/// returns [`RenameTabular::NameTaken`] in that case.
pub async fn rename(
    tx: &mut Tx,
    tabular_id: TabularId,
    from: NameInNamespace<'_>,
    to: NameInNamespace<'_>,
) -> Result<RenameTabular, StoreError> {
    const HOLDER: &str = "SELECT tabular_id, kind FROM tabulars WHERE namespace_id = $1 AND name = $2";
    const SQL: &str = "
        UPDATE tabulars SET namespace_id = $2, name = $3,
                            updated_ms = CASE WHEN updated_ms > $4 THEN updated_ms ELSE $4 END
        WHERE tabular_id = $1";

    let found = lock_one(tx, tabular_id).await?;
    let Some(found) = found.filter(|it| it.namespace_id == from.namespace_id && it.name == from.name) else {
        return Ok(RenameTabular::Missing);
    };
    if namespaces::lock_for_share(tx, to.namespace_id).await? != Some(found.warehouse_id) {
        return Ok(RenameTabular::NamespaceMissing);
    }
    if let Some(holder) =
        fetch_optional!(tx, query_as::<_, Holder>(HOLDER).bind(to.namespace_id).bind(to.name))?
    {
        return Ok(RenameTabular::NameTaken(holder.kind));
    }
    let at_ms = tx.at_ms();
    execute!(tx, query(SQL).bind(tabular_id).bind(to.namespace_id).bind(to.name).bind(at_ms))?;
    history::advance_past_name(tx, to).await?;
    history::close_name(tx, tabular_id).await?;
    history::open_name(tx, tabular_id).await?;
    pointer_cache::invalidate_after_commit(tx, tabular_id);
    Ok(RenameTabular::Renamed)
}

/// Drops a table or view from the catalog. Its files, and the ownership of its location, remain.
///
/// Returns `false`, changing nothing, if it does not exist, or no longer points to `expected`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn drop(tx: &mut Tx, tabular_id: TabularId, expected: Option<&str>) -> Result<bool, StoreError> {
    const SQL: &str = "
        DELETE FROM tabulars WHERE tabular_id = $1
            AND (CAST($2 AS TEXT) IS NULL OR metadata_location = CAST($2 AS TEXT))";

    if execute!(tx, query(SQL).bind(tabular_id).bind(expected))? == 0 {
        return Ok(false);
    }
    history::close_pointer(tx, tabular_id).await?;
    history::close_name(tx, tabular_id).await?;
    pointer_cache::invalidate_after_commit(tx, tabular_id);
    Ok(true)
}

/// Returns several tables and views, each given by namespace path and name, in the order given. They are read
/// by one statement, so that they are consistent with each other.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn find_many(
    db: &Db,
    warehouse_id: WarehouseId,
    wanted: &[(&str, &str)],
) -> Result<Vec<Option<Tabular>>, StoreError> {
    const SQL: &str = "
        SELECT w.key, t.tabular_id, t.warehouse_id, t.namespace_id, t.kind, t.name, t.metadata_location,
               t.table_uuid, t.location, t.created_ms, t.updated_ms
        FROM json_each($2) w
        JOIN namespaces n ON n.warehouse_id = $1 AND n.path = json_extract(w.value, '$[0]')
        JOIN tabulars t ON t.namespace_id = n.namespace_id AND t.name = json_extract(w.value, '$[1]')";
    const SQL_POSTGRES: &str = "
        SELECT w.ordinality - 1 AS key, t.tabular_id, t.warehouse_id, t.namespace_id, t.kind, t.name,
               t.metadata_location, t.table_uuid, t.location, t.created_ms, t.updated_ms
        FROM json_array_elements($2::json) WITH ORDINALITY w
        JOIN namespaces n ON n.warehouse_id = $1 AND n.path = w.value ->> 0
        JOIN tabulars t ON t.namespace_id = n.namespace_id AND t.name = w.value ->> 1";

    let sql = if db.kind() == DbKind::Postgres { SQL_POSTGRES } else { SQL };
    let wanted_json = serde_json::json!(wanted).to_string();
    let rows = fetch_all!(db, query_as::<_, Numbered>(sql).bind(warehouse_id).bind(&wanted_json))?;

    let mut found = vec![None; wanted.len()];
    for row in rows {
        if let Some(slot) = usize::try_from(row.key).ok().and_then(|key| found.get_mut(key)) {
            *slot = Some(row.tabular);
        }
    }
    Ok(found)
}

/// Returns the current full name of a table or view; `None` if it does not exist.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn find_name(db: &Db, tabular_id: TabularId) -> Result<Option<QualifiedName>, StoreError> {
    const SQL: &str = "
        SELECT w.name AS warehouse, n.path AS namespace_path, t.name
        FROM tabulars t
        JOIN namespaces n ON n.namespace_id = t.namespace_id
        JOIN warehouses w ON w.warehouse_id = t.warehouse_id
        WHERE t.tabular_id = $1";

    fetch_optional!(db, query_as::<_, QualifiedName>(SQL).bind(tabular_id))
}

/// Returns `true` if the table or view with this id exists.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn exists(db: &Db, tabular_id: TabularId) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT 1 FROM tabulars WHERE tabular_id = $1";

    Ok(fetch_optional!(db, query_scalar::<_, i32>(SQL).bind(tabular_id))?.is_some())
}

#[derive(sqlx::FromRow)]
struct Holder {
    tabular_id: TabularId,
    #[sqlx(try_from = "String")]
    kind: TabularKind,
}

#[derive(sqlx::FromRow)]
struct Numbered {
    key: i64,
    #[sqlx(flatten)]
    tabular: Tabular,
}
