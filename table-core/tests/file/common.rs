//! Small steps that the tests share: schemas from JSON, files to memory and back.

use bytes::Bytes;
use serde_json::{Value as Json, json};
use table_core::file::error::FileError;
use table_core::file::parquet_reader::FileReader;
use table_core::file::parquet_reader::context::FileContext;
use table_core::file::parquet_writer::modes::MetricsModes;
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::file::parquet_writer::{FileWriter, WrittenFile};
use table_core::metadata::json::Raw;
use table_core::metadata::properties::Properties;
use table_core::metadata::schema::{Field, Schema};
use table_core::metadata::table::TableMetadata;
use table_core::metadata::types::{StructType, Type};

use crate::model::{Row, from_batch, to_batch};

pub(crate) const PATH: &str = "s3://bucket/data/00000-0-a.parquet";

pub(crate) fn schema(fields: &Json) -> Schema {
    let text = json!({"type": "struct", "schema-id": 0, "fields": fields}).to_string();
    Schema::parse(Raw::parse(&text).unwrap()).unwrap()
}

pub(crate) fn columns(fields: &Json) -> StructType {
    schema(fields).columns().unwrap().root.clone()
}

pub(crate) fn schema_of(columns: &StructType) -> Schema {
    schema(&fields_json(&columns.fields))
}

pub(crate) fn fields_json(fields: &[Field]) -> Json {
    fields
        .iter()
        .map(|field| {
            let mut told = json!({"id": field.id, "name": field.name, "required": field.required,
                "type": type_json(&field.field_type)});
            if let Some(default) = &field.initial_default {
                told["initial-default"] = default.clone();
            }
            told
        })
        .collect()
}

fn type_json(field_type: &Type) -> Json {
    match field_type {
        Type::Primitive(primitive) => json!(primitive.to_string()),
        Type::Struct(parts) => json!({"type": "struct", "fields": fields_json(&parts.fields)}),
        Type::List(list) => json!({
            "type": "list", "element-id": list.element.id, "element-required": list.element.required,
            "element": type_json(&list.element.field_type),
        }),
        Type::Map(map) => json!({
            "type": "map", "key-id": map.key.id, "key": type_json(&map.key.field_type),
            "value-id": map.value.id, "value-required": map.value.required,
            "value": type_json(&map.value.field_type),
        }),
        Type::Other(_) => unreachable!(),
    }
}

/// The properties of a table that has them.
pub(crate) fn properties(properties: &Json) -> Properties {
    let document = include_str!("../../fixtures/v2.metadata.json");
    let mut document: Json = serde_json::from_str(document).unwrap();
    document["properties"] = properties.clone();
    TableMetadata::parse(document.to_string().as_bytes()).unwrap().properties().clone()
}

pub(crate) fn options(table: &Json, schema: &Schema) -> WriterOptions {
    WriterOptions::of_data(&properties(table), schema.columns().unwrap(), None)
}

pub(crate) fn full(schema: &Schema) -> WriterOptions {
    WriterOptions { metrics: MetricsModes::full(), ..options(&json!({}), schema) }
}

pub(crate) fn write(
    schema: &Schema,
    options: &WriterOptions,
    batches: &[&[Row]],
) -> Result<(Bytes, WrittenFile), FileError> {
    let mut writer = FileWriter::new(Vec::new(), schema, options)?;
    for rows in batches {
        writer.write(&to_batch(rows, &schema.columns().unwrap().root))?;
    }
    let (bytes, file) = writer.finish()?;
    assert_eq!(i64::try_from(bytes.len()).unwrap(), file.size_bytes);
    Ok((bytes.into(), file))
}

pub(crate) fn read(file: &Bytes, wanted: &StructType) -> Result<Vec<Row>, FileError> {
    read_with(file, wanted, FileContext::new(PATH))
}

pub(crate) fn read_with(
    file: &Bytes,
    wanted: &StructType,
    context: FileContext,
) -> Result<Vec<Row>, FileError> {
    let reader = FileReader::open(file, wanted, context)?;
    let mut rows = Vec::new();
    for batch in reader.read(file) {
        let batch = batch?;
        assert_eq!(&batch.schema(), reader.schema());
        assert!(batch.num_rows() > 0);
        rows.extend(from_batch(&batch, wanted));
    }
    Ok(rows)
}

/// Fails unless reading is refused with a message that contains `reason`.
pub(crate) fn refuse<T: std::fmt::Debug>(result: Result<T, FileError>, reason: &str) {
    let error = result.unwrap_err();
    assert!(error.to_string().contains(reason), "{error}");
}
