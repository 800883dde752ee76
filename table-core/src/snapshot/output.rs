//! New manifests of a snapshot: their paths, their format, and the size at which a new one is begun.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use uuid::Uuid;

use super::context::Context;
use super::error::SnapshotError;
use crate::manifest::avro_write::AvroCodec;
use crate::manifest::data_file::DataFile;
use crate::manifest::header::ManifestHeader;
use crate::manifest::list::{ManifestContent, ManifestFile};
use crate::manifest::partition::PartitionType;
use crate::manifest::write::ManifestWriter;
use crate::metadata::partition::PartitionSpec;
use crate::metadata::properties;
use crate::metadata::table::TableMetadata;

/// Default target size of manifests in bytes (`commit.manifest.target-size-bytes`).
const TARGET_BYTES_DEFAULT: i64 = 8 << 20;

/// Files written for a snapshot.
pub(super) struct SnapshotOutput<'a> {
    pub(super) metadata: &'a TableMetadata,
    pub(super) context: Context,
    pub(super) codec: AvroCodec,
    pub(super) target_bytes: usize,
    folder: String,
    headers: HashMap<(i32, bool), ManifestHeader>,
    manifests: u32,
    /// Paths and contents of the files.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

impl<'a> SnapshotOutput<'a> {
    pub(super) fn new(
        metadata: &'a TableMetadata,
        context: Context,
    ) -> Result<SnapshotOutput<'a>, SnapshotError> {
        let level =
            metadata.property("write.manifest.compression-level").and_then(|level| level.parse().ok());
        let name = metadata.property("write.manifest.compression-codec");
        let codec = AvroCodec::of_property(name, level).ok_or_else(|| {
            let name = name.unwrap_or_default();
            SnapshotError::invalid(format!(
                "manifests cannot be compressed with `{name}`; set `write.manifest.compression-codec` to `gzip`, `zstd` or \
                 `uncompressed`"
            ))
        })?;
        let target = properties::number(
            metadata.properties(),
            "commit.manifest.target-size-bytes",
            TARGET_BYTES_DEFAULT,
        );
        let folder = match metadata.property(properties::WRITE_METADATA_PATH) {
            Some(path) => path.trim_end_matches('/').to_owned(),
            None => format!("{}/metadata", metadata.location()),
        };
        Ok(SnapshotOutput {
            metadata,
            context,
            codec,
            target_bytes: usize::try_from(target.max(1)).unwrap_or(usize::MAX),
            folder,
            headers: HashMap::new(),
            manifests: 0,
            files: Vec::new(),
        })
    }

    pub(super) fn spec(&self, id: i32) -> Result<&'a PartitionSpec, SnapshotError> {
        require_spec(self.metadata, id)
    }

    /// Returns the partition types with which the manifests of a spec are decoded.
    pub(super) fn types(&mut self, spec_id: i32) -> Result<PartitionType, SnapshotError> {
        Ok(self.header(spec_id, ManifestContent::Data)?.fields().types())
    }

    /// Begins a manifest.
    pub(super) fn writer(
        &mut self,
        spec_id: i32,
        content: ManifestContent,
    ) -> Result<ManifestWriter, SnapshotError> {
        let number = self.manifests;
        self.manifests += 1;
        let path = format!("{}/{}-m{number}.avro", self.folder, self.context.commit_uuid);
        let (id, codec, sync) = (self.context.snapshot_id, self.codec, self.sync(number + 1));
        Ok(ManifestWriter::new(self.header(spec_id, content)?, path, id, codec, sync))
    }

    /// Stores the bytes of a manifest and returns its manifest file entry.
    pub(super) fn finish(&mut self, writer: ManifestWriter) -> Result<ManifestFile, SnapshotError> {
        let written = writer.finish().map_err(SnapshotError::unwritten)?;
        self.files.push((written.manifest_file.path.clone(), written.bytes));
        Ok(written.manifest_file)
    }

    /// Writes files of one content to new manifests, at least one for each partition spec. Each file is
    /// paired with its data sequence number, or `None` to inherit that of the commit.
    pub(super) fn add_files(
        &mut self,
        content: ManifestContent,
        files: &[(&DataFile, Option<i64>)],
    ) -> Result<Vec<ManifestFile>, SnapshotError> {
        let mut spec_ids: Vec<_> = files.iter().map(|(file, _)| file.spec_id).collect();
        spec_ids.sort_unstable();
        spec_ids.dedup();
        let mut manifest_files = Vec::new();
        for spec_id in spec_ids {
            let mut writer = self.writer(spec_id, content)?;
            for (file, sequence_number) in files.iter().filter(|(file, _)| file.spec_id == spec_id) {
                if writer.size_bytes() >= self.target_bytes && !writer.is_empty() {
                    let full = std::mem::replace(&mut writer, self.writer(spec_id, content)?);
                    manifest_files.push(self.finish(full)?);
                }
                writer.added(file, *sequence_number).map_err(SnapshotError::unwritten)?;
            }
            manifest_files.push(self.finish(writer)?);
        }
        Ok(manifest_files)
    }

    /// Returns the path of the snapshot's manifest list, named as in Java.
    pub(super) fn list_path(&self) -> String {
        let Context { snapshot_id, attempt, commit_uuid, .. } = &self.context;
        format!("{}/snap-{snapshot_id}-{attempt}-{commit_uuid}.avro", self.folder)
    }

    /// Returns an Avro sync marker that is unique for each file of the commit.
    pub(super) fn sync(&self, number: u32) -> [u8; 16] {
        let number = u128::from(number) << 32 | u128::from(self.context.attempt);
        Uuid::from_u128(self.context.commit_uuid.as_u128() ^ number).into_bytes()
    }

    fn header(&mut self, spec_id: i32, content: ManifestContent) -> Result<&ManifestHeader, SnapshotError> {
        let key = (spec_id, content == ManifestContent::Data);
        match self.headers.entry(key) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(new_header(self.metadata, spec_id, content)?)),
        }
    }
}

fn new_header(
    metadata: &TableMetadata,
    spec_id: i32,
    content: ManifestContent,
) -> Result<ManifestHeader, SnapshotError> {
    let schemas = std::iter::once(metadata.current_schema()?).chain(metadata.schemas().iter().rev());
    let spec = require_spec(metadata, spec_id)?;
    ManifestHeader::new(metadata.format_version(), content, spec, schemas).map_err(SnapshotError::unwritten)
}

fn require_spec(metadata: &TableMetadata, id: i32) -> Result<&PartitionSpec, SnapshotError> {
    let found = metadata.partition_specs().iter().find(|spec| spec.id() == id);
    found.ok_or_else(|| SnapshotError::invalid(format!("the table has no partition spec {id}")))
}
