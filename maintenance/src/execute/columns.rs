//! Which columns are read, and which of them are written.

use table_core::file::reserved;
use table_core::metadata::error::MetadataError;
use table_core::metadata::json::Raw;
use table_core::metadata::schema::{Field, Schema};
use table_core::metadata::table::TableMetadata;
use table_core::metadata::types::{StructType, Type};

use serde_json::{Value, json};

/// The first format version whose rows have ids.
const LINEAGE_VERSION: i32 = 3;

/// The columns of a rewrite.
pub(super) struct RewriteColumns {
    /// What is written: the table's columns, and from version 3 on what rows are known by.
    pub(super) written: Schema,
    /// What is read: the same, and then the columns that deletes compare and the table has lost.
    pub(super) read: StructType,
    /// How many columns are written.
    pub(super) written_count: usize,
}

impl RewriteColumns {
    /// For rows that deletes by the columns `compared` apply to.
    pub(super) fn new(metadata: &TableMetadata, compared: &[i32]) -> Result<RewriteColumns, MetadataError> {
        let schema = metadata.current_schema()?;
        let mut read = schema.columns()?.root.clone();
        let written = if metadata.format_version() < LINEAGE_VERSION {
            schema.clone()
        } else {
            read.fields.extend([reserved::row_id(), reserved::last_updated_sequence_number()]);
            with_lineage(schema)?
        };
        let written_count = read.fields.len();
        for id in compared {
            if !holds(&read.fields, *id)
                && let Some(lost) = top_level(metadata, *id)?
            {
                read.fields.push(Field { required: false, initial_default: None, ..lost });
            }
        }
        Ok(RewriteColumns { written, read, written_count })
    }
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

/// The column that is, or holds, the one with this id; in the current schema, or the last that had it.
fn top_level(metadata: &TableMetadata, id: i32) -> Result<Option<Field>, MetadataError> {
    let current = std::iter::once(metadata.current_schema()?);
    for schema in current.chain(metadata.schemas().iter().rev()) {
        let fields = &schema.columns()?.root.fields;
        if let Some(field) = fields.iter().find(|field| is_or_holds(field, id)) {
            return Ok(Some(field.clone()));
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
