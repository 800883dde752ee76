//! Columns that deletes compare, whatever has become of them since.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use table_core::expr::value::Value;
use table_core::file::equality_columns;
use table_core::metadata::schema::Field;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::types::{StructType, Type};

use crate::common::{columns, fields_json, full, read, schema, schema_of, write};
use crate::model::{Cell, Row, evolve};
use crate::random::Maker;

/// A table with these schemas, whose ids are their places; listed in this order.
fn table(schemas: &[Json], order: &[usize], current: usize) -> TableMetadata {
    let document = include_str!("../../fixtures/v2.metadata.json");
    let mut document: Json = serde_json::from_str(document).unwrap();
    let told = |id: &usize| json!({"type": "struct", "schema-id": id, "fields": schemas[*id]});
    document["schemas"] = order.iter().map(told).collect();
    document["current-schema-id"] = json!(current);
    document["last-column-id"] = json!(100_000);
    TableMetadata::parse(document.to_string().as_bytes()).unwrap()
}

fn field(id: i32, name: &str, kind: &Json, more: &Json) -> Json {
    let mut field = json!({"id": id, "name": name, "required": false, "type": kind});
    field.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    field
}

/// The rows of a file with `id` 1 and 2, by the columns that a delete of a table compares.
fn seen(table: &TableMetadata, ids: &[i32]) -> Vec<Row> {
    let schema = schema(&json!([field(1, "id", &json!("int"), &json!({}))]));
    let rows = [1, 2].map(|id| Row::from([(1, Cell::Value(Value::Int(id)))]));
    let (file, _) = write(&schema, &full(&schema), &[&rows]).unwrap();
    read(&file, &equality_columns::columns(table, ids).unwrap()).unwrap()
}

fn cell(value: Value) -> Cell {
    Cell::Value(value)
}

#[test]
fn a_lost_column_keeps_its_default() {
    let id = field(1, "id", &json!("int"), &json!({}));
    let k = field(2, "k", &json!("int"), &json!({"initial-default": 7}));
    let table = table(&[json!([id]), json!([id, k]), json!([id])], &[0, 1, 2], 0);
    assert_eq!(seen(&table, &[2]), vec![Row::from([(2, cell(Value::Int(7)))]); 2]);
    // One that was required, too: files that were written since do not have it.
    let lost = field(2, "k", &json!("int"), &json!({"required": true}));
    let table = self::table(&[json!([id]), json!([id, lost])], &[0, 1], 0);
    assert_eq!(seen(&table, &[2, 1])[1], Row::from([(2, Cell::Null), (1, cell(Value::Int(2)))]));
}

#[test]
fn a_lost_column_keeps_the_widest_type_in_whatever_order_schemas_stand() {
    let kinds = [("date", json!("1970-01-03")), ("timestamp", json!("1970-01-03T00:00:00"))];
    let schemas: Vec<Json> = kinds
        .iter()
        .map(|(kind, default)| json!([field(2, "k", &json!(kind), &json!({"initial-default": default}))]))
        .chain([json!([field(1, "id", &json!("int"), &json!({}))])])
        .collect();
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
        let table = table(&schemas, &order, 2);
        let days = cell(Value::Timestamp(2 * 86_400_000_000));
        assert_eq!(seen(&table, &[2])[0], Row::from([(2, days)]), "{order:?}");
    }
    // Some writers leave the default in its former form.
    let former = field(2, "k", &json!("timestamp_ns"), &json!({"initial-default": "1970-01-03"}));
    let table = table(&[json!([former])], &[0], 0);
    let days = cell(Value::TimestampNs(2 * 86_400_000_000_000));
    assert_eq!(seen(&table, &[2])[0], Row::from([(2, days)]));
}

