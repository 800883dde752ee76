//! Checksum of rows, by which a rewrite verifies that it wrote the rows it read. It detects mistakes, not
//! attacks: it is easy to construct other rows with the same checksum. Checksums are never stored, and the
//! algorithm may change in the next release.

use std::hash::BuildHasher;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch, types::ArrowPrimitiveType};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, TimeUnit};
use foldhash::quality::FixedState;

use super::error::FileError;

/// Sensitivity of a checksum to the order of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Rows in a different order have a different checksum.
    Retained,
    /// The checksum depends only on the rows and how often each occurs.
    Any,
}

/// Checksum of all values of all rows added so far. It depends on the order of the columns, but not on their
/// names and ids, nor on how the rows are divided into batches and files.
///
/// All NaNs are equal, `-0.0` differs from `0.0`, and the bytes below a null are ignored. The order of the
/// entries of a map matters, as it does to readers.
///
/// Equal rows have equal checksums. Different rows have equal checksums about once in 10¹⁹ cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChecksum {
    order: Order,
    rows: u64,
    /// Sum of the hashes of the rows; 128 bits, so that it never wraps.
    sum: u128,
}

impl RowChecksum {
    /// Creates the checksum of no rows.
    pub fn new(order: Order) -> RowChecksum {
        RowChecksum { order, rows: 0, sum: 0 }
    }

    /// Adds the rows of a batch, which must have the same columns and types as the batches before.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Unsupported`] if a column has an Arrow type that
    /// [`super::arrow_schema::to_arrow`] never returns.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), FileError> {
        let mut hashes = vec![START; batch.num_rows()];
        for column in batch.columns() {
            mix_each(&mut hashes, &hashes_of(column)?);
        }
        for hash in hashes {
            let hash = match self.order {
                Order::Retained => mix(hash, self.rows),
                Order::Any => hash,
            };
            self.sum = self.sum.wrapping_add(u128::from(hash));
            self.rows += 1;
        }
        Ok(())
    }

    /// Returns the number of rows added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the checksum, which does not include the number of rows.
    pub fn finish(&self) -> u128 {
        self.sum
    }
}

/// Initial value of a hash of several values: the fractional part of the golden ratio.
const START: u64 = 0x9e37_79b9_7f4a_7c15;
/// Hash of a null: the fractional part of the square root of two. A value has the same hash only by chance.
const NULL: u64 = 0x6a09_e667_f3bc_c908;
/// Odd number, so that multiplication by it is a bijection: the fractional part of the square root of three.
const FACTOR: u64 = 0xbb67_ae85_84ca_a73b;

/// Mixes a value into a hash. Different values produce different results for the same hash, and so do
/// different hashes for the same value.
fn mix(hash: u64, value: u64) -> u64 {
    let mixed = hash.wrapping_mul(FACTOR).rotate_left(23) ^ value;
    // The finalizer of MurmurHash3: every bit of the result depends on all bits of the input, and it is a
    // bijection.
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

fn mix_each(hashes: &mut [u64], values: &[u64]) {
    for (hash, value) in hashes.iter_mut().zip(values) {
        *hash = mix(*hash, *value);
    }
}

/// Returns the hash of each value of an array.
fn hashes_of(array: &ArrayRef) -> Result<Vec<u64>, FileError> {
    let mut hashes = match array.data_type() {
        DataType::Null => return Ok(vec![NULL; array.len()]),
        DataType::Boolean => {
            let array = array.as_boolean();
            array.values().iter().map(|value| mix(START, u64::from(value))).collect()
        }
        DataType::Int32 => integers(array.as_primitive::<Int32Type>(), i64::from),
        DataType::Date32 => integers(array.as_primitive::<Date32Type>(), i64::from),
        DataType::Int64 => integers(array.as_primitive::<Int64Type>(), |value| value),
        DataType::Time64(TimeUnit::Microsecond) => {
            integers(array.as_primitive::<Time64MicrosecondType>(), |value| value)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            integers(array.as_primitive::<TimestampMicrosecondType>(), |value| value)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            integers(array.as_primitive::<TimestampNanosecondType>(), |value| value)
        }
        DataType::Float32 => integers(array.as_primitive::<Float32Type>(), |value| {
            i64::from(if value.is_nan() { f32::NAN } else { value }.to_bits())
        }),
        DataType::Float64 => integers(array.as_primitive::<Float64Type>(), |value| {
            if value.is_nan() { f64::NAN } else { value }.to_bits().cast_signed()
        }),
        DataType::Decimal128(..) => decimals(array.as_primitive::<Decimal128Type>()),
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            (0..array.len()).map(|row| bytes(array.value(row).as_bytes())).collect()
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            (0..array.len()).map(|row| bytes(array.value(row))).collect()
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            (0..array.len()).map(|row| bytes(array.value(row))).collect()
        }
        DataType::Struct(_) => {
            let mut hashes = vec![START; array.len()];
            for part in array.as_struct().columns() {
                mix_each(&mut hashes, &hashes_of(part)?);
            }
            hashes
        }
        DataType::List(_) => {
            let array = array.as_list::<i32>();
            lists(array.offsets(), array.nulls(), array.values())?
        }
        DataType::Map(..) => {
            let array = array.as_map();
            let entries: ArrayRef = std::sync::Arc::new(array.entries().clone());
            lists(array.offsets(), array.nulls(), &entries)?
        }
        other => return Err(FileError::unsupported(format!("checksums of {other} are not supported"))),
    };
    if let Some(nulls) = array.nulls() {
        for (row, hash) in hashes.iter_mut().enumerate() {
            if nulls.is_null(row) {
                *hash = NULL;
            }
        }
    }
    Ok(hashes)
}

fn integers<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, bits: impl Fn(T::Native) -> i64) -> Vec<u64> {
    array.values().iter().map(|value| mix(START, bits(*value).cast_unsigned())).collect()
}

fn decimals(array: &PrimitiveArray<Decimal128Type>) -> Vec<u64> {
    let hash_of = |value: &i128| {
        let [low, high] = [value.cast_unsigned(), value.cast_unsigned() >> u64::BITS];
        mix(mix(START, low_bits(low)), low_bits(high))
    };
    array.values().iter().map(hash_of).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "the rest is taken apart")]
fn low_bits(bits: u128) -> u64 {
    bits as u64
}

fn bytes(value: &[u8]) -> u64 {
    mix(START, FixedState::with_seed(START).hash_one(value))
}

/// Returns the hashes of lists: each covers the number of elements and the elements in order.
fn lists(
    offsets: &OffsetBuffer<i32>,
    nulls: Option<&NullBuffer>,
    elements: &ArrayRef,
) -> Result<Vec<u64>, FileError> {
    let place = |offset: &i32| usize::try_from(*offset).unwrap_or(0);
    let (first, last) = (offsets.first().map_or(0, place), offsets.last().map_or(0, place));
    // The child array of a sliced list array contains the elements of all lists, not only those of the slice.
    let elements = hashes_of(&elements.slice(first, last - first))?;
    let hash_of = |(row, border): (usize, &[i32])| {
        let [start, end] = border else { return NULL };
        let (start, end) = (place(start) - first, place(end) - first);
        if nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return NULL;
        }
        let elements = elements.get(start..end).unwrap_or_default();
        elements.iter().fold(mix(START, elements.len() as u64), |hash, element| mix(hash, *element))
    };
    Ok(offsets.windows(2).enumerate().map(hash_of).collect())
}
