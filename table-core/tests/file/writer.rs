//! What a file that we write looks like from inside, and which rows are refused.

use std::sync::Arc;

use arrow_array::{ArrayRef, Decimal128Array, Int32Array, RecordBatch};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use parquet::schema::printer::print_schema;
use serde_json::json;
use table_core::expr::value::Value;
use table_core::file::parquet_writer::FileWriter;
use table_core::manifest::data_file::ColumnMetrics;
use table_core::metadata::schema::Schema;

use crate::common::{full, options, read, refuse, schema, schema_of, write};
use crate::model::{Cell, Row, to_batch};
use crate::random::Maker;

fn metadata(schema: &Schema, table: &serde_json::Value, rows: &[Row]) -> ParquetMetaData {
    let (bytes, _) = write(schema, &options(table, schema), &[rows]).unwrap();
    ParquetMetaDataReader::new().parse_and_finish(&bytes).unwrap()
}

/// As Java's `TypeToMessageType` converts it.
const EXPECTED: &str = "message table {
  REQUIRED BOOLEAN b [1];
  OPTIONAL INT32 i [2];
  OPTIONAL INT64 a_x2Eb [3];
  OPTIONAL INT32 _1st [4] (DECIMAL(9,2));
  OPTIONAL INT64 d18 [5] (DECIMAL(18,2));
  OPTIONAL FIXED_LEN_BYTE_ARRAY (9) d19 [6] (DECIMAL(19,2));
  OPTIONAL FIXED_LEN_BYTE_ARRAY (16) d38 [7] (DECIMAL(38,0));
  OPTIONAL INT32 date [8] (DATE);
  OPTIONAL INT64 time [9] (TIME(MICROS,false));
  OPTIONAL INT64 ts [10] (TIMESTAMP(MICROS,false));
  OPTIONAL INT64 tstz [11] (TIMESTAMP(MICROS,true));
  OPTIONAL INT64 tsns [12] (TIMESTAMP(NANOS,false));
  OPTIONAL INT64 tstzns [13] (TIMESTAMP(NANOS,true));
  OPTIONAL BYTE_ARRAY ü_xD83E_xDD80 [14] (STRING);
  OPTIONAL FIXED_LEN_BYTE_ARRAY (16) u [15] (UUID);
  OPTIONAL FIXED_LEN_BYTE_ARRAY (3) f [16];
  OPTIONAL BYTE_ARRAY bin [17];
  OPTIONAL group l [19] (LIST) {
    REPEATED group list {
      OPTIONAL INT32 element [20];
    }
  }
  OPTIONAL group m [21] (MAP) {
    REPEATED group key_value {
      REQUIRED BYTE_ARRAY key [22] (STRING);
      OPTIONAL group value [23] {
        REQUIRED INT32 x [24];
      }
    }
  }
}
";

#[test]
fn files_have_the_schema_that_java_gives_them() {
    let names = [
        "b", "i", "a.b", "1st", "d18", "d19", "d38", "date", "time", "ts", "tstz", "tsns", "tstzns", "ü🦀",
        "u", "f", "bin", "unknown",
    ];
    let types = [
        "boolean",
        "int",
        "long",
        "decimal(9, 2)",
        "decimal(18, 2)",
        "decimal(19, 2)",
        "decimal(38, 0)",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "timestamp_ns",
        "timestamptz_ns",
        "string",
        "uuid",
        "fixed[3]",
        "binary",
        "unknown",
    ];
    let mut fields: Vec<serde_json::Value> = (1..)
        .zip(names.iter().zip(types))
        .map(|(id, (name, kind))| json!({"id": id, "name": name, "required": id == 1, "type": kind}))
        .collect();
    fields.push(json!({"id": 19, "name": "l", "required": false, "type":
        {"type": "list", "element-id": 20, "element-required": false, "element": "int"}}));
    fields.push(json!({"id": 21, "name": "m", "required": false, "type":
        {"type": "map", "key-id": 22, "key": "string", "value-id": 23, "value-required": false, "value":
            {"type": "struct", "fields": [{"id": 24, "name": "x", "required": true, "type": "int"},
                {"id": 25, "name": "y", "required": false, "type": "unknown"}]}}}));
    let schema = schema(&json!(fields));
    let found = metadata(&schema, &json!({}), &[]);
    let mut text = Vec::new();
    print_schema(&mut text, found.file_metadata().schema());
    assert_eq!(String::from_utf8(text).unwrap(), EXPECTED);
    let entries = found.file_metadata().key_value_metadata().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].key.as_str(), entries[0].value.as_deref()),
        ("iceberg.schema", Some(schema.raw().as_str()))
    );
}

