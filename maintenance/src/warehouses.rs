//! Client of the warehouses of a Firn catalog, as used by the command line.

use openapi::warehouse::{
    CreatedWarehouse, StorageCheck, WarehouseChecks, WarehouseDefinition, WarehouseDescription, WarehousePage,
};

use crate::client::error::ClientError;
use crate::client::table_name::encode;
use crate::client::{Client, decode};

const PATH: &str = "governance/v1/warehouses";

/// Returns all warehouses in the order of their names.
///
/// # Errors
///
/// Fails if the catalog cannot be reached, if it refuses the request, or if its response is not a list of warehouses.
pub async fn list(client: &Client) -> Result<Vec<WarehouseDescription>, ClientError> {
    let (mut all, mut path) = (Vec::new(), PATH.to_owned());
    loop {
        let answer = client.get(&path).await?;
        let page: WarehousePage = decode(&answer, "the response of the catalog is not a list of warehouses")?;
        all.extend(page.warehouses);
        let Some(token) = page.next_page_token else { return Ok(all) };
        path = format!("{PATH}?page-token={}", encode(&token));
    }
}

/// Returns a warehouse.
///
/// # Errors
///
/// Fails if the catalog cannot be reached, if it has no such warehouse, or if its response is not a warehouse.
pub async fn get(client: &Client, name: &str) -> Result<WarehouseDescription, ClientError> {
    let answer = client.get(&format!("{PATH}/{}", encode(name))).await?;
    decode(&answer, "the response of the catalog is not a warehouse")
}

/// Creates a warehouse.
///
/// # Errors
///
/// Fails if the catalog cannot be reached, if it refuses the warehouse, or if its response is not a warehouse.
pub async fn create(client: &Client, new: &WarehouseDefinition) -> Result<CreatedWarehouse, ClientError> {
    decode(&client.call(PATH, new).await?, "the response of the catalog is not a warehouse")
}

/// Checks the storage of a warehouse. The first check that fails is the last one.
///
/// # Errors
///
/// Fails if the catalog cannot be reached, if it has no such warehouse, or if its response is not a list of checks.
pub async fn check(client: &Client, name: &str) -> Result<Vec<StorageCheck>, ClientError> {
    let answer = client.call(&format!("{PATH}/{}/check", encode(name)), &serde_json::json!({})).await?;
    let WarehouseChecks { checks } = decode(&answer, "the response of the catalog is not a list of checks")?;
    Ok(checks)
}
