//! Equality deletes: rows that are deleted by their values, and whether a row is among them (specification, "Equality Delete
//! Files"). All in memory; the caller bounds how much by which files it adds.

use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Fields, TimeUnit};

use super::arrow_schema::field_id;
use super::error::FileError;

/// Rows that are deleted by some columns.
///
/// Null equals null, NaN equals NaN, and `-0.0` is not `0.0`, as in Java.
#[derive(Debug, Clone)]
pub struct EqualityDeletes {
    /// The ids of the columns, all of them without parts, and not in a list or map.
    field_ids: Vec<i32>,
    rows: HashSet<Box<[u8]>>,
    key_bytes: usize,
}

impl EqualityDeletes {
    /// No deletes yet, by the columns with these ids.
    pub fn new(field_ids: Vec<i32>) -> EqualityDeletes {
        EqualityDeletes { field_ids, rows: HashSet::new(), key_bytes: 0 }
    }

    /// How many different rows are deleted.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing is deleted.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How much memory they take, about.
    pub fn memory_bytes(&self) -> usize {
        self.key_bytes + self.rows.capacity() * size_of::<Box<[u8]>>()
    }

    /// Adds the rows of a batch of an equality delete file, read with the types that the table has.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), FileError> {
        let columns = self.columns(batch)?;
        let mut key = Vec::new();
        for row in 0..batch.num_rows() {
            push_row(&columns, row, &mut key);
            if !self.rows.contains(key.as_slice()) {
                self.rows.insert(key.as_slice().into());
                self.key_bytes += key.len();
            }
        }
        Ok(())
    }

    /// Which rows of a batch of data are left.
    pub fn keep(&self, batch: &RecordBatch) -> Result<BooleanArray, FileError> {
        let columns = self.columns(batch)?;
        let mut key = Vec::new();
        let is_kept = (0..batch.num_rows()).map(|row| {
            push_row(&columns, row, &mut key);
            Some(!self.rows.contains(key.as_slice()))
        });
        Ok(is_kept.collect())
    }

    fn columns(&self, batch: &RecordBatch) -> Result<Vec<Column>, FileError> {
        let find = |id: &i32| {
            find(batch.schema().fields(), batch.columns(), *id, None)
                .ok_or_else(|| FileError::unfit(format!("the rows have no column with the id {id}")))?
        };
        self.field_ids.iter().map(find).collect()
    }
}

/// A column of a batch, by which rows are compared.
struct Column {
    array: ArrayRef,
    nulls: Option<NullBuffer>,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Null,
    Boolean,
    Int,
    Date,
    Long,
    Time,
    Micros,
    Nanos,
    Float,
    Double,
    Decimal,
    String,
    Binary,
    Fixed,
}

/// The column with an id, in structs too, where a null struct makes it null.
fn find(
    fields: &Fields,
    arrays: &[ArrayRef],
    id: i32,
    parent: Option<&NullBuffer>,
) -> Option<Result<Column, FileError>> {
    for (field, array) in fields.iter().zip(arrays) {
        let nulls = NullBuffer::union(parent, array.nulls());
        if field_id(field) == Some(id) {
            let kind = kind_of(array.data_type()).ok_or_else(|| {
                FileError::unsupported(format!("rows cannot be deleted by `{}`", field.name()))
            });
            return Some(kind.map(|kind| Column { array: array.clone(), nulls, kind }));
        }
        if let DataType::Struct(parts) = field.data_type()
            && let Some(array) = array.as_struct_opt()
            && let Some(found) = find(parts, array.columns(), id, nulls.as_ref())
        {
            return Some(found);
        }
    }
    None
}

fn kind_of(data_type: &DataType) -> Option<Kind> {
    Some(match data_type {
        DataType::Null => Kind::Null,
        DataType::Boolean => Kind::Boolean,
        DataType::Int32 => Kind::Int,
        DataType::Date32 => Kind::Date,
        DataType::Int64 => Kind::Long,
        DataType::Time64(TimeUnit::Microsecond) => Kind::Time,
        DataType::Timestamp(TimeUnit::Microsecond, _) => Kind::Micros,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Kind::Nanos,
        DataType::Float32 => Kind::Float,
        DataType::Float64 => Kind::Double,
        DataType::Decimal128(..) => Kind::Decimal,
        DataType::Utf8 => Kind::String,
        DataType::Binary => Kind::Binary,
        DataType::FixedSizeBinary(_) => Kind::Fixed,
        _ => return None,
    })
}

impl Column {
    /// Appends a value so that two rows have the same bytes only if they are equal.
    fn push(&self, row: usize, key: &mut Vec<u8>) {
        if matches!(self.kind, Kind::Null) || self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return key.push(0);
        }
        key.push(1);
        let array = &self.array;
        match self.kind {
            Kind::Null => {}
            Kind::Boolean => key.push(u8::from(array.as_boolean().value(row))),
            Kind::Int => key.extend(array.as_primitive::<Int32Type>().value(row).to_le_bytes()),
            Kind::Date => key.extend(array.as_primitive::<Date32Type>().value(row).to_le_bytes()),
            Kind::Long => key.extend(array.as_primitive::<Int64Type>().value(row).to_le_bytes()),
            Kind::Time => key.extend(array.as_primitive::<Time64MicrosecondType>().value(row).to_le_bytes()),
            Kind::Micros => {
                key.extend(array.as_primitive::<TimestampMicrosecondType>().value(row).to_le_bytes());
            }
            Kind::Nanos => {
                key.extend(array.as_primitive::<TimestampNanosecondType>().value(row).to_le_bytes());
            }
            Kind::Float => {
                let value = array.as_primitive::<Float32Type>().value(row);
                key.extend(if value.is_nan() { f32::NAN } else { value }.to_le_bytes());
            }
            Kind::Double => {
                let value = array.as_primitive::<Float64Type>().value(row);
                key.extend(if value.is_nan() { f64::NAN } else { value }.to_le_bytes());
            }
            Kind::Decimal => key.extend(array.as_primitive::<Decimal128Type>().value(row).to_le_bytes()),
            Kind::String => push_bytes(array.as_string::<i32>().value(row).as_bytes(), key),
            Kind::Binary => push_bytes(array.as_binary::<i32>().value(row), key),
            Kind::Fixed => push_bytes(array.as_fixed_size_binary().value(row), key),
        }
    }
}

/// Replaces a key with that of another row.
fn push_row(columns: &[Column], row: usize, key: &mut Vec<u8>) {
    key.clear();
    for column in columns {
        column.push(row, key);
    }
}

/// With the length first, so that neighbours cannot be taken for each other.
fn push_bytes(bytes: &[u8], key: &mut Vec<u8>) {
    key.extend((bytes.len() as u64).to_le_bytes());
    key.extend(bytes);
}