#[test]
fn properties_say_how_files_are_written() {
    let schema = schema(&json!([
        {"id": 1, "name": "c.d", "required": true, "type": "int"},
        {"id": 2, "name": "e", "required": true, "type": "int"}]));
    let rows: Vec<Row> =
        (0..1000).map(|value| Row::from([1, 2].map(|id| (id, Cell::Value(Value::Int(value)))))).collect();
    let codec = |table: serde_json::Value| {
        metadata(&schema, &table, &rows).row_group(0).column(0).compression().to_string()
    };
    assert!(codec(json!({})).starts_with("ZSTD"));
    assert_eq!(codec(json!({"write.parquet.compression-codec": "SNAPPY"})), "SNAPPY");
    assert!(codec(json!({"write.parquet.compression-codec": "nonsense"})).starts_with("ZSTD"));
    let table = json!({"write.parquet.bloom-filter-enabled.column.c.d": "true", "write.parquet.row-group-size-bytes": "1000"});
    let found = metadata(&schema, &table, &rows);
    assert!(found.num_row_groups() > 1 || found.row_group(0).num_rows() == 1000);
    assert!(found.row_group(0).column(0).bloom_filter_offset().is_some());
    assert!(found.row_group(0).column(1).bloom_filter_offset().is_none());
}

/// Statistics without NaN would make engines lose rows that consider it to be greater than every number.
#[test]
fn columns_with_nan_have_no_statistics() {
    let schema = schema(&json!([
        {"id": 1, "name": "d", "required": false, "type": "double"},
        {"id": 2, "name": "e", "required": false, "type": "double"},
        {"id": 3, "name": "l", "required": false, "type":
            {"type": "list", "element-id": 4, "element-required": false, "element": "float"}},
        {"id": 5, "name": "s", "required": false, "type": {"type": "struct", "fields": [
            {"id": 6, "name": "i", "required": false, "type": "int"},
            {"id": 7, "name": "f", "required": false, "type": "float"}]}},
    ]));
    let number = |value: f64| Cell::Value(Value::Double(value));
    let row = |d: f64, f: f32| {
        let list = Cell::List(vec![Cell::Value(Value::Float(f))]);
        let parts = [(6, Cell::Value(Value::Int(1))), (7, Cell::Value(Value::Float(1.0)))];
        Row::from([(1, number(d)), (2, number(1.0)), (3, list), (5, Cell::Struct(parts.into()))])
    };
    let with_statistics = |rows: &[Row]| -> Vec<String> {
        let metadata = metadata(&schema, &json!({}), rows);
        let [group] = metadata.row_groups() else { panic!("one row group") };
        let with_both = |column: &ColumnChunkMetaData| {
            assert_eq!(column.statistics().is_some(), column.column_index_offset().is_some());
            column.statistics().is_some().then(|| column.column_path().string())
        };
        group.columns().iter().filter_map(with_both).collect()
    };
    let all = ["d", "e", "l.list.element", "s.i", "s.f"];
    assert_eq!(with_statistics(&[row(1.0, 1.0), row(2.0, 2.0)]), all);
    assert_eq!(with_statistics(&[row(f64::NAN, 1.0), row(2.0, f32::NAN)]), ["e", "s.i", "s.f"]);
}

#[test]
fn names_that_become_one_are_told_apart() {
    let parts = |kind: &str| {
        json!([
        {"id": 1, "name": "a.b", "required": true, "type": "int"},
        {"id": 2, "name": "a_x2Eb", "required": true, "type": kind},
        {"id": 3, "name": "", "required": true, "type": "int"},
        {"id": 4, "name": "_", "required": true, "type": "int"}])
    };
    let schema = schema(&parts("int"));
    let row: Row = (1..=4).map(|id| (id, Cell::Value(Value::Int(id)))).collect();
    let (file, _) = write(&schema, &full(&schema), &[std::slice::from_ref(&row)]).unwrap();
    assert_eq!(read(&file, &schema.columns().unwrap().root).unwrap(), [row]);
    let names = metadata(&schema, &json!({}), &[]);
    let names = names.file_metadata().schema_descr().columns().iter().map(|column| column.name().to_owned());
    assert_eq!(names.collect::<Vec<_>>(), ["a_x2Eb", "a_x2Eb_2", "_", "__4"]);
}

