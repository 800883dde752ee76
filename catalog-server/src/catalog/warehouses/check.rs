//! Checks of the storage of a warehouse.

use openapi::warehouse::{StorageCheck, StorageProfile};
use storage::check::check;
use storage::objects::Bucket;
use table_core::location::Location;

use crate::authz::action::Action;
use crate::request::Request;

use super::Warehouses;
use super::error::WarehouseError;

impl Warehouses {
    /// Checks the storage of the warehouse of `name` with a file that is deleted again.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse does not exist ([`WarehouseError::NoSuchWarehouse`]), if the caller may not check it
    /// ([`WarehouseError::Forbidden`]), or if the database fails ([`WarehouseError::Backend`]).
    pub async fn check(&self, request: &Request, name: &str) -> Result<Vec<StorageCheck>, WarehouseError> {
        let warehouse = self.require(request, name, Action::CheckWarehouse).await?;
        warehouse.require_writable()?;
        Ok(self.checks(&warehouse.location, &warehouse.storage, None).await)
    }

    /// Checks the storage of a new warehouse. Fails with the reason of the first check that fails.
    pub(super) async fn check_new(
        &self,
        location: &Location,
        profile: &StorageProfile,
        bucket: Option<&Bucket>,
    ) -> Result<Vec<StorageCheck>, WarehouseError> {
        let checks = self.checks(location, profile, bucket).await;
        match checks.iter().find_map(|check| Some((&check.name, check.error.as_ref()?))) {
            Some((name, error)) => Err(WarehouseError::UnusableStorage(format!("{name}: {error}"))),
            None => Ok(checks),
        }
    }

    async fn checks(
        &self,
        location: &Location,
        profile: &StorageProfile,
        bucket: Option<&Bucket>,
    ) -> Vec<StorageCheck> {
        let may_overwrite = matches!(profile, StorageProfile::S3(s3) if !s3.conditional_writes);
        let results = match bucket {
            Some(bucket) => check(bucket, location, may_overwrite).await,
            None => self.files.check(location, may_overwrite).await,
        };
        let checked = |(name, result): (&'static str, Result<(), _>)| StorageCheck {
            name: name.to_owned(),
            error: result.err().map(|error: storage::error::StorageError| error.to_string()),
        };
        results.into_iter().map(checked).collect()
    }
}
