//! History of namespaces, tables and views: rows with a validity interval in catalog time. All functions that
//! change an object write it; as-of reads use it ([`super::as_of`]).
//!
//! Two invariants are independent of the clocks: the states of one object never overlap, and no two
//! objects have the same name at the same instant. To ensure them, the time of a transaction is moved past
//! the start of any state that it ends, and past the end of the previous use of any name that it takes.

use sqlx::{query, query_as, query_scalar};

use super::names::NameInNamespace;
use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::target::DbKind;
use crate::store::engine::tx::Tx;
use crate::store::ids::{NamespaceId, TabularId, WarehouseId};

/// End of the validity of a current state (`valid_to_ms`).
pub const FOREVER_MS: i64 = i64::MAX;

/// Metadata pointer that a table or view had, with its validity.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PastPointer {
    /// Number of the pointer; ascending in the history of one table or view.
    pub history_id: i64,
    /// Location of the metadata file.
    pub metadata_location: String,
    /// UUID in that file (`table-uuid` or `view-uuid`).
    pub table_uuid: uuid::Uuid,
    /// Base location in that file (`location`).
    pub location: String,
    /// Snapshots and schemas that went out of use with this metadata file, as JSON; `None` if they were not
    /// determined.
    pub superseded: Option<String>,
    /// Start of the validity, in milliseconds since 1970.
    pub valid_from_ms: i64,
    /// End of the validity, exclusive, in milliseconds since 1970, or [`FOREVER_MS`]. It equals the start if
    /// the pointer was replaced within the same millisecond.
    pub valid_to_ms: i64,
}

/// Statement of [`list_pointers`].
pub const LIST_POINTERS: &str = "
    SELECT history_id, metadata_location, table_uuid, location, superseded, valid_from_ms, valid_to_ms
    FROM pointer_history WHERE tabular_id = $1 AND history_id < $2 ORDER BY history_id DESC LIMIT $3";

/// Statement of [`list_files`].
pub const LIST_FILES: &str = "
    SELECT history_id, metadata_location, valid_to_ms FROM pointer_history
    WHERE tabular_id = $1 AND history_id < $2 ORDER BY history_id DESC LIMIT $3";

/// Statement of [`list_replaced`].
pub const LIST_REPLACED: &str = "
    SELECT metadata_location FROM pointer_history
    WHERE tabular_id = $1 AND valid_to_ms >= $2 AND valid_to_ms < $3 ORDER BY valid_to_ms LIMIT $4";

/// Statement of [`find_first`].
pub const FIND_FIRST: &str = "
    SELECT superseded FROM pointer_history WHERE tabular_id = $1 ORDER BY history_id LIMIT 1";

/// Statement that ends the validity of the current pointer of a table or view. It names the value of
/// [`FOREVER_MS`], because only then PostgreSQL uses the index of current pointers.
pub const CLOSE_POINTER: &str = "
    UPDATE pointer_history SET valid_to_ms = CASE WHEN valid_from_ms > $2 THEN valid_from_ms ELSE $2 END
    WHERE tabular_id = $1 AND valid_to_ms = 9223372036854775807
    RETURNING valid_to_ms";

/// Statement for the time at which the last namespace at a path was dropped.
pub const LAST_AT_PATH: &str = "
    SELECT MAX(valid_to_ms) FROM namespace_history
    WHERE warehouse_id = $1 AND path = $2 AND valid_to_ms < $3";

/// Statement for the time at which a name was last released by a table or view, by a rename or drop.
pub const LAST_OF_NAME: &str = "
    SELECT MAX(valid_to_ms) FROM tabular_history
    WHERE namespace_id = $1 AND name = $2 AND valid_to_ms < $3";

