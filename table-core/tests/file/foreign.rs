//! Files that others wrote: without ids, with old list layouts, and with the same values in many physical forms.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, FixedLenByteArray, Int96};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{GroupTypeBuilder, PrimitiveTypeBuilder};
use serde_json::{Value as Json, json};
use table_core::expr::value::Value;
use table_core::file::error::FileError;
use table_core::file::parquet_reader::FileReader;
use table_core::file::parquet_reader::context::FileContext;
use table_core::file::parquet_reader::name_mapping::NameMapping;
use table_core::metadata::reserved;
use table_core::metadata::types::{Primitive, StructType, Type};

use crate::common::{columns, read, read_with, refuse};
use crate::model::{Cell, Row, from_batch};

/// The values of one column, and its levels.
enum Values {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float(Vec<f32>),
    Bytes(Vec<&'static [u8]>),
    Fixed(Vec<&'static [u8]>),
}

struct Column(Values, Option<Vec<i16>>, Option<Vec<i16>>);

fn required(values: Values) -> Column {
    Column(values, None, None)
}

fn file(message: &str, columns: Vec<Column>) -> Bytes {
    let schema = Arc::new(parse_message_type(message).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for Column(values, definition, repetition) in columns {
        let (definition, repetition) = (definition.as_deref(), repetition.as_deref());
        let mut column = group.next_column().unwrap().unwrap();
        macro_rules! put {
            ($kind:ident, $values:expr) => {
                column
                    .typed::<parquet::data_type::$kind>()
                    .write_batch($values, definition, repetition)
                    .map(|_| ())
                    .unwrap()
            };
        }
        match &values {
            Values::Int32(values) => put!(Int32Type, values),
            Values::Int64(values) => put!(Int64Type, values),
            Values::Int96(values) => put!(Int96Type, values),
            Values::Float(values) => put!(FloatType, values),
            Values::Bytes(values) => {
                put!(
                    ByteArrayType,
                    &values.iter().map(|value| ByteArray::from(value.to_vec())).collect::<Vec<_>>()
                );
            }
            Values::Fixed(values) => {
                let fixed = |value: &&[u8]| FixedLenByteArray::from(value.to_vec());
                put!(FixedLenByteArrayType, &values.iter().map(fixed).collect::<Vec<_>>());
            }
        }
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.into_inner().unwrap().into()
}

fn wanted(name: &str, kind: &str) -> StructType {
    columns(&json!([{"id": 1, "name": name, "required": false, "type": kind}]))
}

/// Reads one column, `c`, of a file as a type.
fn read_as(declaration: &str, values: Values, kind: &str) -> Result<Vec<Json>, FileError> {
    let file = file(&format!("message m {{ required {declaration}; }}"), vec![required(values)]);
    let rows = read(&file, &wanted("c", kind))?;
    Ok(rows.iter().map(|row| to_json(&row[&1])).collect())
}

fn check(declaration: &str, values: Values, kind: &str, expected: &Json) {
    let found = read_as(declaration, values, kind).unwrap();
    assert_eq!(&Json::from(found), expected, "{declaration} as {kind}");
}

fn to_json(cell: &Cell) -> Json {
    match cell {
        Cell::Null => Json::Null,
        Cell::Value(value) => value.to_json(),
        Cell::Struct(parts) => parts.iter().map(|(id, cell)| (id.to_string(), to_json(cell))).collect(),
        Cell::List(elements) => elements.iter().map(to_json).collect(),
        Cell::Map(entries) => {
            entries.iter().map(|(key, value)| json!([to_json(key), to_json(value)])).collect()
        }
    }
}

fn int96(julian_day: u32, nanos: u64) -> Int96 {
    let mut value = Int96::new();
    value.set_data(
        u32::try_from(nanos & 0xffff_ffff).unwrap(),
        u32::try_from(nanos >> 32).unwrap(),
        julian_day,
    );
    value
}

#[test]
fn old_timestamps_of_any_year_are_read() {
    let values =
        || Values::Int96(vec![int96(2_440_588, 1_234_567_891), int96(5_373_484, 0), int96(1_721_426, 1000)]);
    let expected = json!([
        "1970-01-01T00:00:01.234567+00:00",
        "9999-12-31T00:00:00.000000+00:00",
        "0001-01-01T00:00:00.000001+00:00",
    ]);
    check("int96 c = 1", values(), "timestamptz", &expected);
    refuse(read_as("int96 c = 1", values(), "timestamp_ns"), "in `c`, which is of type `timestamp_ns`");
}

#[test]
fn times_of_any_unit_are_read() {
    let longs = |value| Values::Int64(vec![value]);
    check(
        "int64 c (TIMESTAMP(MILLIS,true)) = 1",
        longs(-1),
        "timestamptz",
        &json!(["1969-12-31T23:59:59.999000+00:00"]),
    );
    check("int64 c (TIMESTAMP_MILLIS) = 1", longs(1), "timestamp", &json!(["1970-01-01T00:00:00.001000"]));
    check(
        "int64 c (TIMESTAMP(NANOS,false)) = 1",
        longs(-1),
        "timestamp",
        &json!(["1969-12-31T23:59:59.999999"]),
    );
    check(
        "int64 c (TIMESTAMP(MICROS,false)) = 1",
        longs(-1),
        "timestamp_ns",
        &json!(["1969-12-31T23:59:59.999999000"]),
    );
    check("int64 c (TIME(NANOS,false)) = 1", longs(1999), "time", &json!(["00:00:00.000001"]));
    check("int32 c (TIME_MILLIS) = 1", Values::Int32(vec![1]), "time", &json!(["00:00:00.001000"]));
    check("int32 c = 1", Values::Int32(vec![1]), "date", &json!(["1970-01-02"]));
    check("int32 c (DATE) = 1", Values::Int32(vec![-1]), "timestamp", &json!(["1969-12-31T00:00:00.000000"]));
    check("int64 c = 1", longs(1), "timestamp", &json!(["1970-01-01T00:00:00.000001"]));
    let late = read_as("int64 c (TIMESTAMP(MILLIS,true)) = 1", longs(i64::MAX), "timestamptz");
    refuse(late, "is out of range");
    let date = Values::Int32(vec![1]);
    refuse(read_as("int32 c (DATE) = 1", date, "timestamptz"), "has Date32");
}

#[test]
fn unsigned_and_short_numbers_are_read_unless_they_are_too_large() {
    for kind in ["INT_8", "INT_16", "UINT_8", "UINT_16", "UINT_32"] {
        check(&format!("int32 c ({kind}) = 1"), Values::Int32(vec![7]), "int", &json!([7]));
        check(&format!("int32 c ({kind}) = 1"), Values::Int32(vec![7]), "long", &json!([7]));
    }
    check("int32 c (UINT_32) = 1", Values::Int32(vec![-1]), "long", &json!([4_294_967_295_u32]));
    refuse(read_as("int32 c (UINT_32) = 1", Values::Int32(vec![-1]), "int"), "convert");
    check("int64 c (UINT_64) = 1", Values::Int64(vec![7]), "long", &json!([7]));
    refuse(read_as("int64 c (UINT_64) = 1", Values::Int64(vec![-1]), "long"), "convert");
    refuse(read_as("int64 c = 1", Values::Int64(vec![1]), "int"), "the file has Int64 in `c`");
    check("float c = 1", Values::Float(vec![0.1]), "double", &json!([f64::from(0.1_f32)]));
}

#[test]
fn decimals_of_any_form_are_read() {
    let expected = json!(["-1.23"]);
    check("int32 c (DECIMAL(9,2)) = 1", Values::Int32(vec![-123]), "decimal(9,2)", &expected);
    check("int64 c (DECIMAL(9,2)) = 1", Values::Int64(vec![-123]), "decimal(20,2)", &expected);
    let bytes: Vec<&[u8]> = vec![&[0xff, 0xff, 0x85]];
    check("binary c (DECIMAL(9,2)) = 1", Values::Bytes(bytes.clone()), "decimal(9,2)", &expected);
    check("fixed_len_byte_array(3) c (DECIMAL(6,2)) = 1", Values::Fixed(bytes), "decimal(9,2)", &expected);
    let wide: &[u8; 20] = &[0xff; 20];
    check(
        "fixed_len_byte_array(20) c (DECIMAL(38,2)) = 1",
        Values::Fixed(vec![wide]),
        "decimal(38,2)",
        &json!(["-0.01"]),
    );
    refuse(read_as("int32 c (DECIMAL(9,3)) = 1", Values::Int32(vec![1]), "decimal(9,2)"), "Decimal128(9, 3)");
    let large = Values::Int64(vec![12_345]);
    refuse(read_as("int64 c (DECIMAL(9,2)) = 1", large, "decimal(4,2)"), "convert");
}

#[test]
fn strings_without_an_annotation_are_read_if_they_are_strings() {
    let text: Vec<&[u8]> = vec!["äh".as_bytes()];
    check("binary c = 1", Values::Bytes(text.clone()), "string", &json!(["äh"]));
    check("binary c (ENUM) = 1", Values::Bytes(text.clone()), "string", &json!(["äh"]));
    check("binary c (JSON) = 1", Values::Bytes(text.clone()), "string", &json!(["äh"]));
    check("fixed_len_byte_array(3) c = 1", Values::Fixed(text.clone()), "string", &json!(["äh"]));
    check("binary c (UTF8) = 1", Values::Bytes(text.clone()), "binary", &json!(["C3A468"]));
    check("fixed_len_byte_array(3) c = 1", Values::Fixed(text.clone()), "binary", &json!(["C3A468"]));
    check("binary c = 1", Values::Bytes(text.clone()), "fixed[3]", &json!(["C3A468"]));
    refuse(read_as("binary c = 1", Values::Bytes(text), "fixed[4]"), "convert");
    refuse(read_as("binary c = 1", Values::Bytes(vec![&[0xff]]), "string"), "convert");
    refuse(read_as("binary c (UTF8) = 1", Values::Bytes(vec![&[0xff]]), "string"), "UTF-8");
}

const LISTS: [&str; 5] = [
    "optional group c (LIST) = 1 { repeated int32 array; }",
    "optional group c (LIST) = 1 { repeated group bag { required int32 array_element; } }",
    "optional group c (LIST) = 1 { repeated group list { required int32 item; } }",
    "required group c (LIST) = 1 { repeated group list { required int32 element; } }",
    "repeated int32 c = 1;",
];

const STRUCT_LISTS: [&str; 4] = [
    "optional group c (LIST) = 1 { repeated group array { required int32 a = 3; } }",
    "optional group c (LIST) = 1 { repeated group c_tuple { required int32 a = 3; } }",
    "optional group c (LIST) = 1 { repeated group list { required group element = 2 { required int32 a = 3; } } }",
    "repeated group c = 1 { required int32 a = 3; }",
];

/// Reads `[1, 2]`, `[]` and `[3]` from lists of a layout, beside a column that the decoder needs hints for, or not.
fn read_lists(layout: &str, wanted: &Json, beside: Option<&str>) -> Vec<Json> {
    let depth = if layout.starts_with("optional") { 2 } else { 1 };
    let definition = Some(vec![depth, depth, depth - 1, depth]);
    let mut values = vec![Column(Values::Int32(vec![1, 2, 3]), definition, Some(vec![0, 1, 0, 0]))];
    if beside.is_some() {
        values.push(required(Values::Int96(vec![int96(2_440_588, 0); 3])));
    }
    let message = format!("message m {{ {layout} {} }}", beside.unwrap_or_default());
    let rows = read(&file(&message, values), &columns(wanted)).unwrap();
    rows.iter().map(|row| to_json(&row[&1])).collect()
}

#[test]
fn lists_of_any_layout_are_read() {
    let list = |element: Json| {
        let list = json!({"type": "list", "element-id": 2, "element-required": false, "element": element});
        json!([{"id": 1, "name": "c", "required": false, "type": list}])
    };
    let part =
        json!({"type": "struct", "fields": [{"id": 3, "name": "a", "required": false, "type": "int"}]});
    for beside in [None, Some("required int96 t = 9;")] {
        for layout in LISTS {
            let found = read_lists(layout, &list(json!("int")), beside);
            assert_eq!(found, [json!([1, 2]), json!([]), json!([3])], "{layout}");
        }
        for layout in STRUCT_LISTS {
            let found = read_lists(layout, &list(part.clone()), beside);
            let row = |value: i32| json!({"3": value});
            assert_eq!(found, [json!([row(1), row(2)]), json!([]), json!([row(3)])], "{layout}");
        }
    }
}

#[test]
fn maps_of_hive_are_read() {
    let map = json!([{"id": 1, "name": "c", "required": false, "type":
        {"type": "map", "key-id": 2, "key": "string", "value-id": 3, "value-required": false, "value": "int"}}]);
    let layout = "optional group c (MAP) = 1 { repeated group map (MAP_KEY_VALUE) { required binary key (UTF8); optional int32 value; } }";
    let keys = Column(Values::Bytes(vec![b"a", b"b"]), Some(vec![2, 2, 0]), Some(vec![0, 1, 0]));
    let values = Column(Values::Int32(vec![1]), Some(vec![3, 2, 0]), Some(vec![0, 1, 0]));
    let rows = read(&file(&format!("message m {{ {layout} }}"), vec![keys, values]), &columns(&map)).unwrap();
    let rows: Vec<Json> = rows.iter().map(|row| to_json(&row[&1])).collect();
    assert_eq!(rows, [json!([["a", 1], ["b", null]]), Json::Null]);
}

#[test]
fn columns_of_one_type_are_never_taken_for_each_other() {
    let two = file(
        "message m { required int32 a = 1; required int32 b = 2; }",
        vec![required(Values::Int32(vec![1])), required(Values::Int32(vec![2]))],
    );
    let swapped = columns(&json!([
        {"id": 2, "name": "a", "required": false, "type": "int"},
        {"id": 3, "name": "b", "required": false, "type": "int"},
        {"id": 1, "name": "c", "required": false, "type": "int"},
    ]));
    let row = read(&two, &swapped).unwrap().remove(0);
    assert_eq!([2, 3, 1].map(|id| to_json(&row[&id])), [json!(2), Json::Null, json!(1)]);
}

fn nested_without_ids() -> Bytes {
    file(
        "message m { required int32 a; required group s { required int32 x; required int32 y; }
        optional group l (LIST) { repeated group list { required int32 odd; } } }",
        vec![
            required(Values::Int32(vec![1])),
            required(Values::Int32(vec![2])),
            required(Values::Int32(vec![3])),
            Column(Values::Int32(vec![4]), Some(vec![2]), Some(vec![0])),
        ],
    )
}

fn nested_columns() -> StructType {
    columns(&json!([
        {"id": 7, "name": "l", "required": false, "type": {"type": "list", "element-id": 8, "element-required": false, "element": "int"}},
        {"id": 2, "name": "s", "required": false, "type": {"type": "struct", "fields": [
            {"id": 5, "name": "renamed", "required": false, "type": "int"},
            {"id": 4, "name": "x", "required": false, "type": "int"}]}},
        {"id": 1, "name": "a", "required": false, "type": "int"},
    ]))
}

#[test]
fn a_struct_is_told_from_null_by_parts_that_are_no_longer_wanted() {
    let message = "message m { optional group s = 1 { required group old (MAP) = 2 {
        repeated group key_value { required int32 key = 3; required int32 value = 4; } } } }";
    let entry = || Column(Values::Int32(vec![7]), Some(vec![2, 0, 1]), Some(vec![0, 0, 0]));
    let wanted = columns(&json!([{"id": 1, "name": "s", "required": false, "type":
        {"type": "struct", "fields": [{"id": 5, "name": "new", "required": false, "type": "int"}]}}]));
    let rows = read(&file(message, vec![entry(), entry()]), &wanted).unwrap();
    let rows: Vec<Json> = rows.iter().map(|row| to_json(&row[&1])).collect();
    assert_eq!(rows, [json!({"5": null}), Json::Null, json!({"5": null})]);
}

