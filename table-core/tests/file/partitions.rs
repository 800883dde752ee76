//! Rows are told apart by partition as a look at each of them would.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema};
use serde_json::{Value as Json, json};
use table_core::expr::value::Value;
use table_core::file::arrow_schema::to_arrow;
use table_core::file::error::FileError;
use table_core::file::partition_rows::Partitioner;
use table_core::manifest::partition::PartitionTuple;
use table_core::metadata::json::Raw;
use table_core::metadata::partition::PartitionSpec;
use table_core::metadata::schema::Field;
use table_core::metadata::transform::Transform;
use table_core::metadata::types::{Primitive, StructType, Type};

use crate::common::{columns, refuse};
use crate::model::{Cell, Row, to_batch};
use crate::random::Maker;

type Parts = Vec<(PartitionTuple, Vec<u32>)>;

/// The spec of some transforms of columns.
fn spec(fields: &[(&str, i32)]) -> PartitionSpec {
    let field = |(place, (transform, id)): (usize, &(&str, i32))| json!({"name": format!("f{place}"), "transform": transform, "source-id": id, "field-id": 1000 + place});
    let fields: Json = fields.iter().enumerate().map(field).collect();
    PartitionSpec::parse(Raw::parse(&json!({"spec-id": 0, "fields": fields}).to_string()).unwrap()).unwrap()
}

fn split(columns: &StructType, fields: &[(&str, i32)], batch: &RecordBatch) -> Result<Parts, FileError> {
    Partitioner::new(columns, &spec(fields))?.split(batch)
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

/// The columns outside of lists and maps that have no parts.
pub(crate) fn leaves(fields: &[Field], above: &[i32], found: &mut Vec<(Vec<i32>, Primitive)>) {
    for field in fields {
        let path = [above, &[field.id]].concat();
        match &field.field_type {
            Type::Primitive(primitive) => found.push((path, primitive.clone())),
            Type::Struct(parts) => leaves(&parts.fields, &path, found),
            _ => {}
        }
    }
}

/// Random transforms of random columns: the path to each, its transform.
pub(crate) fn any_fields(maker: &mut Maker, columns: &StructType) -> Vec<(Vec<i32>, String)> {
    let mut found = Vec::new();
    leaves(&columns.fields, &[], &mut found);
    let mut fields = Vec::new();
    for _ in 0..maker.random.below(4) {
        let (path, primitive) = found[maker.random.below(found.len())].clone();
        let names = ["identity", "bucket[3]", "bucket[50]", "truncate[2]", "truncate[20]"];
        let more = ["year", "month", "day", "hour", "void"];
        let accepted = names.iter().chain(&more);
        let accepted = accepted.filter(|name| Transform::parse(name).accepts(&primitive) == Some(true));
        let accepted: Vec<_> = accepted.collect();
        fields.push((path, (*accepted[maker.random.below(accepted.len())]).to_owned()));
    }
    fields
}

/// A batch of rows of which some occur again, next to each other or not.
pub(crate) fn any_rows(maker: &mut Maker, columns: &StructType) -> Vec<Row> {
    let count = maker.random.below(40);
    let mut rows = maker.rows(columns, count);
    for _ in 0..maker.random.below(40) {
        if rows.is_empty() {
            break;
        }
        let again = rows[maker.random.below(rows.len())].clone();
        rows.insert(maker.random.below(rows.len() + 1), again);
    }
    rows
}

/// What a field makes of a row.
pub(crate) fn result(row: &Row, (path, transform): &(Vec<i32>, String)) -> Option<Value> {
    let (last, above) = path.split_last().unwrap();
    let mut row = row;
    for id in above {
        match &row[id] {
            Cell::Struct(parts) => row = parts,
            _ => return None,
        }
    }
    match &row[last] {
        Cell::Value(value) => Transform::parse(transform).apply(value),
        _ => None,
    }
}

/// The seed of random tests: the same one each time, or that of `FIRN_SEED`.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("FIRN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    eprintln!("FIRN_SEED={seed}");
    seed
}

#[test]
fn every_row_is_in_the_partition_that_it_has_by_itself() {
    let seed = seed();
    let (mut partitions, mut nested) = (0, 0);
    for round in 0..400 {
        let mut maker = Maker::new(seed.wrapping_mul(1000).wrapping_add(round));
        let columns = maker.columns();
        let fields = any_fields(&mut maker, &columns);
        let rows = any_rows(&mut maker, &columns);
        let start = maker.random.below(rows.len() + 1);
        let mut expected: Parts = Vec::new();
        for (row, number) in rows[start..].iter().zip(0..) {
            let tuple: PartitionTuple = fields.iter().map(|field| result(row, field)).collect();
            match expected.iter_mut().find(|(known, _)| *known == tuple) {
                Some((_, numbers)) => numbers.push(number),
                None => expected.push((tuple, vec![number])),
            }
        }
        // A slice, so that its arrays do not begin at their beginning.
        let batch = to_batch(&rows, &columns).slice(start, rows.len() - start);
        let named: Vec<_> =
            fields.iter().map(|(path, transform)| (transform.as_str(), *path.last().unwrap())).collect();
        assert_eq!(split(&columns, &named, &batch).unwrap(), expected, "round {round}: {fields:?}");
        partitions += expected.len();
        nested += fields.iter().filter(|(path, _)| path.len() > 1).count();
    }
    assert!(partitions > 2000 && nested > 50, "{partitions} partitions, {nested} nested fields");
}

