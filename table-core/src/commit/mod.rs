//! Commits: validation of a requested change, and computation of the next metadata from the current one.
//!
//! All functions are pure; storing the result is left to the caller.
//!
//! A request is parsed ([`request`]), its requirements are checked against the current metadata
//! ([`requirement`]), and its updates are applied ([`apply`]). Where the specification is silent, the
//! behaviour is that of Iceberg's Java library, which the other engines were written against.
//!
//! ```text
//! let commit = TableCommit::parse(body)?;
//! check_requirements(Some(&base), &commit.requirements)?;
//! let applied = apply(&base, base_location, &commit.updates, now_ms)?;
//! if applied.changed { /* write applied.metadata, then swap the table's metadata location */ }
//! ```

pub mod create;
pub mod error;
pub mod foreign;
pub mod request;
pub mod requirement;
pub mod update;
pub mod version;
pub mod view;

mod builder;
mod validate;

use uuid::Uuid;

use crate::metadata::table::TableMetadata;
use builder::Builder;
use error::CommitError;
use update::TableUpdate;
use version::{FORMAT_VERSION_DEFAULT, supported_version};

/// Result of applying updates to a table.
#[derive(Debug, Clone)]
pub struct Applied {
    /// Next table metadata; equal to the base metadata if nothing changed.
    pub metadata: TableMetadata,
    /// `true` if the metadata differs from the base and has to be stored.
    pub changed: bool,
    /// Locations of previous metadata files that dropped out of `metadata-log` and may be deleted once the
    /// commit has succeeded. Always empty unless the table has `write.metadata.delete-after-commit.enabled`.
    pub expired_metadata_files: Vec<String>,
}

/// Applies updates, in order, to the metadata of a table.
///
/// `base_location` is the location of the metadata file of `base`; it becomes the newest entry of
/// `metadata-log`. `now_ms` is the server's clock, in milliseconds since 1970, which is used for all log
/// entries. The timestamp of a snapshot may be up to
/// [`CLOCK_SKEW_MAX_MS`](crate::metadata::clock::CLOCK_SKEW_MAX_MS) later than `now_ms`, and earlier by any
/// amount. Timestamps of `base` that are further ahead of `now_ms` are set to `now_ms` first.
///
/// # Errors
///
/// Fails if an update is not possible on this table or the result would not be valid
/// ([`CommitError::Invalid`]); if a snapshot has an outdated sequence number or `first-row-id`, or refers to
/// a schema or partition spec that was removed as unused ([`CommitError::Stale`]); if an update needs an
/// unknown type, transform or format version ([`CommitError::Unsupported`]); if a schema or snapshot of an
/// update cannot be decoded ([`CommitError::Malformed`]); and if `base` itself is damaged
/// ([`CommitError::Metadata`]).
pub fn apply(
    base: &TableMetadata,
    base_location: &str,
    updates: &[TableUpdate],
    now_ms: i64,
) -> Result<Applied, CommitError> {
    let brought_back = base.brought_back_to(now_ms);
    let from = brought_back.as_ref().unwrap_or(base);
    let mut builder = Builder::from_base(from, now_ms);
    updates.iter().try_for_each(|update| builder.apply(update))?;
    let applied = builder.finish_change(from, base_location)?;
    Ok(if applied.changed { applied } else { Applied { metadata: base.clone(), ..applied } })
}

/// Builds the metadata of a new table from the updates of a create transaction.
///
/// `uuid` becomes the `table-uuid` if the updates assign none; `now_ms` is the server's clock, in
/// milliseconds since 1970. The format version is that of the first `upgrade-format-version`, else
/// [`FORMAT_VERSION_DEFAULT`].
///
/// # Errors
///
/// Fails as [`apply`] does, and if the updates leave the table without a schema or a location or ask for an
/// unsupported format version ([`CommitError::Invalid`]).
pub fn build(updates: &[TableUpdate], uuid: Uuid, now_ms: i64) -> Result<TableMetadata, CommitError> {
    let format_version = updates.iter().find_map(|update| match update {
        TableUpdate::UpgradeFormatVersion { format_version } => Some(*format_version),
        _ => None,
    });
    let format_version = format_version.unwrap_or(FORMAT_VERSION_DEFAULT);
    let mut builder = Builder::new(supported_version(format_version)?, now_ms);
    updates.iter().try_for_each(|update| builder.apply(update))?;
    builder.finish_new(uuid)
}
