//! Sort orders.

use super::error::MetadataError;
use super::json::{Object, Raw, push_array};
use super::partition::source_ids;
use super::transform::Transform;

/// One sort order of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct SortOrder {
    raw: Raw,
    id: i32,
    fields: Vec<SortField>,
}

/// One field of a sort order.
#[derive(Debug, Clone, PartialEq)]
pub struct SortField {
    raw: Raw,
    /// The columns the value comes from.
    pub source_ids: Vec<i32>,
    /// What is done to the column before sorting.
    pub transform: Transform,
    /// `asc` or `desc`, in lower case.
    pub direction: String,
    /// `nulls-first` or `nulls-last`, in lower case.
    pub null_order: String,
}

impl SortOrder {
    /// Reads a sort order.
    pub fn parse(raw: Raw) -> Result<SortOrder, MetadataError> {
        let (id, fields) = {
            let order = raw.fields("sort order")?;
            let fields = order.list("fields", SortField::parse)?.ok_or_else(|| order.missing("fields"))?;
            let default_id = i32::from(!fields.is_empty());
            (order.optional("order-id")?.unwrap_or(default_id), fields)
        };
        Ok(SortOrder { raw, id, fields })
    }

    /// The order without fields; its id is always 0.
    pub(crate) fn unsorted() -> SortOrder {
        SortOrder { raw: Raw::joined("{\"order-id\":0,\"fields\":[]}".to_owned()), id: 0, fields: Vec::new() }
    }

    /// The order id.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The text as it was read.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }

    /// The fields in order.
    pub fn fields(&self) -> &[SortField] {
        &self.fields
    }

    /// Whether both sort in the same way.
    pub(crate) fn is_same(&self, other: &SortOrder) -> bool {
        self.fields.len() == other.fields.len()
            && self.fields.iter().zip(&other.fields).all(|(left, right)| {
                left.source_ids == right.source_ids
                    && left.transform == right.transform
                    && left.direction == right.direction
                    && left.null_order == right.null_order
            })
    }

    /// The same order under another id.
    pub(crate) fn with_id(&self, id: i32) -> Result<SortOrder, MetadataError> {
        self.rebuilt(id, &self.fields)
    }

    /// The same order under another id and with other sources.
    pub(crate) fn rebound(&self, id: i32, sources: &[i32]) -> Result<SortOrder, MetadataError> {
        let mut fields = Vec::with_capacity(self.fields.len());
        for (field, source) in self.fields.iter().zip(sources) {
            let mut object = Object::parse(field.raw.as_str(), "sort field")?;
            object.set("source-id", Raw::number(i64::from(*source)));
            object.remove("source-ids");
            fields.push(SortField::parse(object.to_raw())?);
        }
        self.rebuilt(id, &fields)
    }

    fn rebuilt(&self, id: i32, fields: &[SortField]) -> Result<SortOrder, MetadataError> {
        let fields = fields.iter().map(SortField::in_lower_case).collect::<Result<Vec<_>, _>>()?;
        let mut order = Object::parse(self.raw.as_str(), "sort order")?;
        order.set("order-id", Raw::number(i64::from(id)));
        let mut text = String::new();
        push_array(&mut text, fields.iter().map(|field| field.raw.as_str()));
        order.set("fields", Raw::joined(text));
        Ok(SortOrder { raw: order.to_raw(), id, fields })
    }
}

impl SortField {
    /// The field with the spelling of the specification, which some readers insist on.
    fn in_lower_case(&self) -> Result<SortField, MetadataError> {
        let mut object = Object::parse(self.raw.as_str(), "sort field")?;
        object.set("direction", Raw::string(&self.direction));
        object.set("null-order", Raw::string(&self.null_order));
        SortField::parse(object.to_raw())
    }

    fn parse(raw: Raw) -> Result<SortField, MetadataError> {
        let fields = raw.fields("sort field")?;
        let source_ids = source_ids(&fields)?;
        let transform = Transform::parse(&fields.required::<String>("transform")?);
        let direction = fields.required::<String>("direction")?.to_ascii_lowercase();
        let null_order = fields.required::<String>("null-order")?.to_ascii_lowercase();
        Ok(SortField { raw, source_ids, transform, direction, null_order })
    }
}
