//! Sort orders.

use super::error::MetadataError;
use super::json::{Object, Raw, push_array};
use super::partition::source_ids;
use super::transform::Transform;

/// Sort order of a table (specification, "Sort Orders").
///
/// The JSON text is preserved; the id and the fields are decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct SortOrder {
    raw: Raw,
    id: i32,
    fields: Vec<SortField>,
}

/// Field of a sort order.
#[derive(Debug, Clone, PartialEq)]
pub struct SortField {
    raw: Raw,
    /// Field ids of the source columns (`source-id`, or `source-ids`).
    pub source_ids: Vec<i32>,
    /// Transform that is applied to the source before sorting.
    pub transform: Transform,
    /// Sort direction: `asc` or `desc`, in lower case.
    pub direction: String,
    /// Order of nulls: `nulls-first` or `nulls-last`, in lower case.
    pub null_order: String,
}

impl SortOrder {
    /// Parses a sort order.
    ///
    /// If `order-id` is absent, it is 0 for an order without fields and 1 for any other.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an object, has no `fields`, or a field is missing or of a wrong type
    /// ([`MetadataError::Malformed`]).
    pub fn parse(raw: Raw) -> Result<SortOrder, MetadataError> {
        let (id, fields) = {
            let order = raw.fields("sort order")?;
            let fields = order.list("fields", SortField::parse)?.ok_or_else(|| order.missing("fields"))?;
            let default_id = i32::from(!fields.is_empty());
            (order.optional("order-id")?.unwrap_or(default_id), fields)
        };
        Ok(SortOrder { raw, id, fields })
    }

    /// Returns the unsorted order: no fields, and always id 0.
    pub(crate) fn unsorted() -> SortOrder {
        SortOrder { raw: Raw::joined("{\"order-id\":0,\"fields\":[]}".to_owned()), id: 0, fields: Vec::new() }
    }

    /// Returns the order id (`order-id`).
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Returns the JSON text as it was read.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }

    /// Returns the sort fields, most significant first.
    pub fn fields(&self) -> &[SortField] {
        &self.fields
    }

    /// Returns `true` if both orders sort in the same way; ids do not matter.
    pub(crate) fn is_same(&self, other: &SortOrder) -> bool {
        self.fields.len() == other.fields.len()
            && self.fields.iter().zip(&other.fields).all(|(left, right)| {
                left.source_ids == right.source_ids
                    && left.transform == right.transform
                    && left.direction == right.direction
                    && left.null_order == right.null_order
            })
    }

    /// Returns the same order with another id.
    pub(crate) fn with_id(&self, id: i32) -> Result<SortOrder, MetadataError> {
        self.rebuilt(id, &self.fields)
    }

    /// Returns the same order with another id and other source columns.
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
    /// Returns the field with `direction` and `null-order` in lower case, the only spelling that some readers
    /// accept.
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
