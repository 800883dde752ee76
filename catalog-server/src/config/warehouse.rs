//! The warehouse that the first start creates.

use serde::{Deserialize, Serialize};

use super::{ConfigError, ScanPlanningMode};

/// Longest name of a warehouse, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// What follows `/v1/` in paths without a warehouse, now or in the protocol's future: `/v1/config`.
pub const RESERVED_NAMES: [&str; 6] = ["namespaces", "tables", "views", "transactions", "config", "oauth"];

/// A warehouse: a name, and the place below which its tables live.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Warehouse {
    /// Name by which clients ask for it.
    pub name: String,
    /// A `file:` URI or an absolute path; a folder inside the data directory when absent.
    pub location: Option<String>,
    /// Where clients are told to plan scans of its tables, unless a table's property says otherwise.
    pub scan_planning_mode: ScanPlanningMode,
}

impl Default for Warehouse {
    fn default() -> Self {
        Self { name: "main".to_owned(), location: None, scan_planning_mode: ScanPlanningMode::Unset }
    }
}

impl Warehouse {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        // The name is a segment of every URL, and `@` separates it from an instant.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.bytes().all(fits) {
            return Err(ConfigError::Refused(format!(
                "warehouse name `{}` must be 1 to {NAME_BYTES_MAX} letters, digits, `-` or `_`",
                self.name
            )));
        }
        if RESERVED_NAMES.contains(&self.name.as_str()) {
            return Err(ConfigError::Refused(format!(
                "warehouse name `{}` is a word of the protocol's paths; choose another one",
                self.name
            )));
        }
        Ok(())
    }
}
