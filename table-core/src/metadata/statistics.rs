//! Statistics files, partition statistics files and encryption keys: preserved as JSON, with only their keys
//! decoded.

use super::error::MetadataError;
use super::json::Raw;

/// Statistics file or partition statistics file of a snapshot (specification, "Table Statistics" and
/// "Partition Statistics").
#[derive(Debug, Clone, PartialEq)]
pub struct StatisticsFile {
    raw: Raw,
    snapshot_id: i64,
    path: String,
}

impl StatisticsFile {
    /// Parses an element of `statistics` or `partition-statistics`.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an object, or `snapshot-id` or `statistics-path` is missing or of a wrong
    /// type ([`MetadataError::Malformed`]).
    pub fn parse(raw: Raw) -> Result<StatisticsFile, MetadataError> {
        let (snapshot_id, path) = {
            let fields = raw.fields("statistics file")?;
            (fields.required("snapshot-id")?, fields.required("statistics-path")?)
        };
        Ok(StatisticsFile { raw, snapshot_id, path })
    }

    /// Returns the id of the snapshot that the file describes (`snapshot-id`).
    pub fn snapshot_id(&self) -> i64 {
        self.snapshot_id
    }

    /// Returns the location of the file, as in the document (`statistics-path`).
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the JSON text as it was read.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }
}

/// Encryption key of a table (specification, "Encryption Keys").
#[derive(Debug, Clone, PartialEq)]
pub struct EncryptionKey {
    raw: Raw,
    key_id: String,
}

impl EncryptionKey {
    /// Parses an element of `encryption-keys`.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an object, or `key-id` is missing or of a wrong type
    /// ([`MetadataError::Malformed`]).
    pub fn parse(raw: Raw) -> Result<EncryptionKey, MetadataError> {
        let key_id = raw.fields("encryption key")?.required("key-id")?;
        Ok(EncryptionKey { raw, key_id })
    }

    /// Returns the key id (`key-id`).
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Returns the JSON text as it was read.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }
}
