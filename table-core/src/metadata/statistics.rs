//! Statistics files, partition statistics files and encryption keys: carried whole, known by one value each.

use super::error::MetadataError;
use super::json::Raw;

/// A statistics file or a partition statistics file of one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct StatisticsFile {
    raw: Raw,
    snapshot_id: i64,
    path: String,
}

impl StatisticsFile {
    /// Reads an entry of `statistics` or `partition-statistics`.
    pub fn parse(raw: Raw) -> Result<StatisticsFile, MetadataError> {
        let (snapshot_id, path) = {
            let fields = raw.fields("statistics file")?;
            (fields.required("snapshot-id")?, fields.required("statistics-path")?)
        };
        Ok(StatisticsFile { raw, snapshot_id, path })
    }

    /// The snapshot it describes.
    pub fn snapshot_id(&self) -> i64 {
        self.snapshot_id
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The text as it was read.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }
}

/// An encryption key of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct EncryptionKey {
    raw: Raw,
    key_id: String,
}

impl EncryptionKey {
    /// Reads an entry of `encryption-keys`.
    pub fn parse(raw: Raw) -> Result<EncryptionKey, MetadataError> {
        let key_id = raw.fields("encryption key")?.required("key-id")?;
        Ok(EncryptionKey { raw, key_id })
    }

    /// The key id.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The text as it was read.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }
}