#[test]
fn partitions_are_in_the_order_of_their_first_rows() {
    let columns = columns(&json!([
        {"id": 1, "name": "a", "required": false, "type": "string"},
        {"id": 2, "name": "b", "required": false, "type": "int"},
    ]));
    let a: ArrayRef = Arc::new(StringArray::from(vec![Some("xa"), None, Some("ya"), Some("xb"), None]));
    let b: ArrayRef = Arc::new(Int32Array::from(vec![11, 2, 3, 19, 25]));
    let batch = RecordBatch::try_new(to_arrow(&columns).unwrap(), vec![a, b]).unwrap();
    let parts = split(&columns, &[("truncate[1]", 1), ("void", 2), ("truncate[10]", 2)], &batch).unwrap();
    let int = |value| Some(Value::Int(value));
    let expected = vec![
        (vec![Some(text("x")), None, int(10)], vec![0, 3]),
        (vec![None, None, int(0)], vec![1]),
        (vec![Some(text("y")), None, int(0)], vec![2]),
        (vec![None, None, int(20)], vec![4]),
    ];
    assert_eq!(parts, expected);
    assert_eq!(split(&columns, &[], &batch).unwrap(), vec![(vec![], vec![0, 1, 2, 3, 4])]);
    assert_eq!(split(&columns, &[("void", 7)], &batch).unwrap(), vec![(vec![None], vec![0, 1, 2, 3, 4])]);
    assert_eq!(split(&columns, &[], &batch.slice(2, 0)).unwrap(), vec![]);
}

#[test]
fn columns_are_found_by_id_and_null_structs_hide_what_is_in_them() {
    let columns = columns(&json!([
        {"id": 1, "name": "x", "required": false, "type": "string"},
        {"id": 2, "name": "s", "required": false, "type": {"type": "struct", "fields": [
            {"id": 3, "name": "x", "required": true, "type": "string"}]}},
    ]));
    let schema = to_arrow(&columns).unwrap();
    let DataType::Struct(parts) = schema.field(1).data_type() else { unreachable!() };
    let inner: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "a"]));
    let outer: ArrayRef = Arc::new(StringArray::from(vec!["o", "o", "o"]));
    let nulls = NullBuffer::from(vec![true, true, false]);
    let holder: ArrayRef = Arc::new(StructArray::new(parts.clone(), vec![inner], Some(nulls)));
    // In another order, and with a column that the table does not have.
    let other = Arc::new(ArrowField::new("x", DataType::Utf8, true));
    let (x, s) = (schema.fields()[0].clone(), schema.fields()[1].clone());
    let batch = RecordBatch::try_new(
        Arc::new(ArrowSchema::new(vec![other, s, x])),
        vec![Arc::new(StringArray::from(vec!["n", "n", "n"])), holder, outer],
    );
    let parts = split(&columns, &[("identity", 3), ("identity", 1)], &batch.unwrap()).unwrap();
    let expected = vec![
        (vec![Some(text("a")), Some(text("o"))], vec![0]),
        (vec![Some(text("b")), Some(text("o"))], vec![1]),
        (vec![None, Some(text("o"))], vec![2]),
    ];
    assert_eq!(parts, expected);
}

#[test]
fn what_is_not_known_is_refused() {
    let columns = columns(&json!([
        {"id": 1, "name": "a", "required": false, "type": "long"},
        {"id": 2, "name": "l", "required": false,
            "type": {"type": "list", "element-id": 3, "element-required": true, "element": "long"}},
        {"id": 4, "name": "t", "required": false, "type": "timestamp"},
    ]));
    let refused = |transform: &str, id: i32, reason: &str| {
        refuse(Partitioner::new(&columns, &spec(&[(transform, id)])), reason);
    };
    refused("zorder", 1, "the transform `zorder` is unknown");
    refused("identity", 9, "no column 9");
    refused("identity", 3, "no column 3");
    refused("identity", 2, "`identity` of `l`, which is of type `list`, is not supported");
    refused("day", 1, "`day` of `a`, which is of type `long`, is not supported");
    let many = json!({"spec-id": 0, "fields": [
        {"name": "f", "transform": "bucket[4]", "source-ids": [1, 4], "field-id": 1000}]});
    let many = PartitionSpec::parse(Raw::parse(&many.to_string()).unwrap()).unwrap();
    refuse(Partitioner::new(&columns, &many), "`bucket[4]` of 2 columns is not supported");
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let long = columns(&json!([{"id": 1, "name": "a", "required": false, "type": "long"}]));
    let int = columns(&json!([{"id": 1, "name": "a", "required": false, "type": "int"}]));
    let other = columns(&json!([{"id": 2, "name": "a", "required": false, "type": "long"}]));
    let batch = |columns: &StructType, array: ArrayRef| {
        RecordBatch::try_new(to_arrow(columns).unwrap(), vec![array]).unwrap()
    };
    let ints = batch(&int, Arc::new(Int32Array::from(vec![1])));
    refuse(split(&long, &[("identity", 1)], &ints), "have Int32 in `a`, where the schema has Int64");
    let longs = batch(&other, Arc::new(Int64Array::from(vec![1])));
    refuse(split(&long, &[("identity", 1)], &longs), "no column with the id 1 for `a`");
}

#[test]
fn a_value_without_a_result_is_not_taken_for_null() {
    let columns = columns(&json!([{"id": 1, "name": "t", "required": false, "type": "timestamp"}]));
    let cell = |micros| Row::from([(1, Cell::Value(Value::Timestamp(micros)))]);
    let batch = to_batch(&[cell(0), cell(i64::MAX)], &columns);
    refuse(
        split(&columns, &[("hour", 1)], &batch),
        "a value of `t` is out of the range of `hour`: \"+294247",
    );
}
