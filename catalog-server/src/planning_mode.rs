//! Place of scan planning, as the REST protocol spells it: a setting of the server, and a property of tables.

use serde::{Deserialize, Serialize};

/// Place where clients plan their scans, as recommended to them by the catalog (`scan-planning-mode`).
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ScanPlanningMode {
    /// No recommendation: each client uses its own setting.
    #[default]
    Unset,
    /// Scans are planned by the client.
    Client,
    /// Scans are planned by the server.
    Server,
}

impl ScanPlanningMode {
    /// Table property that overrides the mode for one table.
    pub const TABLE_PROPERTY: &'static str = "firn.scan-planning-mode";

    /// Returns the value in the REST protocol; `None` for [`ScanPlanningMode::Unset`].
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Unset => None,
            Self::Client => Some("client"),
            Self::Server => Some("server"),
        }
    }

    /// Parses a value of the REST protocol, ignoring case; returns `None` for an unknown value.
    pub fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "client" => Some(Self::Client),
            "server" => Some(Self::Server),
            _ => None,
        }
    }
}