#[test]
fn a_lost_part_of_a_struct_stands_beside_the_others() {
    let part = |id: i32, name: &str, more: &Json| field(id, name, &json!("int"), more);
    let old = json!({"type": "struct", "fields": [part(4, "a", &json!({})), part(5, "k", &json!({"initial-default": 3}))]});
    let new = json!({"type": "struct", "fields": [part(4, "a", &json!({})), part(6, "b", &json!({}))]});
    let in_struct = |kind: &Json| json!([field(3, "s", kind, &json!({"initial-default": {}}))]);
    let renamed = json!([field(3, "t", &new, &json!({"initial-default": {}}))]);
    let table = table(&[in_struct(&old), renamed], &[0, 1], 1);
    let found = equality_columns::columns(&table, &[5, 4]).unwrap();
    let [s] = &found.fields[..] else { panic!("{found:?}") };
    assert_eq!(s.name, "t");
    let expected = Row::from([(5, cell(Value::Int(3))), (4, Cell::Null)]);
    assert_eq!(seen(&table, &[5, 4])[0], Row::from([(3, Cell::Struct(expected))]));
    // And if the struct is lost as well.
    let lost = self::table(&[in_struct(&old), json!([part(1, "id", &json!({}))])], &[0, 1], 1);
    let expected = Row::from([(5, cell(Value::Int(3)))]);
    assert_eq!(seen(&lost, &[5])[0], Row::from([(3, Cell::Struct(expected))]));
}

#[test]
fn what_no_schema_has_is_left_out() {
    let list = json!({"type": "list", "element-id": 9, "element": "int", "element-required": false});
    let table = table(&[json!([field(8, "l", &list, &json!({}))])], &[0], 0);
    assert_eq!(equality_columns::columns(&table, &[7, 9]).unwrap().fields, columns(&json!([])).fields);
}

/// The ids of columns without parts that are neither in lists nor in maps.
fn leaves(parts: &StructType) -> Vec<i32> {
    let of_field = |field: &Field| match &field.field_type {
        Type::Struct(inner) => leaves(inner),
        Type::Primitive(_) => vec![field.id],
        _ => Vec::new(),
    };
    parts.fields.iter().flat_map(of_field).collect()
}

/// All columns that there ever were, each as its last schema has it.
fn union(schemas: &[StructType]) -> StructType {
    let mut fields: BTreeMap<i32, Field> = BTreeMap::new();
    for field in schemas.iter().flat_map(|schema| &schema.fields) {
        let mut merged = field.clone();
        if let (Type::Struct(new), Some(Type::Struct(old))) =
            (&mut merged.field_type, fields.get(&field.id).map(|field| &field.field_type))
        {
            *new = union(&[old.clone(), new.clone()]);
        }
        fields.insert(field.id, merged);
    }
    StructType { fields: fields.into_values().collect(), other: Vec::new() }
}

/// What a row holds in a column, wherever it is.
fn value(row: &Row, parts: &StructType, id: i32) -> Option<Cell> {
    parts.fields.iter().find_map(|field| match (&field.field_type, row.get(&field.id)?) {
        (_, cell) if field.id == id => Some(cell.clone()),
        (Type::Struct(inner), Cell::Struct(row)) => value(row, inner, id),
        (Type::Struct(inner), Cell::Null) if leaves(inner).contains(&id) => Some(Cell::Null),
        _ => None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever was renamed, widened, added with a default or lost in between.
    #[test]
    fn rows_are_compared_by_what_a_column_meant(seed in any::<u64>()) {
        let mut maker = Maker::new(seed);
        let mut schemas = vec![maker.columns()];
        for _ in 0..=maker.random.below(4) {
            let next = maker.evolve(&schemas[schemas.len() - 1], 0);
            schemas.push(next);
        }
        let rows = maker.rows(&schemas[0], 5);
        let schema = schema_of(&schemas[0]);
        let (file, _) = write(&schema, &full(&schema), &[&rows]).unwrap();
        let all = union(&schemas);
        let mut ids = leaves(&all);
        ids.retain(|_| maker.random.one_in(2));
        let documents: Vec<Json> = schemas.iter().map(|schema| fields_json(&schema.fields)).collect();
        let order: Vec<usize> = (0..schemas.len()).collect();
        let table = table(&documents, &order, schemas.len() - 1);
        let wanted = equality_columns::columns(&table, &ids).unwrap();
        for (row, seen) in rows.iter().zip(read(&file, &wanted).unwrap()) {
            let expected = evolve(row, &all.fields);
            for id in &ids {
                prop_assert_eq!(value(&seen, &wanted, *id), value(&expected, &all, *id), "{}", id);
            }
        }
    }
}