/// Returns up to `limit` metadata files that a table or view had, newest first: those with a lower number
/// than `before`. Each is returned as its number, its location, and the end of its validity
/// ([`PastPointer::valid_to_ms`]).
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn list_files(
    db: &Db,
    tabular_id: TabularId,
    before: i64,
    limit: u32,
) -> Result<Vec<(i64, String, i64)>, StoreError> {
    fetch_all!(
        db,
        query_as::<_, (i64, String, i64)>(LIST_FILES).bind(tabular_id).bind(before).bind(i64::from(limit))
    )
}

/// Returns up to `limit` metadata pointers that a table or view had, newest first: those with a lower number
/// than `before`. The history remains when the table is dropped.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn list_pointers(
    db: &Db,
    tabular_id: TabularId,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<PastPointer>, StoreError> {
    fetch_all!(
        db,
        query_as::<_, PastPointer>(LIST_POINTERS)
            .bind(tabular_id)
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::from(limit))
    )
}

/// Returns [`PastPointer::superseded`] of the first pointer of a table, which describes the state that the
/// table was created or registered with.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn find_first(db: &Db, tabular_id: TabularId) -> Result<Option<String>, StoreError> {
    Ok(fetch_optional!(db, query_scalar::<_, Option<String>>(FIND_FIRST).bind(tabular_id))?.flatten())
}

/// Returns up to `limit` metadata files of a table that were replaced in a period, oldest first. The end of
/// the period is excluded.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn list_replaced(
    db: &Db,
    tabular_id: TabularId,
    span_ms: std::ops::Range<i64>,
    limit: u32,
) -> Result<Vec<String>, StoreError> {
    fetch_all!(
        db,
        query_scalar::<_, String>(LIST_REPLACED)
            .bind(tabular_id)
            .bind(span_ms.start)
            .bind(span_ms.end)
            .bind(i64::from(limit))
    )
}

pub(super) async fn open_namespace(tx: &mut Tx, namespace_id: NamespaceId) -> Result<(), StoreError> {
    const SQL: &str = "
        INSERT INTO namespace_history (namespace_id, warehouse_id, parent_path, path, properties, created_ms,
                                       valid_from_ms, valid_to_ms)
        SELECT namespace_id, warehouse_id, parent_path, path, properties, created_ms, $2, $3
        FROM namespaces WHERE namespace_id = $1";

    let at_ms = tx.at_ms();
    execute!(tx, query(SQL).bind(namespace_id).bind(at_ms).bind(FOREVER_MS)).map(drop)
}

/// Opens the history of a new table or view, after the last use of its name.
pub(super) async fn open_tabular(tx: &mut Tx, tabular_id: TabularId) -> Result<(), StoreError> {
    // SQLite executes several statements at once, and no other transaction can write meanwhile.
    const SQL: &str = "
        INSERT INTO tabular_history (tabular_id, warehouse_id, namespace_id, kind, name, created_ms,
                                     valid_from_ms, valid_to_ms)
        SELECT t.tabular_id, t.warehouse_id, t.namespace_id, t.kind, t.name, t.created_ms,
               MAX(t.created_ms, COALESCE((
                   SELECT MAX(h.valid_to_ms) FROM tabular_history h
                   WHERE h.namespace_id = t.namespace_id AND h.name = t.name
                       AND h.valid_to_ms < 9223372036854775807
               ), 0)), 9223372036854775807
        FROM tabulars t WHERE t.tabular_id = $1;
        INSERT INTO pointer_history (tabular_id, metadata_location, table_uuid, location, superseded,
                                     valid_from_ms, valid_to_ms)
        SELECT t.tabular_id, t.metadata_location, t.table_uuid, t.location, t.superseded, h.valid_from_ms,
               h.valid_to_ms
        FROM tabulars t
        JOIN tabular_history h ON h.tabular_id = t.tabular_id AND h.valid_to_ms = 9223372036854775807
        WHERE t.tabular_id = $1;
        SELECT valid_from_ms FROM tabular_history
        WHERE tabular_id = $1 AND valid_to_ms = 9223372036854775807";
    const SQL_POSTGRES: &str = "SELECT open_tabular(t) FROM tabulars t WHERE t.tabular_id = $1";

    let sql = if tx.kind() == DbKind::Postgres { SQL_POSTGRES } else { SQL };
    let from_ms = fetch_optional!(tx, query_scalar::<_, i64>(sql).bind(tabular_id))?;
    tx.advance_to(from_ms.unwrap_or(0));
    Ok(())
}

