//! Objects that requests about maintenance name: a warehouse, a namespace or a table.

use openapi::maintenance::{ScopeName, TableName};

use crate::api::App;
use crate::api::error::ApiError;
use crate::authz::action::Action;
use crate::catalog::names::{Identifier, Namespace};
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::schedule::policies::MaintenanceScope;

/// Returns the object that a query names.
pub(super) async fn target(
    app: &App,
    request: &Request,
    scope: ScopeName,
) -> Result<MaintenanceScope, ApiError> {
    let name = &scope.warehouse;
    let warehouse = app.catalog.warehouses.require(request, name, Action::UseWarehouse).await?;
    Ok(match (scope.namespace, scope.table) {
        (None, None) => MaintenanceScope::Warehouse(warehouse),
        (Some(namespace), None) => MaintenanceScope::Namespace(warehouse, Namespace::from_path(&namespace)?),
        (Some(namespace), Some(table)) => {
            MaintenanceScope::Table(warehouse, Identifier::new(Namespace::from_path(&namespace)?, table)?)
        }
        (None, Some(_)) => {
            return Err(ApiError::bad_request(
                "Invalid query: `table` needs `namespace`, its levels separated by %1F",
            ));
        }
    })
}

/// Returns the warehouse and the identifier of the table that a query names. Fails if the query names no
/// table.
pub(super) async fn require_table(
    app: &App,
    request: &Request,
    scope: ScopeName,
) -> Result<(Warehouse, Identifier), ApiError> {
    match target(app, request, scope).await? {
        MaintenanceScope::Table(warehouse, identifier) => Ok((warehouse, identifier)),
        MaintenanceScope::Warehouse(_) | MaintenanceScope::Namespace(..) => {
            Err(ApiError::bad_request("Invalid query: `namespace` and `table` are needed"))
        }
    }
}

/// Returns the warehouse and the identifier of the table that a body names.
pub(super) async fn find_table(
    app: &App,
    request: &Request,
    name: TableName,
) -> Result<(Warehouse, Identifier), ApiError> {
    let warehouse = app.catalog.warehouses.require(request, &name.warehouse, Action::UseWarehouse).await?;
    Ok((warehouse, Identifier::new(Namespace::new(name.namespace)?, name.table)?))
}
