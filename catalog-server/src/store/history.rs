//! What namespaces, tables and views used to be: rows that hold from one instant until another.
//! Written here on behalf of every function that changes one; read through [`super::as_of`].
//!
//! Two things hold whatever the clocks do: the states of one object never overlap, and no two
//! objects have one name at one instant. For that, a transaction's time moves forward past any
//! state it ends or any name it takes over.

use sqlx::{query, query_as, query_scalar};

use super::db::Db;
use super::error::StoreError;
use super::ids::{NamespaceId, TabularId, WarehouseId};
use super::tabulars::Place;
use super::tx::Tx;

/// When a state ends that still holds.
pub const FOREVER_MS: i64 = i64::MAX;

/// What a table or view pointed to, and when.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PastPointer {
    /// Numbers the pointers of one table or view in the order they came to be.
    pub history_id: i64,
    /// The metadata file.
    pub metadata_location: String,
    /// The `table-uuid` or `view-uuid` of that file.
    pub table_uuid: uuid::Uuid,
    /// The `location` of that file.
    pub location: String,
    /// What went out of use with it: JSON. `None` if nobody found out.
    pub superseded: Option<String>,
    /// When it came to be.
    pub valid_from_ms: i64,
    /// When it was replaced, or [`FOREVER_MS`]. The same instant if within one millisecond.
    pub valid_to_ms: i64,
}

/// A page of the pointers of one table, newest first.
pub const LIST_POINTERS: &str = "
    SELECT history_id, metadata_location, table_uuid, location, superseded, valid_from_ms, valid_to_ms
    FROM pointer_history WHERE tabular_id = $1 AND history_id < $2 ORDER BY history_id DESC LIMIT $3";

/// The statement of [`list_files`].
pub const LIST_FILES: &str = "
    SELECT history_id, metadata_location, valid_to_ms FROM pointer_history
    WHERE tabular_id = $1 AND history_id < $2 ORDER BY history_id DESC LIMIT $3";

/// The statement of [`list_replaced`].
pub const LIST_REPLACED: &str = "
    SELECT metadata_location FROM pointer_history
    WHERE tabular_id = $1 AND valid_to_ms >= $2 AND valid_to_ms < $3 ORDER BY valid_to_ms LIMIT $4";

/// The statement of [`find_first`].
pub const FIND_FIRST: &str = "
    SELECT superseded FROM pointer_history WHERE tabular_id = $1 ORDER BY history_id LIMIT 1";

/// When the last namespace at a path was dropped.
pub const LAST_AT_PATH: &str = "
    SELECT MAX(valid_to_ms) FROM namespace_history
    WHERE warehouse_id = $1 AND path = $2 AND valid_to_ms < $3";

/// When the last table or view gave up a name.
pub const LAST_OF_NAME: &str = "
    SELECT MAX(valid_to_ms) FROM tabular_history
    WHERE namespace_id = $1 AND name = $2 AND valid_to_ms < $3";

/// Up to `limit` metadata files a table or view has had, newest first, those older than the one numbered `before`: the number of
/// each, where it is, and until when it was the table's.
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

/// Up to `limit` pointers a table or view has had, newest first, those older than the one numbered
/// `before`. A dropped one keeps its history.
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

/// What a table came with: [`PastPointer::superseded`] of its first pointer.
pub async fn find_first(db: &Db, tabular_id: TabularId) -> Result<Option<String>, StoreError> {
    Ok(fetch_optional!(db, query_scalar::<_, Option<String>>(FIND_FIRST).bind(tabular_id))?.flatten())
}

/// Up to `limit` metadata files of a table that were replaced in a span of time, the end excluded; oldest first.
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

pub(super) async fn open_name(tx: &mut Tx, tabular_id: TabularId) -> Result<(), StoreError> {
    const SQL: &str = "
        INSERT INTO tabular_history (tabular_id, warehouse_id, namespace_id, kind, name, created_ms,
                                     valid_from_ms, valid_to_ms)
        SELECT tabular_id, warehouse_id, namespace_id, kind, name, created_ms, $2, $3
        FROM tabulars WHERE tabular_id = $1";

    let at_ms = tx.at_ms();
    execute!(tx, query(SQL).bind(tabular_id).bind(at_ms).bind(FOREVER_MS)).map(drop)
}

pub(super) async fn open_pointer(tx: &mut Tx, tabular_id: TabularId) -> Result<(), StoreError> {
    const SQL: &str = "
        INSERT INTO pointer_history (tabular_id, metadata_location, table_uuid, location, superseded,
                                     valid_from_ms, valid_to_ms)
        SELECT tabular_id, metadata_location, table_uuid, location, superseded, $2, $3
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
    const SQL: &str = "
        UPDATE pointer_history
        SET valid_to_ms = CASE WHEN valid_from_ms > $2 THEN valid_from_ms ELSE $2 END
        WHERE tabular_id = $1 AND valid_to_ms = $3
        RETURNING valid_to_ms";

    let at_ms = tx.at_ms();
    let closed =
        fetch_optional!(tx, query_scalar::<_, i64>(SQL).bind(tabular_id).bind(at_ms).bind(FOREVER_MS))?;
    tx.advance_to(closed.unwrap_or(at_ms));
    Ok(())
}

/// Moves the transaction's time past the last namespace dropped at `path`.
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

/// Moves the transaction's time past the last table or view that gave up the name.
pub(super) async fn advance_past_name(tx: &mut Tx, place: Place<'_>) -> Result<(), StoreError> {
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
