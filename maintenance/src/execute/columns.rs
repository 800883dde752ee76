//! Columns of a table that are read and written by a rewrite.

use table_core::metadata::error::MetadataError;
use table_core::metadata::json::Raw;
use table_core::metadata::reserved;
use table_core::metadata::schema::{Field, Schema};
use table_core::metadata::table::TableMetadata;

use serde_json::{Value, json};

/// First format version with row lineage.
const LINEAGE_VERSION: i32 = 3;

/// Returns the schema that is read and written: that of the table, from format version 3 on with the columns
/// of row lineage.
///
/// # Errors
///
/// Fails if the table has no valid current schema.
pub fn rewritten(metadata: &TableMetadata) -> Result<Schema, MetadataError> {
    let schema = metadata.current_schema()?;
    if metadata.format_version() < LINEAGE_VERSION { Ok(schema.clone()) } else { with_lineage(schema) }
}

/// Adds the columns of row lineage to a schema, as in data files of format version 3.
fn with_lineage(schema: &Schema) -> Result<Schema, MetadataError> {
    let mut document: Value = schema.raw().decode("schema")?;
    let field =
        |field: &Field| json!({ "id": field.id, "name": field.name, "required": false, "type": "long" });
    if let Some(fields) = document["fields"].as_array_mut() {
        fields.extend([field(&reserved::row_id()), field(&reserved::last_updated_sequence_number())]);
    }
    Schema::parse(Raw::parse(&document.to_string())?)
}
