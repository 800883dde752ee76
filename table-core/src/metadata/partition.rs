//! Partition specs.

use super::error::MetadataError;
use super::json::{Object, Raw, push_array};
use super::transform::Transform;

/// Partition field ids start here, apart from column ids.
pub const PARTITION_ID_START: i32 = 1000;

/// One partition spec of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionSpec {
    raw: Raw,
    id: i32,
    fields: Vec<PartitionField>,
}

/// One field of a partition spec.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionField {
    raw: Raw,
    /// The columns the value comes from; more than one only for transforms of several arguments.
    pub source_ids: Vec<i32>,
    /// The id of the partition field; `None` in requests that leave it to us, and in documents of version 1 that
    /// leave it to be counted.
    pub field_id: Option<i32>,
    /// The name of the partition field.
    pub name: String,
    /// What is done to the column.
    pub transform: Transform,
}

impl PartitionSpec {
    /// Reads a spec.
    pub fn parse(raw: Raw) -> Result<PartitionSpec, MetadataError> {
        let (id, fields) = {
            let spec = raw.fields("partition spec")?;
            let fields = spec.list("fields", PartitionField::parse)?.ok_or_else(|| spec.missing("fields"))?;
            (spec.optional("spec-id")?.unwrap_or(0), fields)
        };
        Ok(PartitionSpec { raw, id, fields })
    }

    /// Reads the bare array of fields that version 1 stored for its only spec.
    pub(crate) fn from_fields(fields: &str) -> Result<PartitionSpec, MetadataError> {
        let spec = PartitionSpec::parse(Raw::joined(format!("{{\"spec-id\":0,\"fields\":{fields}}}")))?;
        spec.numbered()
    }

    /// The spec without fields.
    pub(crate) fn unpartitioned() -> PartitionSpec {
        PartitionSpec {
            raw: Raw::joined("{\"spec-id\":0,\"fields\":[]}".to_owned()),
            id: 0,
            fields: Vec::new(),
        }
    }

    /// The spec id.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The text as it was read.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }

    /// The fields in order.
    pub fn fields(&self) -> &[PartitionField] {
        &self.fields
    }

    /// Whether all files are in one partition: there are no fields, or only such as remain of dropped ones, which are null.
    pub fn is_unpartitioned(&self) -> bool {
        self.fields.iter().all(|field| field.transform == Transform::Void)
    }

    /// The fields as the array that version 1 keeps beside the specs.
    pub(crate) fn fields_raw(&self) -> Raw {
        let mut text = String::new();
        push_array(&mut text, self.fields.iter().map(|field| field.raw.as_str()));
        Raw::joined(text)
    }

    /// The highest field id, or the one before the first if there is none.
    pub(crate) fn last_field_id(&self) -> i32 {
        let ids = self.fields.iter().enumerate().map(|(position, field)| field.id_at(position));
        ids.max().unwrap_or(PARTITION_ID_START - 1)
    }

    /// Whether all ids are written out.
    pub(crate) fn is_numbered(&self) -> bool {
        self.fields.iter().all(|field| field.field_id.is_some())
    }

    /// The same spec with all ids written out; documents of version 1 may leave them to be counted.
    pub(crate) fn numbered(&self) -> Result<PartitionSpec, MetadataError> {
        if self.is_numbered() {
            return Ok(self.clone());
        }
        self.with_ids(self.id, |position, field| field.id_at(position))
    }

    /// Whether both would partition data in the same way under the same names: field ids do not matter.
    pub(crate) fn is_compatible(&self, other: &PartitionSpec) -> bool {
        self.fields.len() == other.fields.len()
            && self.fields.iter().zip(&other.fields).all(|(left, right)| {
                left.source_ids == right.source_ids
                    && left.transform == right.transform
                    && left.name == right.name
            })
    }

    /// The same spec under another id, with field ids given by `field_id`.
    pub(crate) fn with_ids(
        &self,
        id: i32,
        mut field_id: impl FnMut(usize, &PartitionField) -> i32,
    ) -> Result<PartitionSpec, MetadataError> {
        let fields =
            self.fields.iter().enumerate().map(|(position, field)| field.with_id(field_id(position, field)));
        self.rebuilt(id, fields.collect::<Result<Vec<_>, _>>()?)
    }

    /// The same spec under id 0, with other sources and fresh field ids.
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

    /// Its id, which is its place in the spec if it has none.
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

/// The sources of a partition or sort field: `source-id`, or `source-ids` of a transform of several arguments.
pub(crate) fn source_ids(fields: &super::json::Fields<'_>) -> Result<Vec<i32>, MetadataError> {
    if let Some(ids) = fields.optional("source-ids")? {
        return Ok(ids);
    }
    Ok(vec![fields.required("source-id")?])
}

/// The id of the n-th field of a spec whose ids are sequential.
pub(crate) fn nth_id(position: usize) -> i32 {
    i32::try_from(position).map_or(i32::MAX, |position| PARTITION_ID_START.saturating_add(position))
}
