//! Header of a manifest: the properties that all its files share.

use super::error::{ManifestError, unwritable};
use super::list::ManifestContent;
use super::partition_fields::PartitionFields;
use crate::metadata::error::MetadataError;
use crate::metadata::partition::PartitionSpec;
use crate::metadata::schema::Schema;

/// Header of a manifest to be written: format version, content, partition spec and schema, which all its
/// files share.
#[derive(Debug, Clone)]
pub struct ManifestHeader {
    pub(super) format_version: i32,
    pub(super) spec_id: i32,
    pub(super) content: ManifestContent,
    pub(super) fields: PartitionFields,
    schema_id: String,
    schema: String,
    spec: String,
}

impl ManifestHeader {
    /// Builds the header for manifests of a partition spec.
    ///
    /// The first of `schemas` is written into the header; the others provide the types of source columns that
    /// it lacks, see [`PartitionFields::of`].
    ///
    /// # Errors
    ///
    /// Fails if the format version is not 1 to 3, or `content` is deletes in version 1
    /// ([`ManifestError::Unsupported`]); and if `schemas` is empty or a schema cannot be decoded
    /// ([`ManifestError::Unwritable`]).
    pub fn new<'a>(
        format_version: i32,
        content: ManifestContent,
        spec: &PartitionSpec,
        schemas: impl Iterator<Item = &'a Schema> + Clone,
    ) -> Result<ManifestHeader, ManifestError> {
        if !(1..=3).contains(&format_version) {
            return Err(ManifestError::Unsupported(format!(
                "manifests of format version {format_version} cannot be written; versions 1 to 3 can"
            )));
        }
        if format_version == 1 && content == ManifestContent::Deletes {
            return Err(ManifestError::Unsupported("tables of format version 1 have no deletes".to_owned()));
        }
        let of_table = |error: MetadataError| unwritable(error.to_string());
        let schema = schemas.clone().next().ok_or_else(|| unwritable("the schema is missing"))?;
        Ok(ManifestHeader {
            format_version,
            spec_id: spec.id(),
            content,
            fields: PartitionFields::of(spec, schemas).map_err(of_table)?,
            schema_id: schema.id().to_string(),
            schema: schema.raw().as_str().to_owned(),
            spec: spec.numbered().map_err(of_table)?.fields_raw().as_str().to_owned(),
        })
    }

    /// Returns the fields of the partition spec.
    pub fn fields(&self) -> &PartitionFields {
        &self.fields
    }

    pub(super) fn metadata(&self) -> Vec<(&'static str, String)> {
        let mut metadata = vec![
            ("schema", self.schema.clone()),
            ("schema-id", self.schema_id.clone()),
            ("partition-spec", self.spec.clone()),
            ("partition-spec-id", self.spec_id.to_string()),
            ("format-version", self.format_version.to_string()),
        ];
        // Format version 1 has no other content than data.
        match self.content {
            _ if self.format_version == 1 => {}
            ManifestContent::Data => metadata.push(("content", "data".to_owned())),
            ManifestContent::Deletes => metadata.push(("content", "deletes".to_owned())),
        }
        metadata
    }
}
