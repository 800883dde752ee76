//! Schemas: their JSON text, and their columns, which are decoded on demand.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;
use serde_json::{Number, Value};

use super::error::MetadataError;
use super::json::{Fields, Object, Raw, decode, nesting, parse_number};
use super::types::{StructType, TYPE_DEPTH_MAX, Type, decode_struct, decode_type};

/// Schema of a table or view (specification, "Schemas and Data Types").
///
/// The JSON text is preserved. Cloning is cheap, and clones share the decoded columns.
#[derive(Debug, Clone)]
pub struct Schema {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    raw: Raw,
    id: i32,
    // A table has many schemas and most commits look at none of them, so columns are decoded on first use.
    columns: OnceLock<Result<Columns, MetadataError>>,
}

/// Decoded content of a schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// Top-level columns, and unknown attributes of the schema.
    pub root: StructType,
    /// Ids of the fields that identify a row (`identifier-field-ids`).
    pub identifier_field_ids: BTreeSet<i32>,
}

/// Column, field of a struct, element of a list, or key or value of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Field id, unique in the table and never reused.
    pub id: i32,
    /// Name of the field; `element`, `key` or `value` in lists and maps.
    pub name: String,
    /// `true` if the value must not be null (`required`).
    pub required: bool,
    /// Type of the field.
    pub field_type: Type,
    /// Comment of the field (`doc`).
    pub doc: Option<String>,
    /// Value of the field in rows written before the field was added (`initial-default`).
    pub initial_default: Option<Value>,
    /// Value that writers store if they are given none (`write-default`).
    pub write_default: Option<Value>,
    /// Unknown attributes, sorted by name.
    pub other: Vec<(String, Value)>,
}

impl Schema {
    /// Parses the top level of a schema. Its columns are decoded on first use, so an error in them is
    /// returned by [`Schema::columns`].
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an object, has no `fields`, or `schema-id` is not a 32-bit number
    /// ([`MetadataError::Malformed`]).
    pub fn parse(raw: Raw) -> Result<Schema, MetadataError> {
        let id = {
            let fields = raw.fields("schema")?;
            if fields.present("fields").is_none() {
                return Err(fields.missing("fields"));
            }
            fields.optional("schema-id")?.unwrap_or(0)
        };
        Ok(Schema { inner: Arc::new(Inner { raw, id, columns: OnceLock::new() }) })
    }

    /// Returns the schema id (`schema-id`); 0 if it is absent.
    pub fn id(&self) -> i32 {
        self.inner.id
    }

    /// Returns the JSON text as it was read.
    pub fn raw(&self) -> &Raw {
        &self.inner.raw
    }

    /// Returns the decoded columns.
    ///
    /// # Errors
    ///
    /// Fails if the schema is not a `struct`, types nest deeper than [`TYPE_DEPTH_MAX`], or an attribute of a
    /// field or type is missing or has a wrong type ([`MetadataError::Malformed`]). Types that are unknown
    /// are no error.
    pub fn columns(&self) -> Result<&Columns, MetadataError> {
        self.inner.columns.get_or_init(|| decode_columns(&self.inner.raw)).as_ref().map_err(Clone::clone)
    }

    /// Returns the same schema with another id.
    pub(crate) fn with_id(&self, id: i32) -> Result<Schema, MetadataError> {
        if id == self.id() && self.raw().fields("schema")?.present("schema-id").is_some() {
            return Ok(self.clone());
        }
        let mut object = Object::parse(self.raw().as_str(), "schema")?;
        object.set("schema-id", Raw::number(i64::from(id)));
        Schema::parse(object.to_raw())
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner) || self.raw() == other.raw()
    }
}

/// Maximum nesting of the JSON of a schema: three levels for each level of types, and room for default
/// values. Each level of types parses the text inside it once more, so text that is nested too deeply is
/// refused first.
pub(crate) const SCHEMA_NESTING_MAX: usize = 3 * TYPE_DEPTH_MAX + 128;

fn decode_columns(raw: &Raw) -> Result<Columns, MetadataError> {
    if nesting(raw.as_str()) > SCHEMA_NESTING_MAX {
        return Err(MetadataError::malformed(format!("types nest deeper than {TYPE_DEPTH_MAX} levels")));
    }
    let fields = raw.fields("schema")?;
    let kind = fields.required::<String>("type")?;
    if kind != "struct" {
        return Err(MetadataError::malformed(format!("the schema is a `{kind}`, not a `struct`")));
    }
    let identifier_field_ids = fields.optional::<BTreeSet<i32>>("identifier-field-ids")?.unwrap_or_default();
    let mut root = decode_struct(&fields, 0)?;
    root.other.retain(|(name, _)| name != "schema-id" && name != "identifier-field-ids");
    Ok(Columns { root, identifier_field_ids })
}

pub(crate) fn decode_field(text: &str, depth: usize) -> Result<Field, MetadataError> {
    let fields = Fields::parse(text, "field")?;
    let name: String = fields.required("name")?;
    let field_type = fields.raw("type").ok_or_else(|| fields.missing("type"))?;
    Ok(Field {
        id: fields.required("id")?,
        required: fields.required("required")?,
        field_type: decode_type(field_type.get(), depth + 1)?,
        doc: fields.optional("doc")?,
        initial_default: default(&fields, "initial-default")?,
        write_default: default(&fields, "write-default")?,
        other: rest(&fields, &["id", "name", "required", "type", "doc", "initial-default", "write-default"])?,
        name,
    })
}

/// Decodes a default value. A number is parsed exactly, which `serde_json` does not do by itself.
fn default(fields: &Fields<'_>, key: &str) -> Result<Option<Value>, MetadataError> {
    let number = fields.present(key).map(RawValue::get).filter(|text| text.parse::<i64>().is_err());
    match number.and_then(parse_number).and_then(Number::from_f64) {
        Some(number) => Ok(Some(Value::Number(number))),
        None => fields.optional(key),
    }
}

/// Returns the attributes that are not among the `known` ones, sorted by name.
pub(crate) fn rest(fields: &Fields<'_>, known: &[&str]) -> Result<Vec<(String, Value)>, MetadataError> {
    let mut rest = Vec::new();
    for (name, value) in &fields.entries {
        if !known.contains(&name.as_ref()) {
            rest.push((name.to_string(), decode(value.get(), name)?));
        }
    }
    rest.sort_by(|left: &(String, Value), right| left.0.cmp(&right.0));
    Ok(rest)
}
