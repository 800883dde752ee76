//! Rows as plain values, and what a table means on them: the naive model that files are compared with.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, FixedSizeBinaryBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
    Int64Array, ListArray, MapArray, NullArray, RecordBatch, RecordBatchOptions, StringArray, StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, FieldRef, TimeUnit};
use table_core::expr::decimal::Decimal;
use table_core::expr::value::Value;
use table_core::file::arrow_schema::to_arrow;
use table_core::metadata::schema::Field;
use table_core::metadata::types::{Primitive, StructType, Type};
use uuid::Uuid;

/// A value of any type. Structs hold their parts by field id.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Value(Value),
    Struct(BTreeMap<i32, Cell>),
    List(Vec<Cell>),
    Map(Vec<(Cell, Cell)>),
}

pub(crate) type Row = BTreeMap<i32, Cell>;

pub(crate) fn to_batch(rows: &[Row], columns: &StructType) -> RecordBatch {
    let schema = to_arrow(columns).unwrap();
    let arrays = columns.fields.iter().zip(schema.fields()).map(|(field, target)| {
        let cells: Vec<Cell> = rows.iter().map(|row| row[&field.id].clone()).collect();
        to_array(&cells, field, target)
    });
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let arrays = arrays.collect();
    RecordBatch::try_new_with_options(schema, arrays, &options).unwrap()
}

pub(crate) fn from_batch(batch: &RecordBatch, columns: &StructType) -> Vec<Row> {
    let row = |row| {
        let cell =
            |(field, array): (&Field, &ArrayRef)| (field.id, from_array(array, row, &field.field_type));
        columns.fields.iter().zip(batch.columns()).map(cell).collect()
    };
    (0..batch.num_rows()).map(row).collect()
}

fn to_array(cells: &[Cell], field: &Field, target: &FieldRef) -> ArrayRef {
    let nulls = || NullBuffer::from(cells.iter().map(|cell| *cell != Cell::Null).collect::<Vec<_>>());
    match (&field.field_type, target.data_type()) {
        (Type::Primitive(primitive), data_type) => primitives(cells, primitive, data_type),
        (Type::Struct(parts), DataType::Struct(targets)) => {
            let array = |(part, target): (&Field, &FieldRef)| {
                let cells: Vec<Cell> = cells
                    .iter()
                    .map(|cell| match cell {
                        Cell::Struct(parts) => parts[&part.id].clone(),
                        _ => Cell::Null,
                    })
                    .collect();
                to_array(&cells, part, target)
            };
            let arrays = parts.fields.iter().zip(targets).map(array).collect();
            let nulls = Some(nulls());
            Arc::new(StructArray::try_new_with_length(targets.clone(), arrays, nulls, cells.len()).unwrap())
        }
        (Type::List(list), DataType::List(target)) => {
            let lists = cells.iter().map(|cell| match cell {
                Cell::List(elements) => elements.clone(),
                _ => Vec::new(),
            });
            let lists: Vec<Vec<Cell>> = lists.collect();
            let offsets = OffsetBuffer::from_lengths(lists.iter().map(Vec::len));
            let values = to_array(&lists.concat(), &list.element, target);
            Arc::new(ListArray::new(target.clone(), offsets, values, Some(nulls())))
        }
        (Type::Map(map), DataType::Map(entries, _)) => {
            let maps = cells.iter().map(|cell| match cell {
                Cell::Map(entries) => entries.clone(),
                _ => Vec::new(),
            });
            let maps: Vec<Vec<(Cell, Cell)>> = maps.collect();
            let offsets = OffsetBuffer::from_lengths(maps.iter().map(Vec::len));
            let (keys, values): (Vec<Cell>, Vec<Cell>) = maps.concat().into_iter().unzip();
            let DataType::Struct(targets) = entries.data_type() else { unreachable!() };
            let arrays =
                vec![to_array(&keys, &map.key, &targets[0]), to_array(&values, &map.value, &targets[1])];
            let pairs = StructArray::new(targets.clone(), arrays, None);
            Arc::new(MapArray::new(entries.clone(), offsets, pairs, Some(nulls()), false))
        }
        other => panic!("{other:?}"),
    }
}

