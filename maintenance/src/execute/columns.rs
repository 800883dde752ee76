//! Which columns are read and written.

use table_core::file::reserved;
use table_core::metadata::error::MetadataError;
use table_core::metadata::json::Raw;
use table_core::metadata::schema::{Field, Schema};
use table_core::metadata::table::TableMetadata;
use table_core::metadata::types::{StructType, Type};

use serde_json::{Value, json};

/// The first format version whose rows have ids.
const LINEAGE_VERSION: i32 = 3;

/// The columns that are read and written: the table's, and from version 3 on what rows are known by.
pub(super) fn rewritten(metadata: &TableMetadata) -> Result<Schema, MetadataError> {
    let schema = metadata.current_schema()?;
    if metadata.format_version() < LINEAGE_VERSION { Ok(schema.clone()) } else { with_lineage(schema) }
}

/// The columns with these ids alone, structs around them kept.
pub(super) fn select(metadata: &TableMetadata, ids: &[i32]) -> Result<StructType, MetadataError> {
    let mut fields: Vec<Field> = Vec::new();
    for id in ids {
        if !holds(&fields, *id)
            && let Some(field) = top_level(metadata, *id)?
        {
            fields.push(pruned(&field, ids));
        }
    }
    Ok(StructType { fields, other: Vec::new() })
}

/// The column that is, or holds, the one with this id; in the current schema, or the last that had it. A column that the table
/// has lost may be missing from files.
fn top_level(metadata: &TableMetadata, id: i32) -> Result<Option<Field>, MetadataError> {
    let find = |schema: &Schema| -> Result<Option<Field>, MetadataError> {
        Ok(schema.columns()?.root.fields.iter().find(|field| is_or_holds(field, id)).cloned())
    };
    if let Some(field) = find(metadata.current_schema()?)? {
        return Ok(Some(field));
    }
    for schema in metadata.schemas().iter().rev() {
        if let Some(lost) = find(schema)? {
            return Ok(Some(Field { required: false, initial_default: None, ..lost }));
        }
    }
    Ok(None)
}

fn holds(fields: &[Field], id: i32) -> bool {
    fields.iter().any(|field| is_or_holds(field, id))
}

fn is_or_holds(field: &Field, id: i32) -> bool {
    field.id == id || matches!(&field.field_type, Type::Struct(parts) if holds(&parts.fields, id))
}

fn pruned(field: &Field, ids: &[i32]) -> Field {
    match &field.field_type {
        Type::Struct(parts) if !ids.contains(&field.id) => {
            let wanted = parts.fields.iter().filter(|part| ids.iter().any(|id| is_or_holds(part, *id)));
            let fields = wanted.map(|part| pruned(part, ids)).collect();
            Field { field_type: Type::Struct(StructType { fields, other: Vec::new() }), ..field.clone() }
        }
        _ => field.clone(),
    }
}

/// The schema with the columns of row lineage, as files of version 3 have it.
fn with_lineage(schema: &Schema) -> Result<Schema, MetadataError> {
    let mut document: Value = schema.raw().decode("schema")?;
    let field =
        |field: &Field| json!({ "id": field.id, "name": field.name, "required": false, "type": "long" });
    if let Some(fields) = document["fields"].as_array_mut() {
        fields.extend([field(&reserved::row_id()), field(&reserved::last_updated_sequence_number())]);
    }
    Schema::parse(Raw::parse(&document.to_string())?)
}
