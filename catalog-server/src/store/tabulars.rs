//! Tables and views: what they are called and which metadata file is theirs now. What is in that
//! file is none of the store's business.

use sqlx::{query, query_as, query_scalar};

use super::db::{Db, DbKind};
use super::error::StoreError;
use super::ids::{NamespaceId, TabularId, WarehouseId};
use super::pointer_cache::{Key, Moved};
use super::tx::Tx;
use super::{history, namespaces};

/// Tables and views share the names of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TabularKind {
    /// A table.
    Table,
    /// A view.
    View,
}

impl TabularKind {
    /// As the database spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
        }
    }
}

/// The database holds a kind this Firn does not know.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither `table` nor `view`")]
pub struct UnknownKind(String);

impl TryFrom<String> for TabularKind {
    type Error = UnknownKind;

    fn try_from(text: String) -> Result<Self, UnknownKind> {
        match text.as_str() {
            "table" => Ok(Self::Table),
            "view" => Ok(Self::View),
            _ => Err(UnknownKind(text)),
        }
    }
}

/// A table or a view.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Tabular {
    /// Its id.
    pub tabular_id: TabularId,
    /// The warehouse it is in.
    pub warehouse_id: WarehouseId,
    /// The namespace it is in.
    pub namespace_id: NamespaceId,
    /// Table or view.
    #[sqlx(try_from = "String")]
    pub kind: TabularKind,
    /// Its name in the namespace.
    pub name: String,
    /// Its current metadata file.
    pub metadata_location: String,
    /// The `table-uuid` or `view-uuid` of that file.
    pub table_uuid: uuid::Uuid,
    /// The `location` of that file.
    pub location: String,
    /// When it was created in, or registered with, this catalog.
    pub created_ms: i64,
    /// When it was created, renamed or last committed to.
    pub updated_ms: i64,
}

/// A line of a listing.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct TabularEntry {
    /// Its id.
    pub tabular_id: TabularId,
    /// Its name in the namespace.
    pub name: String,
}

/// What a table or view points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer<'a> {
    /// The metadata file.
    pub metadata_location: &'a str,
    /// The `table-uuid` or `view-uuid` of that file.
    pub table_uuid: uuid::Uuid,
    /// The `location` of that file.
    pub location: &'a str,
    /// For a table, what goes out of use with it: JSON. `None` if nobody found out.
    pub superseded: Option<&'a str>,
}

/// A name in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The namespace.
    pub namespace_id: NamespaceId,
    /// The name in it.
    pub name: &'a str,
}

/// A table or view to be.
#[derive(Clone, Copy, Debug)]
pub struct NewTabular<'a> {
    /// Its id.
    pub tabular_id: TabularId,
    /// Table or view.
    pub kind: TabularKind,
    /// Where it will be.
    pub place: Place<'a>,
    /// What it will point to.
    pub pointer: Pointer<'a>,
}

/// What came of creating a table or view. Unless it was created, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateTabular {
    /// It was created.
    Created,
    /// Something of this kind has the name.
    NameTaken(TabularKind),
    /// There is no such namespace.
    NamespaceMissing,
}

/// What came of renaming a table or view. Unless it was renamed, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameTabular {
    /// It was renamed.
    Renamed,
    /// Something of this kind has the new name.
    NameTaken(TabularKind),
    /// There is no such namespace to move it to.
    NamespaceMissing,
    /// It does not exist, or is no longer where it was.
    Missing,
}

/// A page of a namespace's tables or views, by name. Rows a page skips are never read.
pub const LIST: &str = "
    SELECT tabular_id, name FROM tabulars
    WHERE namespace_id = $1 AND kind = $2 AND name > $3 ORDER BY name LIMIT $4";

/// One table or view by path and name: the query behind every load and commit.
pub const FIND: &str = "
    SELECT t.tabular_id, t.warehouse_id, t.namespace_id, t.kind, t.name, t.metadata_location, t.table_uuid,
           t.location, t.created_ms, t.updated_ms
    FROM namespaces n JOIN tabulars t ON t.namespace_id = n.namespace_id
    WHERE n.warehouse_id = $1 AND n.path = $2 AND t.name = $3";