macro_rules! collect {
    ($array:ty, $cells:expr, $pattern:pat => $value:expr) => {
        <$array>::from_iter($cells.iter().map(|cell| match cell {
            Cell::Value($pattern) => Some($value),
            _ => None,
        }))
    };
}

fn primitives(cells: &[Cell], primitive: &Primitive, data_type: &DataType) -> ArrayRef {
    match primitive {
        Primitive::Boolean => Arc::new(collect!(BooleanArray, cells, Value::Boolean(value) => *value)),
        Primitive::Int => Arc::new(collect!(Int32Array, cells, Value::Int(value) => *value)),
        Primitive::Long => Arc::new(collect!(Int64Array, cells, Value::Long(value) => *value)),
        Primitive::Float => Arc::new(collect!(Float32Array, cells, Value::Float(value) => *value)),
        Primitive::Double => Arc::new(collect!(Float64Array, cells, Value::Double(value) => *value)),
        Primitive::Date => Arc::new(collect!(Date32Array, cells, Value::Date(value) => *value)),
        Primitive::Decimal { precision, scale } => {
            let array = collect!(Decimal128Array, cells, Value::Decimal(value) => value.unscaled);
            let (precision, scale) = (u8::try_from(*precision).unwrap(), i8::try_from(*scale).unwrap());
            Arc::new(array.with_precision_and_scale(precision, scale).unwrap())
        }
        Primitive::Time
        | Primitive::Timestamp
        | Primitive::Timestamptz
        | Primitive::TimestampNs
        | Primitive::TimestamptzNs => {
            let longs = collect!(Int64Array, cells, Value::Time(value) | Value::Timestamp(value)
                | Value::Timestamptz(value) | Value::TimestampNs(value) | Value::TimestamptzNs(value) => *value);
            arrow_cast::cast(&longs, data_type).unwrap()
        }
        Primitive::String => Arc::new(collect!(StringArray, cells, Value::String(value) => value.clone())),
        Primitive::Binary => {
            let mut builder = BinaryBuilder::new();
            for cell in cells {
                match cell {
                    Cell::Value(Value::Binary(value)) => builder.append_value(value),
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }
        Primitive::Fixed(_) | Primitive::Uuid => {
            let DataType::FixedSizeBinary(length) = data_type else { unreachable!() };
            let mut builder = FixedSizeBinaryBuilder::new(*length);
            for cell in cells {
                match cell {
                    Cell::Value(Value::Fixed(value)) => builder.append_value(value).unwrap(),
                    Cell::Value(Value::Uuid(value)) => builder.append_value(value.as_bytes()).unwrap(),
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }
        Primitive::Unknown => Arc::new(NullArray::new(cells.len())),
        other => panic!("{other}"),
    }
}

fn from_array(array: &ArrayRef, row: usize, field_type: &Type) -> Cell {
    if array.data_type() == &DataType::Null || array.is_null(row) {
        return Cell::Null;
    }
    match field_type {
        Type::Primitive(primitive) => Cell::Value(value(array, row, primitive)),
        Type::Struct(parts) => {
            let array = array.as_struct();
            let parts = parts.fields.iter().zip(array.columns());
            Cell::Struct(
                parts.map(|(part, array)| (part.id, from_array(array, row, &part.field_type))).collect(),
            )
        }
        Type::List(list) => {
            let values = array.as_list::<i32>().value(row);
            Cell::List(
                (0..values.len()).map(|row| from_array(&values, row, &list.element.field_type)).collect(),
            )
        }
        Type::Map(map) => {
            let pairs = array.as_map().value(row);
            let cell = |row| {
                let key = from_array(pairs.column(0), row, &map.key.field_type);
                (key, from_array(pairs.column(1), row, &map.value.field_type))
            };
            Cell::Map((0..pairs.len()).map(cell).collect())
        }
        Type::Other(_) => unreachable!(),
    }
}

fn value(array: &ArrayRef, row: usize, primitive: &Primitive) -> Value {
    let micros = || array.as_primitive::<TimestampMicrosecondType>().value(row);
    let nanos = || array.as_primitive::<TimestampNanosecondType>().value(row);
    if let DataType::Timestamp(unit, zone) = array.data_type() {
        let is_zoned = matches!(primitive, Primitive::Timestamptz | Primitive::TimestamptzNs);
        let is_nanos = matches!(primitive, Primitive::TimestampNs | Primitive::TimestamptzNs);
        assert_eq!((zone.is_some(), *unit == TimeUnit::Nanosecond), (is_zoned, is_nanos));
    }
    match primitive {
        Primitive::Boolean => Value::Boolean(array.as_boolean().value(row)),
        Primitive::Int => Value::Int(array.as_primitive::<Int32Type>().value(row)),
        Primitive::Long => Value::Long(array.as_primitive::<Int64Type>().value(row)),
        Primitive::Float => Value::Float(array.as_primitive::<Float32Type>().value(row)),
        Primitive::Double => Value::Double(array.as_primitive::<Float64Type>().value(row)),
        Primitive::Date => Value::Date(array.as_primitive::<Date32Type>().value(row)),
        Primitive::Time => Value::Time(array.as_primitive::<Time64MicrosecondType>().value(row)),
        Primitive::Timestamp => Value::Timestamp(micros()),
        Primitive::Timestamptz => Value::Timestamptz(micros()),
        Primitive::TimestampNs => Value::TimestampNs(nanos()),
        Primitive::TimestamptzNs => Value::TimestamptzNs(nanos()),
        Primitive::Decimal { scale, .. } => {
            let unscaled = array.as_primitive::<Decimal128Type>().value(row);
            Value::Decimal(Decimal { unscaled, scale: *scale })
        }
        Primitive::String => Value::String(array.as_string::<i32>().value(row).to_owned()),
        Primitive::Binary => Value::Binary(array.as_binary::<i32>().value(row).to_vec()),
        Primitive::Fixed(_) => Value::Fixed(array.as_fixed_size_binary().value(row).to_vec()),
        Primitive::Uuid => Value::Uuid(Uuid::from_slice(array.as_fixed_size_binary().value(row)).unwrap()),
        other => panic!("{other}"),
    }
}

/// What a row of an older schema is under a newer one: parts by id, defaults for what was added, promoted values.
pub(crate) fn evolve(row: &Row, fields: &[Field]) -> Row {
    let cell = |field: &Field| {
        let cell = match row.get(&field.id) {
            Some(cell) => promote(cell, &field.field_type),
            None => default_of(field),
        };
        (field.id, cell)
    };
    fields.iter().map(cell).collect()
}

pub(crate) fn default_of(field: &Field) -> Cell {
    match (&field.initial_default, &field.field_type) {
        (Some(default), Type::Primitive(primitive)) => {
            Cell::Value(Value::from_json(default, primitive).unwrap())
        }
        (Some(_), Type::Struct(parts)) => Cell::Struct(evolve(&Row::new(), &parts.fields)),
        _ => Cell::Null,
    }
}

pub(crate) fn promote(cell: &Cell, field_type: &Type) -> Cell {
    match (cell, field_type) {
        (_, Type::Primitive(Primitive::Unknown)) => Cell::Null,
        (Cell::Struct(row), Type::Struct(parts)) => Cell::Struct(evolve(row, &parts.fields)),
        (Cell::List(elements), Type::List(list)) => {
            Cell::List(elements.iter().map(|cell| promote(cell, &list.element.field_type)).collect())
        }
        (Cell::Map(entries), Type::Map(map)) => {
            let entry = |(key, value): &(Cell, Cell)| {
                (promote(key, &map.key.field_type), promote(value, &map.value.field_type))
            };
            Cell::Map(entries.iter().map(entry).collect())
        }
        (Cell::Value(Value::Int(value)), Type::Primitive(Primitive::Long)) => {
            Cell::Value(Value::Long(i64::from(*value)))
        }
        (Cell::Value(Value::Float(value)), Type::Primitive(Primitive::Double)) => {
            Cell::Value(Value::Double(f64::from(*value)))
        }
        (Cell::Value(Value::Date(days)), Type::Primitive(Primitive::Timestamp)) => {
            Cell::Value(Value::Timestamp(i64::from(*days) * 86_400_000_000))
        }
        (Cell::Value(Value::Date(days)), Type::Primitive(Primitive::TimestampNs)) => {
            Cell::Value(Value::TimestampNs(i64::from(*days) * 86_400_000_000_000))
        }
        _ => cell.clone(),
    }
}
