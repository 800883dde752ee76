//! Warehouses: the roots under which namespaces live. Created by administrators, seldom changed.

use sqlx::{query, query_as};

use super::db::Db;
use super::error::StoreError;
use super::ids::WarehouseId;
use super::tx::Tx;

/// A warehouse.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Warehouse {
    /// Its id.
    pub warehouse_id: WarehouseId,
    /// What clients call it; unique.
    pub name: String,
    /// The location under which everything in it lies.
    pub location: String,
    /// A JSON object.
    pub properties: String,
    /// When it was created.
    pub created_ms: i64,
}

/// A warehouse to be.
#[derive(Clone, Copy, Debug)]
pub struct NewWarehouse<'a> {
    /// Its id.
    pub warehouse_id: WarehouseId,
    /// What clients will call it.
    pub name: &'a str,
    /// The location under which everything in it will lie.
    pub location: &'a str,
    /// A JSON object.
    pub properties: &'a str,
}

/// Creates a warehouse. Returns `false`, changing nothing, if the name is taken.
pub async fn create(tx: &mut Tx, new: &NewWarehouse<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "
        INSERT INTO warehouses (warehouse_id, name, location, properties, created_ms)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (name) DO NOTHING";

    let at_ms = tx.at_ms();
    let created = execute!(
        tx,
        query(SQL).bind(new.warehouse_id).bind(new.name).bind(new.location).bind(new.properties).bind(at_ms)
    )?;
    Ok(created == 1)
}

/// The warehouse called `name`.
pub async fn find(db: &Db, name: &str) -> Result<Option<Warehouse>, StoreError> {
    const SQL: &str = "
        SELECT warehouse_id, name, location, properties, created_ms FROM warehouses WHERE name = $1";

    fetch_optional!(db, query_as::<_, Warehouse>(SQL).bind(name))
}

/// Up to `limit` warehouses by name, those after `after`.
pub async fn list(db: &Db, after: Option<&str>, limit: u32) -> Result<Vec<Warehouse>, StoreError> {
    const SQL: &str = "
        SELECT warehouse_id, name, location, properties, created_ms FROM warehouses
        WHERE name > $1 ORDER BY name LIMIT $2";

    fetch_all!(db, query_as::<_, Warehouse>(SQL).bind(after.unwrap_or("")).bind(i64::from(limit)))
}
