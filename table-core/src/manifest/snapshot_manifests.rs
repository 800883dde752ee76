//! Manifests of a snapshot: those of its manifest list or, in the oldest metadata, those that the snapshot
//! names itself. Reading the files is up to the caller.

use super::file::Manifest;
use super::list::ManifestFile;
use crate::metadata::error::MetadataError;
use crate::metadata::snapshot::Snapshot;

/// Files in which the manifests of a snapshot are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotManifests {
    /// Manifest list at this location.
    List(String),
    /// Manifests embedded in the metadata, which format version 1 permits.
    Embedded(EmbeddedManifests),
}

/// Manifests that a snapshot of format version 1 names itself (`manifests`), in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedManifests {
    /// Locations of the manifests.
    pub paths: Vec<String>,
    snapshot_id: i64,
}

impl SnapshotManifests {
    /// Returns the files in which the manifests of `snapshot` are found. A snapshot with neither a manifest
    /// list nor manifests is empty.
    ///
    /// # Errors
    ///
    /// Fails if `manifest-list` or `manifests` is malformed ([`MetadataError::Malformed`]).
    pub fn of(snapshot: &Snapshot) -> Result<SnapshotManifests, MetadataError> {
        if let Some(location) = snapshot.manifest_list()? {
            return Ok(SnapshotManifests::List(location));
        }
        let paths = snapshot.manifests()?.unwrap_or_default();
        Ok(SnapshotManifests::Embedded(EmbeddedManifests { paths, snapshot_id: snapshot.id() }))
    }
}

impl EmbeddedManifests {
    /// Returns the manifest file entry of one of the manifests. Its partition spec id is in the manifest; 0 if
    /// the manifest has none.
    pub fn entry(&self, path: &str, manifest: &Manifest) -> ManifestFile {
        ManifestFile::embedded(path.to_owned(), manifest.spec_id().unwrap_or(0), self.snapshot_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::json::Raw;

    fn check(members: &str, expected: &SnapshotManifests) {
        let text = format!(r#"{{"snapshot-id": 7, "timestamp-ms": 1{members}}}"#);
        let raw = Raw::parse(&text).unwrap();
        assert_eq!(&SnapshotManifests::of(&Snapshot::parse(raw).unwrap()).unwrap(), expected);
    }

    #[test]
    fn a_manifest_list_precedes_embedded_manifests() {
        let embedded = |paths: &[&str]| {
            let paths = paths.iter().map(|path| (*path).to_owned()).collect();
            SnapshotManifests::Embedded(EmbeddedManifests { paths, snapshot_id: 7 })
        };
        let list = SnapshotManifests::List("file:///l".to_owned());
        check(r#", "manifest-list": "file:///l", "manifests": ["file:///a"]"#, &list);
        check(r#", "manifests": ["file:///b", "file:///a"]"#, &embedded(&["file:///b", "file:///a"]));
        check("", &embedded(&[]));
    }
}
