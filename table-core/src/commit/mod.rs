//! Commits: how one document becomes the next. Pure decisions; storing the result is somebody else's work.
//!
//! A request is parsed ([`request`]), its requirements are checked against the current document
//! ([`requirement`]), and its updates are applied ([`apply`]). Where the specification is silent, the behaviour
//! is that of Iceberg's Java library, which the other engines were written against.

pub mod create;
pub mod foreign;
pub mod repeat;
pub mod request;
pub mod requirement;
pub mod update;
pub mod view;

mod builder;
mod judge;

use uuid::Uuid;

use crate::metadata::error::MetadataError;
use crate::metadata::table::TableMetadata;
use builder::Builder;
use update::TableUpdate;

/// The newest format version whose rules we know. Documents of later ones are carried, and changed only where
/// the change does not depend on those rules.
pub const FORMAT_VERSION_MAX: i32 = 3;

/// Why a commit is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The request is not what the specification describes: bad JSON, an unknown action, a missing field.
    #[error("{0}")]
    Malformed(String),
    /// The request is understood, and the result would not be a valid table or view.
    #[error("{0}")]
    Invalid(String),
    /// The change needs an understanding of something this version does not know.
    #[error("{0}")]
    Unsupported(String),
    /// A requirement does not hold; the client should look at the current document again.
    #[error("Requirement failed: {0}")]
    RequirementFailed(String),
    /// The change was computed from an older document; the same change computed again may pass.
    #[error("{0}")]
    Stale(String),
    /// The current document is damaged in a part the change depends on.
    #[error("the current metadata cannot be changed: {0}")]
    Metadata(#[from] MetadataError),
}

impl CommitError {
    pub(crate) fn invalid(message: impl Into<String>) -> CommitError {
        CommitError::Invalid(message.into())
    }

    /// For parts of a request that were read with the document's own readers.
    pub(crate) fn malformed(error: &MetadataError) -> CommitError {
        CommitError::Malformed(error.to_string())
    }

    pub(crate) fn invalid_part(error: &MetadataError) -> CommitError {
        CommitError::Invalid(error.to_string())
    }
}

/// What a commit leads to.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The next document; the current one if nothing changed.
    pub metadata: TableMetadata,
    /// Whether there is anything to store.
    pub changed: bool,
    /// Previous metadata files that left the log and may be deleted once the commit is certain. Always empty
    /// unless the table asks for it with `write.metadata.delete-after-commit.enabled`.
    pub expired_metadata_files: Vec<String>,
}

/// Applies updates to a table.
///
/// `base_location` is where `base` is stored; it becomes the newest entry of the metadata log. `now_ms` is the
/// server's clock, by which everything is logged. A snapshot may say that it was made up to
/// [`CLOCK_SKEW_MAX_MS`](crate::metadata::clock::CLOCK_SKEW_MAX_MS) later, and as long before as it likes.
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

/// Builds a new table out of the updates of a create transaction.
///
/// `uuid` is the identity of the table if the updates assign none.
pub fn build(updates: &[TableUpdate], uuid: Uuid, now_ms: i64) -> Result<TableMetadata, CommitError> {
    let format_version = updates.iter().find_map(|update| match update {
        TableUpdate::UpgradeFormatVersion { format_version } => Some(*format_version),
        _ => None,
    });
    let format_version = format_version.unwrap_or(create::FORMAT_VERSION_DEFAULT);
    let mut builder = Builder::new(create::supported_version(format_version)?, now_ms);
    updates.iter().try_for_each(|update| builder.apply(update))?;
    builder.finish_new(uuid)
}
