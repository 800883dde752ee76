//! Which metrics are kept, and how bounds are cut: the cases in which Java's rules are easily got wrong.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StructArray};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use serde_json::{Value as Json, json};
use table_core::expr::value::Value;
use table_core::file::deleted_keys::{DeletedKeys, KeyPart};
use table_core::file::parquet_writer::{FileWriter, WrittenFile};
use table_core::metadata::json::Raw;
use table_core::metadata::schema::Schema;
use table_core::metadata::sort::SortOrder;
use table_core::metadata::types::{Primitive, Type};

use crate::common::{options, schema, write};
use crate::model::{Cell, Row};

fn one(kind: &str) -> Schema {
    schema(&json!([{"id": 1, "name": "c", "required": false, "type": kind}]))
}

fn written(schema: &Schema, table: &Json, values: &[Json]) -> WrittenFile {
    let Type::Primitive(primitive) = &schema.columns().unwrap().root.fields[0].field_type else {
        unreachable!()
    };
    let cell = |value: &Json| match value {
        Json::Null => Cell::Null,
        value => Cell::Value(Value::from_json(value, primitive).unwrap()),
    };
    let rows: Vec<Row> = values.iter().map(|value| Row::from([(1, cell(value))])).collect();
    write(schema, &options(table, schema), &[&rows]).unwrap().1
}

/// The bounds of a column of these values.
fn check(kind: &str, values: &[Json], lower: &Json, upper: &Json) {
    let file = written(&one(kind), &json!({}), values);
    let decode = |bound: Option<&Vec<u8>>| {
        bound.map_or(Json::Null, |bound| Value::decode(bound, &Primitive::parse(kind)).unwrap().to_json())
    };
    assert_eq!(&decode(file.metrics.lower_bounds.get(&1)), lower);
    assert_eq!(&decode(file.metrics.upper_bounds.get(&1)), upper);
}

#[test]
fn strings_are_cut_by_characters_and_rounded_up() {
    let long = "0123456789abcdefgh";
    check("string", &[json!(long)], &json!("0123456789abcdef"), &json!("0123456789abcdeg"));
    check("string", &[json!("0123456789abcdef")], &json!("0123456789abcdef"), &json!("0123456789abcdef"));
    let before_surrogates = format!("{}\u{d7ff}x", "ü".repeat(15));
    check(
        "string",
        &[json!(before_surrogates)],
        &json!(format!("{}\u{d7ff}", "ü".repeat(15))),
        &json!(format!("{}\u{e000}", "ü".repeat(15))),
    );
    let carried = format!("a{}", "\u{10ffff}".repeat(20));
    check("string", &[json!(carried)], &json!(format!("a{}", "\u{10ffff}".repeat(15))), &json!("b"));
    let last = "\u{10ffff}".repeat(17);
    check("string", &[json!(last)], &json!("\u{10ffff}".repeat(16)), &Json::Null);
}

#[test]
fn bytes_are_cut_and_rounded_up_but_fixed_ones_are_not() {
    let long = "00".repeat(15) + "01" + "FF";
    check("binary", &[json!(long)], &json!("00".repeat(15) + "01"), &json!("00".repeat(15) + "02"));
    check("binary", &[json!("FF".repeat(17))], &json!("FF".repeat(16)), &Json::Null);
    check(
        "binary",
        &[json!("00".to_owned() + &"FF".repeat(17))],
        &json!("00".to_owned() + &"FF".repeat(15)),
        &json!("01"),
    );
    check("fixed[17]", &[json!("FF".repeat(17))], &json!("FF".repeat(17)), &json!("FF".repeat(17)));
}

#[test]
fn zeros_have_signs_and_nan_is_no_bound() {
    let zeros = [json!(-0.0), json!(0.0), json!("NaN"), Json::Null];
    let file = written(&one("double"), &json!({}), &zeros);
    assert_eq!(file.metrics.lower_bounds[&1], (-0.0_f64).to_le_bytes());
    assert_eq!(file.metrics.upper_bounds[&1], 0.0_f64.to_le_bytes());
    assert_eq!(
        (
            file.metrics.value_counts[&1],
            file.metrics.null_value_counts[&1],
            file.metrics.nan_value_counts[&1]
        ),
        (4, 1, 1)
    );
    check("float", &[json!("NaN")], &Json::Null, &Json::Null);
    check("int", &[Json::Null], &Json::Null, &Json::Null);
}

#[test]
fn modes_say_what_is_kept() {
    let kept = |table: Json| {
        let metrics = written(&one("string"), &table, &[json!("0123456789abcdefgh")]).metrics;
        let upper = metrics.upper_bounds.get(&1).map(|bound| String::from_utf8(bound.clone()).unwrap());
        (metrics.column_sizes.len(), metrics.value_counts.len(), upper)
    };
    let text = |text: &str| Some(text.to_owned());
    let mode = "write.metadata.metrics.default";
    let column = "write.metadata.metrics.column.c";
    assert_eq!(kept(json!({mode: "none"})), (0, 0, None));
    assert_eq!(kept(json!({mode: "counts"})), (1, 1, None));
    assert_eq!(kept(json!({mode: "truncate(2)"})), (1, 1, text("02")));
    assert_eq!(kept(json!({mode: "Full"})), (1, 1, text("0123456789abcdefgh")));
    assert_eq!(kept(json!({mode: "none", column: "truncate(1)"})), (1, 1, text("1")));
    assert_eq!(kept(json!({column: "nonsense"})), (1, 1, text("0123456789abcdeg")));
    assert_eq!(kept(json!({"write.metadata.metrics.max-inferred-column-defaults": "0"})), (0, 0, None));
}

