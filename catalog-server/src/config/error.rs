//! Error of the configuration.

use std::path::PathBuf;

/// Reason for which a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is missing or has the wrong type, or a setting is unknown.
    #[error(transparent)]
    Invalid(#[from] Box<figment::Error>),
    /// The file given as `--config` does not exist.
    #[error("configuration file `{0}` does not exist; create it or remove `--config`")]
    NoFile(PathBuf),
    /// A value is well-formed but not allowed. The text names the setting.
    #[error("{0}")]
    Refused(String),
}