#[test]
fn names_are_mapped_where_there_are_no_ids() {
    let mapping = NameMapping::parse(r#"[
        {"field-id": 1, "names": ["a", "b"]},
        {"field-id": 2, "names": ["s"], "fields": [{"field-id": 4, "names": ["x"]}, {"field-id": 5, "names": ["renamed", "y"]}]},
        {"field-id": 7, "names": ["l"], "fields": [{"field-id": 8, "names": ["element"]}]}]"#).unwrap();
    let context = FileContext { name_mapping: Some(mapping), ..FileContext::new("") };
    let row = read_with(&nested_without_ids(), &nested_columns(), context).unwrap().remove(0);
    let found: Json = row.iter().map(|(id, cell)| (id.to_string(), to_json(cell))).collect();
    assert_eq!(found, json!({"1": 1, "2": {"4": 2, "5": 3}, "7": [4]}));
    assert!(
        NameMapping::parse(r#"[{"field-id": 1, "names": ["a"]}, {"field-id": 2, "names": ["a"]}]"#).is_err()
    );
}

#[test]
fn without_ids_and_mapping_the_order_counts_at_the_top_only() {
    let rows = read(&nested_without_ids(), &wanted("any", "int")).unwrap();
    assert_eq!(to_json(&rows[0][&1]), json!(1));
    refuse(read(&nested_without_ids(), &nested_columns()), "schema.name-mapping.default");
}

#[test]
fn a_column_that_the_file_lacks_is_what_is_known_of_it() {
    let one = file("message m { required int32 a = 1; }", vec![required(Values::Int32(vec![1, 2]))]);
    let field = |kind: Json, default: Json| {
        columns(
            &json!([{"id": 9, "name": "new", "required": true, "type": kind, "initial-default": default}]),
        )
    };
    let cell = |wanted: &StructType, context| to_json(&read_with(&one, wanted, context).unwrap()[1][&9]);
    let none = || FileContext::new("");
    assert_eq!(cell(&field(json!("string"), json!("x")), none()), json!("x"));
    let known = FileContext { constants: BTreeMap::from([(9, Some(Value::Int(5)))]), ..none() };
    assert_eq!(cell(&field(json!("long"), json!(7)), known.clone()), json!(5));
    refuse(read_with(&one, &field(json!("string"), json!("x")), known), "partition");
    let parts = json!({"type": "struct", "fields": [
        {"id": 10, "name": "p", "required": false, "type": "int", "initial-default": 3},
        {"id": 11, "name": "q", "required": false, "type": "int"}]});
    assert_eq!(cell(&field(parts, json!({})), none()), json!({"10": 3, "11": null}));
    refuse(read(&one, &field(json!("int"), Json::Null)), "required column `new`");
    // What the file has counts more than the partition.
    let other = FileContext { constants: BTreeMap::from([(1, Some(Value::Int(5)))]), ..none() };
    assert_eq!(to_json(&read_with(&one, &wanted("a", "int"), other).unwrap()[1][&1]), json!(2));
}

#[test]
fn lineage_is_the_files_own_where_it_has_it() {
    let (row_id, sequence) = (reserved::ROW_ID, reserved::LAST_UPDATED_SEQUENCE_NUMBER);
    let own = file(
        &format!(
            "message m {{ required int32 a = 1; optional int64 _row_id = {row_id};
        optional int64 _last_updated_sequence_number = {sequence}; }}"
        ),
        vec![
            required(Values::Int32(vec![1, 2])),
            Column(Values::Int64(vec![50]), Some(vec![1, 0]), None),
            Column(Values::Int64(vec![9]), Some(vec![0, 1]), None),
        ],
    );
    let wanted = StructType {
        fields: vec![reserved::row_id(), reserved::last_updated_sequence_number(), reserved::file_path()],
        other: Vec::new(),
    };
    let context = FileContext { first_row_id: Some(100), sequence_number: Some(3), ..FileContext::new("f") };
    let rows = read_with(&own, &wanted, context.clone()).unwrap();
    let found = |row: &Row| [row_id, sequence, reserved::FILE_PATH].map(|id| to_json(&row[&id]));
    assert_eq!(found(&rows[0]), [json!(50), json!(3), json!("f")]);
    assert_eq!(found(&rows[1]), [json!(101), json!(9), json!("f")]);
    let plain = file("message m { required int32 a = 1; }", vec![required(Values::Int32(vec![1, 2]))]);
    let rows = read_with(&plain, &wanted, context).unwrap();
    assert_eq!(found(&rows[1]), [json!(101), json!(3), json!("f")]);
}

