//! Computation of new metadata from a request and the current version: pure, without access to database and
//! files. Rules that depend on other tables are checked by the callers.

use table_core::commit::request::TableCommit;
use table_core::commit::update::TableUpdate;
use table_core::commit::{self, error::CommitError};
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::superseded::Superseded;
use uuid::Uuid;

use crate::catalog::locations::error::OwnershipError;
use crate::catalog::locations::ownership::Folders;
use crate::catalog::tabulars::error::TabularError;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::planning_mode::ScanPlanningMode;

use super::former::kept;

/// Table property that selects scan planning by the client or by the server.
const MODE: &str = ScanPlanningMode::TABLE_PROPERTY;

/// Metadata after the updates of a commit.
pub(super) struct Updated {
    /// `false` if the updates have no effect.
    pub(super) changed: bool,
    /// New metadata.
    pub(super) metadata: TableMetadata,
    /// New metadata as JSON; empty if the updates have no effect.
    pub(super) json: Vec<u8>,
    /// Metadata files that were removed from the metadata log.
    pub(super) expired: Vec<String>,
    /// Snapshots and schemas that go out of use, in the form stored in the history.
    pub(super) superseded: Option<String>,
}

/// Applies the updates of a commit to the current metadata, which is in the file at `base_location`.
pub(super) fn update(
    base: &TableMetadata,
    base_location: &str,
    commit: &TableCommit,
    now_ms: i64,
) -> Result<Updated, CommitError> {
    let applied = commit::apply(base, base_location, &commit.updates, now_ms)?;
    Ok(Updated {
        json: if applied.changed { applied.metadata.to_bytes() } else { Vec::new() },
        superseded: kept(&Superseded::between(base, &applied.metadata)),
        changed: applied.changed,
        metadata: applied.metadata,
        expired: applied.expired_metadata_files,
    })
}

/// Builds the metadata of a table that a commit creates, at `location` unless the commit sets one.
pub(super) fn build(
    commit: &TableCommit,
    location: Option<String>,
    uuid: Uuid,
    now_ms: i64,
) -> Result<TableMetadata, CommitError> {
    let mut updates = commit.updates.clone();
    updates.extend(location.map(|location| TableUpdate::SetLocation { location }));
    commit::build(&updates, uuid, now_ms)
}

/// Returns `true` if a commit sets the location of its table.
pub(super) fn sets_location(commit: &TableCommit) -> bool {
    commit.updates.iter().any(|update| matches!(update, TableUpdate::SetLocation { .. }))
}

/// Checks the scan planning mode, unless it is that of `base`, because an invalid value would have no effect
/// without an error.
pub(super) fn check_planning_mode(
    base: Option<&TableMetadata>,
    metadata: &TableMetadata,
) -> Result<(), TabularError> {
    if base.is_some_and(|base| base.property(MODE) == metadata.property(MODE)) {
        return Ok(());
    }
    match metadata.property(MODE) {
        Some(word) if ScanPlanningMode::parse(word).is_none() => Err(TabularError::Invalid(format!(
            "table property `{MODE}` is `{word}`; set it to `client` or `server`, or remove it"
        ))),
        _ => Ok(()),
    }
}

/// Returns the folders that a table owns after a change, and `true` if they include more than before.
pub(super) fn folders_after(
    warehouse: &Warehouse,
    base: &TableMetadata,
    next: &TableMetadata,
) -> Result<(Folders, bool), OwnershipError> {
    let is_same = base.location() == next.location() && base.path_properties().eq(next.path_properties());
    let folders = Folders::by_table(warehouse, next)?;
    // Folders that the table owned before were claimed then and remain claimed.
    let claims = !is_same && !Folders::by_table(warehouse, base).is_ok_and(|before| before.covers(&folders));
    Ok((folders, claims))
}
