//! Least and greatest value of a column, accumulated batch by batch. They are exact, so that no bound is
//! narrower than the values.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow_array::{Array, PrimitiveArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};

use crate::expr::decimal::Decimal;
use crate::expr::value::ValueRef;

/// Least and greatest of the values so far; `None` before the first.
type Range<T> = Option<(T, T)>;

/// Range of the values of a column, by their representation.
#[derive(Debug)]
pub(super) enum Extremes {
    Boolean(Range<bool>),
    Int(Range<i32>),
    Long(Range<i64>),
    Decimal(Range<i128>),
    Float(Range<f32>),
    Double(Range<f64>),
    Bytes(Range<Vec<u8>>),
    /// Type whose values have no order.
    None,
}

impl Extremes {
    /// Creates an empty range for a column of this type.
    pub(super) fn new(data_type: &DataType) -> Extremes {
        match data_type {
            DataType::Boolean => Extremes::Boolean(None),
            DataType::Int32 | DataType::Date32 => Extremes::Int(None),
            DataType::Int64 | DataType::Time64(_) | DataType::Timestamp(..) => Extremes::Long(None),
            DataType::Decimal128(..) => Extremes::Decimal(None),
            DataType::Float32 => Extremes::Float(None),
            DataType::Float64 => Extremes::Double(None),
            DataType::Utf8 | DataType::Binary | DataType::FixedSizeBinary(_) => Extremes::Bytes(None),
            _ => Extremes::None,
        }
    }

    /// Adds the values of an array at the rows that are not null in `nulls`. NaNs are ignored, because they
    /// are not part of bounds.
    pub(super) fn add(&mut self, array: &dyn Array, nulls: Option<&NullBuffer>) {
        match self {
            Extremes::Boolean(range) => {
                let Some(array) = array.as_boolean_opt() else { return };
                each(array.len(), nulls, |row| widen(range, array.value(row)));
            }
            Extremes::Int(range) => match array.data_type() {
                DataType::Date32 => add_ordered::<Date32Type>(array, nulls, range),
                _ => add_ordered::<Int32Type>(array, nulls, range),
            },
            Extremes::Long(range) => add_longs(array, nulls, range),
            Extremes::Decimal(range) => add_ordered::<Decimal128Type>(array, nulls, range),
            Extremes::Float(range) => {
                let Some(array) = array.as_primitive_opt::<Float32Type>() else { return };
                let number = |value: f32| (!value.is_nan()).then_some(value);
                add_floats(array, nulls, range, number, f32::total_cmp);
            }
            Extremes::Double(range) => {
                let Some(array) = array.as_primitive_opt::<Float64Type>() else { return };
                let number = |value: f64| (!value.is_nan()).then_some(value);
                add_floats(array, nulls, range, number, f64::total_cmp);
            }
            Extremes::Bytes(range) => add_bytes(array, nulls, range),
            Extremes::None => {}
        }
    }

    /// Returns the least and the greatest value in binary form; `scale` is the scale of decimals.
    pub(super) fn encode(self, scale: u32) -> Option<(Vec<u8>, Vec<u8>)> {
        fn both<T>(range: Range<T>, encode: impl Fn(T) -> Vec<u8>) -> Option<(Vec<u8>, Vec<u8>)> {
            range.map(|(least, greatest)| (encode(least), encode(greatest)))
        }
        match self {
            Extremes::Boolean(range) => both(range, |value| ValueRef::Boolean(value).encode()),
            Extremes::Int(range) => both(range, |value| ValueRef::Int(value).encode()),
            Extremes::Long(range) => both(range, |value| ValueRef::Long(value).encode()),
            Extremes::Decimal(range) => {
                both(range, |unscaled| ValueRef::Decimal(Decimal { unscaled, scale }).encode())
            }
            Extremes::Float(range) => both(range, |value| ValueRef::Float(value).encode()),
            Extremes::Double(range) => both(range, |value| ValueRef::Double(value).encode()),
            Extremes::Bytes(range) => range,
            Extremes::None => None,
        }
    }
}

fn widen<T: Ord + Copy>(range: &mut Range<T>, value: T) {
    *range = Some(match *range {
        Some((least, greatest)) => (least.min(value), greatest.max(value)),
        None => (value, value),
    });
}

/// Calls `add` with the index of every row that is not null.
fn each(rows: usize, nulls: Option<&NullBuffer>, mut add: impl FnMut(usize)) {
    match nulls {
        None => (0..rows).for_each(add),
        Some(nulls) => nulls.valid_slices().for_each(|(start, end)| (start..end).for_each(&mut add)),
    }
}

fn add_longs(array: &dyn Array, nulls: Option<&NullBuffer>, range: &mut Range<i64>) {
    match array.data_type() {
        DataType::Time64(_) => add_ordered::<Time64MicrosecondType>(array, nulls, range),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            add_ordered::<TimestampNanosecondType>(array, nulls, range);
        }
        DataType::Timestamp(..) => add_ordered::<TimestampMicrosecondType>(array, nulls, range),
        _ => add_ordered::<Int64Type>(array, nulls, range),
    }
}

fn add_ordered<T>(array: &dyn Array, nulls: Option<&NullBuffer>, range: &mut Range<T::Native>)
where
    T: ArrowPrimitiveType,
    T::Native: Ord + Copy,
{
    let Some(array) = array.as_primitive_opt::<T>() else { return };
    let mut add = |values: &[T::Native]| {
        if let Some((least, greatest)) = values.iter().min().zip(values.iter().max()) {
            widen(range, *least);
            widen(range, *greatest);
        }
    };
    match nulls {
        None => add(array.values()),
        Some(nulls) => nulls
            .valid_slices()
            .for_each(|(start, end)| add(array.values().get(start..end).unwrap_or_default())),
    }
}

fn add_floats<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    nulls: Option<&NullBuffer>,
    range: &mut Range<T::Native>,
    number: impl Fn(T::Native) -> Option<T::Native>,
    compare: impl Fn(&T::Native, &T::Native) -> std::cmp::Ordering,
) {
    each(array.len(), nulls, |row| {
        let Some(value) = number(array.value(row)) else { return };
        let (least, greatest) = range.get_or_insert((value, value));
        if compare(&value, least).is_lt() {
            *least = value;
        }
        if compare(&value, greatest).is_gt() {
            *greatest = value;
        }
    });
}

fn add_bytes(array: &dyn Array, nulls: Option<&NullBuffer>, range: &mut Range<Vec<u8>>) {
    let mut add = |value: &[u8]| {
        let (least, greatest) = range.get_or_insert_with(|| (value.to_vec(), value.to_vec()));
        if value < least.as_slice() {
            value.clone_into(least);
        } else if value > greatest.as_slice() {
            value.clone_into(greatest);
        }
    };
    if let Some(array) = array.as_string_opt::<i32>() {
        each(array.len(), nulls, |row| add(array.value(row).as_bytes()));
    } else if let Some(array) = array.as_binary_opt::<i32>() {
        each(array.len(), nulls, |row| add(array.value(row)));
    } else if let Some(array) = array.as_fixed_size_binary_opt() {
        each(array.len(), nulls, |row| add(array.value(row)));
    }
}
