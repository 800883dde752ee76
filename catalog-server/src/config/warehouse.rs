//! Settings of the warehouse that the first start creates.

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use crate::planning_mode::ScanPlanningMode;

/// Maximum length of the name of a warehouse, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Names that cannot be warehouses, because they follow `/v1/` in paths without a warehouse, such as
/// `/v1/config`, or may do so in later versions of the REST protocol.
pub const RESERVED_NAMES: [&str; 6] = ["namespaces", "tables", "views", "transactions", "config", "oauth"];

/// Warehouse: a name, and the location below which its tables are created.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct WarehouseConfig {
    /// Name by which clients select the warehouse: 1 to 64 ASCII letters, digits, `-` or `_`.
    pub name: String,
    /// Location as `file:` URI or absolute path; if absent, a folder in the data directory is used.
    pub location: Option<String>,
    /// Place where clients should plan scans of its tables, unless overridden by the property of a table
    /// ([`ScanPlanningMode::TABLE_PROPERTY`]).
    pub scan_planning_mode: ScanPlanningMode,
}

impl Default for WarehouseConfig {
    fn default() -> Self {
        Self { name: "main".to_owned(), location: None, scan_planning_mode: ScanPlanningMode::Unset }
    }
}

impl WarehouseConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        Self::check_name(&self.name)
    }

    /// Checks the name of a warehouse.
    ///
    /// # Errors
    ///
    /// Fails with [`ConfigError::Refused`] if it is empty, too long or reserved, or has other characters than ASCII
    /// letters, digits, `-` and `_`.
    pub fn check_name(name: &str) -> Result<(), ConfigError> {
        // The name is a path segment of URLs, where `@` separates it from the instant of an as-of read.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(fits) {
            return Err(ConfigError::Refused(format!(
                "warehouse name `{name}` must be 1 to {NAME_BYTES_MAX} letters, digits, `-` or `_`"
            )));
        }
        if RESERVED_NAMES.contains(&name) {
            return Err(ConfigError::Refused(format!(
                "warehouse name `{name}` is reserved by the protocol; choose another one"
            )));
        }
        Ok(())
    }
}
