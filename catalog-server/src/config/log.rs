//! Destination, level and format of log output.

use serde::{Deserialize, Serialize};

/// Log level and format. Log output is written to standard error.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Log {
    /// Filter directives in the syntax of `tracing-subscriber`, such as `info` or `info,sqlx=debug`.
    pub level: String,
    /// Format of the entries: text for people, JSON for log collectors.
    pub format: LogFormat,
}

/// Format of a log entry.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// One line of text per entry.
    Text,
    /// One JSON object per line and entry.
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}
