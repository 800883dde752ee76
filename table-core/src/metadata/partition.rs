//! Partition specs.

use super::error::MetadataError;
use super::json::{Object, Raw, push_array};
use super::transform::Transform;

/// First partition field id. Partition field ids are assigned from here, separate from column ids.
pub const PARTITION_ID_START: i32 = 1000;

/// Partition spec of a table (specification, "Partitioning").
///
/// The JSON text is preserved; the id and the fields are decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionSpec {
    raw: Raw,
    id: i32,
    fields: Vec<PartitionField>,
}

/// Field of a partition spec.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionField {
    raw: Raw,
    /// Field ids of the source columns (`source-id`, or `source-ids`); more than one only for transforms of
    /// several arguments.
    pub source_ids: Vec<i32>,
    /// Partition field id (`field-id`). `None` in requests that leave the assignment to the catalog, and in
    /// documents of format version 1 that leave it implicit; ids are sequential then.
    pub field_id: Option<i32>,
    /// Name of the partition field.
    pub name: String,
    /// Transform from the source value to the partition value.
    pub transform: Transform,
}

impl PartitionSpec {
    /// Parses a partition spec; an absent `spec-id` means 0.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an object, has no `fields`, or a field is missing or of a wrong type
    /// ([`MetadataError::Malformed`]).
    pub fn parse(raw: Raw) -> Result<PartitionSpec, MetadataError> {
        let (id, fields) = {
            let spec = raw.fields("partition spec")?;
            let fields = spec.list("fields", PartitionField::parse)?.ok_or_else(|| spec.missing("fields"))?;
            (spec.optional("spec-id")?.unwrap_or(0), fields)
        };
        Ok(PartitionSpec { raw, id, fields })
    }

    /// Parses the bare array of fields that format version 1 stored for its only spec (`partition-spec`).
    pub(crate) fn from_fields(fields: &str) -> Result<PartitionSpec, MetadataError> {
        let spec = PartitionSpec::parse(Raw::joined(format!("{{\"spec-id\":0,\"fields\":{fields}}}")))?;
        spec.numbered()
    }

    /// Returns the unpartitioned spec: no fields, and id 0.
    pub(crate) fn unpartitioned() -> PartitionSpec {
        PartitionSpec {
            raw: Raw::joined("{\"spec-id\":0,\"fields\":[]}".to_owned()),
            id: 0,
            fields: Vec::new(),
        }
    }

