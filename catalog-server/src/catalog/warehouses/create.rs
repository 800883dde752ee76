//! Creation of warehouses by administrators.

use openapi::warehouse::{StorageCheck, StorageCredential, WarehouseDefinition, WarehouseDescription};
use serde_json::json;
use table_core::location::Location;

use crate::authz::Resource;
use crate::authz::action::Action;
use crate::catalog::access::authorize;
use crate::catalog::backend::BackendError;
use crate::catalog::mutations::audit::{AuditRecord, record};
use crate::config::WarehouseConfig;
use crate::id;
use crate::planning_mode::ScanPlanningMode;
use crate::request::Request;
use crate::secrets::SecretError;
use crate::store::catalog::warehouses::{self, WarehouseRow};
use crate::store::ids::WarehouseId;

use super::error::WarehouseError;
use super::list::described;
use super::{Warehouses, check_apart, storage};

/// Maximum length of a text in the settings or the secret of a storage, in bytes.
const TEXT_BYTES_MAX: usize = 2_048;

impl Warehouses {
    /// Creates a warehouse, after its storage was checked. Nothing is kept if a check fails.
    ///
    /// # Errors
    ///
    /// Fails if the caller may not create warehouses ([`WarehouseError::Forbidden`]); if the name, the location or
    /// the settings are invalid, or the location overlaps with that of another warehouse
    /// ([`WarehouseError::Invalid`]); if a warehouse of the name exists ([`WarehouseError::AlreadyExists`]); if the
    /// storage does not have an ability that is needed ([`WarehouseError::UnusableStorage`]); if the secret cannot be
    /// encrypted ([`WarehouseError::Secret`]); or if the database fails ([`WarehouseError::Backend`]).
    pub async fn create(
        &self,
        request: &Request,
        new: &WarehouseDefinition,
    ) -> Result<(WarehouseDescription, Vec<StorageCheck>), WarehouseError> {
        let missing = || WarehouseError::Invalid("there is no server".to_owned());
        authorize(&self.authorizer, request, Action::CreateWarehouse, Resource::Server, missing)?;
        WarehouseConfig::check_name(&new.name).map_err(|error| WarehouseError::Invalid(error.to_string()))?;
        let location =
            Location::parse(&new.location).map_err(|error| WarehouseError::Invalid(error.to_string()))?;
        let profile = serde_json::to_string(&new.storage).unwrap_or_default();
        let secret = secret(new.credential.as_ref());
        if profile.len() > TEXT_BYTES_MAX
            || secret.as_ref().is_some_and(|secret| secret.len() > TEXT_BYTES_MAX)
        {
            return Err(WarehouseError::Invalid(format!(
                "the settings or the credential of the storage are longer than {TEXT_BYTES_MAX} bytes"
            )));
        }
        let bucket = storage::open(&location, &new.storage, new.credential.as_ref());
        let bucket = bucket.map_err(WarehouseError::Invalid)?;
        if warehouses::find(&self.db, &new.name).await?.is_some() {
            return Err(WarehouseError::AlreadyExists(new.name.clone()));
        }
        let checks = self.check_new(&location, &new.storage, bucket.as_ref()).await?;
        let row = self.record_new(request, new, &location, &profile, secret).await?;
        self.insert(row.clone(), ScanPlanningMode::Unset).await?;
        Ok((described(row)?, checks))
    }

    async fn record_new(
        &self,
        request: &Request,
        new: &WarehouseDefinition,
        location: &Location,
        profile: &str,
        secret: Option<Vec<u8>>,
    ) -> Result<WarehouseRow, WarehouseError> {
        let warehouse_id = WarehouseId(id::ordered());
        let credential = match secret {
            Some(secret) => Some(self.encrypted(warehouse_id, secret).await?),
            None => None,
        };
        let stored = warehouses::NewWarehouse {
            warehouse_id,
            name: &new.name,
            location: &new.location,
            properties: "{}",
            storage: profile,
            credential: credential.as_deref(),
        };
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let others = warehouses::lock_and_list(&mut tx).await?;
        check_apart(&others, &new.name, location)?;
        if !warehouses::create(&mut tx, &stored).await? {
            return Err(WarehouseError::AlreadyExists(new.name.clone()));
        }
        let change = AuditRecord {
            action: Action::CreateWarehouse,
            kind: "warehouse",
            name: String::new(),
            id: warehouse_id.0,
            warehouse: &new.name,
            detail: json!({ "location": new.location, "storage": new.storage }),
        };
        record(&mut tx, request, change).await?;
        let created_ms = tx.at_ms();
        tx.commit().await?;
        Ok(WarehouseRow {
            warehouse_id,
            name: new.name.clone(),
            location: new.location.clone(),
            properties: "{}".to_owned(),
            storage: profile.to_owned(),
            credential,
            created_ms,
        })
    }

    async fn encrypted(&self, owner: WarehouseId, secret: Vec<u8>) -> Result<Vec<u8>, WarehouseError> {
        let keys = self.secrets.clone();
        let encrypted = tokio::task::spawn_blocking(move || keys.encrypt(owner.0, &secret)).await;
        Ok(encrypted.map_err(|error| BackendError::Internal(error.to_string()))??)
    }

    /// Returns the decrypted secret of a warehouse.
    pub(super) async fn credential(
        &self,
        row: &WarehouseRow,
    ) -> Result<Option<StorageCredential>, WarehouseError> {
        let Some(encrypted) = row.credential.clone() else { return Ok(None) };
        let (keys, owner) = (self.secrets.clone(), row.warehouse_id.0);
        let decrypted = tokio::task::spawn_blocking(move || keys.decrypt(owner, &encrypted)).await;
        let decrypted = decrypted.map_err(|error| BackendError::Internal(error.to_string()))??;
        let credential = serde_json::from_slice(&decrypted);
        credential.map(Some).map_err(|_| WarehouseError::Secret(SecretError::Damaged))
    }
}

/// Returns a secret in the form in which it is encrypted.
fn secret(credential: Option<&StorageCredential>) -> Option<Vec<u8>> {
    credential.map(|credential| serde_json::to_vec(credential).unwrap_or_default())
}