/// Opens the history of the present name of a table or view.
pub(super) async fn open_name(tx: &mut Tx, tabular_id: TabularId) -> Result<(), StoreError> {
    const SQL: &str = "
        INSERT INTO tabular_history (tabular_id, warehouse_id, namespace_id, kind, name, created_ms,
                                     valid_from_ms, valid_to_ms)
        SELECT tabular_id, warehouse_id, namespace_id, kind, name, created_ms, $2, $3
        FROM tabulars WHERE tabular_id = $1";

    let at_ms = tx.at_ms();
    execute!(tx, query(SQL).bind(tabular_id).bind(at_ms).bind(FOREVER_MS)).map(drop)
}

pub(super) async fn close_namespace(tx: &mut Tx, namespace_id: NamespaceId) -> Result<(), StoreError> {
    const SQL: &str = "
        UPDATE namespace_history
        SET valid_to_ms = CASE WHEN valid_from_ms > $2 THEN valid_from_ms ELSE $2 END
        WHERE namespace_id = $1 AND valid_to_ms = $3
        RETURNING valid_to_ms";

    let at_ms = tx.at_ms();
    let closed =
        fetch_optional!(tx, query_scalar::<_, i64>(SQL).bind(namespace_id).bind(at_ms).bind(FOREVER_MS))?;
    tx.advance_to(closed.unwrap_or(at_ms));
    Ok(())
}

pub(super) async fn close_name(tx: &mut Tx, tabular_id: TabularId) -> Result<(), StoreError> {
    const SQL: &str = "
        UPDATE tabular_history
        SET valid_to_ms = CASE WHEN valid_from_ms > $2 THEN valid_from_ms ELSE $2 END
        WHERE tabular_id = $1 AND valid_to_ms = $3
        RETURNING valid_to_ms";

    let at_ms = tx.at_ms();
    let closed =
        fetch_optional!(tx, query_scalar::<_, i64>(SQL).bind(tabular_id).bind(at_ms).bind(FOREVER_MS))?;
    tx.advance_to(closed.unwrap_or(at_ms));
    Ok(())
}

pub(super) async fn close_pointer(tx: &mut Tx, tabular_id: TabularId) -> Result<(), StoreError> {
    let at_ms = tx.at_ms();
    let closed = fetch_optional!(tx, query_scalar::<_, i64>(CLOSE_POINTER).bind(tabular_id).bind(at_ms))?;
    tx.advance_to(closed.unwrap_or(at_ms));
    Ok(())
}

/// Moves the time of the transaction past the drop of the last namespace at `path`.
pub(super) async fn advance_past_path(
    tx: &mut Tx,
    warehouse_id: WarehouseId,
    path: &str,
) -> Result<(), StoreError> {
    let last = fetch_optional!(
        tx,
        query_scalar::<_, Option<i64>>(LAST_AT_PATH).bind(warehouse_id).bind(path).bind(FOREVER_MS)
    )?;
    tx.advance_to(last.flatten().unwrap_or(0));
    Ok(())
}

/// Moves the time of the transaction past the last release of the name by a table or view.
pub(super) async fn advance_past_name(tx: &mut Tx, place: NameInNamespace<'_>) -> Result<(), StoreError> {
    let last = fetch_optional!(
        tx,
        query_scalar::<_, Option<i64>>(LAST_OF_NAME)
            .bind(place.namespace_id)
            .bind(place.name)
            .bind(FOREVER_MS)
    )?;
    tx.advance_to(last.flatten().unwrap_or(0));
    Ok(())
}
