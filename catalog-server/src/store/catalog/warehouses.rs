//! Warehouses: the roots of all namespaces. They are created by administrators and seldom changed.

use sqlx::{query, query_as};

use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::target::DbKind;
use crate::store::engine::tx::Tx;
use crate::store::ids::WarehouseId;

/// Warehouse of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct WarehouseRow {
    /// Id of the warehouse.
    pub warehouse_id: WarehouseId,
    /// Name by which clients select it; unique.
    pub name: String,
    /// Base location of everything in it.
    pub location: String,
    /// Properties, as a JSON object.
    pub properties: String,
    /// Kind, address and behaviour of its storage, as a JSON object without secrets.
    pub storage: String,
    /// Encrypted secret for its storage; `None` if it needs none.
    pub credential: Option<Vec<u8>>,
    /// Time of creation, in milliseconds since 1970.
    pub created_ms: i64,
}

/// Warehouse to be created.
#[derive(Clone, Copy, Debug)]
pub struct NewWarehouse<'a> {
    /// Id of the warehouse.
    pub warehouse_id: WarehouseId,
    /// Name by which clients select it.
    pub name: &'a str,
    /// Base location of everything in it.
    pub location: &'a str,
    /// Properties, as a JSON object.
    pub properties: &'a str,
    /// Kind, address and behaviour of its storage, as a JSON object without secrets.
    pub storage: &'a str,
    /// Encrypted secret for its storage; `None` if it needs none.
    pub credential: Option<&'a [u8]>,
}

/// Creates a warehouse. Returns `false`, changing nothing, if the name exists already.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn create(tx: &mut Tx, new: &NewWarehouse<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "
        INSERT INTO warehouses (warehouse_id, name, location, properties, created_ms, storage, credential)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (name) DO NOTHING";

    let at_ms = tx.at_ms();
    let created = execute!(
        tx,
        query(SQL)
            .bind(new.warehouse_id)
            .bind(new.name)
            .bind(new.location)
            .bind(new.properties)
            .bind(at_ms)
            .bind(new.storage)
            .bind(new.credential)
    )?;
    Ok(created == 1)
}

/// Waits for concurrent creations of warehouses, and returns the names and locations of all warehouses, so that a new
/// one can be compared with them.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]).
pub async fn lock_and_list(tx: &mut Tx) -> Result<Vec<(String, String)>, StoreError> {
    const LOCK_POSTGRES: &str = "LOCK TABLE warehouses IN SHARE ROW EXCLUSIVE MODE";
    const SQL: &str = "SELECT name, location FROM warehouses ORDER BY name";

    // SQLite has one writer at a time.
    if tx.kind() == DbKind::Postgres {
        execute!(tx, query(LOCK_POSTGRES))?;
    }
    fetch_all!(tx, query_as::<_, (String, String)>(SQL))
}

/// Returns the warehouse with this name.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn find(db: &Db, name: &str) -> Result<Option<WarehouseRow>, StoreError> {
    const SQL: &str = "
        SELECT warehouse_id, name, location, properties, storage, credential, created_ms
        FROM warehouses WHERE name = $1";

    fetch_optional!(db, query_as::<_, WarehouseRow>(SQL).bind(name))
}

/// Returns up to `limit` warehouses in the order of their names, those after `after`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn list(db: &Db, after: Option<&str>, limit: u32) -> Result<Vec<WarehouseRow>, StoreError> {
    const SQL: &str = "
        SELECT warehouse_id, name, location, properties, storage, credential, created_ms FROM warehouses
        WHERE name > $1 ORDER BY name LIMIT $2";

    fetch_all!(db, query_as::<_, WarehouseRow>(SQL).bind(after.unwrap_or("")).bind(i64::from(limit)))
}
