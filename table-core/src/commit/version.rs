//! Format versions of tables: which are known, and which new tables get.

use super::error::CommitError;

/// Newest format version whose rules are implemented.
///
/// Metadata of later versions is preserved as it is, and changed only where the change does not depend on
/// those rules.
pub const FORMAT_VERSION_MAX: i32 = 3;

/// Format version of new tables whose request does not choose another.
pub const FORMAT_VERSION_DEFAULT: i32 = 2;

/// Returns the format version, or refuses one that this crate cannot write.
pub(crate) fn supported_version(version: i32) -> Result<i32, CommitError> {
    if (1..=FORMAT_VERSION_MAX).contains(&version) {
        return Ok(version);
    }
    Err(CommitError::invalid(format!(
        "Unsupported format version: v{version} (supported: v{FORMAT_VERSION_MAX})"
    )))
}
