//! Folders of a table for maintenance: those that belong to the table alone, and others that may be read.

use table_core::location::Location;

use crate::authz::action::Action;
use crate::catalog::locations::ownership::Folders;
use crate::catalog::names::Identifier;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::store::ids::TabularId;

use super::Schedule;
use super::error::ScheduleError;
use super::job::WorkerLease;

impl Schedule {
    /// Returns the folders that belong to a table alone.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist or the warehouse is an as-of view, or if the database fails
    /// ([`ScheduleError::Backend`]).
    pub async fn folders(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<Folders, ScheduleError> {
        let table = self.writable_table(request, warehouse, identifier, Action::LoadFolders).await?;
        Ok(self.catalog.locations.claimed_folders(table.0).await?)
    }

    /// Returns the folder around a file that may be read for a table although it is not the table's own;
    /// `None` if the file must not be read.
    ///
    /// # Errors
    ///
    /// Fails as [`Schedule::folders`] does, and if `file` is not a location ([`ScheduleError::Invalid`]).
    pub async fn readable_by_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        file: &str,
    ) -> Result<Option<String>, ScheduleError> {
        let table = self.writable_table(request, warehouse, identifier, Action::LoadFolders).await?;
        self.readable(warehouse, table, file).await
    }

    /// Returns the same as [`Schedule::readable_by_table`] for the table of a leased job; also `None` if the
    /// table was dropped.
    ///
    /// # Errors
    ///
    /// Fails if the job is no longer leased to this attempt ([`ScheduleError::Conflict`]); if `file` is not a
    /// location ([`ScheduleError::Invalid`]); or if the database fails ([`ScheduleError::Backend`]).
    pub async fn readable_by_job(
        &self,
        request: &Request,
        lease: WorkerLease<'_>,
        file: &str,
    ) -> Result<Option<String>, ScheduleError> {
        self.authorize_work(request, lease.job_id)?;
        let job = self.require_leased(lease).await?;
        let Some(table) = self.name_of(&job).await? else { return Ok(None) };
        let warehouse = self.catalog.warehouses.find_unauthorized(&table.warehouse).await?;
        self.readable(&warehouse, job.tabular_id, file).await
    }

    async fn readable(
        &self,
        warehouse: &Warehouse,
        table: TabularId,
        file: &str,
    ) -> Result<Option<String>, ScheduleError> {
        let file = Location::parse_file(file).map_err(|error| ScheduleError::Invalid(error.to_string()))?;
        let folder = self.catalog.locations.free_folder(warehouse, table, &file).await?;
        Ok(folder.map(|folder| folder.normal().to_owned()))
    }
}
