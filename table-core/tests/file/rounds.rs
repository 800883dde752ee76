//! Whatever the schema, its evolution and the rows: what is read is what the naive model says.

use std::collections::BTreeMap;

use proptest::prelude::*;
use roaring::RoaringTreemap;
use table_core::expr::value::Value;
use table_core::file::parquet_reader::context::FileContext;
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::manifest::data_file::ColumnMetrics;
use table_core::metadata::reserved;
use table_core::metadata::schema::Field;
use table_core::metadata::types::{Primitive, StructType, Type};

use crate::common::{full, options, read, read_with, schema_of, write};
use crate::model::{Cell, Row, evolve};
use crate::random::Maker;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(seed in any::<u64>()) {
        let mut maker = Maker::new(seed);
        let columns = maker.columns();
        let count = maker.random.below(60);
        let rows = maker.rows(&columns, count);
        let schema = schema_of(&columns);
        let (head, tail) = rows.split_at(maker.random.below(count + 1));
        let (file, written) = write(&schema, &small(&mut maker, full(&schema)), &[head, tail]).unwrap();
        prop_assert_eq!(written.record_count, i64::try_from(count).unwrap());
        prop_assert_eq!(&read(&file, &columns).unwrap(), &rows);
        check_metrics(&written.metrics, &columns, &rows);
    }

    #[test]
    fn files_are_read_by_the_schema_of_today(seed in any::<u64>()) {
        let mut maker = Maker::new(seed);
        let columns = maker.columns();
        let count = 1 + maker.random.below(40);
        let rows = maker.rows(&columns, count);
        let schema = schema_of(&columns);
        let (file, _) = write(&schema, &small(&mut maker, full(&schema)), &[&rows]).unwrap();
        let mut today = columns;
        for _ in 0..=maker.random.below(3) {
            today = maker.evolve(&today, 0);
        }
        today.fields.push(reserved::position());
        today.fields.push(reserved::row_id());
        let deleted: RoaringTreemap = (0..count as u64).filter(|_| maker.random.one_in(3)).collect();
        let first = maker.random.one_in(2).then_some(1000);
        let expected: Vec<Row> = rows.iter().zip(0_u64..)
            .filter(|(_, position)| !deleted.contains(*position))
            .map(|(row, position)| {
                let mut row = row.clone();
                row.insert(reserved::POSITION, long(Some(position.cast_signed())));
                row.insert(reserved::ROW_ID, long(first.map(|first| first + position.cast_signed())));
                evolve(&row, &today.fields)
            })
            .collect();
        let context = FileContext {
            deleted,
            first_row_id: first,
            batch_rows: 1 + maker.random.below(50),
            ..FileContext::new("")
        };
        prop_assert_eq!(read_with(&file, &today, context).unwrap(), expected);
    }

    #[test]
    fn cut_bounds_still_bound(seed in any::<u64>()) {
        let mut maker = Maker::new(seed);
        let columns = maker.columns();
        let rows = maker.rows(&columns, 20);
        let schema = schema_of(&columns);
        let length = 1 + maker.random.below(4);
        let table = serde_json::json!({"write.metadata.metrics.default": format!("truncate({length})")});
        let (_, written) = write(&schema, &options(&table, &schema), &[&rows]).unwrap();
        let metrics = written.metrics;
        for (field, values) in leaves(&columns.fields, &rows) {
            let Type::Primitive(primitive) = &field.field_type else { unreachable!() };
            for value in values.iter().flatten().filter(|value| !value.is_nan()) {
                let lower = Value::decode(&metrics.lower_bounds[&field.id], primitive).unwrap();
                prop_assert!(lower <= *value);
                check_length(&lower, length);
                let Some(upper) = metrics.upper_bounds.get(&field.id) else {
                    prop_assert!(matches!(value, Value::String(_) | Value::Binary(_)));
                    continue;
                };
                let upper = Value::decode(upper, primitive).unwrap();
                prop_assert!(*value <= upper, "{:?} > {:?}", value, upper);
                check_length(&upper, length);
            }
        }
    }
}