/// Creates a table or view, at [`Tx::at_ms`].
pub async fn create(tx: &mut Tx, new: &NewTabular<'_>) -> Result<CreateTabular, StoreError> {
    // Changes nothing on a conflict, but answers with, and locks, the row that has the name.
    const SQL: &str = "
        INSERT INTO tabulars (tabular_id, warehouse_id, namespace_id, kind, name, metadata_location,
                              table_uuid, location, created_ms, updated_ms, superseded)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)
        ON CONFLICT (namespace_id, name) DO UPDATE SET name = excluded.name
        RETURNING tabular_id, kind";

    let Some(warehouse_id) = namespaces::keep(tx, new.place.namespace_id).await? else {
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
    // Only now: the insert may have waited for whoever gave up the name.
    history::advance_past_name(tx, new.place).await?;
    history::open_name(tx, new.tabular_id).await?;
    history::open_pointer(tx, new.tabular_id).await?;
    Ok(CreateTabular::Created)
}

/// The table or view `name` in the namespace at `namespace_path`.
///
/// On SQLite this is answered from memory if it was asked before and nothing has changed since.
pub async fn find(
    db: &Db,
    warehouse_id: WarehouseId,
    namespace_path: &str,
    name: &str,
) -> Result<Option<Tabular>, StoreError> {
    let Some(pointers) = db.pointer_cache() else {
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

/// The tables and views with these ids, by id, as they are for the rest of the transaction: nobody
/// else can change them before it ends. Those that do not exist are left out.
///
/// A transaction that changes several locks them all first: then none of them is changed by
/// another in between, and at every instant of their history all or none of the changes show.
/// Rows are locked in the order of their ids, so that two callers never wait for each other.
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

/// Up to `limit` tables or views of a namespace by name, those after `after`.
pub async fn list(
    db: &Db,
    namespace_id: NamespaceId,
    kind: TabularKind,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<TabularEntry>, StoreError> {
    fetch_all!(
        db,
        query_as::<_, TabularEntry>(LIST)
            .bind(namespace_id)
            .bind(kind.as_str())
            .bind(after.unwrap_or(""))
            .bind(i64::from(limit))
    )
}

/// Moves a pointer from `previous` to `next`: a commit, or a register that overwrites. A trigger writes its
/// history, so that a commit costs one statement.
///
/// Returns `false`, changing nothing, if another commit moved the pointer first, or it was dropped.
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
    if tx.remembers_pointers() {
        tx.touch_moved(tabular_id, Moved::new(previous, next, moved_ms));
    }
    Ok(true)
}

/// Moves a table or view to another name, or another namespace of its warehouse.
///
/// A name that a concurrent transaction takes at the same moment is a
/// [`StoreError::Serialization`]; run again, the transaction sees who has it.
pub async fn rename(
    tx: &mut Tx,
    tabular_id: TabularId,
    from: Place<'_>,
    to: Place<'_>,
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
    if namespaces::keep(tx, to.namespace_id).await? != Some(found.warehouse_id) {
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
    tx.touch(tabular_id);
    Ok(RenameTabular::Renamed)
}

/// Drops a table or view from the catalog; its files and its claim on them stay.
///
/// Returns `false`, changing nothing, if it does not exist, or no longer points to `expected`.
pub async fn drop(tx: &mut Tx, tabular_id: TabularId, expected: Option<&str>) -> Result<bool, StoreError> {
    const SQL: &str = "
        DELETE FROM tabulars WHERE tabular_id = $1
            AND (CAST($2 AS TEXT) IS NULL OR metadata_location = CAST($2 AS TEXT))";

    if execute!(tx, query(SQL).bind(tabular_id).bind(expected))? == 0 {
        return Ok(false);
    }
    history::close_pointer(tx, tabular_id).await?;
    history::close_name(tx, tabular_id).await?;
    tx.touch(tabular_id);
    Ok(true)
}

/// Several tables and views, each by namespace path and name, as they were at one instant; in the
/// order asked for. One statement, so what it gives is consistent.
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

/// What a table or view is called.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct QualifiedName {
    /// The warehouse.
    pub warehouse: String,
    /// The namespace's levels, joined by 0x1F.
    pub namespace_path: String,
    /// The name.
    pub name: String,
}

/// What a table or view is called now; `None` if it is gone.
pub async fn find_name(db: &Db, tabular_id: TabularId) -> Result<Option<QualifiedName>, StoreError> {
    const SQL: &str = "
        SELECT w.name AS warehouse, n.path AS namespace_path, t.name
        FROM tabulars t
        JOIN namespaces n ON n.namespace_id = t.namespace_id
        JOIN warehouses w ON w.warehouse_id = t.warehouse_id
        WHERE t.tabular_id = $1";

    fetch_optional!(db, query_as::<_, QualifiedName>(SQL).bind(tabular_id))
}

/// Whether the table or view with this id still exists.
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