#[test]
fn slices_are_written_as_what_they_show() {
    for seed in 0..100 {
        let mut maker = Maker::new(seed);
        let columns = maker.columns();
        let rows = maker.rows(&columns, 20);
        let schema = schema_of(&columns);
        let mut writer = FileWriter::new(Vec::new(), &schema, &full(&schema)).unwrap();
        let whole = to_batch(&rows, &columns);
        writer.write(&whole.slice(3, 5)).unwrap();
        writer.write(&whole.slice(10, 9)).unwrap();
        let (bytes, file) = writer.finish().unwrap();
        let shown: Vec<Row> = rows[3..8].iter().chain(&rows[10..19]).cloned().collect();
        assert_eq!(read(&bytes.into(), &columns).unwrap(), shown);
        let metrics = write(&schema, &full(&schema), &[&shown]).unwrap().1.metrics;
        let sizes = file.metrics.column_sizes.clone();
        assert_eq!(file.metrics, ColumnMetrics { column_sizes: sizes, ..metrics });
    }
}

#[test]
fn the_size_is_known_while_writing() {
    let schema = schema(&json!([{"id": 1, "name": "c", "required": true, "type": "long"}]));
    let mut writer = FileWriter::new(Vec::new(), &schema, &full(&schema)).unwrap();
    let mut last = writer.size_bytes();
    for round in 0..20_i64 {
        let rows: Vec<Row> = (0..1000)
            .map(|value| {
                Row::from([(1, Cell::Value(Value::Long((value * 7919 + round * 31) % 1_000_003 * round)))])
            })
            .collect();
        writer.write(&to_batch(&rows, &schema.columns().unwrap().root)).unwrap();
        assert!(writer.size_bytes() >= last);
        last = writer.size_bytes();
    }
    let (bytes, file) = writer.finish().unwrap();
    assert_eq!(i64::try_from(bytes.len()).unwrap(), file.size_bytes);
    assert!(last > bytes.len() / 3, "{last} of {}", bytes.len());
}

fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_from_iter((0..).zip(columns).map(|(name, array): (i32, _)| (name.to_string(), array)))
        .unwrap()
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let schema = schema(&json!([
        {"id": 1, "name": "c", "required": true, "type": "int"},
        {"id": 2, "name": "d", "required": false, "type": "decimal(4, 2)"}]));
    let write = |columns: Vec<ArrayRef>| {
        FileWriter::new(Vec::new(), &schema, &full(&schema)).unwrap().write(&batch(columns))
    };
    let decimal = |value: i128| -> ArrayRef {
        Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(4, 2).unwrap())
    };
    let int = |value: Option<i32>| -> ArrayRef { Arc::new(Int32Array::from(vec![value])) };
    write(vec![int(Some(1)), decimal(9999)]).unwrap();
    refuse(write(vec![int(None), decimal(1)]), "non-nullable");
    refuse(write(vec![int(Some(1)), decimal(10_000)]), "`d`");
    refuse(write(vec![int(Some(1)), int(Some(1))]), "have Int32 in `d`");
    refuse(write(vec![int(Some(1))]), "1 columns where the schema has 2");
}

#[test]
fn a_file_needs_something_to_hold() {
    let unknown = schema(&json!([{"id": 1, "name": "c", "required": false, "type": "unknown"}]));
    refuse(FileWriter::new(Vec::new(), &unknown, &full(&unknown)).map(|_| ()), "at least one column");
    for kind in ["variant", "geometry", "geography(srid:4326)", "odd", "fixed[3000000000]"] {
        let schema = schema(&json!([{"id": 1, "name": "c", "required": false, "type": kind}]));
        refuse(FileWriter::new(Vec::new(), &schema, &full(&schema)).map(|_| ()), "`c`");
    }
}
