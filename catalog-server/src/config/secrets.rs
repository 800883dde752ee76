//! Settings of the secrets that are stored in the database.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Encryption of secrets in the database, such as the access keys of warehouses.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Secrets {
    /// File of keys, each a line of 32 bytes in Base64: the first one encrypts, and all of them decrypt. If absent,
    /// `secrets.key` in the data directory is used, and created for the first secret. All replicas need the same keys.
    pub key_file: Option<PathBuf>,
}