    /// Returns the spec id (`spec-id`).
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Returns the JSON text as it was read.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }

    /// Returns the partition fields, in order.
    pub fn fields(&self) -> &[PartitionField] {
        &self.fields
    }

    /// Returns `true` if all files are in one partition: there are no fields, or only `void` ones, which
    /// remain of dropped fields and are always null.
    pub fn is_unpartitioned(&self) -> bool {
        self.fields.iter().all(|field| field.transform == Transform::Void)
    }

    /// Returns the fields as the array that format version 1 stores in `partition-spec`.
    pub(crate) fn fields_raw(&self) -> Raw {
        let mut text = String::new();
        push_array(&mut text, self.fields.iter().map(|field| field.raw.as_str()));
        Raw::joined(text)
    }

    /// Returns the highest field id, or one less than [`PARTITION_ID_START`] if there are no fields.
    pub(crate) fn last_field_id(&self) -> i32 {
        let ids = self.fields.iter().enumerate().map(|(position, field)| field.id_at(position));
        ids.max().unwrap_or(PARTITION_ID_START - 1)
    }

    /// Returns `true` if all fields have an explicit `field-id`.
    pub(crate) fn is_numbered(&self) -> bool {
        self.fields.iter().all(|field| field.field_id.is_some())
    }

    /// Returns the same spec with explicit field ids; documents of format version 1 may leave them implicit.
    pub(crate) fn numbered(&self) -> Result<PartitionSpec, MetadataError> {
        if self.is_numbered() {
            return Ok(self.clone());
        }
        self.with_ids(self.id, |position, field| field.id_at(position))
    }

    /// Returns `true` if both specs partition data in the same way under the same names; field ids do not
    /// matter.
    pub(crate) fn is_compatible(&self, other: &PartitionSpec) -> bool {
        self.fields.len() == other.fields.len()
            && self.fields.iter().zip(&other.fields).all(|(left, right)| {
                left.source_ids == right.source_ids
                    && left.transform == right.transform
                    && left.name == right.name
            })
    }

    /// Returns the same spec with another id, and with the field ids that `field_id` returns.
    pub(crate) fn with_ids(
        &self,
        id: i32,
        mut field_id: impl FnMut(usize, &PartitionField) -> i32,
    ) -> Result<PartitionSpec, MetadataError> {
        let fields =
            self.fields.iter().enumerate().map(|(position, field)| field.with_id(field_id(position, field)));
        self.rebuilt(id, fields.collect::<Result<Vec<_>, _>>()?)
    }

    /// Returns the same spec with id 0, other source columns and fresh field ids.
    pub(crate) fn rebound(&self, sources: &[i32]) -> Result<PartitionSpec, MetadataError> {
        let mut fields = Vec::with_capacity(self.fields.len());
        for (position, (field, source)) in self.fields.iter().zip(sources).enumerate() {
            let mut object = Object::parse(field.raw.as_str(), "partition field")?;
            object.set("source-id", Raw::number(i64::from(*source)));
            object.remove("source-ids");
            object.set("field-id", Raw::number(i64::from(nth_id(position))));
            fields.push(PartitionField::parse(object.to_raw())?);
        }
        self.rebuilt(0, fields)
    }

    fn rebuilt(&self, id: i32, fields: Vec<PartitionField>) -> Result<PartitionSpec, MetadataError> {
        let mut spec = Object::parse(self.raw.as_str(), "partition spec")?;
        spec.set("spec-id", Raw::number(i64::from(id)));
        let mut text = String::new();
        push_array(&mut text, fields.iter().map(|field| field.raw.as_str()));
        spec.set("fields", Raw::joined(text));
        Ok(PartitionSpec { raw: spec.to_raw(), id, fields })
    }
}

impl PartitionField {
    fn parse(raw: Raw) -> Result<PartitionField, MetadataError> {
        let fields = raw.fields("partition field")?;
        let (source_ids, field_id) = (source_ids(&fields)?, fields.optional("field-id")?);
        let name = fields.required("name")?;
        let transform = Transform::parse(&fields.required::<String>("transform")?);
        Ok(PartitionField { raw, source_ids, field_id, name, transform })
    }

    /// Returns the field id, which follows from the position in the spec if it is not explicit.
    pub(crate) fn id_at(&self, position: usize) -> i32 {
        self.field_id.unwrap_or_else(|| nth_id(position))
    }

    fn with_id(&self, id: i32) -> Result<PartitionField, MetadataError> {
        if self.field_id == Some(id) {
            return Ok(self.clone());
        }
        let mut object = Object::parse(self.raw.as_str(), "partition field")?;
        object.set("field-id", Raw::number(i64::from(id)));
        Ok(PartitionField { raw: object.to_raw(), field_id: Some(id), ..self.clone() })
    }
}

/// Returns the source columns of a partition or sort field: `source-id`, or `source-ids` for a transform of
/// several arguments.
pub(crate) fn source_ids(fields: &super::json::Fields<'_>) -> Result<Vec<i32>, MetadataError> {
    if let Some(ids) = fields.optional("source-ids")? {
        return Ok(ids);
    }
    Ok(vec![fields.required("source-id")?])
}

/// Returns the id of the n-th field of a spec whose ids are sequential.
pub(crate) fn nth_id(position: usize) -> i32 {
    i32::try_from(position).map_or(i32::MAX, |position| PARTITION_ID_START.saturating_add(position))
}