fn check_length(bound: &Value, length: usize) {
    match bound {
        Value::String(text) => assert!(text.chars().count() <= length),
        Value::Binary(bytes) => assert!(bytes.len() <= length),
        _ => {}
    }
}

fn long(value: Option<i64>) -> Cell {
    value.map_or(Cell::Null, |value| Cell::Value(Value::Long(value)))
}

/// Row groups and pages of a few rows, of any codec.
fn small(maker: &mut Maker, options: WriterOptions) -> WriterOptions {
    let codecs = ["uncompressed", "snappy", "gzip", "zstd", "lz4", "brotli"];
    let codec = codecs[maker.random.below(codecs.len())];
    let table = serde_json::json!({"write.parquet.compression-codec": codec});
    let properties = crate::common::properties(&table);
    let empty = schema_of(&StructType { fields: Vec::new(), other: Vec::new() });
    WriterOptions {
        compression: WriterOptions::of_data(&properties, empty.columns().unwrap(), None).compression,
        row_group_bytes: 1 + maker.random.below(5000),
        page_bytes: 1 + maker.random.below(500),
        page_rows: 1 + maker.random.below(20),
        ..options
    }
}

/// The columns that are neither in lists nor in maps, each with its values.
fn leaves<'a>(fields: &'a [Field], rows: &[Row]) -> Vec<(&'a Field, Vec<Option<Value>>)> {
    let mut found = Vec::new();
    for field in fields {
        let cells: Vec<Cell> =
            rows.iter().map(|row| row.get(&field.id).cloned().unwrap_or(Cell::Null)).collect();
        match &field.field_type {
            Type::Primitive(Primitive::Unknown) | Type::List(_) | Type::Map(_) | Type::Other(_) => {}
            Type::Primitive(_) => {
                let value = |cell| match cell {
                    Cell::Value(value) => Some(value),
                    _ => None,
                };
                found.push((field, cells.into_iter().map(value).collect()));
            }
            Type::Struct(parts) => {
                let row = |cell| match cell {
                    Cell::Struct(row) => row,
                    _ => Row::new(),
                };
                let rows: Vec<Row> = cells.into_iter().map(row).collect();
                found.extend(leaves(&parts.fields, &rows));
            }
        }
    }
    found
}

fn check_metrics(metrics: &ColumnMetrics, columns: &StructType, rows: &[Row]) {
    let mut bounds = BTreeMap::new();
    for (field, values) in leaves(&columns.fields, rows) {
        let count = |keep: &dyn Fn(&Option<Value>) -> bool| {
            i64::try_from(values.iter().filter(|value| keep(value)).count()).unwrap()
        };
        assert_eq!(metrics.value_counts[&field.id], count(&|_| true));
        assert_eq!(metrics.null_value_counts[&field.id], count(&Option::is_none));
        let is_float = matches!(field.field_type, Type::Primitive(Primitive::Float | Primitive::Double));
        let nans = count(&|value| value.as_ref().is_some_and(Value::is_nan));
        assert_eq!(metrics.nan_value_counts.get(&field.id).copied(), is_float.then_some(nans));
        assert!(rows.is_empty() || metrics.column_sizes[&field.id] > 0);
        let ordered = || values.iter().flatten().filter(|value| !value.is_nan());
        if let (Some(least), Some(greatest)) = (ordered().min(), ordered().max()) {
            bounds.insert(field.id, (least.encode(), greatest.encode()));
        }
    }
    let found: BTreeMap<i32, (Vec<u8>, Vec<u8>)> = metrics
        .lower_bounds
        .iter()
        .map(|(id, lower)| (*id, (lower.clone(), metrics.upper_bounds[id].clone())))
        .collect();
    assert_eq!(found, bounds);
    assert_eq!(metrics.upper_bounds.len(), bounds.len());
}
