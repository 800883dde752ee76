//! Whose folders are whose, for whoever maintains a table: which are its own, and what else may be read for it.

use table_core::location::Location;

use crate::catalog::error::CatalogError;
use crate::catalog::locations::Folders;
use crate::catalog::names::Identifier;
use crate::catalog::warehouses::Warehouse;
use crate::store::ids::TabularId;
use crate::store::jobs::JobLease;

use super::Schedule;

impl Schedule {
    /// The folders that are a table's own.
    ///
    /// Fails as loading the table does, and for a table of the past.
    pub async fn folders(
        &self,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<Folders, CatalogError> {
        let table = self.writable_table(warehouse, identifier).await?;
        self.catalog.claimed_folders(table.0).await
    }

    /// Which folder around a file may be read for a table although it is not the table's own; `None` if the file may not be read.
    ///
    /// Fails as [`Schedule::folders`] does, and if the text is no location.
    pub async fn readable_by_table(
        &self,
        warehouse: &Warehouse,
        identifier: &Identifier,
        file: &str,
    ) -> Result<Option<String>, CatalogError> {
        let table = self.writable_table(warehouse, identifier).await?;
        self.readable(warehouse, table, file).await
    }

    /// The same for the table of a job.
    ///
    /// Fails if the job is not the worker's any more, and if the text is no location.
    pub async fn readable_by_job(
        &self,
        lease: JobLease<'_>,
        file: &str,
    ) -> Result<Option<String>, CatalogError> {
        let job = self.require_leased(lease).await?;
        let Some(table) = self.name_of(&job).await? else { return Ok(None) };
        let warehouse = self.catalog.find_warehouse(&table.warehouse).await?;
        self.readable(&warehouse, job.tabular_id, file).await
    }

    async fn readable(
        &self,
        warehouse: &Warehouse,
        table: TabularId,
        file: &str,
    ) -> Result<Option<String>, CatalogError> {
        let file = Location::parse_file(file).map_err(|error| CatalogError::Invalid(error.to_string()))?;
        let folder = self.catalog.free_folder(warehouse, table, &file).await?;
        Ok(folder.map(|folder| folder.normal().to_owned()))
    }
}
