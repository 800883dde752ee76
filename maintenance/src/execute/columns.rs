//! Which columns of a table are rewritten.

use table_core::file::reserved;
use table_core::metadata::error::MetadataError;
use table_core::metadata::json::Raw;
use table_core::metadata::schema::{Field, Schema};
use table_core::metadata::table::TableMetadata;

use serde_json::{Value, json};

/// The first format version whose rows have ids.
const LINEAGE_VERSION: i32 = 3;

/// The columns that are read and written: the table's, and from version 3 on what rows are known by.
pub fn rewritten(metadata: &TableMetadata) -> Result<Schema, MetadataError> {
    let schema = metadata.current_schema()?;
    if metadata.format_version() < LINEAGE_VERSION { Ok(schema.clone()) } else { with_lineage(schema) }
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
