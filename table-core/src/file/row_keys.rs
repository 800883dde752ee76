//! Rows encoded as bytes, by which they are compared where equality deletes match rows by value. The encoding
//! is used only in memory and never stored.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Fields, TimeUnit};

use super::arrow_schema::field_id;
use super::error::FileError;

/// Keys of the rows of a batch: two rows have the same bytes if and only if they are equal in the compared
/// columns.
///
/// Null equals null, NaN equals NaN, and `-0.0` differs from `0.0`, as in Java.
pub(super) struct RowKeys {
    bytes: Vec<u8>,
    /// End of the key of each row; it begins at the end of the previous one.
    ends: Vec<usize>,
}

impl RowKeys {
    /// Computes the keys for the columns with these field ids, all of primitive types and not inside a list
    /// or map. The columns must have their current types in the table, so that keys of different batches are
    /// comparable.
    pub(super) fn new(batch: &RecordBatch, field_ids: &[i32]) -> Result<RowKeys, FileError> {
        let find = |id: &i32| {
            find(batch.schema_ref().fields(), batch.columns(), *id, None)
                .ok_or_else(|| FileError::unfit(format!("the rows have no column with the id {id}")))?
        };
        let columns: Vec<Column> = field_ids.iter().map(find).collect::<Result<_, _>>()?;
        let mut ends = vec![0; batch.num_rows()];
        for column in &columns {
            column.add_lengths(&mut ends);
        }
        let mut total = 0;
        let mut cursors = Vec::with_capacity(ends.len());
        for end in &mut ends {
            cursors.push(total);
            total += *end;
            *end = total;
        }
        let mut bytes = vec![0; total];
        for column in &columns {
            column.write(&mut bytes, &mut cursors);
        }
        Ok(RowKeys { bytes, ends })
    }

    /// Returns the keys in the order of the rows.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let key = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            key
        })
    }
}

/// Compared column of a batch.
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

/// Returns the column with a field id, also inside structs, where it is null if an enclosing struct is.
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

/// Marker of a value that is not null. A null is encoded as a zero instead, followed by zeros in place of the
/// value if the type has a fixed length.
const PRESENT: u8 = 1;
/// Number of bytes of the length of a value, for types without a fixed length.
const LENGTH_BYTES: usize = size_of::<u64>();

impl Column {
    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Adds the encoded length of this column to the length of each row.
    fn add_lengths(&self, lengths: &mut [usize]) {
        let fixed = match self.kind {
            Kind::Null => 0,
            Kind::Boolean => 1,
            Kind::Int | Kind::Date | Kind::Float => 4,
            Kind::Long | Kind::Time | Kind::Micros | Kind::Nanos | Kind::Double => 8,
            Kind::Decimal => 16,
            Kind::Fixed => usize::try_from(self.array.as_fixed_size_binary().value_length()).unwrap_or(0),
            Kind::String => {
                let array = self.array.as_string::<i32>();
                return self.add_value_lengths(lengths, |row| array.value(row).len());
            }
            Kind::Binary => {
                let array = self.array.as_binary::<i32>();
                return self.add_value_lengths(lengths, |row| array.value(row).len());
            }
        };
        for length in lengths {
            *length += 1 + fixed;
        }
    }

    fn add_value_lengths(&self, lengths: &mut [usize], length_of: impl Fn(usize) -> usize) {
        for (row, length) in lengths.iter_mut().enumerate() {
            *length += 1;
            if !self.is_null(row) {
                *length += LENGTH_BYTES + length_of(row);
            }
        }
    }

    /// Writes the value of each row at the cursor of the row, and advances it. The bytes must be zero before.
    fn write(&self, bytes: &mut [u8], cursors: &mut [usize]) {
        let array = &self.array;
        match self.kind {
            Kind::Null => cursors.iter_mut().for_each(|cursor| *cursor += 1),
            Kind::Boolean => {
                let array = array.as_boolean();
                self.write_fixed(bytes, cursors, |row| [u8::from(array.value(row))]);
            }
            Kind::Int => {
                let values = array.as_primitive::<Int32Type>().values();
                self.write_fixed(bytes, cursors, |row| values[row].to_le_bytes());
            }
            Kind::Date => {
                let values = array.as_primitive::<Date32Type>().values();
                self.write_fixed(bytes, cursors, |row| values[row].to_le_bytes());
            }
            Kind::Long => {
                let values = array.as_primitive::<Int64Type>().values();
                self.write_fixed(bytes, cursors, |row| values[row].to_le_bytes());
            }
            Kind::Time => {
                let values = array.as_primitive::<Time64MicrosecondType>().values();
                self.write_fixed(bytes, cursors, |row| values[row].to_le_bytes());
            }
            Kind::Micros => {
                let values = array.as_primitive::<TimestampMicrosecondType>().values();
                self.write_fixed(bytes, cursors, |row| values[row].to_le_bytes());
            }
            Kind::Nanos => {
                let values = array.as_primitive::<TimestampNanosecondType>().values();
                self.write_fixed(bytes, cursors, |row| values[row].to_le_bytes());
            }
            Kind::Float => {
                let values = array.as_primitive::<Float32Type>().values();
                let same = |value: f32| if value.is_nan() { f32::NAN } else { value };
                self.write_fixed(bytes, cursors, |row| same(values[row]).to_le_bytes());
            }
            Kind::Double => {
                let values = array.as_primitive::<Float64Type>().values();
                let same = |value: f64| if value.is_nan() { f64::NAN } else { value };
                self.write_fixed(bytes, cursors, |row| same(values[row]).to_le_bytes());
            }
            Kind::Decimal => {
                let values = array.as_primitive::<Decimal128Type>().values();
                self.write_fixed(bytes, cursors, |row| values[row].to_le_bytes());
            }
            Kind::Fixed => {
                let array = array.as_fixed_size_binary();
                self.write_fixed(bytes, cursors, |row| array.value(row));
            }
            Kind::String => {
                let array = array.as_string::<i32>();
                self.write_lengthy(bytes, cursors, |row| array.value(row).as_bytes());
            }
            Kind::Binary => {
                let array = array.as_binary::<i32>();
                self.write_lengthy(bytes, cursors, |row| array.value(row));
            }
        }
    }

    /// Writes values of a type with a fixed length.
    fn write_fixed<V: AsRef<[u8]>>(
        &self,
        bytes: &mut [u8],
        cursors: &mut [usize],
        value: impl Fn(usize) -> V,
    ) {
        for (row, cursor) in cursors.iter_mut().enumerate() {
            let value = value(row);
            let value = value.as_ref();
            let end = *cursor + 1 + value.len();
            if !self.is_null(row) {
                bytes[*cursor] = PRESENT;
                bytes[*cursor + 1..end].copy_from_slice(value);
            }
            *cursor = end;
        }
    }

    /// Writes values with their length first, so that the values of adjacent columns cannot be confused.
    fn write_lengthy<'v>(&self, bytes: &mut [u8], cursors: &mut [usize], value: impl Fn(usize) -> &'v [u8]) {
        for (row, cursor) in cursors.iter_mut().enumerate() {
            if self.is_null(row) {
                *cursor += 1;
                continue;
            }
            let value = value(row);
            let start = *cursor + 1 + LENGTH_BYTES;
            bytes[*cursor] = PRESENT;
            bytes[*cursor + 1..start].copy_from_slice(&(value.len() as u64).to_le_bytes());
            bytes[start..start + value.len()].copy_from_slice(value);
            *cursor = start + value.len();
        }
    }
}