#[test]
fn wide_tables_keep_metrics_of_the_first_columns() {
    let schema = schema(&json!([
        {"id": 1, "name": "s", "required": true, "type": {"type": "struct", "fields": [
            {"id": 2, "name": "a", "required": true, "type": "int"},
            {"id": 3, "name": "b", "required": true, "type": "int"}]}},
        {"id": 4, "name": "c", "required": true, "type": "int"},
    ]));
    let int = |value| Cell::Value(Value::Int(value));
    let row = Row::from([(1, Cell::Struct(Row::from([(2, int(1)), (3, int(2))]))), (4, int(3))]);
    let kept = |limit: &str, transforms: &[&str]| {
        let table = json!({"write.metadata.metrics.max-inferred-column-defaults": limit});
        let sorted: Vec<Json> = transforms
            .iter()
            .map(|transform| {
                json!({"source-id": 3, "transform": transform, "direction": "asc", "null-order": "nulls-first"})
            })
            .collect();
        let order = json!({"order-id": 1, "fields": sorted}).to_string();
        let order = SortOrder::parse(Raw::parse(&order).unwrap()).unwrap();
        let mut options = options(&table, &schema);
        options.metrics = table_core::file::parquet_writer::modes::MetricsModes::new(
            &crate::common::properties(&table),
            schema.columns().unwrap(),
            Some(&order),
        );
        let metrics = write(&schema, &options, &[std::slice::from_ref(&row)]).unwrap().1.metrics;
        metrics.lower_bounds.keys().copied().collect::<Vec<_>>()
    };
    assert_eq!(kept("2", &[]), [2, 4]);
    assert_eq!(kept("2", &["bucket[4]", "truncate[2]"]), [2, 3, 4]);
    assert_eq!(kept("2", &["bucket[4]"]), [2, 4]);
    assert_eq!(kept("4", &[]), [2, 3, 4]);
}

#[test]
fn parts_of_lists_and_maps_have_sizes_only() {
    let schema = schema(&json!([{"id": 1, "name": "l", "required": true, "type":
        {"type": "list", "element-id": 2, "element-required": false, "element": "double"}}]));
    let double = |value| Cell::Value(Value::Double(value));
    let rows = [vec![double(1.0), Cell::Null], vec![], vec![double(f64::NAN)]]
        .map(|list| Row::from([(1, Cell::List(list))]));
    let metrics = write(&schema, &options(&json!({}), &schema), &[&rows]).unwrap().1.metrics;
    assert!(metrics.value_counts.is_empty() && metrics.null_value_counts.is_empty());
    assert!(metrics.column_sizes[&2] > 0);
    assert!(
        metrics.lower_bounds.is_empty()
            && metrics.upper_bounds.is_empty()
            && metrics.nan_value_counts.is_empty()
    );
}

#[test]
fn what_is_in_a_null_struct_is_no_value() {
    let schema = schema(&json!([{"id": 1, "name": "s", "required": false, "type":
        {"type": "struct", "fields": [{"id": 2, "name": "x", "required": true, "type": "double"}]}}]));
    let mut writer = FileWriter::new(Vec::new(), &schema, &options(&json!({}), &schema)).unwrap();
    let batch_schema = writer.schema().clone();
    let DataType::Struct(fields) = batch_schema.field(0).data_type() else { unreachable!() };
    let values: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 99.0, f64::NAN, 2.0]));
    let nulls = NullBuffer::from(vec![true, false, false, true]);
    let array = StructArray::new(fields.clone(), vec![values], Some(nulls));
    let batch = RecordBatch::try_new(batch_schema, vec![Arc::new(array)]).unwrap();
    writer.write(&batch).unwrap();
    let metrics = writer.finish().unwrap().1.metrics;
    assert_eq!(
        (metrics.value_counts[&2], metrics.null_value_counts[&2], metrics.nan_value_counts[&2]),
        (4, 2, 0)
    );
    assert_eq!(metrics.lower_bounds[&2], 1.0_f64.to_le_bytes());
    assert_eq!(metrics.upper_bounds[&2], 2.0_f64.to_le_bytes());
    // Nor does it delete anything, or is deleted by it.
    let mut deletes = DeletedKeys::new(vec![2], (1, 2), KeyPart::WHOLE);
    deletes.add(&batch.slice(1, 1), 2).unwrap();
    let gone = deletes.deleted(&batch, 1).unwrap();
    assert_eq!(gone.values().iter().collect::<Vec<_>>(), [false, true, true, false]);
}
