//! What is wanted of maintenance: a policy for a warehouse, a namespace or a table, and tables that are left alone.

use sqlx::{query, query_as};
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;
use super::ids::{NamespaceId, TabularId, WarehouseId};
use super::tx::Tx;

/// What a policy is for. A policy goes when its object does, and does not come back with another one of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything in a warehouse.
    Warehouse(WarehouseId),
    /// Everything in a namespace and those below.
    Namespace(NamespaceId),
    /// One table.
    Table(TabularId),
}

impl Scope {
    fn kind(self) -> &'static str {
        match self {
            Self::Warehouse(_) => "warehouse",
            Self::Namespace(_) => "namespace",
            Self::Table(_) => "table",
        }
    }

    /// The id of what it is.
    pub fn id(self) -> Uuid {
        match self {
            Self::Warehouse(WarehouseId(id))
            | Self::Namespace(NamespaceId(id))
            | Self::Table(TabularId(id)) => id,
        }
    }
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Policy {
    /// The settings: JSON.
    pub document: String,
    /// Counts its changes, from 1.
    pub version: i64,
    /// When it was changed last.
    pub updated_ms: i64,
    /// By whom.
    pub updated_by: String,
}

/// A table that is left alone.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Pause {
    /// Why, for people.
    pub reason: String,
    /// Since when.
    pub since_ms: i64,
    /// Who wanted it.
    pub paused_by: String,
}

/// Sets the policy of a scope, at [`Tx::at_ms`], and gives its version.
pub async fn put(
    tx: &mut Tx,
    warehouse_id: WarehouseId,
    scope: Scope,
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
        query_as::<_, Policy>(SQL)
            .bind(scope.id())
            .bind(warehouse_id)
            .bind(scope.kind())
            .bind(document)
            .bind(at_ms)
            .bind(by)
    )?;
    Ok(put.map_or(1, |policy| policy.version))
}

/// The policy of a scope itself, apart from what it inherits.
pub async fn find(db: &Db, scope: Scope) -> Result<Option<Policy>, StoreError> {
    const SQL: &str = "
        SELECT document, version, updated_ms, updated_by FROM maintenance_policies WHERE scope_id = $1";

    fetch_optional!(db, query_as::<_, Policy>(SQL).bind(scope.id()))
}

/// Removes the policy of a scope. Returns `false` if there was none.
pub async fn delete(tx: &mut Tx, scope: Scope) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM maintenance_policies WHERE scope_id = $1";

    Ok(execute!(tx, query(SQL).bind(scope.id()))? == 1)
}

/// Leaves a table alone from [`Tx::at_ms`] on. One that is left alone already keeps its reason.
pub async fn pause(tx: &mut Tx, tabular_id: TabularId, reason: &str, by: &str) -> Result<(), StoreError> {
    const SQL: &str = "
        INSERT INTO maintenance_pauses (tabular_id, reason, since_ms, paused_by) VALUES ($1, $2, $3, $4)
        ON CONFLICT (tabular_id) DO NOTHING";

    let at_ms = tx.at_ms();
    execute!(tx, query(SQL).bind(tabular_id).bind(reason).bind(at_ms).bind(by)).map(drop)
}

/// Ends a pause. Returns `false` if there was none.
pub async fn resume(tx: &mut Tx, tabular_id: TabularId) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM maintenance_pauses WHERE tabular_id = $1";

    Ok(execute!(tx, query(SQL).bind(tabular_id))? == 1)
}

/// Why a table is left alone, if it is.
pub async fn find_pause(db: &Db, tabular_id: TabularId) -> Result<Option<Pause>, StoreError> {
    const SQL: &str = "SELECT reason, since_ms, paused_by FROM maintenance_pauses WHERE tabular_id = $1";

    fetch_optional!(db, query_as::<_, Pause>(SQL).bind(tabular_id))
}
