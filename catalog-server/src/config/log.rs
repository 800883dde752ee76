//! Where log lines go and how they look.

use serde::{Deserialize, Serialize};

/// How much is logged, and in which form. Lines go to standard error.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Log {
    /// A filter such as `info` or `info,sqlx=debug`.
    pub level: String,
    /// Text for people or JSON for collectors.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// One line of text.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}
