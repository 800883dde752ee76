//! Maintenance policies of warehouses, namespaces and tables, and pauses of the maintenance of tables.

use sqlx::{query, query_as};
use uuid::Uuid;

use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::tx::Tx;
use crate::store::ids::{NamespaceId, TabularId, WarehouseId};

/// Object that a policy applies to. A policy is deleted with its object, and does not apply to a new object
/// with the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaintenanceScopeId {
    /// All tables of a warehouse.
    Warehouse(WarehouseId),
    /// All tables of a namespace and of the namespaces in it.
    Namespace(NamespaceId),
    /// A single table.
    Table(TabularId),
}

impl MaintenanceScopeId {
    fn kind(self) -> &'static str {
        match self {
            Self::Warehouse(_) => "warehouse",
            Self::Namespace(_) => "namespace",
            Self::Table(_) => "table",
        }
    }

    /// Returns the id of the object.
    pub fn id(self) -> Uuid {
        match self {
            Self::Warehouse(WarehouseId(id))
            | Self::Namespace(NamespaceId(id))
            | Self::Table(TabularId(id)) => id,
        }
    }
}

/// Maintenance policy as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PolicyRow {
    /// Settings, as JSON.
    pub document: String,
    /// Number of the version, counted from 1; incremented by every change.
    pub version: i64,
    /// Time of the last change, in milliseconds since 1970.
    pub updated_ms: i64,
    /// Identity of the caller that made it.
    pub updated_by: String,
}

/// Pause of the maintenance of a table.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PauseRow {
    /// Reason of the pause, for people.
    pub reason: String,
    /// Start of the pause, in milliseconds since 1970.
    pub since_ms: i64,
    /// Identity of the caller that paused it.
    pub paused_by: String,
}

/// Sets the policy of a scope, with the time [`Tx::at_ms`], and returns its version.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn put(
    tx: &mut Tx,
    warehouse_id: WarehouseId,
    scope: MaintenanceScopeId,
    document: &str,
    by: &str,
) -> Result<i64, StoreError> {
    const SQL: &str = "
        INSERT INTO maintenance_policies (scope_id, warehouse_id, kind, document, version, updated_ms, updated_by)
        VALUES ($1, $2, $3, $4, 1, $5, $6)
        ON CONFLICT (scope_id) DO UPDATE
        SET document = $4, version = maintenance_policies.version + 1, updated_ms = $5, updated_by = $6
        RETURNING document, version, updated_ms, updated_by";

    let at_ms = tx.at_ms();
    let put = fetch_optional!(
        tx,
        query_as::<_, PolicyRow>(SQL)
            .bind(scope.id())
            .bind(warehouse_id)
            .bind(scope.kind())
            .bind(document)
            .bind(at_ms)
            .bind(by)
    )?;
    Ok(put.map_or(1, |policy| policy.version))
}

/// Returns the policy of the scope itself, without what it inherits.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn find(db: &Db, scope: MaintenanceScopeId) -> Result<Option<PolicyRow>, StoreError> {
    const SQL: &str = "
        SELECT document, version, updated_ms, updated_by FROM maintenance_policies WHERE scope_id = $1";

    fetch_optional!(db, query_as::<_, PolicyRow>(SQL).bind(scope.id()))
}

/// Deletes the policy of a scope. Returns `false` if there was none.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn delete(tx: &mut Tx, scope: MaintenanceScopeId) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM maintenance_policies WHERE scope_id = $1";

    Ok(execute!(tx, query(SQL).bind(scope.id()))? == 1)
}

/// Pauses the maintenance of a table from [`Tx::at_ms`] on. Does nothing if it is paused already: the first
/// reason remains.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn pause(tx: &mut Tx, tabular_id: TabularId, reason: &str, by: &str) -> Result<(), StoreError> {
    const SQL: &str = "
        INSERT INTO maintenance_pauses (tabular_id, reason, since_ms, paused_by) VALUES ($1, $2, $3, $4)
        ON CONFLICT (tabular_id) DO NOTHING";

    let at_ms = tx.at_ms();
    execute!(tx, query(SQL).bind(tabular_id).bind(reason).bind(at_ms).bind(by)).map(drop)
}

/// Ends a pause. Returns `false` if there was none.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn resume(tx: &mut Tx, tabular_id: TabularId) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM maintenance_pauses WHERE tabular_id = $1";

    Ok(execute!(tx, query(SQL).bind(tabular_id))? == 1)
}

/// Returns the pause of a table, if there is one.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn find_pause(db: &Db, tabular_id: TabularId) -> Result<Option<PauseRow>, StoreError> {
    const SQL: &str = "SELECT reason, since_ms, paused_by FROM maintenance_pauses WHERE tabular_id = $1";

    fetch_optional!(db, query_as::<_, PauseRow>(SQL).bind(tabular_id))
}