#[test]
fn a_dictionary_at_the_beginning_of_the_file_is_none() {
    let one = file("message m { required int32 c = 1; }", vec![required(Values::Int32(vec![1, 2, 1]))]);
    let plain = WriterProperties::builder().set_dictionary_enabled(false).build();
    let schema = Arc::new(parse_message_type("message m { required int32 c = 1; }").unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(plain)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<parquet::data_type::Int32Type>().write_batch(&[1, 2, 1], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    let without = Bytes::from(writer.into_inner().unwrap());
    for file in [one, without] {
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&file).unwrap();
        let mut group = metadata.row_group(0).clone().into_builder();
        let column = group.take_columns().remove(0);
        let dictionary = column.dictionary_page_offset().unwrap_or(0);
        let column = column.into_builder().set_dictionary_page_offset(Some(dictionary)).build().unwrap();
        let group = group.set_column_metadata(vec![column]).build().unwrap();
        let metadata = Arc::new(ParquetMetaData::new(metadata.file_metadata().clone(), vec![group]));
        let reader = FileReader::new(metadata, &wanted("c", "int"), FileContext::new("")).unwrap();
        let batches: Vec<RecordBatch> = reader.read(&file).map(Result::unwrap).collect();
        assert_eq!(from_batch(&batches[0], &wanted("c", "int")).len(), 3);
    }
}

#[test]
fn a_column_that_is_always_null_is_null_in_any_type() {
    let always = PrimitiveTypeBuilder::new("c", Physical::INT32)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(LogicalType::Unknown))
        .with_id(Some(1));
    let always = always.build().unwrap();
    let root = GroupTypeBuilder::new("m").with_fields(vec![Arc::new(always)]).build().unwrap();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(root), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<parquet::data_type::Int32Type>().write_batch(&[], Some(&[0, 0]), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    let file = Bytes::from(writer.into_inner().unwrap());
    for kind in ["string", "int", "decimal(9,2)", "timestamptz", "unknown", "uuid"] {
        let rows = read(&file, &wanted("c", kind)).unwrap();
        assert_eq!(rows, [Row::from([(1, Cell::Null)]), Row::from([(1, Cell::Null)])], "{kind}");
    }
}

#[test]
fn long_rows_make_short_batches() {
    static LONG: [u8; 1 << 20] = [b'x'; 1 << 20];
    let rows = file(
        "message m { required binary c (UTF8) = 1; required int32 d = 2; }",
        vec![
            required(Values::Bytes((0..100).map(|row| &LONG[row..]).collect())),
            required(Values::Int32((0..100).collect())),
        ],
    );
    let lengths = |columns: &StructType| {
        let reader = FileReader::open(&rows, columns, FileContext::new("")).unwrap();
        reader.read(&rows).map(|batch| batch.unwrap().num_rows()).collect::<Vec<_>>()
    };
    assert_eq!(lengths(&wanted("c", "string")), [63, 37]);
    let short = json!([{"id": 2, "name": "d", "required": false, "type": "int"}]);
    assert_eq!(lengths(&columns(&short)), [100]);
}

#[test]
fn types_that_cannot_be_rewritten_are_refused_by_name() {
    let one = file("message m { required int32 a = 1; }", vec![required(Values::Int32(vec![1]))]);
    for kind in [
        Primitive::Variant,
        Primitive::Geometry(String::new()),
        Primitive::Geography(String::new()),
        Primitive::Other("odd".to_owned()),
    ] {
        let mut wanted = wanted("v", "int");
        wanted.fields[0].field_type = Type::Primitive(kind);
        refuse(read(&one, &wanted), "cannot be rewritten");
    }
}

/// What a writer may tell of the one column of a file.
struct Told {
    created_by: &'static str,
    /// Where it says that the data begins, and the dictionary.
    data: i64,
    dictionary: Option<i64>,
    length: i64,
    /// A field that should be the length of a bloom filter, with its type.
    bloom_filter_length: Option<(u8, Vec<u8>)>,
}

/// The bytes of a file with one required column, and metadata that tells of it as wanted.
fn told(file: &Bytes, tell: impl Fn(&ParquetMetaData) -> Told) -> Bytes {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(file).unwrap();
    let column = metadata.row_group(0).column(0);
    let zigzag = |number: i64| {
        let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
        let mut bytes = Vec::new();
        while rest > 0x7f {
            bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        bytes.push(u8::try_from(rest).unwrap());
        bytes
    };
    let field = |step: u8, code: u8, value: &[u8]| [&[step << 4 | code], value].concat();
    let number = |step: u8, code: u8, value: i64| field(step, code, &zigzag(value));
    let Told { created_by, data, dictionary, length, bloom_filter_length } = tell(&metadata);
    let kind = i64::from(column.column_type() as i32);
    let name = [&[1][..], b"c"].concat();
    let schema = [
        field(4, 8, &[1, b'm']),
        number(1, 5, 1),
        vec![0],
        number(1, 5, kind),
        number(2, 5, 0),
        field(1, 8, &name),
        number(5, 5, 1),
        vec![0],
    ];
    let mut of_column = vec![
        number(1, 5, kind),
        field(1, 9, &[0x25, 0, 4]),
        field(1, 9, &[&[0x18][..], &name].concat()),
        number(1, 5, 0),
        number(1, 6, column.num_values()),
        number(1, 6, column.uncompressed_size()),
        number(1, 6, length),
        number(2, 6, data),
    ];
    of_column.extend(dictionary.map(|place| number(2, 6, place)));
    let last = if dictionary.is_some() { 11 } else { 9 };
    of_column.extend(bloom_filter_length.map(|(code, value)| field(15 - last, code, &value)));
    of_column.push(vec![0]);
    let rows = metadata.file_metadata().num_rows();
    let group = [
        field(1, 9, &[0x1c]),
        number(2, 6, 4),
        field(1, 12, &of_column.concat()),
        vec![0],
        number(1, 6, column.uncompressed_size()),
        number(1, 6, rows),
        vec![0],
    ];
    let footer = [
        number(1, 5, 1),
        field(1, 9, &[0x2c]),
        schema.concat(),
        number(1, 6, rows),
        field(1, 9, &[0x1c]),
        group.concat(),
        field(2, 8, &[&[u8::try_from(created_by.len()).unwrap()], created_by.as_bytes()].concat()),
        vec![0],
    ]
    .concat();
    let (start, bytes) = column.byte_range();
    let end = usize::try_from(start + bytes).unwrap();
    let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
    // As much as any column is followed by.
    [&file[..end], &[0; 40], &footer, &length, b"PAR1"].concat().into()
}

fn plainly(metadata: &ParquetMetaData) -> Told {
    let column = metadata.row_group(0).column(0);
    Told {
        created_by: "somebody",
        data: column.data_page_offset(),
        dictionary: column.dictionary_page_offset(),
        length: column.compressed_size(),
        bloom_filter_length: None,
    }
}

/// Texts that are in a dictionary.
fn texts() -> (Bytes, Vec<Row>) {
    let texts = ["one", "two", "three"].map(str::as_bytes).repeat(7);
    let one = file("message m { required binary c = 1; }", vec![required(Values::Bytes(texts))]);
    let rows = read(&one, &wanted("c", "string")).unwrap();
    assert_eq!(rows.len(), 21);
    (one, rows)
}

#[test]
fn a_field_of_another_type_is_skipped_as_thrift_does() {
    let (one, rows) = texts();
    let kinds =
        [(9, vec![0x1c, 0x15, 6, 0x1c, 0x15, 8, 0, 0]), (8, vec![2, 0x15, 0]), (1, vec![]), (5, vec![2])];
    for (code, value) in kinds {
        let odd = told(&one, |metadata| Told {
            bloom_filter_length: Some((code, value.clone())),
            ..plainly(metadata)
        });
        assert_eq!(read(&odd, &wanted("c", "string")).unwrap(), rows, "{code}");
    }
}

#[test]
fn a_dictionary_at_position_0_is_none() {
    let values = Values::Int32((0..20).collect());
    let message = "message m { required int32 c = 1; }";
    let schema = Arc::new(parse_message_type(message).unwrap());
    let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let Values::Int32(numbers) = &values else { unreachable!() };
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<parquet::data_type::Int32Type>().write_batch(numbers, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    let plain: Bytes = writer.into_inner().unwrap().into();
    let odd = told(&plain, |metadata| Told { dictionary: Some(0), ..plainly(metadata) });
    assert_eq!(read(&odd, &wanted("c", "int")).unwrap().len(), 20);
}

#[test]
fn the_header_of_a_dictionary_may_be_missing_from_sizes() {
    let (one, rows) = texts();
    for created_by in ["parquet-mr", "parquet-mr version 1.2.8 (build x)", "parquet-mr version 1.0.0-t1"] {
        // Old writers of Java's also said that the data begins where the dictionary does.
        for dictionary in [false, true] {
            let odd = told(&one, |metadata| {
                let told = plainly(metadata);
                let place = told.dictionary.unwrap();
                let data = if dictionary { told.data } else { place };
                Told {
                    created_by,
                    length: told.length - 15,
                    data,
                    dictionary: dictionary.then_some(place),
                    ..told
                }
            });
            assert_eq!(read(&odd, &wanted("c", "string")).unwrap(), rows, "{created_by}");
        }
    }
    let newer = told(&one, |metadata| {
        let told = plainly(metadata);
        Told { created_by: "parquet-mr version 1.12.0", length: told.length - 15, ..told }
    });
    refuse(read(&newer, &wanted("c", "string")), "");
}

#[test]
fn a_column_of_nulls_alone_is_read_as_any_type() {
    let (name, id) = ("c", Some(1));
    let column = PrimitiveTypeBuilder::new(name, Physical::INT32)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(LogicalType::Unknown))
        .with_id(id);
    let root =
        GroupTypeBuilder::new("m").with_fields(vec![Arc::new(column.build().unwrap())]).build().unwrap();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(root), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<parquet::data_type::Int32Type>().write_batch(&[], Some(&[0; 5]), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    let nulls: Bytes = writer.into_inner().unwrap().into();
    for kind in ["int", "string", "timestamptz", "decimal(9, 2)", "uuid", "boolean", "unknown", "fixed[3]"] {
        let rows = read(&nulls, &wanted("c", kind)).unwrap();
        assert_eq!(
            rows.iter().map(|row| to_json(&row[&1])).collect::<Vec<_>>(),
            vec![Json::Null; 5],
            "{kind}"
        );
    }
    let list = json!({"type": "list", "element-id": 2, "element-required": false, "element": "int"});
    let parts =
        json!({"type": "struct", "fields": [{"id": 2, "name": "p", "required": false, "type": "int"}]});
    let map = json!({
        "type": "map", "key-id": 2, "key": "string", "value-id": 3, "value-required": false, "value": "int",
    });
    for kind in [list, parts, map] {
        let wanted = columns(&json!([{"id": 1, "name": "c", "required": false, "type": kind}]));
        let rows = read(&nulls, &wanted).unwrap();
        assert_eq!(
            rows.iter().map(|row| to_json(&row[&1])).collect::<Vec<_>>(),
            vec![Json::Null; 5],
            "{wanted:?}"
        );
    }
}
